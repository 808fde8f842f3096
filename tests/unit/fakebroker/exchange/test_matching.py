"""What the market does to single orders."""

from decimal import Decimal

import pytest

from fakebroker.exchange.matching import bar_path
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, fills, make_bar


def test_a_bar_goes_to_the_nearer_extreme_first() -> None:
    assert bar_path(make_bar(100, 101, 90, 95)) == amounts(100, 101, 90, 95)
    assert bar_path(make_bar(100, 110, 99, 105)) == amounts(100, 99, 110, 105)


def test_a_bar_with_equally_near_extremes_goes_to_the_high_first() -> None:
    assert bar_path(make_bar(100, 105, 95, 100)) == amounts(100, 105, 95, 100)


def test_a_market_order_fills_at_once_at_the_last_price() -> None:
    desk = Desk()
    desk.bar(100, 102, 99, 101)
    events = desk.place(1, "BUY", 100)
    assert fills(events) == [(1, "BOT", "100", "101")]
    assert changes(events) == [(1, "accepted"), (1, "filled")]
    assert desk.status(1) == "Filled"


def test_a_market_order_without_a_market_waits_for_the_first_price() -> None:
    desk = Desk()
    assert fills(desk.place(1, "BUY", 100)) == []
    assert desk.status(1) == "PreSubmitted"
    assert fills(desk.bar(103, 110, 102, 104)) == [(1, "BOT", "100", "103")]


def test_a_stock_without_bars_trades_at_the_price_of_the_settings() -> None:
    desk = Desk(BrokerSettings(price_without_tape=Decimal(100)))
    assert fills(desk.place(1, "BUY", 10)) == [(1, "BOT", "10", "100")]


def test_a_limit_order_waits_until_the_path_reaches_its_price_and_fills_there() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="98.50")
    assert desk.status(1) == "Submitted"
    assert fills(desk.bar(100, 101, "98.51", 99)) == []
    assert fills(desk.bar(99, 99, 98, 98)) == [(1, "BOT", "100", "98.50")]


def test_a_limit_order_that_the_market_gaps_through_fills_at_the_open() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="98.50")
    assert fills(desk.bar(97, 99, 96, 98)) == [(1, "BOT", "100", "97")]


def test_a_marketable_limit_order_fills_at_the_better_market_price() -> None:
    desk = Desk()
    desk.price(100)
    assert fills(desk.place(1, "SELL", 5, "LMT", limit_price="90")) == [(1, "SLD", "5", "100")]


def test_a_stop_stays_presubmitted_until_the_path_touches_it_and_fills_there() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    desk.place(2, "SELL", 100, "STP", aux_price="95.25")
    assert desk.status(2) == "PreSubmitted"
    assert desk.view(2).working is True
    desk.bar(100, 101, "95.26", 100)
    assert desk.status(2) == "PreSubmitted"
    events = desk.bar(100, 101, 94, 94)
    assert fills(events) == [(2, "SLD", "100", "95.25")]
    assert changes(events) == [(2, "triggered"), (2, "filled")]


def test_a_stop_that_the_market_gaps_through_fills_at_the_open() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    desk.place(2, "SELL", 100, "STP", aux_price="95")
    assert fills(desk.bar(90, 92, 89, 91)) == [(2, "SLD", "100", "90")]


def test_a_buy_stop_is_triggered_from_below() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "STP", aux_price="105")
    assert fills(desk.bar(100, 104, 99, 104)) == []
    assert fills(desk.bar(104, 106, 104, 104)) == [(1, "BOT", "10", "105")]


def test_a_stop_limit_is_triggered_and_then_waits_for_its_limit() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 10, "STP LMT", aux_price="95", limit_price="94")
    events = desk.bar(90, 91, 89, 91)
    assert changes(events) == [(1, "triggered")]
    assert desk.status(1) == "Submitted"
    assert fills(desk.bar(91, 96, 91, 96)) == [(1, "SLD", "10", "94")]


def test_a_stop_limit_in_a_moving_market_fills_at_its_trigger() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 10, "STP LMT", aux_price="95", limit_price="94")
    assert fills(desk.bar(100, 100, 93, 93)) == [(1, "SLD", "10", "95")]


@pytest.mark.parametrize(
    ("order_type", "limit", "price"), [("MIT", None, "95"), ("LIT", "95.50", "95.50")]
)
def test_an_if_touched_order_acts_on_the_favourable_side(
    order_type: str, limit: str | None, price: str
) -> None:
    desk = Desk()
    desk.price(94)
    desk.place(1, "SELL", 10, order_type, aux_price="95", limit_price=limit)
    assert desk.status(1) == "PreSubmitted"
    assert fills(desk.bar(94, 96, 93, 96)) == [(1, "SLD", "10", price)]


