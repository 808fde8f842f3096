"""What the broker tells unasked: fills, commissions, statuses, errors, positions.

The rule: executions change quantities, nothing else does. A status or an error only moves an intent
or raises a doubt, and a doubt is settled by asking the broker (`ask`), never by believing a
message: messages are missing, doubled and out of order (tws-protocol.md sections 3.4, 3.8).
"""

import logging
from collections.abc import Callable
from decimal import Decimal

from target_trader.books import Books
from target_trader.failpoints import failpoint
from target_trader.ledger import book
from target_trader.library import CommissionReport, Contract, Fill, Trade
from target_trader.log import tell
from target_trader.matching import Context, confirm, find
from target_trader.names import IntentState, Leg, exec_revision, exec_stem, parse_ref, plain
from target_trader.orders import OrderDesk
from target_trader.picture import BrokerExecution
from target_trader.questions import Questions
from target_trader.report import money
from target_trader.state.checkpoint import Intent
from target_trader.translate import execution_of, order_of

REJECTIONS = frozenset({110, 200, 201, 203, 320, 321, 387, 388, 10052, 10243})
INFORMATION = frozenset({165, 399, 404, 434, 492, 10167})
# Why bars may not come: no permission, delayed only, another login has the data (section 3.8).
NO_BARS = frozenset({354, 420, 10089, 10168, 10182, 10186, 10190, 10197})
ENDED = frozenset({"Cancelled", "ApiCancelled"})
LINK_LOST = 1100
DATA_LOST = 1101
DATA_KEPT = 1102


