"""What follows a crash, by what the crash has left: the same remains have the same sequel.

After a crash nothing is left but the broker with its books, the bot's files and its Redis. What
comes then rests on these, on what is planned from there on, and on nothing else, so that a sweep
plays it once for each: hundreds of points leave what their neighbour has left (a `fsync` changes
nothing that a killed process leaves). A run that dies where another one has left the same is told
to its end with the other's lines and judged like any other. Whatever does not pass is run again
without this (`sweep.py`); `--check-determinism` compares it with runs that were played, and
`--exhaustive` and `--exec` do without.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.case import Case
from harness.downtime.time_acts import BrokerFault
from harness.faults.apply import needs_copies
from harness.points import WirePoint
from harness.remains import NOTHING, remains_of
from harness.shelf import Shelf
from harness.targets import Session

FORETOLD = "foretold"
"""The kind of the line behind which the lines are those of another run."""


class Sequels:
    """The lines that followed the crashes of a sweep's runs, by what the crashes had left.

    Args:
        folder: where they are kept; see `Shelf`.
        sweep: what all runs of the sweep have in common; another sweep's sequels are not known.
    """

    def __init__(self, folder: Path, *, sweep: str) -> None:
        self._shelf = Shelf(folder, about=f"sequels of {sweep}")

    def known(self, remains: str) -> list[str] | None:
        """What followed; None when these remains are new."""
        text = self._shelf.known(remains)
        return None if text is None else text.split("\n")

    def learn(self, remains: str, lines: Sequence[str]) -> None:
        """Remember what followed; where there is no room for it, it is played again."""
        self._shelf.learn(remains, "\n".join(lines))


def has_sequels(case: Case) -> bool:
    """Whether what follows a crash of a case rests on what the crash leaves alone.

    A call or a server that fails belongs to a life by its number, and a file is put back from a
    copy that was taken before the crash.
    """
    untold = case.call_faults or case.outages
    return not untold and not any(needs_copies(crash.storage) for crash in case.crashes)


def counts_matter(case: Case, life: int) -> bool:
    """Whether something that is planned after a life's crash goes by the number of a message."""
    crashes = case.crashes[life - 1 :]
    acts = [act for crash in crashes for act in crash.downtime.acts]
    return (
        bool(case.broker.faults)
        or any(isinstance(act, BrokerFault) for act in acts)
        or any(isinstance(crash.point, WirePoint) for crash in crashes[1:])
    )


def left_behind(
    case: Case,
    session: Session,
    *,
    life: int,
    broker: str,
    values: Mapping[str, bytes] = NOTHING,
    names: Sequence[str] = (),
) -> str:
    """A digest of what the crash of a life has left, and of what is planned from there on.

    Args:
        case: of the sweep that asks; what all of its cases share is not taken in.
        session: where the bot's files are.
        life: which of the bot's lives has ended, from 1.
        broker: the broker's own digest, without clients.
        values: see `remains_of`.
        names: see `remains_of`.
    """
    planned = [crash.model_dump_json() for crash in case.crashes[life:]]
    crash = case.crashes[life - 1]
    meanwhile = [
        crash.downtime.model_dump_json(),
        None if crash.storage is None else crash.storage.model_dump_json(),
    ]
    around = [case.broker.model_dump_json(), str(case.ends_at), sorted(case.environment.items())]
    remains = remains_of(
        Path(session.state_dir),
        values=values,
        exact=crash.storage is not None or bool(planned),
        names=names,
    )
    whole = json.dumps([around, life, meanwhile, planned, broker, remains])
    return hashlib.sha256(whole.encode()).hexdigest()
