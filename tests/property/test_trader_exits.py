"""Planning exits is idempotent and safe for any position and any orders in any state."""

from datetime import datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.names import IntentState, Leg, Side
from target_trader.settings import Rules
from target_trader.state.checkpoint import ContractRecord, Intent, PartialRecord, Position
from target_trader.strategy.exits import (
    Action,
    Cancel,
    Modify,
    Place,
    desired_exits,
    plan_exit_actions,
)

NOW = datetime(2025, 10, 6, 10, 5, 50, tzinfo=NEW_YORK)
RULES = Rules()
TRADE = "PS60|TSLA|L|20251006|1"
GROUP = f"{TRADE}|exits"
OURS = 2001


# The prices that exits should have, and any others.
PRICES = st.sampled_from(["443.37", "445.25", "447.13", "460.25"]).map(Decimal) | st.integers(
    44000, 46100
).map(lambda cents: Decimal(cents) / 100)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    """Draw a trade at any stage."""
    shares = draw(st.integers(0, 300))
    partial = draw(st.integers(0, shares))
    other = draw(st.integers(0, shares - partial))
    taken = [PartialRecord(time=NOW, price=Decimal("447.13"), shares=Decimal(partial))]
    return Position(
        trade_id=TRADE,
        symbol="TSLA",
        side=draw(st.sampled_from(list(Side))),
        contract=ContractRecord(symbol="TSLA"),
        pivot=Decimal("444.77"),
        target1=draw(st.sampled_from([None, Decimal("460.25")])),
        target2=None,
        planned_entry=Decimal("445.25"),
        initial_stop=Decimal("443.37"),
        partial_price=draw(st.sampled_from([None, Decimal("447.13")])),
        planned_shares=Decimal(100),
        entry_reason="break",
        signal_time=NOW,
        stop_price=Decimal("443.37"),
        entry_price=Decimal("445.25"),
        shares=Decimal(shares),
        closed_shares=Decimal(partial + other),
        partials_taken=taken if partial else [],
        exit_requested=draw(st.sampled_from([None, None, "the trend has turned"])),
    )


