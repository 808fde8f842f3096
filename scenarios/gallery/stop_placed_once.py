"""A trader that places the stop of a trade once.

The state says that the stop was placed, and so it is not placed again. When it is cancelled while
the bot is dead (by a person, at the broker, at the end of the day), nobody places another one.
(R02 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.names import Leg
from target_trader.orders import OrderDesk
from target_trader.state.checkpoint import Position
from target_trader.strategy.exits import Place


class PlacesOnce(OrderDesk):
    """The order desk that looks into its own book."""

    def place_exit(self, position: Position, action: Place) -> None:
        """Place an exit, and a stop only if the trade has never had one."""
        leg = action.order.leg
        placed = [
            each
            for each in self.books.checkpoint.intents
            if each.trade_id == position.trade_id and each.leg is leg
        ]
        if leg is not Leg.STOP or not placed:
            super().place_exit(position, action)


if __name__ == "__main__":
    main(orders_factory=PlacesOnce)
