"""Brackets, transmit and OCA groups (tws-protocol.md section 3.7)."""

from decimal import Decimal

import pytest

from fakebroker.exchange.events import OrderChanged
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, fills, refusals


def bracket(desk: Desk, quantity: int = 100, *, entry: str = "LMT") -> None:
    """Entry 1, target 2 at 110, stop 3 at 95; the last leg transmits."""
    limit = "100" if entry == "LMT" else None
    desk.place(1, "BUY", quantity, entry, limit_price=limit, transmit=False)
    desk.place(2, "SELL", quantity, "LMT", limit_price="110", parent_id=1, transmit=False)
    desk.place(3, "SELL", quantity, "STP", aux_price="95", parent_id=1)


def desk_at(price: int, settings: BrokerSettings | None = None) -> Desk:
    desk = Desk(settings)
    desk.price(price)
    return desk


def test_a_leg_with_transmit_0_is_held_and_cannot_fill() -> None:
    desk = desk_at(100)
    events = desk.place(1, "BUY", 100, transmit=False)
    assert changes(events) == [(1, "accepted")]
    view = desk.view(1)
    assert (view.transmitted, view.working, view.status.value) == (False, False, "PendingSubmit")
    assert fills(desk.price(99)) == []


def test_the_last_leg_transmits_the_whole_family_parents_first() -> None:
    desk = desk_at(105)
    bracket(desk)
    assert changes(desk.events) == [
        (1, "accepted"),
        (2, "accepted"),
        (1, "activated"),
        (2, "activated"),
        (3, "accepted"),
    ]
    assert all(order.transmitted for order in desk.exchange.live_orders())


def test_legs_of_another_family_stay_held() -> None:
    desk = desk_at(105)
    desk.place(1, "BUY", 5, "LMT", limit_price="100", transmit=False)
    desk.place(2, "BUY", 5, "LMT", limit_price="100")
    assert desk.view(1).transmitted is False


def test_a_held_order_sent_again_with_transmit_1_goes_out() -> None:
    desk = desk_at(100)
    desk.place(1, "BUY", 100, transmit=False)
    events = desk.place(1, "BUY", 100)
    assert changes(events) == [(1, "activated"), (1, "filled")]


def test_a_held_order_can_be_changed_and_cancelled() -> None:
    desk = desk_at(100)
    desk.place(1, "BUY", 100, transmit=False)
    assert changes(desk.place(1, "BUY", 50, transmit=False)) == [(1, "modified")]
    assert desk.view(1).transmitted is False
    assert changes(desk.cancel(1)) == [(1, "cancelled")]


def test_children_wait_as_presubmitted_children_until_the_parent_fills() -> None:
    desk = desk_at(105)
    bracket(desk)
    for number in (2, 3):
        view = desk.view(number)
        assert (view.status.value, view.why_held, view.working) == ("PreSubmitted", "child", False)
    assert desk.view(2).parent_perm_id == desk.view(1).perm_id
    assert fills(desk.price(111)) == []
    events = desk.price(100)
    assert changes(events) == [(1, "filled"), (2, "activated"), (3, "activated")]
    assert (desk.status(2), desk.status(3)) == ("Submitted", "PreSubmitted")
    assert desk.view(3).working is True
    assert desk.view(3).why_held == ""


def test_a_market_entry_activates_its_children_in_the_same_input() -> None:
    desk = desk_at(100)
    bracket(desk, entry="MKT")
    assert desk.status(1) == "Filled"
    assert desk.view(2).working is True


def test_a_stop_that_the_entry_has_already_passed_fills_at_once() -> None:
    desk = desk_at(105)
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="95", parent_id=1)
    assert fills(desk.bar(90, 91, 89, 91)) == [(1, "BOT", "10", "90"), (2, "SLD", "10", "90")]


def test_the_stop_is_cancelled_when_the_target_fills_and_the_other_way_round() -> None:
    for price, winner, loser in [(110, 2, 3), (95, 3, 2)]:
        desk = desk_at(100)
        bracket(desk)
        events = desk.price(price)
        assert (winner, "filled") in changes(events)
        assert changes(events)[-1] == (loser, "cancelled")
        last = events[-1]
        assert isinstance(last, OrderChanged)
        assert last.code == 202
        assert desk.held() == 0