def test_a_trailing_stop_follows_the_high_and_never_goes_back() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 10, "TRAIL", aux_price="5")
    assert desk.view(1).terms.trail_stop_price == 95
    desk.bar(100, 110, 99, 108)
    assert desk.view(1).terms.trail_stop_price == 105
    desk.price(106)
    assert desk.view(1).terms.trail_stop_price == 105
    assert fills(desk.bar(106, 107, 104, 104)) == [(1, "SLD", "10", "105")]


def test_a_trailing_stop_follows_within_one_bar() -> None:
    """Up to 120, so the stop is at 114 when the market comes back to it."""
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 10, "TRAIL", trailing_percent="5")
    assert fills(desk.bar(100, 120, 99, 100)) == [(1, "SLD", "10", "114.00")]


def test_a_buy_trail_follows_the_low() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "TRAIL", aux_price="5", trail_stop_price="103")
    assert desk.view(1).terms.trail_stop_price == 103
    assert fills(desk.bar(100, 101, 90, 96)) == [(1, "BOT", "10", "95")]


def test_a_market_order_is_cut_into_the_sizes_of_the_settings() -> None:
    desk = Desk(BrokerSettings(fill_split=(Decimal(60), Decimal(40))))
    desk.price(100)
    assert [row[2] for row in fills(desk.place(1, "BUY", 100))] == ["60", "40"]
    assert [row[2] for row in fills(desk.place(2, "BUY", 130))] == ["60", "40", "30"]
    assert [row[2] for row in fills(desk.place(3, "SELL", 50))] == ["50"]


def test_a_triggered_stop_is_split_and_a_limit_order_is_not() -> None:
    desk = Desk(BrokerSettings(fill_split=(Decimal(60), Decimal(40))))
    desk.price(100)
    desk.place(1, "SELL", 100, "LMT", limit_price="101")
    desk.place(2, "SELL", 100, "STP", aux_price="99")
    events = desk.bar(100, 101, 98, 98)
    assert fills(events) == [
        (1, "SLD", "100", "101"),
        (2, "SLD", "60", "99"),
        (2, "SLD", "40", "99"),
    ]


def test_a_partial_fill_keeps_the_status_name_and_moves_the_numbers() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(30)))
    desk.price(100)
    desk.place(1, "BUY", 70, "LMT", limit_price="100")
    view = desk.view(1)
    assert view.status.value == "Submitted"
    assert (view.filled, view.remaining) == amounts(30, 40)
    desk.bar(99, 99, 98, 98)
    view = desk.view(1)
    assert (view.filled, view.remaining, view.avg_fill_price) == amounts(60, 10, "99.5")
    desk.price(98)
    assert desk.status(1) == "Filled"


def test_liquidity_counts_for_each_order_by_itself() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(30)))
    desk.price(100)
    assert [row[2] for row in fills(desk.place(1, "BUY", 50))] == ["30"]
    assert [row[2] for row in fills(desk.place(2, "BUY", 50))] == ["30"]
    assert fills(desk.price(101)) == [(1, "BOT", "20", "101"), (2, "BOT", "20", "101")]


def test_an_execution_carries_running_totals_and_an_id_of_its_own() -> None:
    desk = Desk(BrokerSettings(fill_split=(Decimal(60), Decimal(40))))
    desk.price(100)
    desk.place(1, "BUY", 100, order_ref="entry")
    first, second = (row.execution for row in desk.exchange.executions())
    assert (first.cum_qty, second.cum_qty, second.avg_price) == amounts(60, 100, 100)
    assert first.exec_id == "0000e0d5.67fe667b.01.01"
    assert second.exec_id == "0000e0d5.67fe667c.01.01"
    assert {first.perm_id, second.perm_id} == {desk.view(1).perm_id}
    assert first.order_ref == "entry"


def test_an_immediate_or_cancel_order_cancels_what_did_not_fill() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(30)))
    desk.price(100)
    events = desk.place(1, "BUY", 50, tif="IOC")
    assert changes(events) == [(1, "accepted"), (1, "filled"), (1, "cancelled")]
    assert desk.view(1).filled == 30


def test_a_bar_moves_only_its_own_stock() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="50")
    assert fills(desk.bar(40, 41, 39, 40, symbol="AMD")) == []
    assert desk.exchange.last_price("TSLA") == 100
    assert desk.exchange.last_price("AMD") == 40
