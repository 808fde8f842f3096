"""Sessions, auctions, times in force, and the way of an order to the exchange."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from fakebroker.exchange.events import ExchangeEvent, OrderChanged
from fakebroker.exchange.hours import hours_text, opening_at_or_after, regular_hours
from fakebroker.exchange.timing import good_till
from fakebroker.settings import BrokerSettings
from fakebroker.values import Contract
from tests.unit.fakebroker.exchange.desk import Desk, changes, fills, make_bar, refusals

SESSIONS = BrokerSettings(market_hours="sessions")
BEFORE = "2025-10-06T08:00:00-04:00"
OPEN = "2025-10-06T09:30:00-04:00"
LAST_BAR = "2025-10-06T15:59:55-04:00"
EVENING = "2025-10-06T17:00:00-04:00"
FRIDAY_EVENING = "2025-10-10T17:00:00-04:00"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def desk_at(time: str, settings: BrokerSettings = SESSIONS) -> Desk:
    """Return a desk at a time; prices stand at 100 from a bar before."""
    desk = Desk(settings)
    desk.now = at(time)
    desk.exchange.on_bar(make_bar(100, 100, 100, 100, time=desk.now), now=desk.tick())
    return desk


def play(desk: Desk, time: str, *prices: int) -> list[ExchangeEvent]:
    """Play a bar of five seconds that starts at a time."""
    start = at(time)
    desk.now = start + timedelta(seconds=5)
    return list(desk.exchange.on_bar(make_bar(*prices, time=start), now=desk.now))


def test_an_order_outside_hours_gets_399_and_waits_as_pre_submitted_for_the_open() -> None:
    desk = desk_at(BEFORE)
    (event,) = desk.place(1, "BUY", 10, "LMT", limit_price="100")
    assert isinstance(event, OrderChanged)
    assert event.code == 399
    assert "until 2025-10-06 09:30:00 US/Eastern" in event.reason
    assert desk.status(1) == "PreSubmitted"
    assert fills(play(desk, "2025-10-06T09:29:55-04:00", 99, 99, 99, 99)) == []
    events = play(desk, OPEN, 98, 98, 98, 98)
    assert changes(events) == [(1, "activated"), (1, "filled")]
    assert fills(events) == [(1, "BOT", "10", "98")]


def test_a_limit_that_does_not_fill_at_the_open_is_submitted_then() -> None:
    desk = desk_at(BEFORE)
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    play(desk, OPEN, 98, 98, 98, 98)
    assert desk.status(1) == "Submitted"


@pytest.mark.parametrize("order_type", ["MKT", "STP", "LMT"])
def test_nothing_trades_outside_hours_without_outside_rth(order_type: str) -> None:
    desk = desk_at(BEFORE)
    desk.place(1, "SELL", 10, order_type, aux_price="101", limit_price="90")
    assert fills(play(desk, "2025-10-06T09:00:00-04:00", 100, 102, 80, 100)) == []
    assert [row[0] for row in fills(play(desk, OPEN, 100, 100, 100, 100))] == [1]


@pytest.mark.parametrize("order_type", ["STP", "LMT"])
def test_stops_and_limits_with_outside_rth_trade_in_the_extended_session(order_type: str) -> None:
    desk = desk_at(BEFORE)
    (event, *_) = desk.place(
        1, "SELL", 10, order_type, aux_price="95", limit_price="101", outside_rth=True
    )
    assert isinstance(event, OrderChanged)
    assert event.code is None
    assert len(fills(play(desk, "2025-10-06T09:00:00-04:00", 100, 102, 80, 100))) == 1


def test_outside_rth_of_a_market_order_is_ignored_with_2109() -> None:
    desk = desk_at("2025-10-06T10:00:00-04:00")
    (event, *_) = desk.place(1, "BUY", 10, outside_rth=True)
    assert isinstance(event, OrderChanged)
    assert event.code == 2109
    desk = desk_at(BEFORE)
    desk.place(1, "BUY", 10, outside_rth=True)
    assert desk.held() == 0


def test_by_default_the_market_is_open_whenever_it_has_a_price() -> None:
    desk = desk_at(BEFORE, BrokerSettings())
    (event, *_) = desk.place(1, "BUY", 10, outside_rth=True)
    assert isinstance(event, OrderChanged)
    assert event.code is None
    assert desk.held() == 10


def test_a_day_order_ends_with_its_session_and_one_of_the_evening_with_the_next() -> None:
    desk = desk_at("2025-10-06T10:00:00-04:00")
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    assert changes(play(desk, LAST_BAR, 100, 100, 100, 100)) == [(1, "cancelled")]
    desk.now = at(FRIDAY_EVENING)
    desk.place(2, "BUY", 10, "LMT", limit_price="90")
    desk.exchange.advance(now=at("2025-10-13T09:00:00-04:00"))
    assert desk.status(2) == "PreSubmitted"
    desk.exchange.advance(now=at("2025-10-13T16:00:01-04:00"))
    assert desk.status(2) == "Cancelled"


@pytest.mark.parametrize("settings", [SESSIONS, BrokerSettings()])
def test_on_close_orders_fill_with_the_bar_that_ends_at_the_close(settings: BrokerSettings) -> None:
    desk = desk_at("2025-10-06T15:00:00-04:00", settings)
    desk.place(1, "BUY", 10, "MOC")
    desk.place(2, "BUY", 10, "LOC", limit_price="102")
    desk.place(3, "BUY", 10, "LOC", limit_price="101")
    assert desk.status(1) == desk.status(2) == "PreSubmitted"
    assert fills(play(desk, "2025-10-06T15:59:50-04:00", 100, 100, 90, 100)) == []
    events = play(desk, LAST_BAR, 100, 103, 99, 102)
    assert fills(events) == [(1, "BOT", "10", "102"), (2, "BOT", "10", "102")]
    assert changes(events)[-1] == (3, "cancelled")


def test_an_on_close_order_after_the_close_is_for_the_next_day() -> None:
    desk = desk_at(EVENING, BrokerSettings())
    desk.place(1, "BUY", 10, "MOC")
    assert fills(play(desk, "2025-10-07T10:00:00-04:00", 100, 100, 100, 100)) == []
    assert len(fills(play(desk, "2025-10-07T15:59:55-04:00", 100, 100, 100, 100))) == 1


@pytest.mark.parametrize("settings", [SESSIONS, BrokerSettings()])
def test_opening_orders_fill_with_the_first_regular_bar_or_end(settings: BrokerSettings) -> None:
    desk = desk_at(EVENING, settings)
    desk.place(1, "BUY", 10, tif="OPG")
    desk.place(2, "BUY", 10, "LMT", limit_price="99", tif="OPG")
    assert fills(play(desk, "2025-10-07T09:00:00-04:00", 90, 90, 90, 90)) == []
    events = play(desk, "2025-10-07T09:30:00-04:00", 100, 100, 95, 98)
    assert fills(events) == [(1, "BOT", "10", "100")]
    assert changes(events)[-1] == (2, "cancelled")


def test_an_opening_order_of_the_day_waits_for_the_next_opening() -> None:
    desk = desk_at("2025-10-06T10:00:00-04:00", BrokerSettings())
    desk.place(1, "BUY", 10, tif="OPG")
    assert fills(play(desk, "2025-10-06T10:00:05-04:00", 100, 100, 100, 100)) == []
    assert len(fills(play(desk, "2025-10-07T09:30:00-04:00", 100, 100, 100, 100))) == 1


def test_an_opening_order_that_came_after_the_opening_is_not_in_its_auction() -> None:
    desk = desk_at(EVENING, BrokerSettings())
    desk.place(1, "BUY", 10, tif="OPG")
    desk.now = at("2025-10-07T09:31:00-04:00")
    desk.place(2, "BUY", 10, tif="OPG")
    events = play(desk, "2025-10-07T09:31:05-04:00", 100, 100, 100, 100)
    assert fills(events) == [(1, "BOT", "10", "100")]
    assert desk.status(2) == "PreSubmitted"


def test_fok_fills_whole_or_not_at_all_and_ioc_takes_what_there_is() -> None:
    desk = desk_at(OPEN, BrokerSettings(liquidity_per_bar=Decimal(5)))
    assert changes(desk.place(1, "BUY", 10, tif="FOK")) == [(1, "accepted"), (1, "cancelled")]
    assert fills(desk.place(2, "BUY", 5, tif="FOK")) == [(2, "BOT", "5", "100")]
    assert fills(desk.place(3, "BUY", 10, tif="IOC")) == [(3, "BOT", "5", "100")]
    assert changes(desk.place(4, "BUY", 5, "LMT", limit_price="99", tif="FOK"))[-1] == (
        4,
        "cancelled",
    )
    assert desk.exchange.live_orders() == ()


def test_an_immediate_order_outside_hours_waits_for_the_open() -> None:
    desk = desk_at(BEFORE)
    desk.place(1, "BUY", 10, "LMT", limit_price="99", tif="IOC")
    assert desk.status(1) == "PreSubmitted"
    assert changes(play(desk, OPEN, 100, 100, 100, 100))[-1] == (1, "cancelled")


def test_a_good_till_date_order_lives_until_then_over_days() -> None:
    desk = desk_at(OPEN, BrokerSettings())
    desk.place(1, "BUY", 10, "LMT", limit_price="90", tif="GTD", good_till_date="20251007 12:00:00")
    desk.exchange.end_of_day(now=at("2025-10-06T16:00:00-04:00"))
    desk.exchange.advance(now=at("2025-10-07T11:59:59-04:00"))
    assert desk.status(1) == "Submitted"
    assert changes(desk.exchange.advance(now=at("2025-10-07T12:00:01-04:00"))) == [(1, "cancelled")]


def test_an_order_is_not_filled_by_the_bar_that_starts_when_it_lapses() -> None:
    desk = desk_at(OPEN, BrokerSettings())
    desk.place(1, "BUY", 10, "LMT", limit_price="90", tif="GTD", good_till_date="20251006 09:31:00")
    events = play(desk, "2025-10-06T09:31:00-04:00", 80, 80, 80, 80)
    assert changes(events) == [(1, "cancelled")]
    assert fills(events) == []


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "20251307", "20251007 25:00:00", "20251007 1 X/Y"]
)
def test_a_good_till_date_that_is_none_is_321(text: str) -> None:
    desk = desk_at(OPEN, BrokerSettings())
    assert refusals(desk.place(1, "BUY", 1, tif="GTD", good_till_date=text)) == [321]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20251007", "2025-10-07T23:59:59-04:00"),
        ("20251007 9:30", "2025-10-07T09:30:00-04:00"),
        ("20251007 09:30:05 US/Eastern", "2025-10-07T09:30:05-04:00"),
        ("20251007-13:30:00", "2025-10-07T13:30:00+00:00"),
        ("20251007 09:30:00 Europe/Berlin", "2025-10-07T09:30:00+02:00"),
    ],
)
def test_a_good_till_date_is_read_as_ib_writes_it(text: str, expected: str) -> None:
    assert good_till(text) == at(expected)


@pytest.mark.parametrize(
    ("order_type", "tif"), [("MOC", "IOC"), ("LOC", "GTD"), ("MOC", "OPG"), ("STP", "OPG")]
)
def test_a_time_in_force_that_the_type_has_not_is_321(order_type: str, tif: str) -> None:
    desk = desk_at(OPEN, BrokerSettings())
    placed = desk.place(1, "BUY", 1, order_type, tif=tif, limit_price="90", aux_price="110")
    assert refusals(placed) == [321]


def test_market_orders_slip_by_the_ticks_of_the_settings_and_limits_do_not() -> None:
    desk = desk_at(OPEN, BrokerSettings(slippage=3))
    assert fills(desk.place(1, "BUY", 10)) == [(1, "BOT", "10", "100.03")]
    assert fills(desk.place(2, "SELL", 10)) == [(2, "SLD", "10", "99.97")]
    assert fills(desk.place(3, "BUY", 10, "LMT", limit_price="101")) == [(3, "BOT", "10", "100")]
    desk.place(4, "SELL", 10, "STP", aux_price="95")
    assert fills(desk.bar(100, 100, 90, 90)) == [(4, "SLD", "10", "94.97")]


def test_an_order_needs_so_many_bars_to_the_exchange() -> None:
    desk = desk_at(OPEN, BrokerSettings(fill_latency_bars=2))
    desk.place(1, "BUY", 10)
    desk.place(2, "SELL", 10, "STP", aux_price="99")
    assert fills(desk.bar(100, 100, 90, 100)) == []
    assert fills(desk.bar(100, 101, 90, 101)) == [(1, "BOT", "10", "101")]
    assert fills(desk.bar(101, 101, 90, 101)) == [(2, "SLD", "10", "99")]


def test_an_order_needs_so_much_time_to_the_exchange() -> None:
    desk = desk_at(OPEN, BrokerSettings(fill_latency=timedelta(seconds=3)))
    desk.place(1, "BUY", 10, tif="IOC")
    assert fills(desk.price(101)) == []
    assert fills(desk.price(102)) == []
    # The bar is over three seconds after the order was sent, and then it acts.
    assert fills(desk.bar(103, 103, 103, 104)) == [(1, "BOT", "10", "104")]


def test_a_trailing_limit_follows_and_then_works_at_its_limit() -> None:
    desk = desk_at(OPEN, BrokerSettings())
    offset = (("lmtPriceOffset", "0.5"),)
    desk.place(1, "SELL", 10, "TRAIL LIMIT", aux_price="2", echoed=offset)
    assert desk.status(1) == "PreSubmitted"
    desk.price(110)
    terms = desk.view(1).terms
    assert (terms.trail_stop_price, terms.limit_price) == (Decimal(108), Decimal("107.5"))
    desk.price(107)
    assert desk.status(1) == "Submitted"
    assert fills(desk.price("107.5")) == [(1, "SLD", "10", "107.5")]


def test_a_trailing_limit_takes_its_distance_from_stop_and_limit_or_is_refused() -> None:
    desk = desk_at(OPEN, BrokerSettings())
    assert refusals(desk.place(1, "BUY", 10, "TRAIL LIMIT", aux_price="2")) == [321]
    desk.place(
        2, "BUY", 10, "TRAIL LIMIT", aux_price="2", trail_stop_price="102", limit_price="103"
    )
    desk.price(90)
    terms = desk.view(2).terms
    assert (terms.trail_stop_price, terms.limit_price) == (Decimal(92), Decimal(93))
    assert fills(desk.bar(90, 95, 90, 95)) == [(2, "BOT", "10", "92")]


def test_hours_around_the_clock_have_a_break_and_begin_on_sunday() -> None:
    globex = regular_hours("FUT")
    assert hours_text(globex, date(2025, 10, 10)).startswith(
        "20251009:1800-20251010:1700;20251011:CLOSED;20251012:CLOSED;20251012:1800-20251013:1700"
    )
    assert opening_at_or_after(globex, at("2025-10-11T12:00:00-04:00")) == at(
        "2025-10-12T18:00:00-04:00"
    )
    desk = Desk(SESSIONS)
    desk.now = at("2025-10-07T17:30:00-04:00")
    es = Contract(symbol="", sec_type="FUT", local_symbol="ESZ5", exchange="CME")
    desk.exchange.on_bar(make_bar(*[6700] * 4, symbol="ESZ5", time=desk.now), now=desk.tick())
    desk.place(1, "BUY", 1, contract=es)
    assert desk.status(1) == "PreSubmitted"
    desk.now = at("2025-10-07T18:00:00-04:00")
    assert len(fills(desk.bar(6700, 6700, 6700, 6700, symbol="ESZ5"))) == 1
