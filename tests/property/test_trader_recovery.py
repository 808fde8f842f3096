"""Recovery applied twice equals recovery applied once, whatever the two sides say.

Books and broker are drawn from one set of orders and fills: each side knows some of them, in any
state, and the broker's positions may fit neither. So the two agree, disagree and contradict
themselves.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.ledger import book, refold
from target_trader.matching import Context
from target_trader.names import IntentState, Leg, Side, attempt_key, exec_stem, order_ref, trade_id
from target_trader.picture import BrokerExecution, BrokerOrder, BrokerPosition, Picture
from target_trader.reconcile import reconcile
from target_trader.settings import Policy, Rules, Setup, Watchlist
from target_trader.state.checkpoint import (
    Checkpoint,
    ContractRecord,
    Intent,
    Position,
    canonical,
    new_checkpoint,
)
from target_trader.strategy.exits import Cancel, Modify, Place, desired_exits, plan_exit_actions
from tests.conftest import DEEP, DEEP_EXAMPLES

DAY = date(2025, 10, 6)
NOW = datetime(2025, 10, 6, 10, 30, tzinfo=NEW_YORK)
OURS = 2001
LEVELS = {Side.LONG: Decimal("444.77"), Side.SHORT: Decimal("432.50")}
WATCHED = ("AMD", "TSLA")
WATCHLIST = Watchlist(
    date=DAY,
    setups=tuple(
        Setup(
            symbol=symbol,
            resistance=LEVELS[Side.LONG],
            support=LEVELS[Side.SHORT],
            target1=Decimal("460.25"),
            target2=Decimal("470.50"),
        )
        for symbol in WATCHED
    ),
)
IS_DEEP = settings.get_current_profile_name() == DEEP
thorough = settings(
    max_examples=DEEP_EXAMPLES * 2 if IS_DEEP else 100,
    deadline=None,
    derandomize=not IS_DEEP,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
shares = st.sampled_from((1, 40, 50, 100)).map(Decimal)
ages = st.sampled_from((1, 8, 25, 600, 3000)).map(lambda seconds: timedelta(seconds=seconds))


@dataclass
class Case:
    """Two sides of one recovery."""

    books: Checkpoint
    picture: Picture
    context: Context


def trade_of(name: str, symbol: str, side: Side) -> Position:
    """Return a trade without a fill."""
    return Position(
        trade_id=name,
        symbol=symbol,
        side=side,
        contract=ContractRecord(symbol=symbol),
        pivot=LEVELS[side],
        target1=Decimal("460.25") if side is Side.LONG else None,
        target2=None,
        planned_entry=LEVELS[side],
        initial_stop=LEVELS[side] - 2 * side.sign,
        partial_price=LEVELS[side] + 2 * side.sign,
        planned_shares=Decimal(100),
        entry_reason="STRONG break",
        signal_time=NOW - timedelta(hours=1),
        stop_price=LEVELS[side] - 2 * side.sign,
    )


@st.composite
def orders_of_trade(draw: st.DrawFn, name: str, side: Side, first: int) -> list[Intent]:
    """Draw the orders that a trade may have had."""
    legs = [Leg.ENTRY, *draw(st.lists(st.sampled_from(list(Leg)[1:]), max_size=3))]
    made = []
    for number, leg in enumerate(legs):
        price = None if leg is Leg.ENTRY else LEVELS[side] + draw(st.sampled_from((-2, 2, 15)))
        ordinal = 1 + legs[:number].count(leg)
        intent = Intent(
            order_ref=order_ref(name, leg, ordinal=ordinal),
            trade_id=name,
            leg=leg,
            ordinal=ordinal,
            symbol=name.split("|")[1],
            side=side,
            action=side.entry_action if leg is Leg.ENTRY else side.exit_action,
            order_type={Leg.ENTRY: "MKT", Leg.STOP: "STP"}.get(leg, "LMT"),
            quantity=draw(shares),
            stop_price=price if leg is Leg.STOP else None,
            limit_price=None if leg is Leg.STOP else price,
            order_id=first + number,
            client_id=draw(st.sampled_from((0, OURS, OURS, 7))),
            perm_id=draw(st.sampled_from((None, 5000 + first + number))),
            parent_id=draw(st.sampled_from((0, first))) if number else 0,
            oca_group="" if leg is Leg.ENTRY else f"{name}|exits",
            state=draw(st.sampled_from([*IntentState, IntentState.LOST, IntentState.UNKNOWN])),
            planned_at=NOW - timedelta(hours=1),
            attempt_key=attempt_key(name.split("|")[1], side, LEVELS[side])
            if leg is Leg.ENTRY
            else None,
        )
        if intent.state is IntentState.LOST:
            intent.attempt_key = None  # It was given back when the order was given up.
        if intent.state is IntentState.UNKNOWN:
            intent.unknown_since = NOW - draw(ages)
        made.append(intent)
    return made


@st.composite
def told_order(draw: st.DrawFn, intent: Intent) -> BrokerOrder:
    """Draw what the broker says of an order: it works, or how it has ended."""
    working = draw(st.booleans())
    return BrokerOrder(
        order_id=intent.order_id if working else 0,
        client_id=(intent.client_id or OURS) if working else 0,
        perm_id=5000 + intent.order_id,
        order_ref=intent.order_ref,
        symbol=intent.symbol,
        action=intent.action,
        order_type=intent.order_type,
        quantity=draw(shares) if working else Decimal(0),
        filled=draw(st.sampled_from((Decimal(0), Decimal(40)))),
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        status=draw(
            st.sampled_from(("Submitted", "PreSubmitted", "Inactive", "PendingCancel"))
            if working
            else st.sampled_from(("Filled", "Cancelled", "Inactive"))
        ),
        oca_group=intent.oca_group,
        parent_id=intent.parent_id,
    )


@st.composite
def fill_of(draw: st.DrawFn, intent: Intent | None, symbol: str, number: int) -> BrokerExecution:
    """Draw a fill of an order, or one that was made by hand."""
    paid = draw(st.booleans())
    return BrokerExecution(
        exec_id=f"0000e0d5.67fe{number:04x}.01.{draw(st.integers(1, 2)):02d}",
        time=NOW - draw(ages),
        symbol=symbol,
        side={"BUY": "BOT", "SELL": "SLD"}[
            intent.action if intent else draw(st.sampled_from(("BUY", "SELL")))
        ],
        shares=draw(shares | st.just(Decimal(0))),
        price=Decimal(draw(st.sampled_from(("431.00", "445.25", "446.1")))),
        order_id=intent.order_id if intent else 0,
        client_id=OURS if intent else 0,
        perm_id=5000 + (intent.order_id if intent else 900 + number),
        order_ref=intent.order_ref if intent else "",
        commission=Decimal("1.00") if paid else None,
        realized_pnl=draw(st.sampled_from((None, Decimal("-12.5")))) if paid else None,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw books and what the broker says beside them."""
    books = new_checkpoint(DAY, now=NOW - timedelta(hours=1))
    working: list[BrokerOrder] = []
    done: list[BrokerOrder] = []
    fills: list[BrokerExecution] = []
    booked: list[BrokerExecution] = []
    positions: list[BrokerPosition] = []
    for place, symbol in enumerate((*WATCHED, "XYZ")):
        orders: list[Intent | None] = [None]
        for turn in range(draw(st.integers(0, 2))):
            side = draw(st.sampled_from(Side))
            name = trade_id(symbol, side, day=DAY, attempt=1 + turn)
            if draw(st.integers(0, 3)):
                books.positions[name] = trade_of(name, symbol, side)
                had, gone = draw(st.sampled_from(((0, 0), (0, 0), (50, 10))))
                books.positions[name].baseline_shares = Decimal(had)
                books.positions[name].adjusted_shares = Decimal(gone)
            drawn = draw(orders_of_trade(name, side, 100 * place + 10 * turn + 1))
            known = [each for each in drawn if draw(st.integers(0, 3))]
            books.intents += known
            orders += drawn
            for intent in drawn:
                # Without its parent a child is not at the broker either; later it has none.
                parents = [each.order_ref for each in working]
                orphan = intent.parent_id != 0 and drawn[0].order_ref not in parents
                if draw(st.integers(0, 2)) and not orphan:
                    told = draw(told_order(intent))
                    (working if told.order_id else done).append(told)
        for number in range(draw(st.integers(0, 4))):
            fill = draw(fill_of(draw(st.sampled_from(orders)), symbol, 16 * place + number))
            fills.append(fill)
            # Of a symbol that it does not watch, the bot books only what carries its ref.
            if draw(st.booleans()) and (symbol in WATCHED or fill.order_ref):
                booked.append(replace(fill, exec_id=fill.exec_id[:-2] + "01"))
        for side in Side:
            if draw(st.booleans()):
                books.attempts[attempt_key(symbol, side, LEVELS[side])] = draw(st.integers(1, 3))
        fits = sum(
            (
                each.shares if each.side == "BOT" else -each.shares
                for each in fills
                if each.symbol == symbol
            ),
            Decimal(0),
        )
        held = draw(st.sampled_from((fits, fits, Decimal(0), Decimal(30), Decimal(-100))))
        positions.append(BrokerPosition(symbol, held, Decimal("440.10") if held else Decimal(0)))
    refold(books)
    for fill in booked:
        book(books, fill)
    # A booked fill that is not told was taken back: that has its place in `test_trader_day.py`.
    stems = set(books.executions)
    told_fills = tuple(
        each for each in fills if exec_stem(each.exec_id) in stems or draw(st.integers(0, 4))
    )
    still_open = tuple(
        replace(each, quantity=each.quantity + filled(fills, each)) for each in working
    )
    picture = Picture(tuple(positions), still_open, tuple(done), told_fills)
    rules = Rules(policy=draw(st.sampled_from(Policy)))
    withdrawn = [each.order_id for each in books.intents if not draw(st.integers(0, 3))]
    context = Context(
        client_id=OURS,
        watchlist=WATCHLIST,
        rules=rules,
        now=NOW,
        withdrawn=frozenset(withdrawn),
    )
    return Case(books, picture, context)


