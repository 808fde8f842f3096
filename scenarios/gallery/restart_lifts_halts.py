"""A trader for which a restart is a fresh start.

It halts when the broker refuses to change its stop, and saves that it has. But the first thing that
it does when it is started is to forget it, and whatever watches over it and starts it again lifts
every halt. (F16 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class StartsAfresh(Recovery):
    """A recovery in good spirits."""

    def open_books(self) -> None:
        """Take the state into force without its halts."""
        if self.loaded is not None and self.loaded.checkpoint is not None:
            self.loaded.checkpoint.halts.clear()
        super().open_books()


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = StartsAfresh


if __name__ == "__main__":
    main(trader_class=Bot)
