"""A trader that counts its order ids itself, from 1.

The first day goes well, because the broker's own count begins there, too. After a restart the ids
begin at 1 again, while the orders that had them are still at the broker: a new order is refused
with error 103, or changes an old one. (O07 in the catalogue of recovery bugs.)
"""

from itertools import count

from target_trader.__main__ import main
from target_trader.orders import OrderDesk


class CountsFromOne(OrderDesk):
    """The order desk with a counter of its own."""

    ids = count(1)

    def next_order_id(self) -> int:
        """Take the next id."""
        return next(self.ids)


if __name__ == "__main__":
    main(orders_factory=CountsFromOne)
