"""The exchange against a ledger that knows nothing of it but its events.

A state machine does to an exchange whatever clients, the market and the exchange's own troubles
can do. Beside it stands a plain ledger: a list of trades from which cash, positions and executions
are added up anew after every step. An ordinary run takes some 500 steps; `pytest
--hypothesis-profile=deep` takes more than 10,000.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import (
    ExchangeEvent,
    Filled,
    OrderChanged,
)
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderEvent, OrderView
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings, ExtraAccount
from fakebroker.values import Action, Contract, OrderStatus, OrderTerms
from tests.conftest import DEEP, DEEP_EXAMPLES, USUAL_EXAMPLES
from tests.property.exchange_ledger import PRODUCTS, ZERO, Ledger, key_of

DEEP_STEPS, USUAL_STEPS = 10_000, 250

START = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
ACCOUNTS = ("DU1234567", "DU7654321")
KEYS = ("AMD", "TSLA", "TSLA", "ESZ5", "TSLA251219C00400000")
TYPES = ("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC")
TIFS = ("DAY", "DAY", "DAY", "GTC", "IOC", "FOK", "GTD", "OPG")
CLOCKS = ("09:29:50", "12:00:00", "15:59:45", "18:00:00")
ROUNDING = Fraction(1, 1000)
"""How far cash may be from the ledger while a future is open: average cost is rounded."""

offsets = st.integers(-8, 8)
quantities = st.integers(1, 8)
picks = st.integers(0, 60)
actions = st.sampled_from(Action)
knobs = st.builds(
    BrokerSettings,
    accounts=st.just((ExtraAccount(account=ACCOUNTS[1], cash=Decimal(2_000_000)),)),
    cash=st.sampled_from((Decimal(2_000_000), Decimal(60_000))),
    market_hours=st.sampled_from(("always", "always", "sessions")),
    fill_split=st.sampled_from(((), (Decimal(2),), (Decimal(1), Decimal(3)))),
    liquidity_per_bar=st.sampled_from((None, None, Decimal(3))),
    cancel_after_bars=st.sampled_from((0, 0, 1, 2)),
    slippage=st.sampled_from((0, 0, 2)),
    fill_latency_bars=st.sampled_from((0, 0, 0, 1)),
    locate_after_bars=st.sampled_from((0, 0, 0, 2)),
    oca_overfill=st.booleans(),
)


class ExchangeMachine(RuleBasedStateMachine):
    """An exchange in the hands of clients, the market and trouble."""

    steps = 0
    """After which everything was compared, of all examples together."""

    @initialize(knob=knobs)
    def begin(self, knob: BrokerSettings) -> None:
        self.knob = knob
        self.exchange = Exchange(knob)
        self.ledger = Ledger({ACCOUNTS[0]: knob.cash, ACCOUNTS[1]: Decimal(2_000_000)})
        self.now = START
        self.ended: set[int] = set()
        self.perm_ids: list[int] = []
        self.touched: set[int] = set()
        """Orders that were changed in size, or whose executions were."""
        self.groups: dict[str, Decimal] = {}
        """OCA groups of equal members, and their size."""
        for key in PRODUCTS:
            self.play(key, 0, (0, 0, 0))

    # What can be done.

    def do(self, act: Callable[[datetime], tuple[ExchangeEvent, ...]]) -> None:
        """Do one thing and put its events into the ledger; the exchange may refuse by error."""
        self.now += timedelta(seconds=5)
        at_ib = {row.perm_id for row in self.exchange.live_orders() if row.transmitted}
        try:
            events = act(self.now)
        except ExchangeError:
            return
        for event in events:
            self.take(event)
        self.check_oca_block(events, at_ib)

    def take(self, event: ExchangeEvent) -> None:
        if isinstance(event, Filled):
            perm_id = event.order.perm_id
            if not event.corrects:
                assert perm_id not in self.ended, "a done order was filled"
            self.ledger.take(event)
            assert event.order.filled == self.ledger.filled(perm_id)
            account, key = event.execution.account, key_of(event.execution.contract)
            assert event.position_after == self.ledger.position(account, key)
            return
        self.ledger.take(event)
        if isinstance(event, OrderChanged):
            order = event.order
            if order.perm_id not in self.perm_ids:
                self.perm_ids.append(order.perm_id)
            if not order.live:
                self.ended.add(order.perm_id)
            else:
                assert order.perm_id not in self.ended, "a done order came back to life"

    def check_oca_block(self, events: tuple[ExchangeEvent, ...], at_ib: set[int]) -> None:
        """OCA type 1: what was at IB beside an order that filled is gone."""
        for event in events:
            if not isinstance(event, Filled) or event.corrects or event.order.terms.oca_type != 1:
                continue
            group = event.order.terms.oca_group
            for row in self.exchange.live_orders():
                peer = row.perm_id != event.order.perm_id and row.perm_id in at_ib
                assert not (group and peer and row.terms.oca_group == group)

    def price(self, key: str, offset: int) -> Decimal:
        _, base, _ = PRODUCTS[key]
        return Decimal(base + offset)

    def terms(self, key: str, action: Action, quantity: int, offset: int) -> OrderTerms:
        """Return a limit order near the market."""
        return OrderTerms(
            action=action,
            quantity=Decimal(quantity),
            order_type="LMT",
            limit_price=self.price(key, offset),
            account=ACCOUNTS[0],
        )

    def send(self, client: int, key: str, terms: OrderTerms) -> int:
        order_id = self.exchange.next_order_id(client)
        contract = PRODUCTS[key][0]
        self.do(lambda now: self.exchange.place(client, order_id, contract, terms, now=now))
        return order_id

    @rule(key=st.sampled_from(tuple(PRODUCTS)), action=actions, quantity=quantities)
    def trade(self, key: str, action: Action, quantity: int) -> None:
        """Buy or sell at the market."""
        terms = replace(self.terms(key, action, quantity, 0), order_type="MKT", limit_price=None)
        self.send(7, key, terms)

    @rule(
        client=st.sampled_from((7, 8)),
        key=st.sampled_from(KEYS),
        action=actions,
        quantity=quantities,
        order_type=st.sampled_from(TYPES),
        tif=st.sampled_from(TIFS),
        prices=st.tuples(offsets, offsets),
        account=st.sampled_from(ACCOUNTS),
        flags=st.tuples(st.booleans(), st.sampled_from((True, True, True, False))),
    )
    def place(
        self,
        client: int,
        key: str,
        action: Action,
        quantity: int,
        order_type: str,
        tif: str,
        prices: tuple[int, int],
        account: str,
        flags: tuple[bool, bool],
    ) -> None:
        trails = order_type in ("TRAIL", "TRAIL LIMIT")
        terms = replace(
            self.terms(key, action, quantity, prices[0]),
            order_type=order_type,
            limit_price=None if trails else self.price(key, prices[0]),
            aux_price=Decimal(2) if trails else self.price(key, prices[1]),
            tif=tif,
            good_till_date=f"{self.now + timedelta(minutes=2):%Y%m%d %H:%M:%S}",
            echoed=(("lmtPriceOffset", "1"),),
            account=account,
            outside_rth=flags[0],
            transmit=flags[1],
        )
        self.send(client, key, terms)

    @rule(
        action=actions,
        quantity=quantities,
        entry=st.one_of(st.none(), offsets),
        distance=st.integers(1, 6),
        oca_type=st.integers(0, 3),
        cut=st.integers(1, 12),
        part=st.integers(0, 4),
    )
    def bracket(
        self,
        action: Action,
        quantity: int,
        entry: int | None,
        distance: int,
        oca_type: int,
        cut: int,
        part: int,
    ) -> None:
        """Send an entry with a target and a stop, of which the entry may be filled in part.

        The client may die before the last leg.
        """
        exits = Action.SELL if action is Action.BUY else Action.BUY
        sign = distance if action is Action.BUY else -distance
        first = replace(self.terms("TSLA", action, quantity, entry or 0), transmit=False)
        if entry is None:
            first = replace(first, order_type="MKT", limit_price=None)
        target = self.terms("TSLA", exits, quantity, (entry or 0) + sign)
        stop = replace(
            self.terms("TSLA", exits, quantity, 0),
            order_type="STP",
            limit_price=None,
            aux_price=self.price("TSLA", (entry or 0) - sign),
        )
        parent = self.send(7, "TSLA", first)
        for number, leg in enumerate((replace(target, transmit=False), stop), 2):
            if cut >= number:
                self.send(7, "TSLA", replace(leg, parent_id=parent, oca_type=oca_type))
        view = self.exchange.order(7, parent)
        if view is not None and part:
            price = self.price("TSLA", entry or 0)
            self.do(lambda now: self.exchange.fill(view.perm_id, Decimal(part), price, now=now))

    @rule(
        action=actions,
        quantity=quantities,
        oca_type=st.sampled_from((1, 2, 3)),
        prices=st.lists(offsets, min_size=2, max_size=3),
        stops=st.booleans(),
    )
    def oca_group(
        self, action: Action, quantity: int, oca_type: int, prices: list[int], stops: bool
    ) -> None:
        group = f"group {self.now}"
        for offset in prices:
            terms = self.terms("TSLA", action, quantity, offset)
            if stops:
                terms = replace(terms, order_type="STP", aux_price=terms.limit_price)
            self.send(7, "TSLA", replace(terms, oca_group=group, oca_type=oca_type))
        # A member that comes after another one's fill starts with its whole size.
        if not any(row.filled for row in self.orders() if row.terms.oca_group == group):
            self.groups[group] = Decimal(quantity)

    @rule(key=st.sampled_from(KEYS), opened=offsets, others=st.tuples(offsets, offsets, offsets))
    def play(self, key: str, opened: int, others: tuple[int, int, int]) -> None:
        prices = [self.price(key, offset) for offset in (opened, *others)]
        bar = Bar(
            key,
            self.now,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=Decimal(100),
        )
        self.do(lambda now: self.exchange.on_bar(bar, now=now))

    @rule(pick=picks, offset=offsets, more=st.integers(-2, 3))
    def modify(self, pick: int, offset: int, more: int) -> None:
        live = self.exchange.live_orders()
        if not live:
            return
        old = live[pick % len(live)]
        if more:
            self.touched.add(old.perm_id)
        price = self.price(key_of(old.contract), offset)
        terms = replace(
            old.terms,
            quantity=old.terms.quantity + more,
            limit_price=old.terms.limit_price and price,
            aux_price=old.terms.aux_price and price,
            transmit=True,
        )
        contract = old.contract
        self.do(
            lambda now: self.exchange.place(old.client_id, old.order_id, contract, terms, now=now)
        )

    @rule(pick=picks)
    def split_on_modify(self, pick: int) -> None:
        live = [row for row in self.exchange.live_orders() if row.transmitted]
        if live:
            chosen = live[pick % len(live)]
            self.exchange.split_on_modify(chosen.perm_id)
            self.touched.add(chosen.perm_id)
            self.modify(self.exchange.live_orders().index(chosen), 0, 0)
            # The new order is beside the old one in whatever group that is in.
            self.touched |= {row.perm_id for row in self.exchange.live_orders()}

    @rule(client=st.sampled_from((7, 8)), back=st.integers(0, 12))
    def cancel(self, client: int, back: int) -> None:
        order_id = max(self.exchange.next_order_id(client) - 1 - back, 1)
        self.do(lambda now: self.exchange.cancel(client, order_id, now=now))

    @rule(chance=st.integers(0, 3))
    def global_cancel(self, chance: int) -> None:
        if chance == 0:
            self.do(lambda now: self.exchange.global_cancel(now=now))

    @rule(key=st.sampled_from(KEYS), opens=st.booleans(), offset=offsets, chance=st.integers(0, 1))
    def auction(self, key: str, opens: bool, offset: int, chance: int) -> None:
        """Go to the next opening or close and play the bar that has the auction."""
        if chance == 0:
            self.go_to("09:29:55" if opens else "15:59:50")
            self.play(key, offset, (offset, offset, offset))

    @rule(clock=st.sampled_from(CLOCKS), chance=st.integers(0, 2), closed=st.booleans())
    def pass_time(self, clock: str, chance: int, closed: bool) -> None:
        if chance:
            return
        if closed:
            self.do(lambda now: self.exchange.end_of_day(now=now))
        self.go_to(clock)
        self.do(lambda now: self.exchange.advance(now=now))

    def go_to(self, clock: str) -> None:
        """Move time to the next moment at which clocks in New York show this."""
        later = datetime.fromisoformat(f"{self.now.date()}T{clock}-04:00")
        self.now = later if later > self.now else later + timedelta(days=1)

    @rule(pick=picks, shares=quantities)
    def fill_by_hand(self, pick: int, shares: int) -> None:
        order = self.pick_order(pick)
        if order is not None:
            price = order.terms.limit_price or self.price(key_of(order.contract), 0)
            self.do(lambda now: self.exchange.fill(order.perm_id, Decimal(shares), price, now=now))

    @rule(pick=picks, expires=st.booleans())
    def end_by_hand(self, pick: int, expires: bool) -> None:
        order = self.pick_order(pick)
        if order is None:
            return
        if expires:
            self.do(lambda now: self.exchange.expire(order.perm_id, now=now))
        else:
            self.do(lambda now: self.exchange.reject(order.perm_id, 201, "no", now=now))

    @rule(action=actions, quantity=quantities)
    def manual_order(self, action: Action, quantity: int) -> None:
        stock = Contract("TSLA")
        self.do(lambda now: self.exchange.manual_order(stock, action, Decimal(quantity), now=now))

    @precondition(lambda self: self.ledger.trades)
    @rule(pick=picks, shares=quantities, offset=offsets)
    def correct(self, pick: int, shares: int, offset: int) -> None:
        line = list(self.ledger.trades.values())[pick % len(self.ledger.trades)]
        self.touched.add(line.record.perm_id)
        exec_id, price = line.record.exec_id, self.price(line.key, offset)
        self.do(lambda now: self.exchange.correct(exec_id, Decimal(shares), price, now=now))

    @precondition(lambda self: self.ledger.trades)
    @rule(pick=picks)
    def bust(self, pick: int) -> None:
        line = list(self.ledger.trades.values())[pick % len(self.ledger.trades)]
        self.touched.add(line.record.perm_id)
        # The ledger strikes the trade out by itself: no event carries it.
        del self.ledger.trades[line.record.exec_id]
        self.do(lambda now: self.exchange.bust(line.record.exec_id, now=now))

    @rule(client=st.sampled_from((7, 8)), count=st.integers(0, 2))
    def forget_ids(self, client: int, count: int) -> None:
        before = self.exchange.next_order_id(client)
        after = self.exchange.forget_received_ids(client, count)
        assert max(before - count, 1) == after

    @rule()
    def lose_untransmitted(self) -> None:
        lost = self.exchange.lose_untransmitted()
        assert all(self.ledger.filled(perm_id) == 0 for perm_id in lost)
        self.perm_ids = [perm_id for perm_id in self.perm_ids if perm_id not in lost]

    @rule(seconds=st.sampled_from((1, 5, 20, 60)))
    def take_back(self, seconds: int) -> None:
        """Lose what clients have sent last; what has filled is not among it."""
        self.now += timedelta(seconds=5)
        since = self.now - timedelta(seconds=seconds)
        events = self.exchange.take_back(since, now=self.now)
        changed = [event for event in events if isinstance(event, OrderChanged)]
        gone = [event.order for event in changed if event.event is OrderEvent.LOST]
        assert all(self.ledger.filled(order.perm_id) == 0 for order in gone)
        lost = {order.perm_id for order in gone}
        back = {it.order.perm_id for it in changed if it.event is OrderEvent.RESTORED}
        self.ended -= lost | back
        for event in events:
            if not (isinstance(event, OrderChanged) and event.order.perm_id in lost):
                self.take(event)
        self.perm_ids = [perm_id for perm_id in self.perm_ids if perm_id not in lost]

    @rule()
    def restore(self) -> None:
        before = self.exchange.snapshot()
        self.exchange = Exchange(self.knob)
        self.exchange.restore(before)

    def pick_order(self, pick: int) -> OrderView | None:
        live = self.exchange.live_orders()
        return live[pick % len(live)] if live else None

    # What always holds.

    @invariant()
    def cash_is_what_the_ledger_says(self) -> None:
        ExchangeMachine.steps += 1
        for account in ACCOUNTS:
            told, expected = self.exchange.cash_of(account), self.ledger.cash(account)
            if self.ledger.position(account, "ESZ5"):
                assert abs(Fraction(told) - expected) < ROUNDING
            else:
                assert Fraction(told) == expected

    @invariant()
    def positions_are_what_the_ledger_says(self) -> None:
        rows = self.exchange.positions()
        told = {(row.account, key_of(row.contract)): row.quantity for row in rows}
        assert len(told) == len(rows)
        for account in ACCOUNTS:
            for key in PRODUCTS:
                assert told.get((account, key), ZERO) == self.ledger.position(account, key)

    @invariant()
    def executions_are_those_of_the_ledger(self) -> None:
        told = {row.execution.exec_id: row for row in self.exchange.executions()}
        today = [
            key for key, line in self.ledger.trades.items() if line.record.time.date() == self.day()
        ]
        assert list(told) == today
        for key, row in told.items():
            assert row.execution == self.ledger.trades[key].record
            assert row.commission == self.ledger.trades[key].commission >= 0

    def day(self) -> object:
        """Return the day that the exchange last heard of: every step tells it the time."""
        return self.now.date()

    @invariant()
    def an_order_is_filled_or_cancelled_and_never_both(self) -> None:
        for perm_id in self.perm_ids:
            order = self.exchange.order_by_perm(perm_id)
            assert order is not None
            assert order.filled == self.ledger.filled(perm_id)
            assert order.filled + order.remaining == order.terms.quantity
            assert order.live == (perm_id not in self.ended)
            if order.status in (OrderStatus.CANCELLED, OrderStatus.INACTIVE):
                assert order.filled < order.terms.quantity
            if order.live:
                assert order.filled < order.terms.quantity
            if order.status is OrderStatus.FILLED and perm_id not in self.touched:
                assert order.filled == order.terms.quantity

    @invariant()
    def an_oca_group_does_not_fill_more_than_one_of_its_members(self) -> None:
        for group, size in self.groups.items():
            rows = [row for row in self.orders() if row.terms.oca_group == group]
            if not rows or self.touched & {row.perm_id for row in rows}:
                continue
            if rows[0].terms.oca_type == 3 and self.knob.oca_overfill:
                continue
            assert sum(row.filled for row in rows) <= size

    @invariant()
    def a_bracket_sells_no_more_than_it_bought(self) -> None:
        by_parent: dict[int, list[OrderView]] = {}
        for row in self.orders():
            if row.parent_perm_id is not None:
                by_parent.setdefault(row.parent_perm_id, []).append(row)
        for parent_id, children in by_parent.items():
            parent = self.exchange.order_by_perm(parent_id)
            assert parent is not None
            if not parent.live and not parent.filled and parent_id not in self.touched:
                assert not any(row.live for row in children)
            if self.touched & {parent_id, *(row.perm_id for row in children)}:
                continue
            assert all(row.filled <= parent.filled for row in children)
            late = self.knob.oca_overfill and any(row.terms.oca_type == 3 for row in children)
            if not late:
                assert sum(row.filled for row in children) <= parent.filled

    def orders(self) -> list[OrderView]:
        found = [self.exchange.order_by_perm(perm_id) for perm_id in self.perm_ids]
        return [row for row in found if row is not None]


IS_DEEP = settings.get_current_profile_name() == DEEP


class TestExchangeMachine(ExchangeMachine.TestCase):  # type: ignore[misc, valid-type]  # a class made at run time
    """The machine as a test, which has to take as many steps as it says."""

    def runTest(self) -> None:  # noqa: N802 - unittest's name
        before = ExchangeMachine.steps
        super().runTest()
        assert ExchangeMachine.steps - before >= (DEEP_STEPS if IS_DEEP else USUAL_STEPS)


TestExchangeMachine.settings = settings(
    max_examples=DEEP_EXAMPLES if IS_DEEP else USUAL_EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
