"""What befalls an order: behaviours 4, 11, 14, 17, 18, 22, 24 and 27 of section 0b."""

from datetime import datetime
from decimal import Decimal

import pytest

from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import OrderChanged
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, fills, refusals

NEXT_DAY = datetime.fromisoformat("2025-10-07T10:00:00-04:00")


def desk_at(price: str = "100", settings: BrokerSettings | None = None) -> Desk:
    desk = Desk(settings)
    desk.price(price)
    return desk


def test_executions_and_completed_orders_are_those_since_midnight() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10)
    assert len(desk.exchange.executions()) == len(desk.exchange.completed_orders()) == 1
    desk.exchange.advance(now=NEXT_DAY)
    assert desk.exchange.executions() == ()
    assert desk.exchange.completed_orders() == ()


def test_a_fill_can_land_between_the_cancel_and_cancelled_then_10148_decays() -> None:
    desk = desk_at(settings=BrokerSettings(cancel_after_bars=1))
    desk.place(1, "BUY", 10, "LMT", limit_price="99")
    assert changes(desk.cancel(1)) == []
    assert desk.status(1) == "PendingCancel"
    assert fills(desk.bar(100, 100, 98, 98)) == [(1, "BOT", "10", "99")]
    assert desk.status(1) == "Filled"
    assert [*refusals(desk.cancel(1)), *refusals(desk.cancel(1))] == [10148, 10147]


def test_a_partial_fill_keeps_the_status_name_and_totals_run() -> None:
    desk = desk_at(settings=BrokerSettings(liquidity_per_bar=Decimal(4)))
    desk.place(1, "BUY", 10, "LMT", limit_price="100")
    assert desk.status(1) == "Submitted"
    desk.price(99)
    totals = [
        (row.execution.cum_qty, row.execution.avg_price) for row in desk.exchange.executions()
    ]
    assert totals == [amounts(4, 100), amounts(8, "99.5")]
    assert (desk.view(1).filled, desk.view(1).remaining) == amounts(8, 2)


def test_children_wait_for_their_parent_and_go_with_it_and_a_missing_parent_is_135() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="85", parent_id=1)
    assert (desk.status(2), desk.view(2).why_held) == ("PreSubmitted", "child")
    assert changes(desk.cancel(1)) == [(1, "cancelled"), (2, "cancelled")]
    assert refusals(desk.place(3, "SELL", 10, "STP", aux_price="85", parent_id=1)) == [135]


def test_a_stop_is_pre_submitted_until_triggered_and_a_day_order_expires_with_202() -> None:
    desk = desk_at()
    desk.place(1, "SELL", 10, "STP LMT", aux_price="95", limit_price="97")
    assert desk.status(1) == "PreSubmitted"
    desk.price(94)
    assert desk.status(1) == "Submitted"
    events = desk.exchange.end_of_day(now=desk.tick())
    (ended,) = [event for event in events if isinstance(event, OrderChanged)]
    assert (ended.order.status.value, ended.code) == ("Cancelled", 202)


def test_an_order_can_be_expired_by_hand() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", tif="GTC")
    events = desk.exchange.expire(desk.view(1).perm_id, now=desk.tick())
    (ended,) = [event for event in events if isinstance(event, OrderChanged)]
    assert (ended.code, ended.reason) == (
        202,
        "Order Canceled - reason:its time in force is over",
    )


def test_an_order_can_be_rejected_by_hand_with_any_code_and_takes_its_children() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="85", parent_id=1)
    events = desk.exchange.reject(desk.view(1).perm_id, 201, "No.", now=desk.tick())
    assert changes(events) == [(1, "rejected"), (2, "cancelled")]
    assert isinstance(events[0], OrderChanged)
    assert (events[0].code, events[0].reason) == (201, "No.")
    assert (desk.status(1), desk.view(1).live) == ("Inactive", False)
    with pytest.raises(ExchangeError, match="Inactive already"):
        desk.exchange.reject(desk.view(1).perm_id, 201, "No.", now=desk.tick())


def test_an_order_that_tws_holds_cannot_be_rejected() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    with pytest.raises(ExchangeError, match="not transmitted"):
        desk.exchange.reject(desk.view(1).perm_id, 201, "No.", now=desk.tick())


def test_inactive_is_not_final_a_short_sale_works_once_shares_are_located() -> None:
    desk = desk_at(settings=BrokerSettings(locate_after_bars=2))
    events = desk.place(1, "SELL", 10, "LMT", limit_price="100")
    assert isinstance(events[0], OrderChanged)
    assert events[0].code == 404
    assert (desk.status(1), desk.view(1).why_held, desk.view(1).live) == (
        "Inactive",
        "locate",
        True,
    )
    assert fills(desk.price(101)) == []
    second = desk.price(101)
    assert changes(second) == [(1, "activated"), (1, "filled")]
    assert desk.held() == -10


def test_shares_that_are_held_need_no_locate_and_a_located_order_can_be_cancelled() -> None:
    desk = desk_at(settings=BrokerSettings(locate_after_bars=2))
    desk.place(1, "BUY", 10)
    assert fills(desk.place(2, "SELL", 10)) == [(2, "SLD", "10", "100")]
    desk.place(3, "SELL", 10)
    assert changes(desk.cancel(3)) == [(3, "cancelled")]
    assert fills([*desk.price(100), *desk.price(100)]) == []


def oca_pair(desk: Desk, oca_type: int) -> None:
    desk.place(1, "SELL", 10, "LMT", limit_price="110", oca_group="exit", oca_type=oca_type)
    desk.place(2, "SELL", 10, "STP", aux_price="90", oca_group="exit", oca_type=oca_type)


@pytest.mark.parametrize("oca_type", [1, 2])
def test_oca_types_with_block_never_overfill(oca_type: int) -> None:
    desk = desk_at(settings=BrokerSettings(oca_overfill=True))
    oca_pair(desk, oca_type)
    assert fills(desk.bar(100, 111, 89, 100)) == [(1, "SLD", "10", "110")]
    assert desk.held() == -10


def test_oca_type_3_can_overfill_within_one_bar_and_not_beyond_it() -> None:
    desk = desk_at(settings=BrokerSettings(oca_overfill=True))
    oca_pair(desk, 3)
    assert fills(desk.bar(100, 111, 89, 100)) == [(1, "SLD", "10", "110"), (2, "SLD", "10", "90")]
    assert desk.held() == -20
    other = desk_at(settings=BrokerSettings(oca_overfill=True))
    oca_pair(other, 3)
    assert changes(other.bar(100, 111, 99, 100))[-1] == (2, "cancelled")
    assert fills(other.bar(100, 100, 89, 100)) == []


def test_oca_type_3_without_the_setting_does_not_overfill() -> None:
    desk = desk_at()
    oca_pair(desk, 3)
    desk.bar(100, 111, 89, 100)
    assert desk.held() == -10
