"""A trader that sends the exits of every open position again when it starts.

"A position must have a stop, so place it." It does not ask whether the stop of the last life still
works at the broker, and it always does: two stops for one position. (O16 in the catalogue of
recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.recovery import Recovery
from target_trader.strategy.exits import Place, desired_exits
from target_trader.trader import Trader


class PlacesAgain(Recovery):
    """A recovery that trusts nobody with the stops."""

    placed = False

    def go_on(self) -> None:
        """Place the exits of all that is held, once a life."""
        super().go_on()
        if not self.placed:
            for position in self.books.checkpoint.open_positions():
                wanted = desired_exits(position, self.options.rules)
                self.orders.perform(position, tuple(Place(each, ordinal=1) for each in wanted))
        self.placed = True


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = PlacesAgain


if __name__ == "__main__":
    main(trader_class=Bot)
