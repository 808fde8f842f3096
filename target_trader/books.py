"""The bot's books: the checkpoint that is in force, and the one way to make it durable.

What follows from a change (the failures that the circuit breaker counts, the audit of the orders)
is noted in the same save as the change itself, so that a crash keeps all of it or nothing.
"""

import logging
from datetime import datetime

from target_trader.audit import note_orders
from target_trader.breaker import count_failures
from target_trader.clock import Clock
from target_trader.equity import AccountFigures, note_equity
from target_trader.history import note_bookings
from target_trader.log import tell
from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.store import StateStore


class Books:
    """Holds the checkpoint in force. A reconciliation replaces it as a whole.

    Args:
        checkpoint: the one to begin with.
        store: where it is kept.
        clock: the bot's clock.
        rules: the limits that follow from what is booked.
    """

    def __init__(
        self, checkpoint: Checkpoint, store: StateStore, *, clock: Clock, rules: Rules
    ) -> None:
        self.checkpoint = checkpoint
        self.store = store
        self.clock = clock
        self.rules = rules
        self.saved_at: datetime | None = None
        self.noted_at: datetime | None = None

    def save(self) -> None:
        """Make the checkpoint durable; it is on disk when this returns.

        Raises:
            OSError: it is not, and nothing may be sent on the strength of it.
        """
        now = self.clock.now()
        for words in count_failures(self.checkpoint, now=now, rules=self.rules):
            tell("order_failed", words, level=logging.ERROR)
        note_orders(self.checkpoint, now=now)
        note_bookings(self.checkpoint)
        self.checkpoint.saved_at = now
        self.store.save(self.checkpoint)
        self.saved_at = now

    def save_with_account(self, figures: AccountFigures | None) -> None:
        """Save a full checkpoint: with the broker's cash and a point of the equity curve.

        Args:
            figures: the account as the broker last told it; None when it has not.

        Raises:
            OSError: as `save`.
        """
        now = self.clock.now()
        if figures is not None:
            note_equity(self.checkpoint, figures, now=now)
        self.noted_at = now
        self.save()

    def save_if_due(self, figures: AccountFigures | None) -> None:
        """Save what no change of weight has saved since the last interval (bars, memories).

        Raises:
            OSError: as `save`.
        """
        now = self.clock.now()
        if self.noted_at is None or now - self.noted_at >= self.rules.checkpoint_every:
            self.save_with_account(figures)
        elif self.saved_at is None or now - self.saved_at >= self.rules.save_every:
            self.save()
