"""Ids, modifies and who an order belongs to: behaviours 2, 5 to 9 and 25 of section 0b."""

from decimal import Decimal

import pytest

from fakebroker.exchange.errors import ExchangeError
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, changes, fills, refusals


def desk_at(price: str = "100", settings: BrokerSettings | None = None) -> Desk:
    desk = Desk(settings)
    desk.price(price)
    return desk


def test_an_order_ref_is_echoed_and_never_de_duplicated() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, order_ref="entry-1")
    desk.place(2, "BUY", 10, order_ref="entry-1")
    assert [row.execution.order_ref for row in desk.exchange.executions()] == ["entry-1"] * 2
    assert [row.terms.order_ref for row in desk.exchange.completed_orders()] == ["entry-1"] * 2
    assert desk.held() == 20


def test_a_perm_id_is_one_for_all_clients_and_an_order_id_is_each_clients_own() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", client=7)
    desk.place(1, "BUY", 20, "LMT", limit_price="90", client=8)
    first, second = desk.view(1, 7), desk.view(1, 8)
    assert first.perm_id != second.perm_id
    desk.place(1, "BUY", 30, "LMT", limit_price="91", client=8)
    assert desk.view(1, 8).perm_id == second.perm_id
    assert desk.view(1, 7) == first


def test_next_valid_id_can_roll_back_and_the_ids_are_handed_out_again() -> None:
    desk = desk_at()
    for order_id in (5, 6, 7):
        desk.place(order_id, "BUY", 10, "LMT", limit_price="90")
    old = desk.view(7).perm_id
    assert desk.exchange.next_order_id(7) == 8
    assert desk.exchange.forget_received_ids(7, 2) == 6
    assert desk.exchange.next_order_id(7) == 6
    assert refusals(desk.place(5, "SELL", 10)) == [105]
    # The same id from the same client is another order now, although the first one lives.
    assert changes(desk.place(7, "SELL", 3, "LMT", limit_price="120")) == [(7, "accepted")]
    assert desk.view(7).perm_id != old
    both = [row.perm_id for row in desk.exchange.live_orders() if row.order_id == 7]
    assert both == [old, desk.view(7).perm_id]


def test_an_order_whose_id_was_forgotten_is_still_cancelled_by_it() -> None:
    desk = desk_at()
    desk.place(3, "BUY", 10, "LMT", limit_price="90")
    desk.exchange.forget_received_ids(7, 3)
    assert changes(desk.cancel(3)) == [(3, "cancelled")]


def test_ids_of_another_client_are_not_forgotten() -> None:
    desk = desk_at()
    desk.place(3, "BUY", 10, "LMT", limit_price="90", client=8)
    assert desk.exchange.forget_received_ids(7, 5) == 1
    assert desk.exchange.next_order_id(8) == 4
    with pytest.raises(ExchangeError, match="cannot forget -1 order ids"):
        desk.exchange.forget_received_ids(7, -1)


def test_the_same_live_id_is_a_modify_and_any_used_id_is_103() -> None:
    desk = desk_at()
    desk.place(4, "BUY", 10, "LMT", limit_price="90")
    assert changes(desk.place(4, "BUY", 10, "LMT", limit_price="91")) == [(4, "modified")]
    desk.cancel(4)
    assert refusals(desk.place(4, "BUY", 10, "LMT", limit_price="91")) == [103]
    assert refusals(desk.place(3, "BUY", 10, "LMT", limit_price="91")) == [103]


def test_only_a_global_cancel_reaches_the_order_of_another_client() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", client=8)
    assert refusals(desk.cancel(1, client=7)) == [10147]
    events = desk.exchange.global_cancel(now=desk.tick())
    assert changes(events) == [(1, "cancelled")]


def test_a_modify_can_leave_two_live_orders_with_two_perm_ids() -> None:
    desk = desk_at()
    desk.place(1, "SELL", 10, "STP", aux_price="95", order_ref="stop")
    old = desk.view(1)
    desk.exchange.split_on_modify(old.perm_id)
    assert changes(desk.place(1, "SELL", 10, "STP", aux_price="97", order_ref="stop")) == [
        (1, "accepted")
    ]
    live = desk.exchange.live_orders()
    assert [row.order_id for row in live] == [1, 1]
    assert [row.terms.aux_price for row in live] == [Decimal(95), Decimal(97)]
    assert live[0].perm_id == old.perm_id != live[1].perm_id
    assert fills(desk.price(94)) == [(1, "SLD", "10", "94"), (1, "SLD", "10", "94")]


def test_a_split_happens_once_unless_the_setting_asks_for_it_every_time() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.exchange.split_on_modify(desk.view(1).perm_id)
    desk.place(1, "BUY", 10, "LMT", limit_price="91")
    desk.place(1, "BUY", 10, "LMT", limit_price="92")
    assert len(desk.exchange.live_orders()) == 2
    always = desk_at(settings=BrokerSettings(split_on_modify=True))
    for price in ("90", "91", "92"):
        always.place(1, "BUY", 10, "LMT", limit_price=price)
    assert len(always.exchange.live_orders()) == 3


def test_a_split_order_asks_for_what_is_not_filled_yet() -> None:
    desk = desk_at(settings=BrokerSettings(liquidity_per_bar=Decimal(4)))
    desk.place(1, "BUY", 10, "LMT", limit_price="100")
    assert desk.held() == 4
    desk.exchange.split_on_modify(desk.view(1).perm_id)
    desk.place(1, "BUY", 10, "LMT", limit_price="99")
    assert desk.view(1).terms.quantity == 6


def test_legs_that_wait_for_transmit_are_lost_with_tws_and_their_ids_stay_used() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="85", parent_id=1, transmit=False)
    desk.place(3, "BUY", 10, "LMT", limit_price="90")
    perm_ids = (desk.view(1).perm_id, desk.view(2).perm_id)
    # A leg that is done already stays, although its parent is gone.
    desk.place(4, "SELL", 10, "STP", aux_price="85", parent_id=1, transmit=False)
    desk.cancel(4)
    assert desk.exchange.lose_untransmitted() == perm_ids
    assert desk.view(4).parent_perm_id is None
    assert [row.order_id for row in desk.exchange.live_orders()] == [3]
    assert refusals(desk.place(1, "BUY", 10, "LMT", limit_price="90")) == [103]
    assert refusals(desk.place(5, "SELL", 10, "STP", aux_price="85", parent_id=1)) == [135]
