"""What clients may do with orders, and what they are told when they may not."""

from decimal import Decimal
from typing import Any

import pytest

from fakebroker.exchange.admission import Refusal
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import OrderChanged, Refused
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract
from tests.unit.fakebroker.exchange.desk import (
    TSLA,
    Desk,
    amounts,
    changes,
    fills,
    order_terms,
    refusals,
)


def desk_at(price: int = 100, settings: BrokerSettings | None = None) -> Desk:
    desk = Desk(settings)
    desk.price(price)
    return desk


def test_an_order_gets_a_perm_id_and_the_account_and_keeps_its_reference() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90", order_ref="PS60|TSLA|L|20251006|1|entry")
    desk.place(2, "BUY", 10, "LMT", limit_price="90")
    first, second = desk.view(1), desk.view(2)
    assert second.perm_id == first.perm_id + 1
    assert first.perm_id == BrokerSettings().first_perm_id
    assert first.terms.account == "DU1234567"
    assert first.terms.order_ref == "PS60|TSLA|L|20251006|1|entry"
    assert first.contract.con_id == 76792991


def test_the_same_reference_twice_makes_two_orders() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, order_ref="same")
    desk.place(2, "BUY", 10, order_ref="same")
    assert desk.held() == 20


def test_the_same_id_of_a_live_order_modifies_it() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    perm_id = desk.view(1).perm_id
    events = desk.place(1, "BUY", 20, "LMT", limit_price="91")
    assert changes(events) == [(1, "modified")]
    view = desk.view(1)
    assert view.perm_id == perm_id
    assert (view.terms.quantity, view.terms.limit_price) == amounts(20, 91)


def test_a_modify_that_makes_the_order_marketable_fills_it() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    assert fills(desk.place(1, "BUY", 10, "LMT", limit_price="100")) == [(1, "BOT", "10", "100")]


def test_the_same_id_of_another_client_is_another_order() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.place(1, "BUY", 5, "LMT", limit_price="90", client=8)
    assert len(desk.exchange.live_orders()) == 2


@pytest.mark.parametrize(
    ("side", "order_type", "symbol", "group", "code"),
    [
        ("SELL", "LMT", "TSLA", "", 105),
        ("BUY", "LMT", "AMD", "", 105),
        ("BUY", "MKT", "TSLA", "", 329),
        ("BUY", "LMT", "TSLA", "other", 10326),
    ],
)
def test_a_modify_into_another_order_is_refused_and_changes_nothing(
    side: str, order_type: str, symbol: str, group: str, code: int
) -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    before = desk.view(1)
    contract = Contract(symbol=symbol)
    events = desk.place(
        1, side, 10, order_type, limit_price="80", contract=contract, oca_group=group
    )
    assert refusals(events) == [code]
    assert desk.view(1) == before


def test_a_modify_to_no_more_than_what_is_filled_is_refused() -> None:
    desk = desk_at(settings=BrokerSettings(liquidity_per_bar=Decimal(30)))
    desk.place(1, "BUY", 100, "LMT", limit_price="100")
    assert refusals(desk.place(1, "BUY", 30, "LMT", limit_price="100")) == [321]
    assert changes(desk.place(1, "BUY", 31, "LMT", limit_price="99")) == [(1, "modified")]


def test_a_modify_after_the_fill_is_104() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="100", order_ref="a")
    assert refusals(desk.place(1, "BUY", 10, "LMT", limit_price="101", order_ref="a")) == [104]


def test_another_order_under_the_id_of_a_filled_one_is_103() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="100", order_ref="a")
    assert refusals(desk.place(1, "SELL", 10, "LMT", limit_price="101", order_ref="b")) == [103]


def test_an_id_below_the_highest_is_103_even_if_it_was_never_used() -> None:
    desk = desk_at()
    desk.place(5, "BUY", 10, "LMT", limit_price="90")
    assert refusals(desk.place(4, "BUY", 10, "LMT", limit_price="90")) == [103]
    assert refusals(desk.place(0, "BUY", 10, "LMT", limit_price="90")) == [103]


def test_the_id_of_a_cancelled_or_refused_order_is_used() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.cancel(1)
    assert refusals(desk.place(1, "BUY", 10, "LMT", limit_price="90")) == [103]
    assert refusals(desk.place(2, "BUY", 10, "LMT", limit_price="90.001")) == [110]
    assert refusals(desk.place(2, "BUY", 10, "LMT", limit_price="90")) == [103]


def test_next_order_id_counts_only_what_was_received_and_for_each_client() -> None:
    desk = desk_at(settings=BrokerSettings(first_order_id=50))
    assert desk.exchange.next_order_id(7) == 50
    desk.place(60, "BUY", 10, "LMT", limit_price="90")
    desk.place(60, "BUY", 10, "LMT", limit_price="91")
    assert desk.exchange.next_order_id(7) == 61
    assert desk.exchange.next_order_id(8) == 50


