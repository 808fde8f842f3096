"""What every store promises.

`save` returns only when the checkpoint would survive a power cut, or raises; a caller may then
send the orders that it explains. `load` never invents a state: what it could not believe is in
`problems`, in words.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from target_trader.state.checkpoint import Checkpoint


class Source(StrEnum):
    """Which copy of the state was believed."""

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
        """Read the newest checkpoint that can be believed."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable before returning.

        Raises:
            OSError: the disk refused; nothing may be sent on the strength of this checkpoint.
        """

    def close(self) -> None:
        """Release the folder."""
