"""Orders out: intent first, durable, then the bytes.

`OrderDesk` is the only place that sends an order. Its rule is in `submit_bracket`: plan, remember,
transmit. A bot that is broken on purpose replaces one of these steps and hands its class to
`target_trader.__main__.main(orders_factory=...)`.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from target_trader.books import Books
from target_trader.clock import exchange_day
from target_trader.failpoints import failpoint
from target_trader.ledger import used_attempts
from target_trader.library import IB, Contract
from target_trader.log import tell
from target_trader.names import (
    PS60,
    IntentState,
    Leg,
    attempt_key,
    order_ref,
    plain,
    to_tick,
    trade_id,
)
from target_trader.settings import Rules, Setup
from target_trader.state.checkpoint import ContractRecord, Intent, Position
from target_trader.strategy.exits import Action, Cancel, ExitOrder, Modify, Place, partial_shares
from target_trader.strategy.signal import Signal, stop_of
from target_trader.translate import contract_of, ib_order

CHANGES_MAX = 3
ORDER_TYPES = {
    Leg.ENTRY: "MKT",
    Leg.STOP: "STP",
    Leg.PARTIAL: "LMT",
    Leg.TARGET: "LMT",
    Leg.EXIT: "MKT",
}


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entry and its first exits: `intents` in the order in which they are sent."""

    position: Position
    intents: tuple[Intent, ...]
    attempt_key: str
    path: str