@st.composite
def order_lists(draw: st.DrawFn) -> list[Intent]:
    """Draw the orders of the trade, in any state."""
    legs = draw(st.lists(st.sampled_from(list(Leg)), max_size=6))
    orders = []
    for number, leg in enumerate(legs):
        quantity = draw(st.integers(1, 300))
        price = draw(PRICES)
        made = Intent(
            order_ref=f"{TRADE}|{leg}{number + 2}",
            trade_id=TRADE,
            leg=leg,
            ordinal=number + 2,
            symbol="TSLA",
            side=Side.LONG,
            action="SELL",
            order_type="STP" if leg is Leg.STOP else "LMT",
            quantity=Decimal(quantity),
            filled=Decimal(draw(st.sampled_from([0, 0, quantity // 2]))),
            stop_price=price if leg is Leg.STOP else None,
            limit_price=None if leg is Leg.STOP else price,
            order_id=100 + number,
            oca_group="" if leg is Leg.ENTRY else GROUP,
            client_id=draw(st.sampled_from([OURS, OURS, 7])),
            perm_id=number + 1,
            state=draw(st.sampled_from([*IntentState, *[IntentState.WORKING] * 8])),
            planned_at=NOW,
        )
        orders.append(made)
    return orders


def plan(position: Position, orders: list[Intent]) -> tuple[Action, ...]:
    """Plan the steps."""
    return plan_exit_actions(desired_exits(position, RULES), orders, client_id=OURS)


def apply(actions: tuple[Action, ...], orders: list[Intent]) -> list[Intent]:
    """Carry the steps out as a broker would that accepts everything."""
    after = [each.model_copy(deep=True) for each in orders]
    for number, action in enumerate(actions):
        match action:
            case Cancel(order_id=order_id):
                for each in after:
                    if each.order_id == order_id:
                        each.state = IntentState.CANCELLED
            case Modify(order_id=order_id, order=order):
                for each in after:
                    if each.order_id == order_id:
                        each.quantity = each.filled + order.quantity
                        set_price(each, order.price)
            case Place(order=order, ordinal=ordinal):
                fresh = Intent(
                    order_ref=f"{TRADE}|{order.leg}{ordinal}",
                    trade_id=TRADE,
                    leg=order.leg,
                    ordinal=ordinal,
                    symbol="TSLA",
                    side=Side.LONG,
                    action=order.action,
                    order_type=order.order_type,
                    quantity=order.quantity,
                    order_id=900 + number,
                    client_id=OURS,
                    oca_group=GROUP,
                    perm_id=900 + number,
                    state=IntentState.WORKING,
                    planned_at=NOW,
                )
                set_price(fresh, order.price)
                after.append(fresh)
    return after


def set_price(intent: Intent, price: Decimal | None) -> None:
    """Set the one price of an order."""
    if intent.leg is Leg.STOP:
        intent.stop_price = price
    else:
        intent.limit_price = price


@given(positions(), order_lists())
def test_planning_after_the_steps_gives_no_further_steps(
    position: Position, orders: list[Intent]
) -> None:
    after = apply(plan(position, orders), orders)
    assert plan(position, after) == ()


@given(positions(), order_lists())
def test_an_open_position_is_never_left_without_a_stop(
    position: Position, orders: list[Intent]
) -> None:
    after = apply(plan(position, orders), orders)
    stops = [each for each in after if each.leg is Leg.STOP and each.live]
    assert bool(stops) or position.open_shares <= 0


@given(positions(), order_lists())
def test_no_step_adds_a_second_live_order_of_a_leg(
    position: Position, orders: list[Intent]
) -> None:
    live = {each.leg for each in orders if each.live}
    placed = [each.order.leg for each in plan(position, orders) if isinstance(each, Place)]
    assert not live & set(placed)
    assert len(placed) == len(set(placed))


@given(positions(), order_lists())
def test_no_step_touches_an_order_of_another_client(
    position: Position, orders: list[Intent]
) -> None:
    foreign = {each.order_id for each in orders if each.client_id != OURS}
    touched = {
        each.order_id for each in plan(position, orders) if isinstance(each, Cancel | Modify)
    }
    assert not touched & foreign


@settings(max_examples=500)
@given(positions(), order_lists())
def test_a_leg_whose_order_is_in_doubt_is_left_alone(
    position: Position, orders: list[Intent]
) -> None:
    doubtful = {each.leg for each in orders if each.unseen}
    for action in plan(position, orders):
        match action:
            case Place(order=order) | Modify(order=order):
                assert order.leg not in doubtful
            case Cancel(order_id=order_id):
                assert not any(each.unseen for each in orders if each.order_id == order_id)


@given(positions(), order_lists())
def test_a_new_order_never_closes_more_than_is_held(
    position: Position, orders: list[Intent]
) -> None:
    for action in plan(position, orders):
        if isinstance(action, Place | Modify):
            assert 0 < action.order.quantity <= position.open_shares


def simplified(orders: list[Intent]) -> list[Intent]:
    """Take away what holds a step back: doubt, a working entry, a stop that fills, strangers."""
    for each in orders:
        each.client_id, each.filled = OURS, Decimal(0)
        if each.live:
            each.state = IntentState.FILLED if each.leg is Leg.ENTRY else IntentState.WORKING
    return orders


@given(positions(), order_lists().map(simplified))
def test_one_stop_protects_every_share_that_is_held_and_no_other(
    position: Position, orders: list[Intent]
) -> None:
    after = apply(plan(position, orders), orders)
    stops = [each.remaining for each in after if each.leg is Leg.STOP and each.live]
    held = max(position.open_shares, Decimal(0))
    assert stops == ([held] if held else [])


@given(positions(), order_lists().map(simplified))
def test_the_profit_exits_never_close_more_than_is_held(
    position: Position, orders: list[Intent]
) -> None:
    after = apply(plan(position, orders), orders)
    legs = [each.leg for each in after if each.live]
    assert len(legs) == len(set(legs))
    assert all(each.remaining <= position.open_shares for each in after if each.live)


@given(st.lists(st.tuples(positions(), order_lists().map(simplified)), min_size=2, max_size=3))
def test_the_trades_of_a_symbol_together_close_no_more_than_they_hold(
    trades: list[tuple[Position, list[Intent]]],
) -> None:
    """Of a group only one order can fill (ocaType 2), so the largest of each group counts."""
    closing = held = Decimal(0)
    for position, orders in trades:
        after = apply(plan(position, orders), orders)
        live = [each for each in after if each.live]
        assert all(each.oca_group == GROUP for each in live)
        closing += max((each.remaining for each in live), default=Decimal(0))
        held += position.open_shares
    assert closing <= held


@given(positions(), order_lists())
def test_steps_that_were_only_half_taken_are_completed_by_the_next_plan(
    position: Position, orders: list[Intent]
) -> None:
    """The bot dies between two steps: what it plans then brings it to the same exits."""
    steps = plan(position, orders)
    whole = apply(steps, orders)
    for taken in range(len(steps)):
        half = apply(steps[:taken], orders)
        rest = apply(plan(position, half), half)
        assert live_exits(rest) == live_exits(whole)


def live_exits(orders: list[Intent]) -> list[tuple[str, Decimal, Decimal | None]]:
    """Return the live exits by leg, quantity and price."""
    rows = [(each.leg.value, each.remaining, each.price) for each in orders if each.live]
    return sorted(rows, key=str)
