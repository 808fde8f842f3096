"""Days, lists, snapshots: the exchange as a whole."""

from datetime import datetime
from decimal import Decimal

import pytest

from fakebroker.exchange.errors import ExchangeError
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import START, Desk, changes, fills, refusals

CLOSE = datetime.fromisoformat("2025-10-06T16:00:00-04:00")
JUST_BEFORE_MIDNIGHT = datetime.fromisoformat("2025-10-06T23:59:59-04:00")
NEXT_DAY = datetime.fromisoformat("2025-10-07T04:00:00-04:00")


def test_day_orders_expire_with_202_at_the_close_and_gtc_orders_live_on() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.place(2, "BUY", 10, "LMT", limit_price="90", tif="GTC")
    events = desk.exchange.end_of_day(now=CLOSE)
    assert changes(events) == [(1, "cancelled")]
    assert desk.status(2) == "Submitted"
    assert [order.order_id for order in desk.exchange.completed_orders()] == [1]


def test_midnight_in_new_york_and_not_elsewhere_empties_the_days_lists() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10)
    desk.exchange.advance(now=JUST_BEFORE_MIDNIGHT)
    assert len(desk.exchange.executions()) == 1
    desk.exchange.advance(now=NEXT_DAY)
    assert desk.exchange.executions() == ()
    assert desk.exchange.completed_orders() == ()
    assert desk.exchange.orders() == ()
    assert desk.held() == 10
    exec_id = "0000e0d5.67fe667b.01.01"
    assert desk.exchange.execution(exec_id) is not None


def test_a_day_order_that_no_close_has_ended_expires_at_midnight() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.now = NEXT_DAY
    assert changes(desk.price(90)) == [(1, "cancelled")]
    assert desk.held() == 0


def test_an_order_of_yesterday_is_10147_and_its_id_is_still_used() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10)
    desk.now = NEXT_DAY
    assert refusals(desk.cancel(1)) == [10147]
    assert refusals(desk.place(1, "SELL", 10)) == [103]
    assert desk.exchange.next_order_id(7) == 2


def test_the_days_profit_starts_at_zero_on_a_new_day() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10)
    desk.place(2, "SELL", 10)
    desk.exchange.advance(now=NEXT_DAY)
    assert desk.exchange.positions() == ()
    rows = {row.key: row.value for row in desk.exchange.account_values()}
    assert rows["RealizedPnL"] == "0.00"


def test_a_stop_that_lives_over_night_still_protects() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="95", parent_id=1, tif="GTC")
    desk.exchange.end_of_day(now=CLOSE)
    desk.now = NEXT_DAY
    assert refusals(desk.place(2, "SELL", 10, "STP", aux_price="96", parent_id=1)) == [135]
    assert fills(desk.price(94)) == [(2, "SLD", "10", "94")]


def test_a_hand_that_comes_too_late_for_a_day_order_sees_it_expire() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    perm_id = desk.view(1).perm_id
    events = desk.exchange.fill(perm_id, Decimal(10), Decimal(90), now=NEXT_DAY)
    assert changes(events) == [(1, "cancelled")]
    assert desk.held() == 0


def test_completed_orders_come_in_the_order_of_their_end() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.place(2, "BUY", 10)
    desk.cancel(1)
    assert [row.order_id for row in desk.exchange.completed_orders()] == [2, 1]
    assert [row.order_id for row in desk.exchange.orders()] == [1, 2]
    assert desk.exchange.completed_orders()[0].done_time == START.replace(second=3)


def test_orders_are_found_by_client_and_id_and_by_perm_id() -> None:
    desk = Desk()
    desk.place(4, "BUY", 10, "LMT", limit_price="90")
    view = desk.exchange.order(7, 4)
    assert view is not None
    assert desk.exchange.order_by_perm(view.perm_id) == view
    assert desk.exchange.order(8, 4) is None
    assert desk.exchange.order_by_perm(4) is None


def test_a_restored_exchange_forgets_what_came_after_the_snapshot() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10)
    desk.place(2, "SELL", 10, "STP", aux_price="95")
    before = desk.exchange.snapshot()
    desk.price(90)
    desk.place(3, "BUY", 5)
    desk.exchange.restore(before)
    assert desk.held() == 10
    assert desk.status(2) == "PreSubmitted"
    assert desk.exchange.order(7, 3) is None
    assert desk.exchange.last_price("TSLA") == 100


def test_a_snapshot_can_be_restored_many_times() -> None:
    desk = Desk()
    desk.price(100)
    before = desk.exchange.snapshot()
    for _ in range(2):
        desk.exchange.restore(before)
        desk.place(1, "BUY", 10)
        assert desk.held() == 10


def test_two_exchanges_with_the_same_settings_do_the_same() -> None:
    first, second = Desk(BrokerSettings(seed=3)), Desk(BrokerSettings(seed=3))
    for desk in (first, second):
        desk.price(100)
        desk.place(1, "BUY", 10)
    assert first.events == second.events


def test_the_seed_gives_the_stem_of_execution_ids() -> None:
    desk = Desk(BrokerSettings(seed=1))
    desk.price(100)
    desk.place(1, "BUY", 10)
    assert desk.exchange.executions()[0].execution.exec_id == "0000e0d6.67fe667b.01.01"


def test_last_prices_are_those_of_bars_and_of_what_was_ordered_without() -> None:
    desk = Desk(BrokerSettings(price_without_tape=Decimal(100)))
    desk.bar(50, 51, 49, 50, symbol="AMD")
    desk.place(1, "BUY", 1)
    assert dict(desk.exchange.last_prices()) == {"AMD": 50, "TSLA": 100}


def test_a_hand_on_an_order_that_is_done_is_told_its_state() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 10)
    perm_id = desk.view(1).perm_id
    with pytest.raises(ExchangeError, match="cannot be filled: it is Filled already"):
        desk.exchange.fill(perm_id, Decimal(1), Decimal(100), now=desk.tick())