def test_an_order_id_beyond_32_bits_is_320() -> None:
    desk = desk_at()
    assert refusals(desk.place(2**31, "BUY", 10)) == [320]
    assert desk.exchange.next_order_id(7) == 1


@pytest.mark.parametrize(
    ("quantity", "order_type", "fields", "code"),
    [
        ("0", "MKT", {}, 434),
        ("-5", "MKT", {}, 321),
        ("NaN", "MKT", {}, 321),
        ("1.5", "MKT", {}, 10243),
        ("1E+30", "MKT", {}, 321),
        ("10", "LMT", {}, 321),
        ("10", "LMT", {"limit_price": "0"}, 321),
        ("10", "LMT", {"limit_price": "-1"}, 110),
        ("10", "LMT", {"limit_price": "90.005"}, 110),
        ("10", "LMT", {"limit_price": "Infinity"}, 110),
        ("10", "LMT", {"limit_price": "1E+40"}, 110),
        ("10", "STP", {}, 321),
        ("10", "STP LMT", {"aux_price": "90"}, 321),
        ("10", "TRAIL", {}, 321),
        ("10", "TRAIL", {"trailing_percent": "100"}, 321),
        ("10", "TRAIL", {"trailing_percent": "NaN"}, 321),
        ("10", "MIDPRICE", {}, 387),
        ("10", "STP", {"tif": "OPG", "aux_price": "90"}, 321),
        ("10", "MKT", {"good_after_time": "20251006 12:00:00"}, 321),
        ("10", "MKT", {"account": "DU999"}, 321),
        ("10", "MKT", {"oca_type": 4}, 321),
    ],
)
def test_bad_terms_are_refused_with_ibs_code_and_leave_no_order(
    quantity: str, order_type: str, fields: dict[str, Any], code: int
) -> None:
    desk = desk_at()
    assert refusals(desk.place(1, "BUY", quantity, order_type, **fields)) == [code]
    assert desk.exchange.orders() == ()


@pytest.mark.parametrize("symbol", ["XX?", "", "tsla", "TOOLONG", "A1"])
def test_an_unknown_contract_is_200(symbol: str) -> None:
    desk = desk_at()
    assert refusals(desk.place(1, "BUY", 10, contract=Contract(symbol=symbol))) == [200]


def test_prices_that_the_type_has_no_use_for_are_dropped() -> None:
    desk = Desk()
    desk.place(1, "BUY", 10, "MKT", limit_price="0.0", aux_price="0.0")
    terms = desk.view(1).terms
    assert (terms.limit_price, terms.aux_price, terms.tif, terms.oca_type) == (None, None, "DAY", 3)


def test_an_order_beyond_the_margin_is_rejected_with_201_and_becomes_inactive() -> None:
    desk = desk_at(settings=BrokerSettings(cash=Decimal(10_000)))
    events = desk.place(1, "BUY", 401)
    assert changes(events) == [(1, "rejected")]
    assert isinstance(events[0], OrderChanged)
    assert events[0].code == 201
    assert "EQUITY WITH LOAN VALUE [9998.00 USD]" in events[0].reason
    assert "INITIAL MARGIN [10025.00 USD]" in events[0].reason
    assert desk.status(1) == "Inactive"
    assert fills(desk.place(2, "BUY", 390)) == [(2, "BOT", "390", "100")]


def test_an_order_that_closes_a_position_needs_no_margin() -> None:
    desk = desk_at(settings=BrokerSettings(cash=Decimal(10_000)))
    desk.place(1, "BUY", 390)
    desk.price(80)
    assert changes(desk.place(2, "BUY", 10)) == [(2, "rejected")]
    assert fills(desk.place(3, "SELL", 390)) == [(3, "SLD", "390", "80")]


def test_a_cancel_is_told_with_202() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    (event,) = desk.cancel(1)
    assert isinstance(event, OrderChanged)
    assert (event.event.value, event.code, event.reason) == (
        "cancelled",
        202,
        "Order Canceled - reason:",
    )
    assert desk.exchange.live_orders() == ()


def test_a_cancel_of_an_unknown_order_is_10147() -> None:
    (event,) = desk_at().cancel(9)
    assert isinstance(event, Refused)
    assert event.code == 10147
    assert event.text == "OrderId 9 that needs to be cancelled is not found."


def test_a_cancel_of_another_clients_order_is_10147() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    assert refusals(desk.cancel(1, client=8)) == [10147]
    assert desk.status(1) == "Submitted"


