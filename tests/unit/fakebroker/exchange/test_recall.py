"""What a gateway that dies forgets: the last inputs of clients, where nothing has come of them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import ExchangeEvent
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes


def desk_at(settings: BrokerSettings | None = None) -> Desk:
    """Return a desk whose market stands at 100."""
    desk = Desk(settings)
    desk.price(100)
    return desk


def back(desk: Desk, seconds: float) -> list[ExchangeEvent]:
    """Take back what was sent in the last seconds; inputs are a second apart."""
    return desk.told(desk.exchange.take_back(desk.now - timedelta(seconds=seconds), now=desk.now))


def live(desk: Desk) -> list[int]:
    return [order.order_id for order in desk.exchange.live_orders()]


def test_an_order_of_the_last_second_is_gone_and_one_before_stays() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.place(2, "BUY", 10, "LMT", limit_price=50)
    desk.tick()
    desk.place(3, "BUY", 10, "LMT", limit_price=50)
    events = back(desk, 1)
    assert live(desk) == [1, 2]
    assert desk.exchange.order(7, 3) is None
    assert changes(events) == [(3, "lost")]
    assert not any(order.order_id == 3 for order in desk.exchange.orders())


def test_the_id_of_a_lost_order_stays_used_until_it_is_forgotten() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    back(desk, 1)
    assert desk.exchange.next_order_id(7) == 2
    desk.exchange.forget_received_ids(7, 1)
    desk.place(1, "BUY", 20, "LMT", limit_price=60)
    assert desk.view(1).terms.quantity == 20


def test_an_order_that_has_filled_stays() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10)
    assert back(desk, 1) == []
    assert desk.status(1) == "Filled"
    assert desk.held() == 10


def test_an_order_that_was_refused_or_ended_without_a_fill_is_gone_too() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 100_000)
    desk.place(2, "BUY", 10, "LMT", limit_price=50)
    desk.cancel(2)
    assert (desk.status(1), desk.status(2)) == ("Inactive", "Cancelled")
    back(desk, 5)
    assert desk.exchange.orders() == ()


def test_a_modify_of_the_last_second_gives_the_old_price_and_quantity_back() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.tick()
    desk.place(1, "BUY", 20, "LMT", limit_price=60)
    desk.place(1, "BUY", 30, "LMT", limit_price=70)
    events = back(desk, 1)
    assert changes(events) == [(1, "restored")]
    terms = desk.view(1).terms
    assert (terms.quantity, terms.limit_price) == amounts(10, 50)


def test_a_modify_that_has_filled_stays() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.tick()
    desk.place(1, "BUY", 10, "LMT", limit_price=120)
    assert back(desk, 1) == []
    assert desk.status(1) == "Filled"


def test_a_cancel_of_the_last_second_is_undone_and_the_order_fills() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=99)
    desk.tick()
    desk.cancel(1)
    assert changes(back(desk, 1)) == [(1, "restored")]
    assert desk.status(1) == "Submitted"
    assert desk.view(1).done_time is None
    desk.price(98)
    assert desk.status(1) == "Filled"


def test_a_cancel_in_flight_is_undone() -> None:
    desk = desk_at(BrokerSettings(cancel_after_bars=2))
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.tick()
    desk.cancel(1)
    back(desk, 1)
    assert desk.status(1) == "Submitted"
    for _ in range(3):
        desk.price(100)
    assert live(desk) == [1]


def test_a_lost_global_cancel_leaves_every_order() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.place(2, "BUY", 10, "LMT", limit_price=51, client=8)
    now = desk.tick()
    desk.exchange.global_cancel(now=now)
    assert live(desk) == []
    back(desk, 0.5)
    assert live(desk) == [1, 2]


def test_a_cancel_stays_where_a_fill_of_its_group_rests_on_it() -> None:
    desk = desk_at()
    for number in (1, 2):
        desk.place(number, "BUY", 10, "LMT", limit_price=90, oca_group="g", oca_type=1)
    desk.tick()
    desk.cancel(2)
    desk.exchange.fill(desk.view(1).perm_id, Decimal(10), Decimal(90), now=desk.now)
    assert back(desk, 1) == []
    assert desk.status(2) == "Cancelled"


def test_a_cancelled_bracket_works_again_as_a_whole() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=90, transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price=80, parent_id=1)
    desk.tick()
    desk.cancel(1)
    assert live(desk) == []
    back(desk, 1)
    assert [(desk.status(number)) for number in (1, 2)] == ["Submitted", "PreSubmitted"]
    desk.bar(95, 95, 85, 85)
    assert (desk.status(1), desk.view(2).working) == ("Filled", True)


def test_a_child_does_not_come_back_to_a_parent_that_ended_since() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=90, transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price=80, parent_id=1)
    desk.tick()
    desk.cancel(2)
    desk.exchange.cancel_by_perm(desk.view(1).perm_id, now=desk.now, reason="by the broker")
    back(desk, 1)
    assert live(desk) == []


def test_legs_that_a_lost_order_had_sent_on_wait_in_the_gateway_again() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=90, transmit=False)
    desk.tick()
    desk.place(2, "SELL", 10, "STP", aux_price=80, parent_id=1)
    back(desk, 1)
    assert live(desk) == [1]
    assert not desk.view(1).transmitted
    assert desk.exchange.lose_untransmitted() == (1_500_000_001,)
    assert live(desk) == []


def test_a_stop_placed_after_its_entry_filled_is_lost_and_the_position_is_naked() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10)
    desk.tick()
    desk.place(2, "SELL", 10, "STP", aux_price=80)
    back(desk, 1)
    assert desk.held() == 10
    assert live(desk) == []


def test_what_was_taken_back_is_not_taken_back_twice() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.tick()
    desk.cancel(1)
    back(desk, 1)
    assert back(desk, 60) == []
    assert live(desk) == [1]


def test_an_exchange_that_goes_on_from_a_snapshot_takes_back_the_same() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    snapshot = desk.exchange.snapshot()
    first = back(desk, 1)
    desk.exchange.restore(snapshot)
    assert back(desk, 1) == first != []


def test_what_is_longer_ago_than_a_minute_cannot_be_taken_back() -> None:
    desk = desk_at()
    with pytest.raises(ExchangeError, match="at most 60 s"):
        back(desk, 61)


def test_what_came_before_the_end_of_the_day_is_not_taken_back() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price=50)
    desk.exchange.end_of_day(now=desk.now)
    assert back(desk, 5) == []
    assert desk.status(1) == "Cancelled"
