"""A trader that moves its stop and never changes its size.

Its own partial exit reduces the stop at the broker, so that the size is always right. What a person
sells by hand does not: the stop then sells more shares than are held. (R03 in the catalogue of
recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.orders import OrderDesk
from target_trader.strategy.exits import Modify


class KeepsTheSize(OrderDesk):
    """The order desk that knows prices."""

    def modify_exit(self, action: Modify) -> None:
        """Change an exit if its price is another one."""
        intent = self.books.checkpoint.intent_by_id(action.order_id)
        if intent is not None and intent.price != action.order.price:
            super().modify_exit(action)


if __name__ == "__main__":
    main(orders_factory=KeepsTheSize)