def filled(fills: list[BrokerExecution], order: BrokerOrder) -> Decimal:
    """Return what an order has filled: one that works has more than that to fill."""
    return sum((each.shares for each in fills if each.perm_id == order.perm_id), Decimal(0))


@thorough
@given(case=cases())
def test_recovering_twice_equals_recovering_once(case: Case) -> None:
    once = reconcile(case.books, case.picture, context=case.context)
    twice = reconcile(once.checkpoint, case.picture, context=case.context)
    event(f"{case.context.rules.policy}, ask again: {once.ask_again}")
    assert canonical(twice.checkpoint) == canonical(once.checkpoint)


def planned_entry(books: Checkpoint) -> Intent:
    """Add an entry to the books that may or may not have been sent; the second attempt."""
    name = trade_id("TSLA", Side.LONG, day=DAY, attempt=2)
    key = attempt_key("TSLA", Side.LONG, LEVELS[Side.LONG])
    entry = Intent(
        order_ref=order_ref(name, Leg.ENTRY),
        trade_id=name,
        leg=Leg.ENTRY,
        symbol="TSLA",
        side=Side.LONG,
        action="BUY",
        order_type="MKT",
        quantity=Decimal(100),
        order_id=1,
        planned_at=NOW,
        attempt_key=key,
    )
    books.attempts[key] = 2
    books.positions[name] = trade_of(name, "TSLA", Side.LONG)
    books.intents.append(entry)
    return entry


