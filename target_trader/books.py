"""The bot's books: the checkpoint that is in force, and the one way to make it durable."""

from datetime import datetime

from target_trader.clock import Clock
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.store import StateStore


class Books:
    """Holds the checkpoint in force. A reconciliation replaces it as a whole."""

    def __init__(self, checkpoint: Checkpoint, store: StateStore, *, clock: Clock) -> None:
        self.checkpoint = checkpoint
        self.store = store
        self.clock = clock
        self.saved_at: datetime | None = None

    def save(self) -> None:
        """Make the checkpoint durable; it is on disk when this returns.

        Raises:
            OSError: it is not, and nothing may be sent on the strength of it.
        """
        now = self.clock.now()
        self.checkpoint.saved_at = now
        self.store.save(self.checkpoint)
        self.saved_at = now