class BrokerEvents:
    """Takes the broker's messages into the books.

    Args:
        books: where fills are booked.
        orders: told when a change or a cancel was refused.
        context: makes the context of a single order's confirmation.
        manage: lets the exits of a symbol follow a fill, and leaves to its group what is too much.
        tidy: brings the exits of a symbol to what they should be.
        questions: where it is left that the broker is to be asked.
    """

    def __init__(
        self,
        books: Books,
        orders: OrderDesk,
        *,
        context: Callable[[], Context],
        manage: Callable[[str], None],
        tidy: Callable[[str], None],
        questions: Questions,
    ) -> None:
        self.books = books
        self.orders = orders
        self.context = context
        self.manage = manage
        self.tidy = tidy
        self.questions = questions
        self.withdrawn: set[int] = set()
        self.told: dict[str, Decimal] = {}
        self.filled: dict[int, Decimal] = {}

    def on_execution(self, _trade: Trade, fill: Fill) -> None:
        """Book a live fill, or the correction of one, then let the exits follow it."""
        execution = execution_of(fill, None)
        if self.concerns_us(execution) and self.book_fill(execution):
            self.follow_fill(execution)

    def concerns_us(self, execution: BrokerExecution) -> bool:
        """Tell whether an execution is in one of our symbols or carries our ref."""
        watched = self.context().watchlist.setup(execution.symbol) is not None
        known = any(
            each.symbol == execution.symbol for each in self.books.checkpoint.open_positions()
        )
        return watched or known or parse_ref(execution.order_ref) is not None

    def book_fill(self, execution: BrokerExecution) -> bool:
        """Book one execution and make it durable, with all that follows from it in one save."""
        checkpoint = self.books.checkpoint
        if not book(checkpoint, execution):
            return False
        failpoint("fill.before_save")
        self.books.save()
        failpoint("fill.saved")
        corrected = is_correction(execution)
        shares = f"{execution.side} {plain(execution.shares)} {execution.symbol}"
        words = f"{shares} @ {plain(execution.price)} ({execution.order_ref})"
        tell(
            "fill_corrected" if corrected else "fill_booked",
            f"FILL corrected: {words}" if corrected else f"FILL {words}",
            symbol=execution.symbol,
            side=execution.side,
            shares=execution.shares,
            price=execution.price,
            exec_id=execution.exec_id,
            order_ref=execution.order_ref,
        )
        return True

    def follow_fill(self, execution: BrokerExecution) -> None:
        """Let the exits follow a fill; ask the broker about one that no trade explains.

        After a correction the broker is asked as well: what later exits earned has changed with
        it, and that is told only in the answer (tws-protocol.md section 3.6).
        """
        checkpoint, symbol = self.books.checkpoint, execution.symbol
        booked = checkpoint.executions[exec_stem(execution.exec_id)]
        trade = checkpoint.positions.get(booked.trade_id)
        if trade is None or trade.open_shares < 0:
            self.questions.ask(f"fill {execution.exec_id} of {symbol} belongs to no trade of ours")
            return
        if checkpoint.position_of(symbol) is None:
            words = f"{symbol} is flat, daily P&L {money(checkpoint)}"
            tell("flat", words, symbol=symbol, daily_pnl=checkpoint.session.daily_pnl)
        self.manage(symbol)
        if is_correction(execution):
            self.questions.ask(f"fill {execution.exec_id} of {symbol} was corrected")

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
                self.questions.ask(f"order {order.order_ref} is not in the books")
            return
        if intent.state is IntentState.LOST:
            self.questions.ask(f"{order.order_ref} works although it was given up as lost")
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
            return  # The library's own mark after an error, not the broker's word.
        order = order_of(trade)
        intent = find(self.books.checkpoint.intents, order)
        if intent is None or not order.perm_id:
            return
        self.doubt_fills(intent, told=order.filled)
        if not intent.live:
            return
        if order.status in ENDED:
            self.take_end(intent)
        elif order.status == "Inactive":
            self.questions.ask(f"{intent.order_ref} is inactive")
        elif order.status == "Filled":
            if intent.filled < intent.quantity:
                name = f"{intent.order_ref}: fills"
                self.questions.ask_later(name, still=lambda: intent.filled < intent.quantity)
        else:
            if intent.unseen:
                intent.perm_id, intent.client_id = order.perm_id, order.client_id
                intent.state = IntentState.WORKING
            self.take_back_late_exit(intent)

    def take_back_late_exit(self, intent: Intent) -> None:
        """Cancel an exit that has begun to work after its trade was over.

        It left before the fill of its sibling was heard, and the group had ended when it came, so
        nothing but we will end it.
        """
        trade = self.books.checkpoint.positions.get(intent.trade_id)
        if intent.leg is Leg.ENTRY or trade is None:
            return
        if trade.closed_shares and not trade.open_shares:
            self.tidy(intent.symbol)

    def doubt_fills(self, intent: Intent, *, told: Decimal) -> None:
        """Doubt what is booked of an order if its last status says less.

        A status that was overtaken by its fill does so, and the next one mends it. If none does,
        the exchange has taken a fill back, of which no execution tells.
        """
        self.filled[intent.order_id] = told
        if told < intent.filled:
            name = f"{intent.order_ref}: fewer fills than booked"
            ask_later = self.questions.ask_later
            ask_later(name, lambda: self.filled.get(intent.order_id, intent.filled) < intent.filled)

    def take_end(self, intent: Intent) -> None:
        """Take a cancellation: plain when the trade is flat, else the broker is asked.

        A stop that is reported cancelled may have been cancelled by a fill whose message is
        still on its way; a new stop on the strength of the status alone could flip the position.
        """
        trade = self.books.checkpoint.positions.get(intent.trade_id)
        flat = trade is None or trade.open_shares == 0
        if flat and intent.leg is not Leg.ENTRY:
            intent.state = IntentState.CANCELLED
            return
        self.questions.ask(f"{intent.order_ref} is cancelled")

    def on_error(self, req_id: int, code: int, text: str, contract: Contract | None) -> None:
        """Take an error: connectivity, information, or something about one request or order."""
        if code == LINK_LOST:
            self.lose_link()
        elif code in {DATA_LOST, DATA_KEPT}:
            self.regain_link(code)
        elif 2100 <= code < 2200:
            # The data farms: what they cannot deliver is missed as bars, nothing else follows.
            tell("ibkr_notice", f"IBKR says {code}: {text}", code=code)
        elif code in NO_BARS:
            symbol = contract.symbol if contract is not None else f"request {req_id}"
            words = f"No bars of {symbol}, so no entries in it: IBKR says {code}: {text}"
            tell("no_bars", words, level=logging.WARNING, code=code, symbol=symbol)
        elif code not in INFORMATION:
            self.on_order_error(req_id, code, text)

    def lose_link(self) -> None:
        """Take note that IBKR's own line is down: what is sent now may be lost, late or doubled."""
        if self.questions.link_up:
            self.questions.link_lost_at = self.books.clock.now()
            words = "IBKR has lost its connection (1100): no new entries"
            tell("link_lost", words, level=logging.ERROR, code=LINK_LOST)

    def regain_link(self, code: int) -> None:
        """Ask for everything that was missed; after 1101 for the bars as well."""
        self.questions.link_lost_at = None
        self.questions.bars_missed = True
        kept = "data kept" if code == DATA_KEPT else "data lost, subscribing again"
        tell("link_back", f"IBKR is connected again ({code}): {kept}", code=code)
        if code == DATA_LOST:
            self.questions.data_lost = True
        self.questions.ask(f"IBKR is connected again ({code})")

    def on_order_error(self, req_id: int, code: int, text: str) -> None:
        """Take an error about one of our orders, or say one that is about nothing of ours."""
        if req_id in self.withdrawn:
            words = f"Order {req_id} is withdrawn: {code} {text}"
            tell("order_withdrawn", words, order_id=req_id, code=code)
            return
        intent = self.books.checkpoint.intent_by_id(req_id) if req_id > 0 else None
        if intent is None:
            words = f"IBKR says {code}: {text} (request {req_id})"
            tell("ibkr_error", words, level=logging.WARNING, code=code, request=req_id)
            return
        self.orders.cancelling.discard(req_id)
        if self.orders.changing.pop(req_id, None) is not None:
            self.orders.refusals[req_id] += 1
        if not intent.live:
            return
        if code in REJECTIONS and intent.unseen:
            intent.state = IntentState.REJECTED
            words = f"{intent.order_ref} is rejected: {code} {text}"
            facts = {"order_ref": intent.order_ref, "order_id": req_id, "code": code}
            tell("order_rejected", words, level=logging.ERROR, **facts)
        self.questions.ask(f"{intent.order_ref}: {code} {text}")

    def on_position(self, symbol: str, quantity: Decimal) -> None:
        """Notice a position that is not ours to the share; it may only be early or late."""
        self.told[symbol] = quantity
        if self.disagrees(symbol):
            self.questions.ask_later(f"{symbol}: position", still=lambda: self.disagrees(symbol))

    def disagrees(self, symbol: str) -> bool:
        """Tell whether the last pushed position of a symbol of ours is not in the books."""
        held = self.books.checkpoint.held(symbol)
        ours = self.context().watchlist.setup(symbol) is not None or held != 0
        return ours and self.told.get(symbol, held) != held

    def forget_connection(self) -> None:
        """Forget what belonged to the last connection."""
        self.withdrawn.clear()
        self.told.clear()
        self.filled.clear()


def is_correction(execution: BrokerExecution) -> bool:
    """Tell whether an execution replaces an earlier telling of the same fill."""
    return exec_revision(execution.exec_id) > 1