@thorough
@given(seconds=st.lists(st.integers(0, 5), max_size=5))
def test_an_entry_without_a_trace_is_unknown_until_it_was_taken_back(seconds: list[int]) -> None:
    books = new_checkpoint(DAY, now=NOW)
    key = planned_entry(books).attempt_key
    now = NOW
    for each in seconds:
        now += timedelta(seconds=each)
        context = Context(client_id=OURS, watchlist=WATCHLIST, rules=Rules(), now=now)
        books = reconcile(books, Picture(), context=context).checkpoint
        assert [each.state for each in books.intents] == [IntentState.UNKNOWN]
        assert books.intents[0].unknown_since == NOW + timedelta(seconds=seconds[0])
        assert books.attempts == {key: 2}


def test_an_entry_that_was_given_up_stays_so_and_gives_its_attempt_back_once() -> None:
    """It was withdrawn, and the broker goes on listing it as cancelled."""
    books = new_checkpoint(DAY, now=NOW)
    entry = planned_entry(books)
    told = replace(as_told(entry), order_id=0, status="Cancelled")
    for withdrawn in (frozenset({1}), frozenset({1}), frozenset[int]()):
        context = Context(
            client_id=OURS, watchlist=WATCHLIST, rules=Rules(), now=NOW, withdrawn=withdrawn
        )
        picture = Picture(completed_orders=(told,))
        books = reconcile(books, picture, context=context).checkpoint
        assert [each.state for each in books.intents] == [IntentState.LOST]
        assert list(books.attempts.values()) == [1]


