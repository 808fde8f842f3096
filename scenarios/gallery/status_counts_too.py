"""A trader that books what an order's status is ahead of the fills that it has heard.

Live it never is: the fill comes first. After a restart the count of what was heard begins at
nothing, and the next status of an order that was partly filled is ahead by the first part, which
was booked long ago. It is booked again. (F03 in the catalogue of recovery bugs.)
"""

from collections import defaultdict
from decimal import Decimal
from typing import ClassVar

from target_trader.__main__ import main
from target_trader.events import BrokerEvents
from target_trader.library import Trade
from target_trader.names import decimal_of
from target_trader.picture import BrokerExecution
from target_trader.trader import Trader


class BooksStatuses(BrokerEvents):
    """The broker's messages, all of them believed."""

    heard: ClassVar[dict[int, Decimal]] = defaultdict(Decimal)

    def book_fill(self, execution: BrokerExecution) -> bool:
        """Count what is booked of an order."""
        self.heard[execution.order_id] += execution.shares
        return super().book_fill(execution)

    def on_status(self, trade: Trade) -> None:
        """Book what a status is ahead by."""
        number, told = trade.order.orderId, decimal_of(trade.orderStatus.filled)
        intent = self.books.checkpoint.intent_by_id(number)
        if intent is not None and told > self.heard[number]:
            missed = BrokerExecution(
                exec_id=f"status.{number}.{told}.01",
                time=self.books.clock.now(),
                symbol=intent.symbol,
                side="BOT" if intent.action == "BUY" else "SLD",
                shares=told - self.heard[number],
                price=decimal_of(trade.orderStatus.avgFillPrice),
                order_id=number,
                client_id=trade.order.clientId,
                perm_id=trade.orderStatus.permId,
                order_ref=intent.order_ref,
            )
            self.book_fill(missed)
        super().on_status(trade)


class Bot(Trader):
    """The reference bot with these events."""

    events_type = BooksStatuses


if __name__ == "__main__":
    main(trader_class=Bot)
