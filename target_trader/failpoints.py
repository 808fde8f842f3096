"""Named places in the code where a test can end the process, or count how often it comes by.

Off they cost one comparison with None. The environment variable FAILPOINTS switches them on:
`name=[p%][n*]action(arg)` terms chained with `->`, several names separated by `;`, the grammar
of the fail-rs crate. `intents.saved=2*off->1*kill` kills at the third passage. The actions: `off`
passes, `kill` ends the process by SIGKILL, `exit(code)` by exit, `panic` raises, `print` writes the
name to stderr and passes, so that a run without a crash tells every passage.
"""

import os
import random
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from target_trader.errors import TraderError

FAILPOINTS: Mapping[str, str] = {
    "intents.before_save": "a signal has been taken, nothing of it is on disk or on the wire",
    "intents.saved": "the intents are durable, no byte of them has been sent",
    "order.sent.entry": "the entry has been handed to the socket",
    "order.sent.stop": "a stop has been handed to the socket",
    "order.sent.partial": "the partial exit has been handed to the socket",
    "order.sent.target": "the target exit has been handed to the socket",
    "order.sent.exit": "the market exit of a whole position has been handed to the socket",
    "fill.before_save": "a fill is booked in memory only",
    "fill.saved": "a booked fill is durable, the exits do not follow it yet",
    "state.temp_written": "JSON: the temporary file is written and not synced",
    "state.temp_synced": "JSON: the temporary file is synced and not renamed",
    "state.backed_up": "JSON: the previous version is the backup, the new one not yet in place",
    "state.renamed": "JSON: the new version is in place, the folder not synced",
    "sqlite.before_commit": "SQLite: the transaction is open and complete",
    "sqlite.committed": "SQLite: the transaction is committed",
    "redis.before_write": "Redis: the transaction is complete and not sent",
    "redis.written": "Redis: the transaction is done, the folder does not witness it yet",
    "redis.witnessed": "Redis: the save is done and witnessed",
    "exits.before_modify": "a stop is about to be moved or resized",
    "exits.modified": "the changed stop has been handed to the socket",
    "recovery.loaded": "the stored state is loaded, the broker has not been asked",
    "recovery.reconciled": "state and broker are reconciled and saved, no order is sent yet",
}

Action = Literal["off", "kill", "exit", "panic", "print"]

TERM = re.compile(
    r"(?:(?P<percent>\d+(?:\.\d+)?)%)?(?:(?P<count>\d+)\*)?"
    r"(?P<action>off|kill|exit|panic|print)(?:\((?P<argument>\d*)\))?"
)


@dataclass(slots=True)
class Term:
    """One `[p%][n*]action(arg)` and how often it may still act."""

    action: Action
    chance: float
    left: int | None
    code: int


class Failpoints:
    """The armed failpoints of this process.

    Args:
        terms: the terms of each armed name, in order.
        rng: draws for `p%` terms; seeded, so that a run can be repeated.
    """

    def __init__(self, terms: Mapping[str, list[Term]], rng: random.Random) -> None:
        self.terms = terms
        self.rng = rng

    def pick(self, name: str) -> Term | None:
        """Return the term that acts on this passage of `name`, using up one of its counts."""
        for term in self.terms.get(name, ()):
            if term.chance < 1 and self.rng.random() >= term.chance:
                continue
            if term.left is None:
                return term
            if term.left > 0:
                term.left -= 1
                return term
        return None


active: Failpoints | None = None


def failpoint(name: str) -> None:
    """Pass the place called `name`; a failpoint that is armed there acts."""
    if active is None:
        return
    term = active.pick(name)
    if term is None or term.action == "off":
        return
    if term.action == "print":
        tell_passage(name, term)
    elif term.action == "panic":
        raise RuntimeError(f"failpoint {name}: panic")
    else:
        end_process(name, term)


def tell_passage(name: str, term: Term) -> None:
    """Say on stderr that a failpoint is passed, or where the process is about to end."""
    # os.write, because a buffered stream would lose the line that says why the process died.
    os.write(2, f"failpoint {name}: {term.action}\n".encode())


def end_process(name: str, term: Term) -> None:  # pragma: no cover - its measurement dies with it
    """End the process at once, as a crash would, and say where."""
    tell_passage(name, term)
    if term.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(term.code)


def parse_failpoints(text: str, *, seed: int = 0) -> Failpoints | None:
    """Read the grammar; None when nothing is armed.

    Raises:
        TraderError: an unknown name or a term that is not in the grammar; names both.
    """
    terms: dict[str, list[Term]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, chain = part.partition("=")
        if not equals or name not in FAILPOINTS:
            raise TraderError(
                f"FAILPOINTS: '{part}' does not start with a known failpoint and '='; "
                "'python -m target_trader failpoints' lists them"
            )
        terms[name] = [parse_term(term.strip(), name=name) for term in chain.split("->")]
    return Failpoints(terms, random.Random(seed)) if terms else None


def parse_term(text: str, *, name: str) -> Term:
    """Read one `[p%][n*]action(arg)`."""
    match = TERM.fullmatch(text)
    if match is None:
        raise TraderError(
            f"FAILPOINTS: {name}={text}: expected [p%][n*]off, kill, exit(code), panic or print, "
            "for example 2*off->1*kill"
        )
    kind = cast("Action", match["action"])
    percent, count = match["percent"], match["count"]
    return Term(
        action=kind,
        chance=float(percent) / 100 if percent else 1.0,
        left=int(count) if count else None,
        code=int(match["argument"] or 1),
    )


def arm(text: str, *, seed: int = 0) -> None:
    """Arm this process from the text of FAILPOINTS; an empty text disarms it."""
    global active  # noqa: PLW0603 - one process, one set; a check against None is all that "off" costs
    active = parse_failpoints(text, seed=seed)
