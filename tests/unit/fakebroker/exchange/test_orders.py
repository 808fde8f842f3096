"""The table of an order's life; the rows that matter most are written down a second time here."""

from decimal import Decimal

import pytest

from fakebroker.exchange.errors import TransitionError
from fakebroker.exchange.orders import (
    DONE,
    STATUS,
    TRANSITIONS,
    Order,
    Stage,
    Trigger,
    tidy,
)
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import (
    START,
    TSLA,
    Desk,
    amounts,
    changes,
    fills,
    order_terms,
    refusals,
)


def order_at(stage: Stage) -> Order:
    return Order(
        perm_id=42,
        order_id=1,
        client_id=7,
        contract=TSLA,
        terms=order_terms("BUY", 100),
        placed_time=START,
        stage=stage,
    )


def test_a_transition_without_a_row_names_the_order_the_event_and_the_stage() -> None:
    order = order_at(Stage.CHILD)
    with pytest.raises(TransitionError, match=r"order 42: 'fill rest' cannot happen .* 'child'"):
        order.move(Trigger.FILL_REST)


@pytest.mark.parametrize("stage", DONE)
@pytest.mark.parametrize("trigger", list(Trigger))
def test_nothing_happens_to_an_order_that_is_done(stage: Stage, trigger: Trigger) -> None:
    with pytest.raises(TransitionError):
        order_at(stage).move(trigger)


def test_every_stage_has_a_status_and_every_one_but_the_first_can_be_reached() -> None:
    assert set(STATUS) == set(Stage)
    assert set(TRANSITIONS.values()) == set(Stage) - {Stage.NEW}


def test_an_order_may_fill_while_its_cancel_is_in_flight() -> None:
    desk = Desk(BrokerSettings(cancel_after_bars=1))
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="99")
    assert desk.cancel(1) == []
    assert desk.status(1) == "PendingCancel"
    assert desk.view(1).working is True
    events = desk.bar(100, 100, 99, 99)
    assert fills(events) == [(1, "BOT", "100", "99")]
    assert desk.status(1) == "Filled"
    assert desk.held() == 100


def test_an_order_may_fill_in_part_while_its_cancel_is_in_flight_and_is_then_cancelled() -> None:
    desk = Desk(BrokerSettings(cancel_after_bars=1, liquidity_per_bar=Decimal(30)))
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="99")
    desk.cancel(1)
    assert changes(desk.bar(100, 100, 99, 99)) == [(1, "filled"), (1, "cancelled")]
    view = desk.view(1)
    assert view.status.value == "Cancelled"
    assert (view.filled, view.remaining) == amounts(30, 70)


def test_a_stop_may_be_triggered_while_its_cancel_is_in_flight() -> None:
    desk = Desk(BrokerSettings(cancel_after_bars=2))
    desk.price(100)
    desk.place(1, "SELL", 10, "STP", aux_price="95")
    desk.cancel(1)
    assert changes(desk.bar(100, 100, 94, 94)) == [(1, "triggered"), (1, "filled")]


def test_a_cancel_in_flight_takes_hold_after_the_bars_of_the_settings() -> None:
    desk = Desk(BrokerSettings(cancel_after_bars=2))
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="90")
    desk.cancel(1)
    assert desk.price(100) == []
    assert desk.bar(50, 50, 50, 50, symbol="AMD") == []
    assert changes(desk.price(100)) == [(1, "cancelled")]


def test_a_second_cancel_while_one_is_in_flight_is_10148_each_time() -> None:
    desk = Desk(BrokerSettings(cancel_after_bars=9))
    desk.price(100)
    desk.place(1, "BUY", 100, "LMT", limit_price="90")
    desk.cancel(1)
    assert [refusals(desk.cancel(1)), refusals(desk.cancel(1))] == [[10148], [10148]]


def test_a_stop_filled_in_part_by_hand_stays_a_stop() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 100, "STP", aux_price="95")
    view = desk.view(1)
    events = desk.exchange.fill(view.perm_id, Decimal(30), Decimal(95), now=desk.tick())
    assert fills(events) == [(1, "SLD", "30", "95")]
    assert desk.status(1) == "PreSubmitted"
    assert fills(desk.price(100)) == []
    assert fills(desk.price(95)) == [(1, "SLD", "70", "95")]


def test_an_average_has_no_trailing_zeros_and_no_exponent() -> None:
    assert str(tidy(Decimal("100.5000"))) == "100.5"
    assert str(tidy(Decimal("1E+2"))) == "100"
    assert str(tidy(Decimal(100) / 3)) == "33.33333333"
