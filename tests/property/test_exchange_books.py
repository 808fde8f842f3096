"""Whatever clients and the market do, the books add up.

A random day is a list of steps; each step is one input of the exchange. After every step the
books are compared with what the events alone say must be in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    Filled,
    OrderChanged,
    PositionChanged,
    Refused,
)
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderEvent
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderStatus, OrderTerms

START = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
SYMBOLS = ("AMD", "TSLA")
DONE = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.INACTIVE)

prices = st.integers(90, 110).map(Decimal)
quantities = st.integers(1, 12).map(lambda lots: Decimal(lots * 10))
clients = st.sampled_from((7, 8))
order_ids = st.integers(1, 14)


@dataclass(frozen=True)
class Place:
    """An order under the client's next id, or under `reused`; a child of the one `back` before."""

    client: int
    symbol: str
    terms: OrderTerms
    reused: int | None = None
    back: int = 0


@dataclass(frozen=True)
class Cancel:
    client: int
    order_id: int


@dataclass(frozen=True)
class GlobalCancel:
    pass


@dataclass(frozen=True)
class Play:
    symbol: str
    opened: Decimal
    others: tuple[Decimal, Decimal, Decimal]


@dataclass(frozen=True)
class Hand:
    """A person fills part of one of the working orders at its own price."""

    pick: int
    shares: Decimal


@dataclass(frozen=True)
class Hours:
    """The session is closed and time passes."""

    hours: int


@dataclass(frozen=True)
class Bracket:
    """An entry, a target and a stop, sent together."""

    client: int
    action: Action
    quantity: Decimal
    entry: Decimal | None
    target_quantity: Decimal
    distance: Decimal
    oca_type: int

    def legs(self) -> tuple[OrderTerms, ...]:
        """Return the three orders; their parent is filled in when they are placed."""
        exits = Action.SELL if self.action is Action.BUY else Action.BUY
        sign = 1 if self.action is Action.BUY else -1
        price = self.entry or Decimal(100)
        entry = OrderTerms(
            action=self.action,
            quantity=self.quantity,
            order_type="LMT" if self.entry else "MKT",
            limit_price=self.entry,
            transmit=False,
        )
        target = OrderTerms(
            action=exits,
            quantity=self.target_quantity,
            order_type="LMT",
            limit_price=price + sign * self.distance,
            transmit=False,
            oca_type=self.oca_type,
        )
        stop = OrderTerms(
            action=exits,
            quantity=self.quantity,
            order_type="STP",
            aux_price=price - sign * self.distance,
            oca_type=self.oca_type,
        )
        return (entry, target, stop)


Step = Place | Bracket | Cancel | GlobalCancel | Play | Hand | Hours