def test_a_cancel_after_the_fill_is_10148_and_decays_to_10147() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10)
    (event,) = desk.cancel(1)
    assert isinstance(event, Refused)
    assert event.text == "OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled."
    assert [event.code, *refusals(desk.cancel(1)), *refusals(desk.cancel(1))] == [
        10148,
        10147,
        10147,
    ]


def test_a_cancel_of_order_id_0_is_10149() -> None:
    assert refusals(desk_at().cancel(0)) == [10149]


def test_a_global_cancel_reaches_the_orders_of_all_clients() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.place(1, "BUY", 10, "LMT", limit_price="90", client=8, transmit=False)
    events = desk.exchange.global_cancel(now=desk.tick())
    assert changes(events) == [(1, "cancelled"), (1, "cancelled")]
    assert desk.exchange.live_orders() == ()


def test_the_broker_cancels_by_perm_id_and_says_why() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    perm_id = desk.view(1).perm_id
    (event,) = desk.exchange.cancel_by_perm(perm_id, now=desk.tick(), reason="halted")
    assert isinstance(event, OrderChanged)
    assert event.reason == "Order Canceled - reason:halted"
    with pytest.raises(ExchangeError, match=f"order {perm_id} cannot be cancelled: .* Cancelled"):
        desk.exchange.cancel_by_perm(perm_id, now=desk.tick(), reason="again")
    with pytest.raises(ExchangeError, match="no order has permId 5"):
        desk.exchange.cancel_by_perm(5, now=desk.tick(), reason="")


def test_a_manual_order_is_client_0_with_order_id_0_and_there_can_be_many() -> None:
    desk = desk_at()
    for _ in range(2):
        desk.exchange.manual_order(TSLA, Action.BUY, Decimal(10), now=desk.tick())
    assert [(row.client_id, row.order_id) for row in desk.exchange.orders()] == [(0, 0), (0, 0)]
    assert desk.held() == 20
    with pytest.raises(ExchangeError, match=r"manual order BUY 1\.5 TSLA: .*10243"):
        desk.exchange.manual_order(TSLA, Action.BUY, Decimal("1.5"), now=desk.tick())


def test_a_fill_by_hand_is_refused_in_words_when_it_is_impossible() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.place(2, "SELL", 10, "STP", aux_price="80", parent_id=1)
    desk.place(3, "BUY", 10, "LMT", limit_price="90", transmit=False)
    limit, child, held = (desk.view(number).perm_id for number in (1, 2, 3))
    for perm_id, shares, price, words in [
        (limit, 11, 90, "at most 10 are left"),
        (limit, 0, 90, "whole number above zero"),
        (limit, 5, 91, "its limit is 90"),
        (limit, 5, 0, "price above zero"),
        (child, 5, 80, "waits for its parent"),
        (held, 5, 90, "not transmitted"),
        (99, 5, 90, "no order has permId 99"),
    ]:
        with pytest.raises(ExchangeError, match=words):
            desk.exchange.fill(perm_id, Decimal(shares), Decimal(price), now=desk.tick())
    assert desk.exchange.executions() == ()


def test_a_fill_by_hand_leaves_the_last_price_alone() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, "LMT", limit_price="90")
    desk.exchange.fill(desk.view(1).perm_id, Decimal(10), Decimal("89.5"), now=desk.tick())
    assert desk.exchange.last_price("TSLA") == 100
    assert desk.held() == 10


def test_a_what_if_tells_margin_and_commission_and_changes_nothing() -> None:
    desk = desk_at()
    answer = desk.exchange.what_if(TSLA, order_terms("BUY", 100, what_if=True))
    assert not isinstance(answer, Refusal)
    assert (answer.init_margin_before, answer.init_margin_after) == amounts(0, 2500)
    assert (answer.commission, answer.equity_with_loan_after) == amounts(1, 99_999)
    assert desk.exchange.orders() == ()
    assert desk.exchange.next_order_id(7) == 1
    with pytest.raises(ExchangeError, match="order 1 is a what-if"):
        desk.place(1, "BUY", 100, what_if=True)


def test_a_what_if_of_something_unknown_is_its_error() -> None:
    answer = desk_at().exchange.what_if(Contract(symbol="XX?"), order_terms("BUY", 100))
    assert isinstance(answer, Refusal)
    assert answer.code == 200


def test_a_trail_keeps_its_stop_when_a_modify_does_not_move_it() -> None:
    desk = desk_at()
    desk.place(1, "SELL", 10, "TRAIL", aux_price="5", trail_stop_price="94")
    desk.bar(100, 110, 100, 107)
    desk.place(1, "SELL", 20, "TRAIL", aux_price="5")
    assert desk.view(1).terms.trail_stop_price == 105
    desk.place(1, "SELL", 20, "TRAIL", aux_price="8")
    assert desk.view(1).terms.trail_stop_price == 99