def test_a_lost_trade_and_one_by_hand_in_a_symbol_not_watched_are_found_at_once() -> None:
    """The trade is rebuilt from its ref; what a person did beside it belongs to the same answer."""
    entry = trade_of("PS60|XYZ|L|20251006|1", "XYZ", Side.LONG)
    ours = BrokerExecution(
        exec_id="0000e0d5.67fe0001.01.01",
        time=NOW - timedelta(minutes=5),
        symbol="XYZ",
        side="BOT",
        shares=Decimal(100),
        price=Decimal("445.25"),
        order_id=1,
        client_id=OURS,
        perm_id=5001,
        order_ref=order_ref(entry.trade_id, Leg.ENTRY),
    )
    by_hand = replace(
        ours,
        exec_id="0000e0d5.67fe0002.01.01",
        side="SLD",
        shares=Decimal(30),
        order_id=0,
        client_id=0,
        perm_id=9001,
        order_ref="",
    )
    context = Context(client_id=OURS, watchlist=WATCHLIST, rules=Rules(), now=NOW)
    held = BrokerPosition("XYZ", Decimal(70), Decimal("445.26"))
    picture = Picture((held,), executions=(by_hand, ours))
    once = reconcile(new_checkpoint(DAY, now=NOW), picture, context=context).checkpoint
    assert once.held("XYZ") == 70
    assert len(once.executions) == 2
    twice = reconcile(once, picture, context=context).checkpoint
    assert canonical(twice) == canonical(once)


@thorough
@given(case=cases())
def test_recovering_changes_neither_the_books_it_was_given_nor_knows_another_order(
    case: Case,
) -> None:
    before = canonical(case.books)
    first = reconcile(case.books, case.picture, context=case.context)
    assert canonical(case.books) == before
    turned = replace(
        case.picture,
        positions=case.picture.positions[::-1],
        executions=case.picture.executions[::-1],
    )
    second = reconcile(case.books, turned, context=case.context)
    assert sums(first.checkpoint) == sums(second.checkpoint)


def sums(books: Checkpoint) -> dict[str, object]:
    """Return what must not depend on the order in which the broker answers."""
    return {
        "held": {symbol: books.held(symbol) for symbol in (*WATCHED, "XYZ")},
        "executions": sorted(each.exec_id for each in books.executions.values()),
        "pnl": books.session.daily_pnl,
        "attempts": books.attempts,
        "halts": sorted(each.reason for each in books.halts),
        "frozen": books.frozen,
    }


@thorough
@given(case=cases())
def test_every_policy_leaves_books_that_agree_or_says_that_they_do_not(case: Case) -> None:
    outcome = reconcile(case.books, case.picture, context=case.context)
    books, rules = outcome.checkpoint, case.context.rules
    for symbol in WATCHED:
        if books.held(symbol) == case.picture.quantity(symbol):
            assert symbol not in books.frozen
            continue
        match rules.policy:
            case _ if outcome.ask_again:
                continue
            case Policy.SYNC_TO_BROKER:
                raise AssertionError(f"{symbol}: {books.held(symbol)} in the books")
            case Policy.WARN_ONLY:
                assert symbol in books.frozen
            case Policy.HALT_AND_ALERT:
                assert books.engine_halted
                assert symbol in str(books.halted)


