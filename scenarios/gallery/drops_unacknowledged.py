"""A trader that forgets, after a restart, what was never acknowledged.

"No acknowledgement, so it does not exist": such intents are dropped from the books, and orders and
fills that no intent explains are somebody else's. Killed between an order's arrival and its
acknowledgement, it holds shares that it knows nothing of, takes them for a stranger's, and puts a
second stop beside the one that works. (O04 in the catalogue of recovery bugs.)
"""

from dataclasses import replace

from target_trader.__main__ import main
from target_trader.picture import Picture
from target_trader.reconcile import Reconciled
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class Forgets(Recovery):
    """A recovery that believes its own file about which orders there are."""

    def open_books(self) -> None:
        """Take the state into force, without what was not acknowledged."""
        first = not self.opened
        super().open_books()
        if first:
            books = self.books.checkpoint
            dropped = {each.trade_id for each in books.intents if each.unseen}
            books.intents = [each for each in books.intents if not each.unseen]
            for name in sorted(dropped):
                if not any(each.trade_id == name for each in books.intents):
                    books.positions.pop(name, None)

    def compare(self, picture: Picture) -> Reconciled:
        """Look at the orders and fills that the books know."""
        known = {each.order_ref for each in self.books.checkpoint.intents}
        mine = replace(
            picture,
            open_orders=tuple(each for each in picture.open_orders if each.order_ref in known),
            executions=tuple(each for each in picture.executions if each.order_ref in known),
        )
        return super().compare(mine)


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = Forgets


if __name__ == "__main__":
    main(trader_class=Bot)