terms = st.builds(
    OrderTerms,
    action=st.sampled_from(Action),
    quantity=quantities,
    order_type=st.sampled_from(("MKT", "LMT", "STP", "STP LMT", "TRAIL", "MIT", "LIT")),
    limit_price=prices,
    aux_price=st.one_of(prices, st.integers(1, 9).map(Decimal)),
    tif=st.sampled_from(("DAY", "DAY", "GTC", "IOC")),
    oca_group=st.sampled_from(("", "", "a", "b")),
    oca_type=st.integers(0, 3),
    transmit=st.sampled_from((True, True, False)),
    auto_cancel_parent=st.booleans(),
)
places = st.builds(
    Place,
    clients,
    st.sampled_from((*SYMBOLS, "TSLA")),
    terms,
    st.one_of(st.none(), st.none(), st.none(), order_ids),
    st.sampled_from((0, 0, 1, 1, 2, 3)),
)
bars = st.builds(Play, st.sampled_from(SYMBOLS), prices, st.tuples(prices, prices, prices))
brackets = st.builds(
    Bracket,
    clients,
    st.sampled_from(Action),
    quantities,
    st.one_of(st.none(), prices),
    quantities,
    st.integers(1, 6).map(Decimal),
    st.integers(0, 3),
)
cancels = st.builds(Cancel, clients, order_ids)
hands = st.builds(Hand, st.integers(0, 9), st.integers(1, 60).map(Decimal))
usual = st.one_of(places, places, brackets, bars, bars, bars, cancels, hands)
rare = st.one_of(st.builds(GlobalCancel), st.builds(Hours, st.integers(1, 20)))
steps = st.lists(st.one_of(*[usual] * 12, rare), min_size=8, max_size=40)
knobs = st.builds(
    BrokerSettings,
    fill_split=st.sampled_from(((), (Decimal(60), Decimal(40)), (Decimal(7),))),
    liquidity_per_bar=st.sampled_from((None, Decimal(25), Decimal(70))),
    cancel_after_bars=st.sampled_from((0, 0, 1, 2)),
    cash=st.sampled_from((Decimal(1_000_000), Decimal(1_000_000), Decimal(5000))),
)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Day:
    """Plays steps and keeps the events."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.now = START
        self.events: list[ExchangeEvent] = []

    def play(self, step: Step) -> list[ExchangeEvent]:
        self.now += timedelta(seconds=5)
        new = list(self._play(step))
        self.events += new
        return new

    def _play(self, step: Step) -> Sequence[ExchangeEvent]:
        exchange, now = self.exchange, self.now
        match step:
            case Place():
                order_id = step.reused or exchange.next_order_id(step.client)
                asked = replace(step.terms, parent_id=max(order_id - step.back, 0) % order_id)
                contract = Contract(symbol=step.symbol)
                return exchange.place(step.client, order_id, contract, asked, now=now)
            case Bracket():
                parent = exchange.next_order_id(step.client)
                events: list[ExchangeEvent] = []
                for number, leg in enumerate(step.legs()):
                    child = replace(leg, parent_id=parent if number else 0)
                    stock = Contract(symbol="TSLA")
                    events += exchange.place(step.client, parent + number, stock, child, now=now)
                return events
            case Cancel():
                return exchange.cancel(step.client, step.order_id, now=now)
            case GlobalCancel():
                return exchange.global_cancel(now=now)
            case Play():
                known = (step.opened, *step.others)
                bar = Bar(
                    step.symbol,
                    now,
                    open=step.opened,
                    high=max(known),
                    low=min(known),
                    close=step.others[-1],
                    volume=Decimal(100),
                )
                return exchange.on_bar(bar, now=now)
            case Hand():
                working = [row for row in exchange.live_orders() if row.working]
                if not working:
                    return ()
                order = working[step.pick % len(working)]
                price = order.terms.limit_price or Decimal(100)
                shares = min(step.shares, order.remaining)
                try:
                    return exchange.fill(order.perm_id, shares, price, now=now)
                except ExchangeError:
                    # A child may be offered more than its parent has.
                    assert order.parent_perm_id is not None
                    return ()
            case Hours():
                closed = exchange.end_of_day(now=now)
                self.now += timedelta(hours=step.hours)
                return (*closed, *exchange.advance(now=self.now))

    def all_orders(self) -> list[int]:
        """Return the permIds of all orders that ever were."""
        rows = [event.order.perm_id for event in self.events if isinstance(event, OrderChanged)]
        return list(dict.fromkeys(rows))


@thorough
@given(knobs, steps)
def test_positions_are_the_sum_of_executions(knob: BrokerSettings, story: list[Step]) -> None:
    day = Day(Exchange(knob))
    sums = dict.fromkeys(SYMBOLS, Decimal(0))
    for step in story:
        for event in day.play(step):
            if isinstance(event, Filled):
                row = event.execution
                sums[row.contract.symbol] += row.shares if row.side == "BOT" else -row.shares
                assert event.position_after == sums[row.contract.symbol]
            if isinstance(event, PositionChanged):
                assert event.quantity == sums[event.contract.symbol]
        held = {row.contract.symbol: row.quantity for row in day.exchange.positions()}
        assert {symbol: held.get(symbol, Decimal(0)) for symbol in SYMBOLS} == sums


@thorough
@given(knobs, steps)
def test_cash_is_the_start_and_the_trades_less_commissions(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    cash = knob.cash
    for step in story:
        for event in day.play(step):
            if isinstance(event, Filled):
                value = event.execution.shares * event.execution.price
                cash += -value if event.execution.side == "BOT" else value
            if isinstance(event, Commissioned):
                assert event.commission >= 0
                cash -= event.commission
        assert day.exchange.cash == cash


@thorough
@given(knobs, steps)
def test_what_was_realised_is_the_cash_that_came_back_when_all_is_flat(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    for step in story:
        day.play(step)
    day.play(GlobalCancel())
    for symbol in SYMBOLS:
        day.play(Play(symbol, Decimal(100), (Decimal(100),) * 3))
    # Cancels that took their time are over now.
    for symbol in SYMBOLS * 2:
        day.play(Play(symbol, Decimal(100), (Decimal(100),) * 3))
    for row in day.exchange.positions():
        while (left := held(day.exchange, row.contract.symbol)) != 0:
            action = Action.SELL if left > 0 else Action.BUY
            day.now += timedelta(seconds=5)
            day.events += day.exchange.manual_order(row.contract, action, abs(left), now=day.now)
            day.play(GlobalCancel())
            for _ in range(3):
                day.play(Play(row.contract.symbol, Decimal(100), (Decimal(100),) * 3))
    realized = sum(
        (
            event.realized_pnl or Decimal(0)
            for event in day.events
            if isinstance(event, Commissioned)
        ),
        Decimal(0),
    )
    assert day.exchange.cash == knob.cash + realized


def held(exchange: Exchange, symbol: str) -> Decimal:
    rows = [row.quantity for row in exchange.positions() if row.contract.symbol == symbol]
    return rows[0] if rows else Decimal(0)


@thorough
@given(knobs, steps)
def test_filled_and_remaining_are_always_the_quantity_and_done_is_done(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    done: dict[int, OrderStatus] = {}
    filled: dict[int, Decimal] = {}
    for step in story:
        for event in day.play(step):
            if isinstance(event, Filled):
                row = event.execution
                assert row.perm_id not in done
                filled[row.perm_id] = filled.get(row.perm_id, Decimal(0)) + row.shares
                assert row.cum_qty == filled[row.perm_id]
            if isinstance(event, OrderChanged):
                assert event.order.perm_id not in done
                if event.order.status in DONE:
                    done[event.order.perm_id] = event.order.status
        for perm_id in day.all_orders():
            view = day.exchange.order_by_perm(perm_id)
            assert view is not None
            assert view.filled == filled.get(perm_id, Decimal(0))
            assert view.filled + view.remaining == view.terms.quantity
            assert view.live == (perm_id not in done)
            assert (view.status is OrderStatus.FILLED) == (view.remaining == 0)
            assert (view.done_time is not None) == (perm_id in done)


@thorough
@given(knobs, steps)
def test_a_child_never_fills_more_than_its_parent(knob: BrokerSettings, story: list[Step]) -> None:
    day = Day(Exchange(knob))
    filled: dict[int, Decimal] = {}
    for step in story:
        for event in day.play(step):
            if isinstance(event, Filled):
                order = event.order
                filled[order.perm_id] = order.filled
                if order.parent_perm_id is not None:
                    assert order.filled <= filled.get(order.parent_perm_id, Decimal(0))


@thorough
@given(knobs, steps)
def test_no_execution_is_worse_than_the_limit_or_outside_the_bar(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    for step in story:
        for event in day.play(step):
            if not isinstance(event, Filled):
                continue
            price, terms = event.execution.price, event.order.terms
            if terms.limit_price is not None:
                buys = terms.action is Action.BUY
                assert price <= terms.limit_price if buys else price >= terms.limit_price
            if isinstance(step, Play) and event.order.contract.symbol == step.symbol:
                known = (step.opened, *step.others)
                assert min(known) <= price <= max(known)


@thorough
@given(knobs, steps)
def test_an_order_that_is_held_or_waits_for_its_parent_never_fills(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    for step in story:
        idle = {row.perm_id for row in day.exchange.live_orders() if not row.working}
        for event in day.play(step):
            if isinstance(event, OrderChanged) and event.order.working:
                idle.discard(event.order.perm_id)
            if isinstance(event, Filled):
                assert event.execution.perm_id not in idle


@thorough
@given(knobs, steps)
def test_a_refusal_changes_nothing(knob: BrokerSettings, story: list[Step]) -> None:
    day = Day(Exchange(knob))
    for step in story:
        before = (day.exchange.orders(), day.exchange.positions(), day.exchange.cash)
        events = day.play(step)
        if any(isinstance(event, Refused) for event in events) and not isinstance(step, Bracket):
            assert len(events) == 1
            assert (day.exchange.orders(), day.exchange.positions(), day.exchange.cash) == before


@thorough
@given(
    st.sampled_from((1, 2, 3)),
    st.lists(
        st.tuples(quantities, prices, st.sampled_from(("LMT", "STP"))), min_size=2, max_size=4
    ),
    st.lists(bars, max_size=12),
    st.sampled_from((None, Decimal(25), Decimal(70))),
)
def test_exits_of_one_oca_group_never_sell_more_than_the_largest_of_them(
    oca_type: int,
    exits: list[tuple[Decimal, Decimal, str]],
    market: list[Step],
    liquidity: Decimal | None,
) -> None:
    """Each fill takes its size from every other member, so no two of them fill in full.

    Type 1 ends the others at the first execution, so only one order of the group ever fills.
    """
    day = Day(Exchange(BrokerSettings(liquidity_per_bar=liquidity, cash=Decimal(10_000_000))))
    for quantity, price, order_type in exits:
        leg = OrderTerms(
            action=Action.SELL,
            quantity=quantity,
            order_type=order_type,
            limit_price=price,
            aux_price=price,
            oca_group="exits",
            oca_type=oca_type,
        )
        day.play(Place(7, "TSLA", leg))
    for step in market:
        day.play(step)
    fills = [event.execution for event in day.events if isinstance(event, Filled)]
    if oca_type == 1:
        assert len({row.perm_id for row in fills}) <= 1
    assert sum((row.shares for row in fills), Decimal(0)) <= max(row[0] for row in exits)


@thorough
@given(knobs, steps, steps)
def test_a_restored_snapshot_goes_on_like_the_original(
    knob: BrokerSettings, before: list[Step], after: list[Step]
) -> None:
    day = Day(Exchange(knob))
    for step in before:
        day.play(step)
    snapshot, then = day.exchange.snapshot(), day.now
    first = [day.play(step) for step in after]
    books = (day.exchange.orders(), day.exchange.positions(), day.exchange.account_values())
    day.exchange.restore(snapshot)
    day.now = then
    assert [day.play(step) for step in after] == first
    assert (
        day.exchange.orders(),
        day.exchange.positions(),
        day.exchange.account_values(),
    ) == books
    other = Day(Exchange(knob))
    other.now = then
    other.exchange.restore(snapshot)
    assert [other.play(step) for step in after] == first


@thorough
@given(knobs, steps)
def test_everything_that_happens_to_an_order_comes_after_its_acceptance(
    knob: BrokerSettings, story: list[Step]
) -> None:
    day = Day(Exchange(knob))
    seen: set[int] = set()
    for step in story:
        for event in day.play(step):
            if isinstance(event, OrderChanged):
                first = event.order.perm_id not in seen
                entering = event.event in (OrderEvent.ACCEPTED, OrderEvent.REJECTED)
                # A held order that lacks margin is rejected after it was accepted.
                assert entering if first else event.event is not OrderEvent.ACCEPTED
                seen.add(event.order.perm_id)
