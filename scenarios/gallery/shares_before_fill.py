"""A trader that saves the new position and then the fill that made it.

Two saves for one thing. Killed between them, the shares are in the state and the fill is not: it is
listed by the broker after the restart, is news, and is counted a second time. The position is then
put right by force, and the size of the partial exit is not. (F01 in the catalogue of recovery
bugs.)
"""

from target_trader.__main__ import main
from target_trader.events import BrokerEvents
from target_trader.failpoints import failpoint
from target_trader.ledger import refold
from target_trader.picture import BrokerExecution
from target_trader.quantities import add_baseline
from target_trader.trader import Trader


class SavesTwice(BrokerEvents):
    """The broker's messages, booked in two steps."""

    def book_fill(self, execution: BrokerExecution) -> bool:
        """Save the shares, then book the fill."""
        books = self.books.checkpoint
        intent = books.intent_by_id(execution.order_id)
        position = books.positions.get(intent.trade_id) if intent is not None else None
        if position is None or execution.side != position.side.entry_execution:
            return super().book_fill(execution)
        before = position.baseline_shares, position.baseline_price
        add_baseline(position, execution.shares, cost=execution.price)
        refold(books)
        self.books.save()
        failpoint("fill.before_save")
        position.baseline_shares, position.baseline_price = before
        return super().book_fill(execution)


class Bot(Trader):
    """The reference bot with these events."""

    events_type = SavesTwice


if __name__ == "__main__":
    main(trader_class=Bot)
