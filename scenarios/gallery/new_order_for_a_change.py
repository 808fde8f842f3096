"""A trader that moves its stop by placing a new one and cancelling the old one.

It never modifies, and it places first, so that the position is never naked. For an instant there
are two stops; killed in it, nobody cancels the old one, both fill, and what was sold becomes a
short position. (O14 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.failpoints import failpoint
from target_trader.orders import OrderDesk
from target_trader.strategy.exits import Modify


class PlacesAnew(OrderDesk):
    """The order desk, which modifies in two steps."""

    def modify_exit(self, action: Modify) -> None:
        """Place the changed order, then cancel the one that it replaces."""
        intent = self.books.checkpoint.intent_by_id(action.order_id)
        position = self.books.checkpoint.positions.get(intent.trade_id) if intent else None
        if intent is None or position is None or action.order_id in self.cancelling:
            return
        another = self.intent(
            position, intent.leg, quantity=action.order.quantity, ordinal=intent.ordinal + 1
        )
        # A group would reduce the new one by what the old one fills.
        another.oca_group = ""
        another.stop_price = action.order.price
        self.books.checkpoint.intents.append(another)
        self.books.save()
        self.send(another, transmit=True)
        failpoint("exits.modified")
        self.cancel(action.order_id)


if __name__ == "__main__":
    main(orders_factory=PlacesAnew)
