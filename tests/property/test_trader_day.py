"""Whatever is lost, doubled, late, corrected or killed, the books end as the account's.

A state machine plays the broker, the wire and the kill. The bot's side is its pure core (`ledger`,
`reconcile`, `matching`, `exits`) with a save where the bot saves; a message that is lost is
repaired by the next reconciliation only. At the end everything is asked for once more and the
books must be the account's: shares, executions, commissions, P&L, states, counters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from target_trader.clock import NEW_YORK
from target_trader.ledger import book, used_attempts
from target_trader.matching import Context, urgent_unknowns
from target_trader.names import IntentState, Leg, Side, attempt_key, exec_stem, order_ref, trade_id
from target_trader.picture import BrokerExecution
from target_trader.reconcile import reconcile
from target_trader.settings import Rules, Setup, Watchlist
from target_trader.state.checkpoint import (
    Checkpoint,
    ContractRecord,
    Intent,
    Position,
    TradeStatus,
    canonical,
    new_checkpoint,
)
from target_trader.strategy.exits import (
    Action,
    Cancel,
    Modify,
    Place,
    desired_exits,
    plan_exit_actions,
)
from tests.conftest import DEEP, DEEP_EXAMPLES
from tests.property.trader_model import BY_HAND, CLIENT, ZERO, PaperAccount, PaperFill, PaperOrder

DAY = date(2025, 10, 6)
START = datetime(2025, 10, 6, 9, 45, tzinfo=NEW_YORK)
RULES = Rules()
SYMBOLS = ("AMD", "TSLA")
WATCHLIST = Watchlist(
    date=DAY,
    setups=tuple(
        Setup(
            symbol=symbol,
            resistance=Decimal("444.77"),
            support=Decimal("432.50"),
            target1=Decimal("460.25"),
            target2=Decimal("470.50"),
        )
        for symbol in SYMBOLS
    ),
)

symbols = st.sampled_from(SYMBOLS)
picks = st.integers(0, 30)
sizes = st.sampled_from((1, 10, 30, 50, 99, 100)).map(Decimal)
prices = st.integers(43000, 46000).map(lambda cents: Decimal(cents) / 100)
fees = st.sampled_from(("0.35", "1.00", "2.17")).map(Decimal)
ZERO_TIME = timedelta(0)
lags = st.sampled_from((0, 0, 0, 2, 20)).map(lambda seconds: timedelta(seconds=seconds))

thens = st.sampled_from(("told", "asked", "nothing"))


@dataclass(frozen=True)
class Message:
    """Something on the wire to the bot: a fill, or the commission of one."""

    execution: BrokerExecution
    is_commission: bool


class Bot:
    """The bot's core between two deaths. `disk` is all that the next life gets."""

    def __init__(self, account: PaperAccount, disk: str) -> None:
        self.account = account
        self.disk = disk
        self.books = Checkpoint.model_validate_json(disk)
        self.withdrawn: set[int] = set()
        self.asked = True
        self.next_id = 1 + max((each.order_id for each in self.books.intents), default=0)
        self.next_id = max([self.next_id, *(each.order_id + 1 for each in account.orders)])

    def save(self) -> None:
        self.books.saved_at = self.account.now
        self.disk = canonical(self.books)

    def context(self) -> Context:
        return Context(
            client_id=CLIENT,
            watchlist=WATCHLIST,
            rules=RULES,
            now=self.account.now,
            withdrawn=frozenset(self.withdrawn),
        )

    def enter(self, symbol: str, side: Side, *, arrives: bool, delay: timedelta) -> None:
        """Send a bracket: remembered, saved, and then perhaps never received."""
        attempt = used_attempts(self.books, symbol, side=side) + 1
        name = trade_id(symbol, side, day=DAY, attempt=attempt)
        key = attempt_key(symbol, side, WATCHLIST.setups[0].pivot(side))
        level = Decimal("444.77") if side is Side.LONG else Decimal("432.50")
        self.books.positions[name] = Position(
            trade_id=name,
            symbol=symbol,
            side=side,
            contract=ContractRecord(symbol=symbol),
            pivot=level,
            target1=Decimal("460.25") if side is Side.LONG else None,
            target2=None,
            planned_entry=level,
            initial_stop=level - 2 * side.sign,
            partial_price=level + 2 * side.sign,
            planned_shares=Decimal(100),
            entry_reason="STRONG break",
            signal_time=self.account.now,
            stop_price=level - 2 * side.sign,
        )
        entry = self.intent(name, Leg.ENTRY, side, Decimal(100), None)
        entry.attempt_key = key
        stop = self.intent(name, Leg.STOP, side, Decimal(100), level - 2 * side.sign)
        partial = self.intent(name, Leg.PARTIAL, side, Decimal(50), level + 2 * side.sign)
        stop.parent_id = partial.parent_id = entry.order_id
        self.books.attempts[key] = self.books.attempts.get(key, 0) + 1
        self.save()
        for each in (entry, stop, partial):
            self.send(each, arrives=arrives, delay=delay)

    def intent(
        self, trade: str, leg: Leg, side: Side, shares: Decimal, price: Decimal | None
    ) -> Intent:
        ordinals = [
            each.ordinal for each in self.books.intents if (each.trade_id, each.leg) == (trade, leg)
        ]
        # A lost entry's trade is sent again under the same name.
        ordinal = 1 if leg is Leg.ENTRY or not ordinals else max(ordinals) + 1
        made = Intent(
            order_ref=order_ref(trade, leg, ordinal=ordinal),
            trade_id=trade,
            leg=leg,
            ordinal=ordinal,
            symbol=trade.split("|")[1],
            side=side,
            action=side.entry_action if leg is Leg.ENTRY else side.exit_action,
            order_type={Leg.ENTRY: "MKT", Leg.STOP: "STP"}.get(leg, "LMT"),
            quantity=shares,
            stop_price=price if leg is Leg.STOP else None,
            limit_price=None if leg is Leg.STOP else price,
            order_id=self.next_id,
            oca_group="" if leg is Leg.ENTRY else f"{trade}|exits",
            planned_at=self.account.now,
        )
        self.next_id += 1
        self.books.intents.append(made)
        return made

    def send(self, intent: Intent, *, arrives: bool, delay: timedelta = ZERO_TIME) -> None:
        intent.state = IntentState.SENT
        if arrives:
            self.account.under_way.append(
                (
                    self.account.now + delay,
                    PaperOrder(
                        order_id=intent.order_id,
                        perm_id=0,
                        ref=intent.order_ref,
                        symbol=intent.symbol,
                        action=intent.action,
                        kind=intent.order_type,
                        quantity=intent.quantity,
                        limit=intent.limit_price,
                        stop=intent.stop_price,
                        group=intent.oca_group,
                        parent_id=intent.parent_id,
                    ),
                )
            )
            self.account.advance(ZERO_TIME)

    def take(self, message: Message, *, dies: bool) -> None:
        """Book what was told, as `BrokerEvents` does: a booking is saved before anything else."""
        execution = message.execution
        if message.is_commission and exec_stem(execution.exec_id) not in self.books.executions:
            return
        if not book(self.books, execution) or dies:
            return
        self.save()
        if message.is_commission:
            return
        booked = self.books.executions[exec_stem(execution.exec_id)]
        if booked.trade_id not in self.books.positions:
            self.asked = True
        self.manage(execution.symbol, tidy=False)

    def settle(self, *, lag: timedelta, dies: bool) -> None:
        """Ask and reconcile until nothing urgent is unknown, as `Trader.settle` does."""
        self.asked = False
        while True:
            outcome = reconcile(self.books, self.account.picture(lag=lag), context=self.context())
            self.books = outcome.checkpoint
            unsure = urgent_unknowns(self.books, rules=RULES, now=self.account.now)
            fresh = [each for each in unsure if each.order_id not in self.withdrawn]
            if not fresh:
                break
            for intent in fresh:
                self.withdrawn.add(intent.order_id)
                self.cancel(intent.order_id)
        self.asked |= outcome.ask_again
        if not dies:
            self.save()
            for symbol in SYMBOLS:
                self.manage(symbol)

    def manage(self, symbol: str, *, tidy: bool = True) -> None:
        """Bring the exits of every trade of a symbol to what they should be."""
        trades = {each.trade_id for each in self.books.live_intents(symbol)}
        trades |= {each.trade_id for each in self.books.open_positions() if each.symbol == symbol}
        for trade in sorted(trades):
            position = self.books.positions.get(trade)
            own = [each for each in self.books.intents if each.trade_id == trade]
            actions = plan_exit_actions(desired_exits(position, RULES), own, client_id=CLIENT)
            if not tidy:
                actions = tuple(each for each in actions if not isinstance(each, Cancel))
            self.perform(position, actions)

    def perform(self, position: Position | None, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Place(order=order):
                    assert position is not None
                    made = self.intent(
                        position.trade_id, order.leg, position.side, order.quantity, order.price
                    )
                    self.save()
                    self.send(made, arrives=True)
                case Modify(order_id=order_id, order=order):
                    intent = self.books.intent_by_id(order_id)
                    assert intent is not None
                    intent.quantity = intent.filled + order.quantity
                    working = self.account.by_id(order_id)
                    if working is not None:
                        working.quantity = max(working.filled, intent.quantity)
                        working.stop = order.price if order.leg is Leg.STOP else None
                        working.limit = None if order.leg is Leg.STOP else order.price
                        self.account.finish(working, "Filled")
                    else:
                        self.asked = True
                    self.save()
                case Cancel(order_id=order_id):
                    self.cancel(order_id)

    def cancel(self, order_id: int) -> None:
        working = self.account.by_id(order_id)
        if working is not None:
            self.account.end(working)


class DayMachine(RuleBasedStateMachine):
    """One day of an account, a wire that loses, and a bot that dies."""

    def __init__(self) -> None:
        super().__init__()
        self.account = PaperAccount(START)
        self.bot: Bot | None = None
        self.disk = canonical(new_checkpoint(DAY, now=START))
        self.wire: list[Message] = []
        self.strange: set[str] = set()

    @initialize(
        symbol=symbols, shares=st.sampled_from((0, 0, 0, 40, -70)), side=st.sampled_from(Side)
    )
    def begin(self, symbol: str, shares: int, side: Side) -> None:
        """Begin with a bracket in one symbol, and perhaps with shares of an earlier day."""
        self.account.note()
        if shares:
            self.account.start_with(symbol, Decimal(shares), Decimal("440.00"))
            self.strange.add(symbol)
        self.start()
        self.enter("TSLA", side, arrives=True, delay=ZERO_TIME)

    def start(self) -> None:
        self.wire.clear()
        self.bot = Bot(self.account, self.disk)
        self.bot.settle(lag=ZERO_TIME, dies=False)

    def die(self) -> None:
        assert self.bot is not None
        self.disk, self.bot = self.bot.disk, None

    def tell(self, fill: PaperFill) -> None:
        """Put a fill and its commission on the wire, if anybody listens."""
        if self.bot is not None:
            told = self.account.told
            self.wire.append(Message(told(fill, paid=False), is_commission=False))
            self.wire.append(Message(told(fill, paid=True), is_commission=True))

    def alive(self) -> bool:
        return self.bot is not None

    @rule(
        symbol=symbols,
        side=st.sampled_from(Side),
        arrives=st.sampled_from((True, True, False)),
        delay=st.sampled_from((0, 0, 4)).map(lambda seconds: timedelta(seconds=seconds)),
    )
    @precondition(alive)
    def enter(self, symbol: str, side: Side, *, arrives: bool, delay: timedelta) -> None:
        """Send a bracket, which is lost, arrives, or arrives later but within the grace period."""
        assert self.bot is not None
        books = self.bot.books
        flat = books.held(symbol) == 0 and not books.live_intents(symbol)
        if (
            flat
            and books.halted is None
            and used_attempts(books, symbol, side=side) < RULES.max_attempts
        ):
            self.bot.enter(symbol, side, arrives=arrives, delay=delay)

    @rule(pick=picks, shares=sizes, price=prices, fee=fees, late=st.booleans(), then=thens)
    def fill(
        self, pick: int, shares: Decimal, price: Decimal, fee: Decimal, *, late: bool, then: str
    ) -> None:
        """Fill an order; the bot is told, or asks while the position lags, or hears it later."""
        found = self.account.fillable()
        if found:
            fill = self.account.fill(found[pick % len(found)], shares, price, fee)
            if late:
                self.account.late[fill.number] = self.account.now + timedelta(seconds=9)
            self.tell(fill)
            if self.bot is None or then == "nothing":
                return
            if then == "told":
                self.bot.take(self.wire.pop(-2), dies=False)
            if then == "asked":
                self.account.advance(timedelta(seconds=1))
                self.bot.settle(lag=timedelta(seconds=2), dies=False)
                self.check_explained()

    @rule(symbol=symbols, action=st.sampled_from(("BUY", "SELL")), shares=sizes, price=prices)
    def trade_by_hand(self, symbol: str, action: str, shares: Decimal, price: Decimal) -> None:
        order = PaperOrder(0, 0, "", symbol, action, "MKT", shares, client_id=BY_HAND)
        self.account.accept(order)
        self.strange.add(symbol)
        self.tell(self.account.fill(order, shares, price, Decimal("1.00")))

    @rule(pick=picks, shares=sizes, price=prices)
    @precondition(lambda self: self.account.fills)
    def correct(self, pick: int, shares: Decimal, price: Decimal) -> None:
        fill = self.account.fills[pick % len(self.account.fills)]
        self.account.correct(fill, shares, price)
        self.strange.add(fill.order.symbol)
        self.tell(fill)

    @rule(pick=picks)
    @precondition(lambda self: self.bot is not None and self.account.fills)
    def bust(self, pick: int) -> None:
        """Take an execution back, between two questions.

        A bust has no message of its own. The bot knows it by an answer without the execution and a
        position that fits; where a trade by hand hides it in the position, nothing can be known.
        """
        assert self.bot is not None
        self.account.advance(timedelta(minutes=1))
        self.bot.settle(lag=ZERO_TIME, dies=False)
        fills = self.account.fills
        by_hand = {each.order.symbol for each in fills if not each.order.ref}
        fills = [each for each in fills if each.order.symbol not in by_hand]
        if not fills:
            return
        fill = fills[pick % len(fills)]
        self.wire = [each for each in self.wire if exec_stem(each.execution.exec_id) != fill.stem]
        self.account.bust(fill)
        self.strange.add(fill.order.symbol)
        self.bot.settle(lag=ZERO_TIME, dies=False)

    @rule(pick=picks, status=st.sampled_from(("Cancelled", "Inactive")))
    def end_order(self, pick: int, status: str) -> None:
        live = [each for each in self.account.orders if each.live]
        if live:
            self.account.end(live[pick % len(live)], status)

    @rule(pick=picks, dies=st.sampled_from((False, False, False, True)))
    @precondition(lambda self: self.bot is not None and self.wire)
    def deliver(self, pick: int, *, dies: bool) -> None:
        assert self.bot is not None
        self.bot.take(self.wire.pop(pick % len(self.wire)), dies=dies)
        if dies:
            self.die()

    @rule(pick=picks, again=st.booleans())
    @precondition(lambda self: self.wire)
    def double_or_lose(self, pick: int, *, again: bool) -> None:
        message = self.wire.pop(pick % len(self.wire))
        if again:
            self.wire += [message, message]

    @rule(seconds=st.sampled_from((1, 5, 31)))
    def wait(self, seconds: int) -> None:
        self.account.advance(timedelta(seconds=seconds))

    @rule(lag=lags, dies=st.sampled_from((False, False, True)))
    @precondition(alive)
    def settle(self, lag: timedelta, *, dies: bool) -> None:
        assert self.bot is not None
        self.bot.settle(lag=lag, dies=dies)
        if dies:
            self.die()

    @rule(disk_lost=st.sampled_from((False, False, False, False, True)))
    @precondition(alive)
    def kill(self, *, disk_lost: bool) -> None:
        self.die()
        if disk_lost:
            empty = new_checkpoint(DAY, now=START)
            empty.halt("the stored state is damaged", now=START)
            self.disk = canonical(empty)
            self.strange.add("disk")

    @rule(pick=picks)
    def move_by_hand(self, pick: int) -> None:
        """Change the price of a working exit, as a person does in TWS."""
        exits = [each for each in self.account.orders if each.live and each.kind == "STP"]
        if exits:
            moved = exits[pick % len(exits)]
            assert moved.stop is not None
            moved.stop += 1

    @rule()
    @precondition(lambda self: self.bot is None)
    def restart(self) -> None:
        self.start()

    def teardown(self) -> None:
        """Let everything settle, then hold the books against the account."""
        self.account.advance(timedelta(minutes=2))
        if self.bot is None:
            self.start()
        assert self.bot is not None
        for _ in range(3):
            self.account.advance(timedelta(minutes=1))
            self.bot.settle(lag=ZERO_TIME, dies=False)
        for check in CHECKS:
            check(self.bot.books, self.account)
        if not self.strange:
            check_attempts(self.bot.books, self.account)
        self.check_explained()
        last = self.bot.books
        again = reconcile(last, self.account.picture(), context=self.bot.context()).checkpoint
        assert canonical(again) == canonical(last)

    def check_explained(self) -> None:
        """Where only our own orders trade, fills explain every share: a lag is no difference."""
        assert self.bot is not None
        for each in self.bot.books.positions.values():
            if each.symbol not in self.strange and "disk" not in self.strange:
                assert (each.baseline_shares, each.adjusted_shares) == (ZERO, ZERO)


def check_quantities(books: Checkpoint, account: PaperAccount) -> None:
    for symbol in SYMBOLS:
        assert books.held(symbol) == account.held(symbol)
        trades = [each for each in books.open_positions() if each.symbol == symbol]
        assert len({each.side for each in trades}) <= 1, "two trades against each other"


def check_executions(books: Checkpoint, account: PaperAccount) -> None:
    wanted = {
        fill.stem: (fill.exec_id, fill.shares, fill.price, fill.fee) for fill in account.fills
    }
    booked = {
        stem: (each.exec_id, each.shares, each.price, each.commission)
        for stem, each in books.executions.items()
        if each.shares
    }
    assert booked == wanted


def check_money(books: Checkpoint, account: PaperAccount) -> None:
    assert books.session.daily_pnl == account.realized()


def check_counters(books: Checkpoint, account: PaperAccount) -> None:
    """A trade of the day is one that has entered; a person's own trades may count as well."""
    refs = {fill.order.ref for fill in account.fills if fill.order.ref.endswith("|entry")}
    assert books.session.trades_today >= len(refs)
    if all(fill.order.ref for fill in account.fills):
        assert books.session.trades_today == len(refs)


def check_statuses(books: Checkpoint, account: PaperAccount) -> None:
    """Work each trade's status out from the account's fills of its orders."""
    assert {fill.order.ref.rpartition("|")[0] for fill in account.fills} <= {"", *books.positions}
    for position in books.positions.values():
        if position.baseline_shares or position.adjusted_shares:
            continue
        own = [fill for fill in account.fills if fill.order.ref.startswith(position.trade_id)]
        if len(own) != sum(
            each.trade_id == position.trade_id for each in books.executions.values()
        ):
            continue  # A part of it was traded by hand.
        entered = sum((fill.shares for fill in own if fill.order.ref.endswith("entry")), ZERO)
        closed = sum((fill.shares for fill in own), ZERO) - entered
        assert (position.shares, position.closed_shares) == (entered, closed)
        wanted = TradeStatus.PARTIAL if closed else TradeStatus.OPEN
        wanted = TradeStatus.CLOSED if closed == entered else wanted
        assert position.status is (wanted if entered else TradeStatus.PENDING)


def check_orders(books: Checkpoint, account: PaperAccount) -> None:
    """The orders that the books call live are the account's, to the share and the cent."""
    live = {
        (each.perm_id, each.order_ref, each.remaining, each.price)
        for each in books.intents
        if each.live
    }
    wanted = {
        (each.perm_id, each.ref, each.remaining, each.stop or each.limit)
        for each in account.orders
        if each.live
    }
    assert live == wanted


def check_refs(_books: Checkpoint, account: PaperAccount) -> None:
    """No entry was ever at the account twice, and no two exits of one name work at once."""
    refs = [each.ref for each in account.orders if each.ref.endswith("|entry")]
    refs += [each.ref for each in account.orders if each.live and each.ref not in refs]
    refs = [each for each in refs if each]
    assert len(refs) == len(set(refs))


def check_attempts(books: Checkpoint, account: PaperAccount) -> None:
    """Every entry that the account has seen is an attempt, and nothing else is."""
    for symbol in SYMBOLS:
        for side in Side:
            prefix = f"PS60|{symbol}|{side.value[0]}|"
            entries = {
                each.ref
                for each in account.orders
                if each.ref.startswith(prefix) and each.ref.endswith("|entry")
            }
            assert used_attempts(books, symbol, side=side) == len(entries)


CHECKS: tuple[Callable[[Checkpoint, PaperAccount], None], ...] = (
    check_quantities,
    check_executions,
    check_money,
    check_counters,
    check_statuses,
    check_orders,
    check_refs,
)
IS_DEEP = settings.get_current_profile_name() == DEEP
TestDay = DayMachine.TestCase
TestDay.settings = settings(
    max_examples=DEEP_EXAMPLES * 2 if IS_DEEP else 250,
    stateful_step_count=40,
    deadline=None,
    derandomize=not IS_DEEP,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
