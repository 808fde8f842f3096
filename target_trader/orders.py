"""Orders out: intent first, durable, then the bytes.

`OrderDesk` is the only place that sends an order. Its rule is in `submit_bracket`: plan, remember,
transmit. A bot that is broken on purpose replaces one of these steps and hands its class to
`target_trader.__main__.main(orders_factory=...)`.
"""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from target_trader.books import Books
from target_trader.clock import exchange_day
from target_trader.failpoints import failpoint
from target_trader.ledger import used_attempts
from target_trader.library import IB, Contract
from target_trader.log import LOG
from target_trader.names import (
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
from target_trader.strategy.breakout import Signal
from target_trader.strategy.exits import Action, Cancel, Modify, Place, partial_shares
from target_trader.translate import contract_of, ib_order

CHANGES_MAX = 3


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entry and its first exits: `intents` in the order in which they are sent."""

    position: Position
    intents: tuple[Intent, ...]
    attempt_key: str


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
        bracket = self.plan_bracket(signal, setup)
        self.remember(bracket)
        self.transmit(bracket)

    def plan_bracket(self, signal: Signal, setup: Setup) -> Bracket:
        """Plan the orders of a signal. The trade's name is a function of the signal alone."""
        checkpoint, rules = self.books.checkpoint, self.rules
        attempt = used_attempts(checkpoint, signal.symbol, side=signal.side) + 1
        day = exchange_day(signal.bar_time)
        sign = signal.side.sign
        stop = to_tick(signal.pivot - rules.stop_distance * sign)
        target1, target2 = setup.targets(signal.side)
        position = Position(
            trade_id=trade_id(signal.symbol, signal.side, day=day, attempt=attempt),
            symbol=signal.symbol,
            side=signal.side,
            contract=self.contract_record(signal.symbol),
            pivot=signal.pivot,
            target1=target1,
            target2=target2,
            planned_entry=signal.price,
            initial_stop=stop,
            partial_price=to_tick(signal.price + abs(signal.price - stop) * sign),
            planned_shares=rules.quantity,
            entry_reason=signal.reason,
            signal_time=signal.bar_time,
            stop_price=stop,
        )
        key = attempt_key(signal.symbol, signal.side, signal.pivot)
        return Bracket(position, self.bracket_intents(position, key=key), key)

    def bracket_intents(self, position: Position, *, key: str) -> tuple[Intent, ...]:
        """Plan entry, stop and partial; the ids rise in the order of sending."""
        entry = self.intent(position, Leg.ENTRY, quantity=position.planned_shares)
        entry.action, entry.order_type, entry.tif = position.side.entry_action, "MKT", "DAY"
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
        """Plan one exit order of a trade.

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
            order_type="STP" if leg is Leg.STOP else "LMT",
            quantity=quantity,
            order_id=self.ib.client.getReqId(),
            oca_group=f"{position.trade_id}|exits",
            planned_at=self.books.clock.now(),
        )

    def contract_record(self, symbol: str) -> ContractRecord:
        """Describe the contract of a symbol for the checkpoint."""
        contract = self.contracts.get(symbol)
        return ContractRecord(symbol=symbol, con_id=contract.conId if contract else 0)

    def remember(self, bracket: Bracket) -> None:
        """Make trade, attempt and intents durable, in one save."""
        checkpoint = self.books.checkpoint
        checkpoint.positions[bracket.position.trade_id] = bracket.position
        checkpoint.intents.extend(bracket.intents)
        key = bracket.attempt_key
        checkpoint.attempts[key] = checkpoint.attempts.get(key, 0) + 1
        paths = checkpoint.session.entry_paths
        kind = bracket.position.entry_reason.partition(" ")[0]
        paths[kind] = paths.get(kind, 0) + 1
        failpoint("intents.before_save")
        self.books.save()
        failpoint("intents.saved")

    def transmit(self, bracket: Bracket) -> None:
        """Hand the bracket to the socket; only the last order releases it at the broker."""
        position = bracket.position
        levels = f"stop {position.initial_stop}, partial {position.partial_price}"
        LOG.info(
            "ENTER %s %s %s at about %s, %s (%s)",
            position.side,
            plain(position.planned_shares),
            position.symbol,
            position.planned_entry,
            levels,
            position.entry_reason,
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
        if order.leg is Leg.STOP and self.stop_rejects(position) >= self.rules.max_stop_rejects:
            self.halt(f"{position.symbol}: IBKR rejects every stop of {position.trade_id}")
            return
        intent = self.intent(position, order.leg, quantity=order.quantity, ordinal=action.ordinal)
        if order.leg is Leg.STOP:
            intent.stop_price = order.price
            position.stop_price, position.stop_order_id = order.price, intent.order_id
        else:
            intent.limit_price = order.price
        self.books.checkpoint.intents.append(intent)
        self.books.save()
        LOG.info("Placing %s: %s @ %s", intent.order_ref, plain(order.quantity), order.price)
        self.send(intent, transmit=True)

    def stop_rejects(self, position: Position) -> int:
        """Count the stops of a trade that the broker has rejected."""
        return sum(
            each.trade_id == position.trade_id
            and each.leg is Leg.STOP
            and each.state is IntentState.REJECTED
            for each in self.books.checkpoint.intents
        )

    def modify_exit(self, action: Modify) -> None:
        """Change a live exit under its own order id, so that there is never a second one."""
        intent = self.books.checkpoint.intent_by_id(action.order_id)
        if intent is None or self.changing.get(action.order_id) == action:
            return
        if self.refusals[action.order_id] >= CHANGES_MAX:
            self.halt(f"{intent.symbol}: IBKR refuses to change {intent.order_ref}")
            return
        intent.quantity = intent.filled + action.order.quantity
        position = self.books.checkpoint.positions.get(intent.trade_id)
        if intent.leg is Leg.STOP:
            intent.stop_price = action.order.price
            if position is not None:
                position.stop_price = action.order.price
        else:
            intent.limit_price = action.order.price
        LOG.info(
            "Moving %s: %s @ %s", intent.order_ref, plain(action.order.quantity), action.order.price
        )
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
        if order_id in self.cancelling:
            return
        self.cancelling.add(order_id)
        LOG.info("Cancelling order %s", order_id)
        self.ib.client.cancelOrder(order_id, "")

    def forget_connection(self) -> None:
        """Forget what was on its way: the connection is another one."""
        self.changing.clear()
        self.cancelling.clear()
        self.refusals.clear()

    def halt(self, reason: str) -> None:
        """Stop entering for the day, loudly; what is held stays managed."""
        if self.books.checkpoint.halted is None:
            self.books.checkpoint.halted = reason
            self.books.save()
            LOG.critical("HALTED, no new entries: %s", reason)
