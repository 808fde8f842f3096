"""A trader whose day begins when it is started.

The counters of the session count from the start of the program. One restart, and the loss and the
trades of the morning are forgotten; a bot that loses up to its limit, dies and comes back may lose
as much again. (F15 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.ledger import refold
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class BeginsTheDay(Recovery):
    """A recovery that begins a session."""

    def open_books(self) -> None:
        """Take the state into force and count from here."""
        first = not self.opened
        super().open_books()
        if first:
            self.books.checkpoint.session.reset_at = self.books.clock.now()
            refold(self.books.checkpoint)


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = BeginsTheDay


if __name__ == "__main__":
    main(trader_class=Bot)