@thorough
@given(case=cases())
def test_attempts_are_never_fewer_than_the_broker_shows(case: Case) -> None:
    books = reconcile(case.books, case.picture, context=case.context).checkpoint
    shown = [each.order_ref for each in case.picture.executions]
    shown += [each.order_ref for each in case.picture.open_orders]
    for symbol in WATCHED:
        for side in Side:
            prefix = f"PS60|{symbol}|{side.value[0]}|20251006|"
            seen = [int(ref.split("|")[4]) for ref in shown if ref.startswith(prefix)]
            used = books.attempts.get(attempt_key(symbol, side, LEVELS[side]), 0)
            assert used >= max(seen, default=0)


@thorough
@given(case=cases())
def test_the_steps_that_follow_a_recovery_are_taken_once(case: Case) -> None:
    first = reconcile(case.books, case.picture, context=case.context).checkpoint
    picture = carried_out(first, case)
    second = reconcile(first, picture, context=case.context).checkpoint
    again = [step for name in sorted(second.positions) for step in steps(second, name, case)]
    assert again == []


def steps(books: Checkpoint, name: str, case: Case) -> list[Place | Modify | Cancel]:
    """Plan the steps of one trade."""
    own = [each for each in books.intents if each.trade_id == name]
    desired = desired_exits(books.positions.get(name), case.context.rules)
    return list(plan_exit_actions(desired, own, client_id=OURS))


def carried_out(books: Checkpoint, case: Case) -> Picture:
    """Take the steps of every trade; return what a broker that accepts all says then."""
    working = {each.perm_id: each for each in case.picture.open_orders}
    done = list(case.picture.completed_orders)
    for name in sorted(books.positions):
        for step in steps(books, name, case):
            match step:
                case Cancel(order_id=order_id):
                    intent = books.intent_by_id(order_id)
                    assert intent is not None
                    ended = working.pop(intent.perm_id or 0, None)
                    if ended is not None:
                        done.append(replace(ended, order_id=0, status="Cancelled"))
                case Modify(order_id=order_id, order=order):
                    intent = books.intent_by_id(order_id)
                    assert intent is not None
                    told = working[intent.perm_id or 0]
                    set_price(intent, order.price)
                    intent.quantity = intent.filled + order.quantity
                    working[told.perm_id] = replace(
                        told,
                        quantity=intent.quantity,
                        stop_price=intent.stop_price,
                        limit_price=intent.limit_price,
                    )
                case Place():
                    made = placed(books, name, step)
                    told = as_told(made)
                    working[told.perm_id] = told
    return replace(case.picture, open_orders=tuple(working.values()), completed_orders=tuple(done))


def placed(books: Checkpoint, name: str, step: Place) -> Intent:
    """Remember a new exit, as `OrderDesk.place_exit` does."""
    position, order = books.positions[name], step.order
    intent = Intent(
        order_ref=order_ref(name, order.leg, ordinal=step.ordinal),
        trade_id=name,
        leg=order.leg,
        ordinal=step.ordinal,
        symbol=position.symbol,
        side=position.side,
        action=order.action,
        order_type=order.order_type,
        quantity=order.quantity,
        order_id=2000 + len(books.intents),
        oca_group=f"{name}|exits",
        planned_at=NOW,
        state=IntentState.SENT,
    )
    set_price(intent, order.price)
    books.intents.append(intent)
    return intent


def set_price(intent: Intent, price: Decimal | None) -> None:
    """Set the one price of an order."""
    if intent.leg is Leg.STOP:
        intent.stop_price = price
    else:
        intent.limit_price = price


def as_told(intent: Intent) -> BrokerOrder:
    """Return what the broker says of a new order of ours."""
    return BrokerOrder(
        order_id=intent.order_id,
        client_id=OURS,
        perm_id=5000 + intent.order_id,
        order_ref=intent.order_ref,
        symbol=intent.symbol,
        action=intent.action,
        order_type=intent.order_type,
        quantity=intent.quantity,
        filled=Decimal(0),
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        status="Submitted",
        oca_group=intent.oca_group,
    )