def test_a_bar_that_crosses_stop_and_target_fills_only_the_first() -> None:
    desk = desk_at(100)
    bracket(desk)
    events = desk.bar(100, 112, 85, 100)
    assert fills(events) == [(2, "SLD", "100", "110")]
    assert desk.held() == 0


def test_entry_and_exit_can_fill_within_one_bar_in_the_order_of_the_path() -> None:
    desk = desk_at(105)
    bracket(desk)
    events = desk.bar(105, 106, 94, 94)
    assert fills(events) == [(1, "BOT", "100", "100"), (3, "SLD", "100", "95")]


def test_a_child_fills_no_more_than_its_parent_has() -> None:
    desk = desk_at(100, BrokerSettings(liquidity_per_bar=Decimal(60)))
    bracket(desk)
    assert desk.view(1).filled == 60
    desk.place(1, "BUY", 100, "LMT", limit_price="90")
    assert fills(desk.price(110)) == [(2, "SLD", "60", "110")]
    assert fills(desk.price(111)) == []
    assert desk.held() == 0


def test_stop_and_target_share_what_a_half_filled_entry_has_bought() -> None:
    desk = desk_at(100, BrokerSettings(liquidity_per_bar=Decimal(60)))
    bracket(desk)
    desk.place(1, "BUY", 100, "LMT", limit_price="50")
    desk.price(110)
    assert desk.view(3).terms.quantity == 40
    assert fills(desk.price(94)) == []
    assert desk.held() == 0


def test_a_cancelled_parent_takes_its_waiting_children_along() -> None:
    desk = desk_at(105)
    bracket(desk)
    events = desk.cancel(1)
    assert changes(events) == [(1, "cancelled"), (2, "cancelled"), (3, "cancelled")]
    assert {event.code for event in events if isinstance(event, OrderChanged)} == {202}


def test_a_parent_cancelled_after_a_partial_fill_leaves_children_for_the_filled_part() -> None:
    desk = desk_at(100, BrokerSettings(liquidity_per_bar=Decimal(60)))
    bracket(desk)
    events = desk.cancel(1)
    assert changes(events) == [(1, "cancelled"), (2, "reduced"), (3, "reduced")]
    assert desk.view(2).terms.quantity == 60
    assert desk.view(3).remaining == 60


def test_children_with_nothing_left_go_with_the_cancelled_rest_of_their_parent() -> None:
    desk = desk_at(100, BrokerSettings(liquidity_per_bar=Decimal(60)))
    bracket(desk)
    desk.place(1, "BUY", 100, "LMT", limit_price="50")
    desk.price(110)
    assert changes(desk.cancel(1)) == [(1, "cancelled"), (2, "cancelled"), (3, "cancelled")]
    view = desk.view(2)
    assert (view.filled, view.remaining) == amounts(60, 40)


def test_a_child_cancelled_alone_leaves_parent_and_sibling() -> None:
    desk = desk_at(105)
    bracket(desk)
    assert changes(desk.cancel(2)) == [(2, "cancelled")]
    assert len(desk.exchange.live_orders()) == 2


def test_a_child_with_auto_cancel_parent_takes_the_parent_along() -> None:
    desk = desk_at(105)
    desk.place(1, "BUY", 10, "LMT", limit_price="90", transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price="80", parent_id=1, auto_cancel_parent=True)
    assert changes(desk.cancel(2)) == [(2, "cancelled"), (1, "cancelled")]


def test_a_child_of_an_unknown_or_finished_parent_is_135() -> None:
    desk = desk_at(100)
    assert refusals(desk.place(2, "SELL", 10, "STP", aux_price="80", parent_id=1)) == [135]
    desk.place(3, "BUY", 10)
    assert refusals(desk.place(4, "SELL", 10, "STP", aux_price="80", parent_id=3)) == [135]
    desk.place(5, "BUY", 10, "LMT", limit_price="90", client=8)
    assert refusals(desk.place(6, "SELL", 10, "STP", aux_price="80", parent_id=5)) == [135]


