"""A trader that finds that the broker holds something else, says so, and goes on.

There is a line in the log. The bot keeps the position of its own file, which a person has closed
while it was dead, and manages a position that is not there. (R11 in the catalogue of recovery
bugs.)
"""

import logging

from target_trader.__main__ import main
from target_trader.log import tell
from target_trader.picture import Picture
from target_trader.reconcile import Reconciled
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class Warns(Recovery):
    """A recovery that trusts the file."""

    def compare(self, picture: Picture) -> Reconciled:
        """Compare, and keep the books if they differ."""
        outcome, books = super().compare(picture), self.books.checkpoint
        for position in books.open_positions():
            held, told = books.held(position.symbol), picture.quantity(position.symbol)
            if held != told:
                words = f"{position.symbol}: position mismatch, {held} here, {told} at IBKR"
                tell("mismatch", words, level=logging.WARNING)
                outcome.checkpoint.positions[position.trade_id] = position
        return outcome


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = Warns


if __name__ == "__main__":
    main(trader_class=Bot)
