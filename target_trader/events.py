"""What the broker tells unasked: fills, commissions, statuses, errors, positions.

The rule: executions change quantities, nothing else does. A status or an error only moves an intent
or raises a doubt, and a doubt is settled by asking the broker (`ask`), never by believing a
message: messages are missing, doubled and out of order (tws-protocol.md sections 3.4, 3.8).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from target_trader.books import Books
from target_trader.clock import Clock
from target_trader.failpoints import failpoint
from target_trader.ledger import book
from target_trader.library import CommissionReport, Contract, Fill, Trade
from target_trader.log import LOG
from target_trader.matching import Context, confirm, find
from target_trader.names import IntentState, Leg, exec_stem, parse_ref, plain
from target_trader.orders import OrderDesk
from target_trader.picture import BrokerExecution
from target_trader.report import money
from target_trader.state.checkpoint import Intent
from target_trader.translate import execution_of, order_of

REJECTIONS = frozenset({110, 200, 201, 203, 320, 321, 387, 388, 10052, 10243})
INFORMATION = frozenset({165, 399, 404, 434, 492, 10167})
ENDED = frozenset({"Cancelled", "ApiCancelled"})
LINK_LOST = 1100
LINK_BACK = frozenset({1101, 1102})


class AskLater(Protocol):
    """Has the broker asked after the grace period if the doubt is still there then."""

    def __call__(self, reason: str, still: Callable[[], bool] = ...) -> None:
        """Plan the question."""


class BrokerEvents:
    """Takes the broker's messages into the books.

    Args:
        books: where fills are booked.
        orders: told when a change or a cancel was refused.
        context: makes the context of a single order's confirmation.
        manage: brings the exits of a symbol to what they should be.
        ask: has the broker asked for everything, as soon as the present message is done.
        ask_later: the same after the grace period.
    """

    def __init__(
        self,
        books: Books,
        orders: OrderDesk,
        *,
        context: Callable[[], Context],
        manage: Callable[[str], None],
        ask: Callable[[str], None],
        ask_later: AskLater,
    ) -> None:
        self.books = books
        self.orders = orders
        self.context = context
        self.manage = manage
        self.ask = ask
        self.ask_later = ask_later
        self.withdrawn: set[int] = set()
        self.told: dict[str, Decimal] = {}
        self.link_up = True

    @property
    def clock(self) -> Clock:
        """The bot's clock."""
        return self.books.clock

    def on_execution(self, _trade: Trade, fill: Fill) -> None:
        """Book a live fill, then let the exits follow it."""
        execution = execution_of(fill, None)
        if self.concerns_us(execution) and self.book_fill(execution):
            self.follow_fill(execution)

    def concerns_us(self, execution: BrokerExecution) -> bool:
        """Tell whether an execution is in one of our symbols or carries our ref."""
        watched = self.context().watchlist.setup(execution.symbol) is not None
        return watched or parse_ref(execution.order_ref) is not None

    def book_fill(self, execution: BrokerExecution) -> bool:
        """Book one execution and make it durable, with all that follows from it in one save."""
        checkpoint = self.books.checkpoint
        if not book(checkpoint, execution):
            return False
        failpoint("fill.before_save")
        self.books.save()
        failpoint("fill.saved")
        words = f"{execution.side} {plain(execution.shares)} {execution.symbol}"
        LOG.info("FILL %s @ %s (%s)", words, plain(execution.price), execution.order_ref)
        return True

    def follow_fill(self, execution: BrokerExecution) -> None:
        """Let the exits follow a fill; ask the broker about one that no trade explains."""
        checkpoint = self.books.checkpoint
        position = checkpoint.position_of(execution.symbol)
        known = any(
            each.exec_id == execution.exec_id and each.trade_id in checkpoint.positions
            for each in checkpoint.executions.values()
        )
        if not known or (position is not None and position.open_shares < 0):
            self.ask(f"fill {execution.exec_id} of {execution.symbol} belongs to no trade of ours")
            return
        if position is None:
            LOG.info("%s is flat, daily P&L %s", execution.symbol, money(checkpoint))
        self.manage(execution.symbol)

    def on_commission(self, _trade: Trade, fill: Fill, report: CommissionReport) -> None:
        """Take a commission, and the broker's own realised P&L, into a booked fill.

        Of a fill that is not booked it may be the answer to a question under way; the fill
        itself, and this with it, is taken when that is reconciled.
        """
        execution = execution_of(fill, report)
        known = exec_stem(execution.exec_id) in self.books.checkpoint.executions
        if known and book(self.books.checkpoint, execution):
            self.books.save()

    def on_open_order(self, trade: Trade) -> None:
        """Take over what an openOrder says of an order of ours."""
        order = order_of(trade)
        intent = find(self.books.checkpoint.intents, order)
        if intent is None:
            if parse_ref(order.order_ref) is not None:
                self.ask(f"order {order.order_ref} is not in the books")
            return
        if intent.state is IntentState.LOST:
            self.ask(f"{order.order_ref} works although it was given up as lost")
        if not intent.live:
            return
        change = self.orders.changing.get(intent.order_id)
        if change is not None:
            price = order.stop_price if intent.leg is Leg.STOP else order.limit_price
            if price != change.order.price:
                return  # It was written before our change arrived.
            del self.orders.changing[intent.order_id]
        confirm(intent, order, context=self.context())
        if intent.filled >= intent.quantity:
            intent.state = IntentState.FILLED

    def on_status(self, trade: Trade) -> None:
        """Let a status move an intent; it never changes a quantity."""
        if trade.log and trade.log[-1].errorCode:
            return  # ib_insync's own mark after an error, not the broker's word.
        order = order_of(trade)
        intent = find(self.books.checkpoint.intents, order)
        if intent is None or not intent.live or not order.perm_id:
            return
        if order.status in ENDED:
            self.take_end(intent)
        elif order.status == "Inactive":
            self.ask(f"{intent.order_ref} is inactive")
        elif order.status == "Filled":
            if intent.filled < intent.quantity:
                name = f"{intent.order_ref}: fills"
                self.ask_later(name, still=lambda: intent.filled < intent.quantity)
        elif intent.unseen:
            intent.perm_id, intent.client_id = order.perm_id, order.client_id
            intent.state = IntentState.WORKING

    def take_end(self, intent: Intent) -> None:
        """Take a cancellation: plain when the trade is flat, else the broker is asked.

        A stop that is reported cancelled may have been cancelled by a fill whose message is
        still on its way; a new stop on the strength of the status alone could flip the position.
        """
        position = self.books.checkpoint.position_of(intent.symbol)
        if position is None and intent.leg is not Leg.ENTRY:
            intent.state = IntentState.CANCELLED
            return
        self.ask(f"{intent.order_ref} is cancelled")

    def on_error(self, req_id: int, code: int, text: str, _contract: Contract | None) -> None:
        """Take an error: connectivity, a reject, or a reason to ask."""
        if code == LINK_LOST:
            self.link_up = False
            LOG.error("IBKR has lost its connection (1100): no new entries")
        elif code in LINK_BACK:
            self.link_up = True
            self.ask(f"IBKR is connected again ({code})")
        if code in INFORMATION or 2100 <= code < 2200:
            return
        if req_id in self.withdrawn:
            LOG.info("Order %s is withdrawn: %s %s", req_id, code, text)
            return
        intent = self.books.checkpoint.intent_by_id(req_id) if req_id > 0 else None
        if intent is None:
            LOG.warning("IBKR says %s: %s (request %s)", code, text, req_id)
            return
        self.orders.cancelling.discard(req_id)
        if self.orders.changing.pop(req_id, None) is not None:
            self.orders.refusals[req_id] += 1
        if not intent.live:
            return
        if code in REJECTIONS and intent.unseen:
            LOG.error("%s is rejected: %s %s", intent.order_ref, code, text)
            intent.state = IntentState.REJECTED
        self.ask(f"{intent.order_ref}: {code} {text}")

    def on_position(self, symbol: str, quantity: Decimal) -> None:
        """Notice a position that is not ours to the share; it may only be early or late."""
        self.told[symbol] = quantity
        if self.disagrees(symbol):
            self.ask_later(f"{symbol}: position", still=lambda: self.disagrees(symbol))

    def disagrees(self, symbol: str) -> bool:
        """Tell whether the last pushed position of a watched symbol is not in the books."""
        position = self.books.checkpoint.position_of(symbol)
        held = Decimal(0) if position is None else position.signed_quantity
        watched = self.context().watchlist.setup(symbol) is not None
        return watched and self.told.get(symbol, held) != held

    def forget_connection(self) -> None:
        """Forget what belonged to the last connection."""
        self.withdrawn.clear()
        self.told.clear()
        self.link_up = True