class OrderDesk:
    """Sends brackets, exits, changes and cancels of one connection.

    `changing` holds what a live order was asked to become and has not confirmed; `cancelling`
    the orders that a cancel is on its way to. Both are forgotten with the connection.
    """

    def __init__(self, ib: IB, books: Books, *, rules: Rules, client_id: int) -> None:
        self.ib = ib
        self.books = books
        self.rules = rules
        self.client_id = client_id
        self.contracts: dict[str, Contract] = {}
        self.changing: dict[int, Modify] = {}
        self.cancelling: set[int] = set()
        self.refusals: Counter[int] = Counter()

    def submit_bracket(self, signal: Signal, setup: Setup) -> None:
        """Send an entry with its protection.

        1. plan: the orders with their ids, nothing of it known to anybody yet;
        2. remember: trade, attempt and all intents in one save, durable when it returns;
        3. transmit: entry and children, the last one releases them all.
        """
        if self.is_forbidden(signal.symbol):
            return
        bracket = self.plan_bracket(signal, setup)
        self.remember(bracket)
        self.transmit(bracket)

    def plan_bracket(self, signal: Signal, setup: Setup) -> Bracket:
        """Plan the orders of a signal. The trade's name is a function of the signal alone."""
        rules, sign = self.rules, signal.side.sign
        stop = stop_of(signal, rules)
        breaks = signal.strategy == PS60
        target1, target2 = setup.targets(signal.side) if breaks else (None, None)
        distance = abs(signal.price - stop)
        position = Position(
            trade_id=self.trade_name(signal),
            symbol=signal.symbol,
            side=signal.side,
            contract=self.contract_record(signal.symbol),
            pivot=signal.pivot,
            target1=target1,
            target2=target2,
            planned_entry=signal.price,
            initial_stop=stop,
            partial_price=to_tick(signal.price + distance * sign) if breaks else None,
            planned_shares=rules.quantity,
            entry_reason=signal.reason,
            signal_time=signal.bar_time,
            stop_price=stop,
            strategy=signal.strategy,
        )
        key = attempt_key(signal.symbol, signal.side, signal.pivot)
        return Bracket(position, self.bracket_intents(position, key=key), key, signal.path)

    def trade_name(self, signal: Signal) -> str:
        """Name the trade of a signal after the attempt that it is.

        The attempts of a level are counted over all levels of the day and side, those of the
        crossover by themselves. A name that a trade of the day has already is passed over.
        """
        checkpoint = self.books.checkpoint
        if signal.strategy == PS60:
            used = used_attempts(checkpoint, signal.symbol, side=signal.side)
        else:
            key = attempt_key(signal.symbol, signal.side, signal.pivot)
            used = checkpoint.attempts.get(key, 0)
        day = exchange_day(signal.bar_time)

        def name(attempt: int) -> str:
            return trade_id(
                signal.symbol, signal.side, day=day, attempt=attempt, strategy=signal.strategy
            )

        attempt = used + 1
        while name(attempt) in checkpoint.positions:
            attempt += 1
        return name(attempt)

    def bracket_intents(self, position: Position, *, key: str) -> tuple[Intent, ...]:
        """Plan entry, stop and partial; the ids rise in the order of sending."""
        entry = self.intent(position, Leg.ENTRY, quantity=position.planned_shares)
        entry.action, entry.tif = position.side.entry_action, "DAY"
        entry.oca_group, entry.attempt_key = "", key
        stop = self.intent(position, Leg.STOP, quantity=position.planned_shares)
        stop.stop_price, stop.parent_id = position.initial_stop, entry.order_id
        planned = position.model_copy(update={"shares": position.planned_shares})
        size = partial_shares(planned, self.rules)
        if size == 0:
            return entry, stop
        partial = self.intent(position, Leg.PARTIAL, quantity=size)
        partial.limit_price, partial.parent_id = position.partial_price, entry.order_id
        return entry, stop, partial

    def intent(
        self, position: Position, leg: Leg, *, quantity: Decimal, ordinal: int = 1
    ) -> Intent:
        """Plan one order of a trade, as an exit; an entry is changed from that.

        Exits are GTC: a position that is held over the night keeps its stop. They share one OCA
        group of type 2, so the broker shrinks the stop when the partial fills, bot or no bot.
        """
        return Intent(
            order_ref=order_ref(position.trade_id, leg, ordinal=ordinal),
            trade_id=position.trade_id,
            leg=leg,
            ordinal=ordinal,
            symbol=position.symbol,
            side=position.side,
            action=position.side.exit_action,
            order_type=ORDER_TYPES[leg],
            quantity=quantity,
            order_id=self.next_order_id(),
            oca_group=f"{position.trade_id}|exits",
            # One that has not filled by the close is old news; what is still held asks anew.
            tif="DAY" if leg is Leg.EXIT else "GTC",
            planned_at=self.books.clock.now(),
        )

    def next_order_id(self) -> int:
        """Take the next order id; the client never gives one twice, nor one below the broker's."""
        return int(self.ib.client.getReqId())

    def contract_record(self, symbol: str) -> ContractRecord:
        """Describe the contract of a symbol for the checkpoint."""
        contract = self.contracts.get(symbol)
        return ContractRecord(symbol=symbol, con_id=contract.conId if contract else 0)

    def remember(self, bracket: Bracket) -> None:
        """Make trade, attempt and intents durable, in one save."""
        checkpoint = self.books.checkpoint
        checkpoint.positions[bracket.position.trade_id] = bracket.position
        bracket.position.order_ids = {each.leg.value: each.order_id for each in bracket.intents}
        checkpoint.intents.extend(bracket.intents)
        key = bracket.attempt_key
        checkpoint.attempts[key] = checkpoint.attempts.get(key, 0) + 1
        paths = checkpoint.session.entry_paths
        paths[bracket.path] = paths.get(bracket.path, 0) + 1
        failpoint("intents.before_save")
        self.books.save()
        failpoint("intents.saved")

    def transmit(self, bracket: Bracket) -> None:
        """Hand the bracket to the socket; only the last order releases it at the broker."""
        position = bracket.position
        levels = f"stop {position.initial_stop}, partial {position.partial_price or 'none'}"
        what = f"{position.side} {plain(position.planned_shares)} {position.symbol}"
        tell(
            "entering",
            f"ENTER {what} at about {position.planned_entry}, {levels} ({position.entry_reason})",
            trade_id=position.trade_id,
            symbol=position.symbol,
            side=str(position.side),
            shares=position.planned_shares,
            price=position.planned_entry,
            stop=position.initial_stop,
            strategy=position.strategy,
        )
        for intent in bracket.intents:
            self.send(intent, transmit=intent is bracket.intents[-1])

    def send(self, intent: Intent, *, transmit: bool) -> None:
        """Hand one new order to the socket."""
        self.ib.placeOrder(self.contract(intent.symbol), ib_order(intent, transmit=transmit))
        intent.state = IntentState.SENT
        failpoint(f"order.sent.{intent.leg}")

    def contract(self, symbol: str) -> Contract:
        """Return the contract of a symbol, as the broker has completed it if it has."""
        return self.contracts.get(symbol) or contract_of(ContractRecord(symbol=symbol))

    def perform(self, position: Position | None, actions: tuple[Action, ...]) -> None:
        """Carry out the steps towards the desired exits of a trade."""
        for action in actions:
            match action:
                case Place() if position is not None:
                    self.place_exit(position, action)
                case Modify():
                    self.modify_exit(action)
                case Cancel(order_id=order_id):
                    self.cancel(order_id)
                case Place():
                    raise AssertionError(f"{action} without a position")

    def place_exit(self, position: Position, action: Place) -> None:
        """Send a new exit, durable first like every intent."""
        order = action.order
        if self.is_forbidden(position.symbol):
            return
        if self.failures(position, order.leg) >= self.rules.max_stop_rejects:
            refused = f"IBKR rejects every {order.leg} of {position.trade_id}"
            self.halt(f"{position.symbol}: {refused}")
            return
        intent = self.intent(position, order.leg, quantity=order.quantity, ordinal=action.ordinal)
        set_price(position, intent, order=order)
        position.order_ids[order.leg.value] = intent.order_id
        self.books.checkpoint.intents.append(intent)
        self.books.save()
        words = f"Placing {intent.order_ref}: {plain(order.quantity)} @ {order.price or 'market'}"
        tell_order("exit_placed", words, intent)
        self.send(intent, transmit=True)

    def failures(self, position: Position, leg: Leg) -> int:
        """Count the exits of a leg that the broker would not carry out.

        Of stops those that it has rejected. An exit at market is sent again also when it ended
        without a fill, so these count, too: whatever cancels it must not go on for ever.
        """
        ended = {IntentState.REJECTED}
        if leg is Leg.EXIT:
            ended.add(IntentState.CANCELLED)
        elif leg is not Leg.STOP:
            return 0
        return sum(
            each.trade_id == position.trade_id
            and each.leg is leg
            and each.state in ended
            and each.filled == 0
            for each in self.books.checkpoint.intents
        )

    def modify_exit(self, action: Modify) -> None:
        """Change a live exit under its own order id, so that there is never a second one."""
        intent = self.books.checkpoint.intent_by_id(action.order_id)
        if intent is None or self.changing.get(action.order_id) == action:
            return
        if self.is_forbidden(intent.symbol):
            return
        if self.refusals[action.order_id] >= CHANGES_MAX:
            self.halt(f"{intent.symbol}: IBKR refuses to change {intent.order_ref}")
            return
        intent.quantity = intent.filled + action.order.quantity
        position = self.books.checkpoint.positions.get(intent.trade_id)
        set_price(position, intent, order=action.order)
        price = action.order.price or "market"
        words = f"Moving {intent.order_ref}: {plain(action.order.quantity)} @ {price}"
        tell_order("exit_moved", words, intent)
        # The parent of a filled entry is gone from the book; a change that names it is refused
        # with 135 (tws-protocol.md section 3.7).
        changed = ib_order(intent.model_copy(update={"parent_id": 0}), transmit=True)
        failpoint("exits.before_modify")
        # Not ib.placeOrder: that one refuses when ib_insync has marked the order done by itself.
        self.ib.client.placeOrder(intent.order_id, self.contract(intent.symbol), changed)
        self.changing[action.order_id] = action
        failpoint("exits.modified")
        # Not an intent: the desired exits follow from the position. Only what `state` tells.
        self.books.save()

    def cancel(self, order_id: int) -> None:
        """Take a live order back, once."""
        intent = self.books.checkpoint.intent_by_id(order_id)
        if order_id in self.cancelling or intent is None or self.is_forbidden(intent.symbol):
            return
        self.cancelling.add(order_id)
        tell("cancel_sent", f"Cancelling order {order_id}", order_id=order_id)
        self.ib.client.cancelOrder(order_id, "")

    def forget_connection(self) -> None:
        """Forget what was on its way: the connection is another one."""
        self.changing.clear()
        self.cancelling.clear()
        self.refusals.clear()

    def halt(self, reason: str) -> None:
        """Stop entering until a person lifts it, loudly; what is held stays managed."""
        if self.books.checkpoint.halt(reason, now=self.books.clock.now()):
            self.books.save()
            words = f"HALTED, no new entries: {reason}"
            tell("halted", words, level=logging.CRITICAL, reason=reason)

    def is_forbidden(self, symbol: str) -> bool:
        """Tell, loudly, whether nothing at all may be sent in a symbol.

        The limits and the caller ask before; this is the last door, and it must not depend on them.
        """
        checkpoint = self.books.checkpoint
        reason = checkpoint.halted if checkpoint.engine_halted else checkpoint.frozen.get(symbol)
        if reason is None:
            return False
        words = f"Not sent, {symbol} is closed to orders: {reason}"
        tell("order_forbidden", words, level=logging.ERROR, symbol=symbol, reason=reason)
        return True


def set_price(position: Position | None, intent: Intent, *, order: ExitOrder) -> None:
    """Give an exit its price, and the position that of its stop."""
    if intent.leg is not Leg.STOP:
        intent.limit_price = order.price
        return
    intent.stop_price = order.price
    if position is not None and order.price is not None:
        position.stop_price, position.stop_order_id = order.price, intent.order_id


def tell_order(event: str, words: str, intent: Intent) -> None:
    """Log what is about to happen to an order."""
    tell(
        event,
        words,
        order_ref=intent.order_ref,
        order_id=intent.order_id,
        symbol=intent.symbol,
        action=intent.action,
        order_type=intent.order_type,
        quantity=intent.quantity,
        price=intent.price,
    )
