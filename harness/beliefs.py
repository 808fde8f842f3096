"""What a bot's `state` command has told, by what it was told about.

The command reads what is on disk, and a sweep leaves the same there hundreds of times. So it is
asked once for each: a process that is not started is a twelfth of a case. Runs that are compared
with each other (`--check-determinism`) ask every time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.remains import NOTHING, remains_of
from harness.shelf import Shelf


class Told(NamedTuple):
    """How the command ended and what it said."""

    code: int
    out: str
    err: str


class Beliefs:
    """The answers that a sweep's runs were given, by `memory_of`.

    Args:
        folder: where they are kept; see `Shelf`.
        sweep: what all runs of the sweep have in common.
    """

    def __init__(self, folder: Path, *, sweep: str) -> None:
        self._shelf = Shelf(folder, about=f"beliefs of {sweep}")

    def known(self, memory: str) -> Told | None:
        """What was told about a memory; None when it has not been asked for."""
        text = self._shelf.known(memory)
        return None if text is None else Told(*json.loads(text))

    def learn(self, memory: str, told: Told, *, after: str) -> None:
        """Remember an answer, if the command has left the memory (`after`) as it was."""
        if memory == after:
            self._shelf.learn(memory, json.dumps(told))


def memory_of(
    words: Sequence[str],
    folder: Path,
    *,
    values: Mapping[str, bytes] = NOTHING,
    names: Sequence[str] = (),
) -> str:
    """A digest of a command and of everything that the bot has on disk or in Redis.

    Args:
        words: the command and its variables, without what differs from run to run.
        folder: the bot's state folder.
        values: see `remains_of`.
        names: see `remains_of`.
    """
    remains = remains_of(folder, values=values, names=names)
    return hashlib.sha256(json.dumps([*words, remains]).encode()).hexdigest()