def test_a_stop_whose_parent_has_filled_can_still_be_moved() -> None:
    desk = desk_at(100)
    bracket(desk)
    events = desk.place(3, "SELL", 100, "STP", aux_price="99", parent_id=1)
    assert changes(events) == [(3, "modified")]
    assert fills(desk.price(99)) == [(3, "SLD", "100", "99")]


def test_a_reduced_stop_raised_again_after_the_entry_is_done_flips_the_position() -> None:
    """The broker does as it is told; noticing the danger is the bot's business."""
    desk = desk_at(100)
    desk.place(1, "BUY", 100, transmit=False)
    desk.place(2, "SELL", 50, "LMT", limit_price="110", parent_id=1, transmit=False)
    desk.place(3, "SELL", 100, "STP", aux_price="95", parent_id=1)
    desk.price(110)
    assert desk.view(3).terms.quantity == 50
    desk.place(3, "SELL", 100, "STP", aux_price="100", parent_id=1)
    desk.price(100)
    assert desk.held() == -50


def test_children_of_a_rejected_parent_are_cancelled() -> None:
    desk = desk_at(100, BrokerSettings(cash=Decimal(1000)))
    bracket(desk)
    assert changes(desk.events)[2:] == [
        (1, "rejected"),
        (2, "cancelled"),
        (3, "accepted"),
        (3, "cancelled"),
    ]
    assert desk.exchange.live_orders() == ()


def test_a_partial_target_reduces_the_stop_to_what_is_left() -> None:
    desk = desk_at(100)
    desk.place(1, "BUY", 100)
    desk.place(2, "SELL", 50, "LMT", limit_price="105", oca_group="exits", oca_type=2)
    desk.place(3, "SELL", 100, "STP", aux_price="95", oca_group="exits", oca_type=2)
    events = desk.price(105)
    assert changes(events) == [(2, "filled"), (3, "reduced")]
    view = desk.view(3)
    assert (view.terms.quantity, view.filled, view.remaining) == amounts(50, 0, 50)
    desk.price(95)
    assert desk.held() == 0


@pytest.mark.parametrize("oca_type", [0, 3])
def test_an_unset_oca_type_reduces_like_type_3(oca_type: int) -> None:
    desk = desk_at(100)
    desk.place(1, "SELL", 50, "LMT", limit_price="105", oca_group="exits", oca_type=oca_type)
    desk.place(2, "SELL", 80, "STP", aux_price="95", oca_group="exits", oca_type=oca_type)
    assert changes(desk.price(105)) == [(1, "filled"), (2, "reduced")]


def test_oca_type_1_cancels_the_rest_at_the_first_execution() -> None:
    desk = desk_at(100, BrokerSettings(liquidity_per_bar=Decimal(10)))
    desk.place(1, "SELL", 50, "LMT", limit_price="105", oca_group="exits", oca_type=1)
    desk.place(2, "SELL", 80, "STP", aux_price="95", oca_group="exits", oca_type=1)
    assert changes(desk.price(105)) == [(1, "filled"), (2, "cancelled")]
    assert desk.status(1) == "Submitted"


def test_an_oca_group_spans_the_clients_of_the_account() -> None:
    desk = desk_at(100)
    desk.place(1, "SELL", 50, "LMT", limit_price="105", oca_group="exits")
    desk.place(1, "SELL", 50, "STP", aux_price="95", oca_group="exits", client=8)
    desk.price(105)
    assert desk.status(1, client=8) == "Cancelled"


def test_a_held_leg_is_not_in_its_oca_group_yet() -> None:
    desk = desk_at(100)
    desk.place(1, "SELL", 50, "LMT", limit_price="105", oca_group="exits")
    desk.place(2, "SELL", 50, "STP", aux_price="95", oca_group="exits", transmit=False)
    assert changes(desk.price(105)) == [(1, "filled")]


def test_a_child_with_its_own_group_leaves_its_siblings_alone() -> None:
    desk = desk_at(100)
    desk.place(1, "BUY", 100, transmit=False)
    desk.place(2, "SELL", 50, "LMT", limit_price="105", parent_id=1, transmit=False, oca_group="a")
    desk.place(3, "SELL", 50, "STP", aux_price="95", parent_id=1, transmit=False, oca_group="a")
    desk.place(4, "SELL", 50, "STP", aux_price="95", parent_id=1)
    desk.price(105)
    assert (desk.status(3), desk.status(4)) == ("Cancelled", "PreSubmitted")


