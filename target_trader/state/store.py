"""What every store promises.

`save` returns only when the checkpoint would survive a power cut, or raises; a caller may then
send the orders that it explains. `load` never invents a state: what it could not believe is in
`problems`, in words. Every store may be called from several threads: a save is whole, the last one
wins, and a reader outside sees one whole checkpoint or another.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from target_trader.state.checkpoint import Checkpoint


class Source(StrEnum):
    """Which copy of the state was believed.

    BACKUP is any state that is older than what was saved last, however it came about: attempts
    may have been made since, so it must never give attempts back by itself.
    """

    MAIN = "main"
    BACKUP = "backup"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of reading the state.

    No checkpoint and no problems is a clean start; no checkpoint with problems is a state that
    was there and is lost.
    """

    checkpoint: Checkpoint | None
    source: Source
    problems: tuple[str, ...] = ()

    @property
    def state_was_lost(self) -> bool:
        """Something was stored and none of it can be believed."""
        return self.checkpoint is None and bool(self.problems)


class StateStore(Protocol):
    """Keeps one checkpoint; one writer at a time."""

    def load(self) -> Loaded:
        """Read the newest checkpoint that can be believed.

        Raises:
            StateVersionError: the state is of a version that this bot cannot read.
            TraderError: the place of the state cannot be reached; says what to do.
        """

    def save(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable before returning.

        Raises:
            OSError: the disk or the server refused; nothing may be sent on the strength of this
                checkpoint.
            StateTakenOverError: another bot writes this state now.
        """

    def close(self) -> None:
        """Release the folder."""


def older_words(name: str, number: int, *, backup: int) -> str:
    """Say that the main state is older than its backup; both are counted by their saves.

    Counted and not dated, because a clock may be set back.
    """
    return f"{name} has save {number}, its backup save {backup}: it is not the last state"


def free_name(path: Path) -> Path:
    """Return a path that nothing has yet: the given one, or the first of `path.2`, `path.3` ..."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
