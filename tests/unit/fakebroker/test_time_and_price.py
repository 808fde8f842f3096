"""Time that passes without the tape, and trades off the tape."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from fakebroker.breakpoint import PointError
from fakebroker.broker import Broker
from fakebroker.control_messages import Books, Point
from fakebroker.durable import Durable
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.hours import ends_between
from fakebroker.faults.wire import RefuseConnections
from fakebroker.journal import Journal
from fakebroker.market.postpone import PostponeError, later
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.outbox import AcceptConnections
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms
from tests.support.brokers import tape_text
from tests.unit.fakebroker.protocol.wire import opening

TAPE = parse_tape(tape_text(("100", "100", "100", "100")), name="tape")
START = TAPE.bars[0].time
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def broker_with(
    *orders: tuple[str, str, str, str],
    settings: BrokerSettings | None = None,
    lines: list[str] | None = None,
) -> Broker:
    """Return a broker after its first bar, with orders of action, type, price and time in force."""
    settings = settings or BrokerSettings()
    exchange = Exchange(settings)
    for number, (action, kind, price, tif) in enumerate(orders, start=1):
        name = "aux_price" if kind == "STP" else "limit_price"
        terms = OrderTerms(
            Action(action),
            Decimal(10),
            kind,
            tif=tif,
            **{name: Decimal(price)},  # type: ignore[arg-type]  # the name is one of the prices
        )
        exchange.place(1, number, Contract("TSLA"), terms, now=START)
    journal = Journal(([] if lines is None else lines).append)
    broker = Broker(settings, Market(TAPE), start=START, journal=journal)
    broker.reopen(Durable(START, 0, exchange.book))
    broker.step()
    return broker


def statuses(books: Books) -> list[str]:
    return [order.status for order in books.orders]


def ends(lines: list[str]) -> list[tuple[str, str]]:
    """Return when orders ended, and why."""
    records = [json.loads(line) for line in lines]
    return [(row["time"][:19], row["reason"]) for row in records if row.get("reason")]


def fills(broker: Broker) -> list[tuple[Decimal, Decimal]]:
    return [(row.shares, row.price) for row in broker.books(broker.now).executions]


def test_what_is_left_of_the_tape_comes_as_much_later() -> None:
    broker = broker_with()
    before, due = broker.now, broker.next_deadline()
    assert due is not None

    broker.pass_time(HOUR)

    assert broker.now == before + HOUR
    assert broker.next_deadline() == due + HOUR
    assert (broker.postponed, broker.bars_played) == (HOUR, 1)
    assert broker.step()[0].time == due + HOUR
    assert broker.bars_left == 2


def test_only_whole_bars_can_pass_so_that_bars_begin_where_they_did() -> None:
    broker = broker_with()
    with pytest.raises(PostponeError, match="whole bars of 0:00:05"):
        broker.pass_time(timedelta(seconds=7))
    assert broker.postponed == timedelta(0)


def test_time_does_not_pass_while_the_broker_stands_still() -> None:
    broker = broker_with()
    broker.break_at(Point(direction="in", message="startApi", occurrence=1, moment="processed"))
    broker.connect(1, broker.now)
    broker.receive(1, opening(176), broker.now)
    with pytest.raises(PointError, match="stands still"):
        broker.pass_time(HOUR)


def test_what_a_fault_has_left_to_do_happens_meanwhile() -> None:
    broker = broker_with()
    broker.inject(RefuseConnections(seconds=timedelta(minutes=1)), broker.now)
    assert any(isinstance(effect, AcceptConnections) for effect in broker.pass_time(HOUR))


def test_orders_of_the_day_are_gone_the_next_day_and_others_live_on() -> None:
    broker = broker_with(("BUY", "LMT", "80", "DAY"), ("BUY", "LMT", "70", "GTC"))
    broker.pass_time(HOUR)
    assert statuses(broker.books(broker.now)) == ["Submitted", "Submitted"]
    broker.pass_time(DAY)
    assert statuses(broker.books(broker.now)) == ["Cancelled", "Submitted"]
    broker.pass_time(DAY)
    assert statuses(broker.books(broker.now)) == ["Submitted"]


def test_an_order_ends_when_its_time_is_over_and_not_when_the_bot_comes_back() -> None:
    lines: list[str] = []
    broker = broker_with(("BUY", "LMT", "80", "DAY"), lines=lines)
    broker.pass_time(DAY)
    why = "Order Canceled - reason:the trading day is over"
    assert ends(lines) == [("2025-10-07T00:00:00", why)]

    lines = []
    settings = BrokerSettings(market_hours="sessions")
    broker = broker_with(("BUY", "LMT", "80", "DAY"), settings=settings, lines=lines)
    broker.pass_time(DAY)
    why = "Order Canceled - reason:its time in force is over"
    assert ends(lines) == [("2025-10-06T16:00:00", why)]


def test_with_sessions_an_order_of_the_day_ends_with_its_session() -> None:
    settings = BrokerSettings(market_hours="sessions")
    broker = broker_with(("BUY", "LMT", "80", "DAY"), settings=settings)
    broker.pass_time(5 * HOUR)
    assert statuses(broker.books(broker.now)) == ["Submitted"]
    broker.pass_time(2 * HOUR)
    assert statuses(broker.books(broker.now)) == ["Cancelled"]


def test_an_hour_is_an_hour_while_the_clocks_change() -> None:
    saturday = datetime.fromisoformat("2025-11-01T10:00:00-04:00")
    sunday = later(saturday, DAY)
    assert sunday.isoformat() == "2025-11-02T09:00:00-05:00"
    assert sunday - saturday == DAY
    spring = later(datetime.fromisoformat("2026-03-07T10:00:00-05:00"), DAY)
    assert spring.isoformat() == "2026-03-08T11:00:00-04:00"


def test_days_and_sessions_end_in_their_order() -> None:
    start = datetime.fromisoformat("2025-11-01T17:00:00-04:00")
    ends = ends_between(start, later(start, DAY))
    assert [end.isoformat(timespec="seconds") for end in ends] == [
        "2025-11-01T20:00:00-04:00",
        "2025-11-02T00:00:00-04:00",
    ]


def test_a_gap_fills_a_stop_where_it_lands() -> None:
    broker = broker_with(("SELL", "STP", "95", "GTC"))
    broker.trade("TSLA", Decimal(90), jumps=True, now=broker.now)
    assert fills(broker) == [(Decimal(10), Decimal(90))]
    assert broker.books(broker.now).last_prices == {"TSLA": Decimal(90)}


def test_a_walk_fills_a_stop_at_its_price() -> None:
    broker = broker_with(("SELL", "STP", "95", "GTC"))
    broker.trade("TSLA", Decimal(90), jumps=False, now=broker.now)
    assert fills(broker) == [(Decimal(10), Decimal(95))]


def test_a_stock_without_a_market_cannot_trade() -> None:
    broker = broker_with()
    with pytest.raises(ExchangeError, match="NVDA has no market yet"):
        broker.trade("NVDA", Decimal(90), jumps=True, now=broker.now)


def test_the_tape_goes_on_from_a_price_off_it() -> None:
    broker = broker_with(("SELL", "STP", "95", "GTC"))
    broker.trade("TSLA", Decimal(97), jumps=True, now=broker.now)
    broker.step()
    assert fills(broker) == []
    assert broker.books(broker.now).last_prices == {"TSLA": Decimal(100)}


def test_an_order_is_expired_rejected_and_cancelled_by_hand() -> None:
    lines: list[str] = []
    broker = broker_with(*[("BUY", "LMT", "80", "GTC")] * 3, lines=lines)
    first, second, third = (order.perm_id for order in broker.books(broker.now).orders)
    broker.expire(first, now=broker.now)
    broker.reject(second, 201, "too late", now=broker.now)
    broker.cancel(third, now=broker.now, by_hand=True)
    assert statuses(broker.books(broker.now)) == ["Cancelled", "Inactive", "Cancelled"]
    words = "Order Canceled - reason:"
    reasons = [f"{words}its time in force is over", "too late", words]
    assert [reason for _, reason in ends(lines)] == reasons
    with pytest.raises(ExchangeError, match="it is Cancelled already"):
        broker.expire(first, now=broker.now)


def test_the_clock_goes_on_to_what_is_due_and_plays_nothing() -> None:
    broker = broker_with()
    before, due = broker.now, broker.next_deadline()
    assert due is not None
    broker.advance(before + timedelta(seconds=1))
    assert broker.now == before + timedelta(seconds=1)
    assert broker.now.utcoffset() == before.utcoffset()
    broker.advance(due)
    assert (broker.now, broker.next_deadline(), broker.bars_played) == (due, due, 1)
    broker.step()
    assert (broker.now, broker.bars_played) == (due, 2)


def test_the_clock_does_not_go_on_past_what_is_due_nor_back() -> None:
    broker = broker_with()
    due = broker.next_deadline()
    assert due is not None
    with pytest.raises(PostponeError, match="which a step plays"):
        broker.advance(due + timedelta(seconds=1))
    with pytest.raises(PostponeError, match="has passed"):
        broker.advance(broker.now - timedelta(seconds=1))