@pytest.mark.parametrize("oca_type", [2, 3])
@pytest.mark.parametrize(
    ("reduction", "left"), [("shares", ["30", "50"]), ("fraction", ["15", "20"])]
)
def test_a_partial_fill_takes_shares_or_a_fraction_off_its_oca_group(
    *, oca_type: int, reduction: str, left: list[str]
) -> None:
    desk = desk_at(100, BrokerSettings.model_validate({"oca_reduction": reduction}))
    desk.place(1, "SELL", 40, "LMT", limit_price="105", oca_group="exits", oca_type=oca_type)
    desk.place(2, "SELL", 60, "STP", aux_price="95", oca_group="exits", oca_type=oca_type)
    desk.place(3, "SELL", 80, "STP", aux_price="94", oca_group="exits", oca_type=oca_type)
    # 30 of 40: what is left of the others is their shares less 30, or a quarter of them.
    perm_id = desk.view(1).perm_id
    for shares in (10, 20):
        desk.exchange.fill(perm_id, Decimal(shares), Decimal(106), now=desk.tick())
    assert [str(desk.view(number).remaining) for number in (2, 3)] == left


@pytest.mark.parametrize(
    ("reduction", "status", "remaining"),
    [("shares", "PreSubmitted", 50), ("fraction", "Cancelled", 100)],
)
def test_a_member_that_fills_wholly_ends_its_oca_group_where_a_fraction_is_taken(
    *, reduction: str, status: str, remaining: int
) -> None:
    desk = desk_at(100, BrokerSettings.model_validate({"oca_reduction": reduction}))
    desk.place(1, "SELL", 50, "LMT", limit_price="105", oca_group="exits", oca_type=2)
    desk.place(2, "SELL", 100, "STP", aux_price="95", oca_group="exits", oca_type=2)
    desk.price(106)
    assert (desk.status(2), int(desk.view(2).remaining)) == (status, remaining)


def test_parts_of_a_share_are_not_left_of_an_oca_member() -> None:
    desk = desk_at(100, BrokerSettings(oca_reduction="fraction"))
    desk.place(1, "SELL", 3, "LMT", limit_price="105", oca_group="exits", oca_type=2)
    desk.place(2, "SELL", 10, "STP", aux_price="95", oca_group="exits", oca_type=2)
    desk.exchange.fill(desk.view(1).perm_id, Decimal(1), Decimal(106), now=desk.tick())
    assert desk.view(2).remaining == 6


@pytest.mark.parametrize(("reduction", "left"), [("shares", 20), ("fraction", 33)])
def test_what_an_oca_group_owes_at_the_end_of_a_bar_is_reckoned_as_at_once(
    *, reduction: str, left: int
) -> None:
    settings = {"oca_reduction": reduction, "oca_overfill": True, "liquidity_per_bar": 30}
    desk = desk_at(100, BrokerSettings.model_validate(settings))
    desk.place(1, "SELL", 90, "LMT", limit_price="105", oca_group="exits", oca_type=3)
    desk.place(2, "SELL", 50, "STP", aux_price="95", oca_group="exits", oca_type=3)
    desk.price(106)
    assert desk.view(2).remaining == left


def test_a_fraction_is_taken_of_what_an_oca_member_has_left() -> None:
    desk = desk_at(100, BrokerSettings(oca_reduction="fraction"))
    desk.place(1, "SELL", 40, "LMT", limit_price="105", oca_group="exits", oca_type=2)
    desk.place(2, "SELL", 80, "LMT", limit_price="106", oca_group="exits", oca_type=2)
    for number in (2, 1):
        perm_id = desk.view(number).perm_id
        half = desk.view(number).remaining / 2
        desk.exchange.fill(perm_id, half, Decimal(107), now=desk.tick())
    # 40 of 80 leaves 20 of 40; then 10 of those 20 leaves 20 of 40.
    assert [desk.view(number).remaining for number in (1, 2)] == [10, 20]
