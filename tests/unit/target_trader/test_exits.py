"""Which exits a position should have, and the steps towards them."""

from datetime import datetime
from decimal import Decimal

from target_trader.clock import NEW_YORK
from target_trader.names import IntentState, Leg, Side
from target_trader.settings import Rules
from target_trader.state.checkpoint import ContractRecord, Intent, PartialRecord, Position
from target_trader.strategy.exits import (
    Cancel,
    ExitOrder,
    Modify,
    Place,
    desired_exits,
    plan_exit_actions,
)

NOW = datetime(2025, 10, 6, 10, 5, 50, tzinfo=NEW_YORK)
RULES = Rules()
TRADE = "PS60|TSLA|L|20251006|1"
OURS = 2001


def position(
    shares: int = 100, closed: int = 0, *, partial: int = 0, side: Side = Side.LONG
) -> Position:
    """Return the TSLA trade of the desk's example, entered at 445.25."""
    taken = [PartialRecord(time=NOW, price=Decimal("447.13"), shares=Decimal(partial))]
    return Position(
        trade_id=TRADE,
        symbol="TSLA",
        side=side,
        contract=ContractRecord(symbol="TSLA"),
        pivot=Decimal("444.77"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
        planned_entry=Decimal("445.25"),
        initial_stop=Decimal("443.37"),
        partial_price=Decimal("447.13"),
        planned_shares=Decimal(100),
        entry_reason="break",
        signal_time=NOW,
        stop_price=Decimal("443.37"),
        entry_price=Decimal("445.25"),
        shares=Decimal(shares),
        closed_shares=Decimal(closed),
        partials_taken=taken if partial else [],
    )


def intent(leg: Leg, quantity: int, price: str | None, **changes: object) -> Intent:
    """Return a working order of the trade."""
    number = {Leg.ENTRY: 10, Leg.STOP: 11, Leg.PARTIAL: 12, Leg.TARGET: 13, Leg.EXIT: 14}[leg]
    made = Intent(
        order_ref=f"{TRADE}|{leg}",
        trade_id=TRADE,
        leg=leg,
        symbol="TSLA",
        side=Side.LONG,
        action="SELL",
        order_type="STP" if leg is Leg.STOP else "LMT",
        quantity=Decimal(quantity),
        stop_price=Decimal(price) if price and leg is Leg.STOP else None,
        limit_price=Decimal(price) if price and leg is not Leg.STOP else None,
        order_id=number,
        client_id=OURS,
        perm_id=number,
        state=IntentState.WORKING,
        planned_at=NOW,
    )
    return made.model_copy(update=changes)


def stop(price: str = "443.37", quantity: int = 100) -> ExitOrder:
    """Return a desired stop."""
    return ExitOrder(Leg.STOP, "SELL", "STP", Decimal(quantity), Decimal(price))


def plan(held: Position | None, *intents: Intent) -> tuple[object, ...]:
    """Plan the steps for a position and its orders."""
    return plan_exit_actions(desired_exits(held, RULES), intents, client_id=OURS)


FILLED_ENTRY = intent(Leg.ENTRY, 100, None, filled=Decimal(100), state=IntentState.FILLED)


def test_an_open_position_has_a_stop_for_all_and_a_partial_for_half() -> None:
    assert desired_exits(position(), RULES) == (
        stop(),
        ExitOrder(Leg.PARTIAL, "SELL", "LMT", Decimal(50), Decimal("447.13")),
    )


def test_after_the_partial_the_stop_is_at_breakeven_and_the_runner_has_the_first_target() -> None:
    assert desired_exits(position(closed=50, partial=50), RULES) == (
        stop("445.25", 50),
        ExitOrder(Leg.TARGET, "SELL", "LMT", Decimal(50), Decimal("460.25")),
    )


def test_a_half_filled_partial_keeps_the_initial_stop_for_what_is_left() -> None:
    assert desired_exits(position(closed=20, partial=20), RULES) == (
        stop("443.37", 80),
        ExitOrder(Leg.PARTIAL, "SELL", "LMT", Decimal(30), Decimal("447.13")),
    )


def test_breakeven_is_the_average_entry_price_rounded_to_the_cent() -> None:
    held = position(closed=50, partial=50)
    held.entry_price = Decimal("445.25333")
    assert desired_exits(held, RULES)[0].price == Decimal("445.25")


def test_a_single_share_has_a_stop_and_the_target_and_no_partial() -> None:
    legs = [(each.leg, each.quantity) for each in desired_exits(position(1), RULES)]
    assert legs == [(Leg.STOP, Decimal(1)), (Leg.TARGET, Decimal(1))]


def test_a_short_position_is_closed_by_buying() -> None:
    assert {each.action for each in desired_exits(position(side=Side.SHORT), RULES)} == {"BUY"}


def test_a_flat_or_missing_position_wants_no_exits() -> None:
    assert desired_exits(position(closed=100), RULES) == ()
    assert desired_exits(None, RULES) == ()


def test_a_bracket_that_stands_as_planned_needs_no_step() -> None:
    exits = intent(Leg.STOP, 100, "443.37"), intent(Leg.PARTIAL, 50, "447.13")
    assert plan(position(), FILLED_ENTRY, *exits) == ()


def test_the_filled_partial_moves_the_stop_under_its_own_id_and_adds_the_target() -> None:
    partial = intent(Leg.PARTIAL, 50, "447.13", filled=Decimal(50), state=IntentState.FILLED)
    steps = plan(
        position(closed=50, partial=50), FILLED_ENTRY, intent(Leg.STOP, 100, "443.37"), partial
    )
    target = ExitOrder(Leg.TARGET, "SELL", "LMT", Decimal(50), Decimal("460.25"))
    assert steps == (Modify(11, stop("445.25", 50)), Place(target, 1))


def test_a_stop_that_is_gone_is_placed_anew_with_the_next_number() -> None:
    for state in (IntentState.CANCELLED, IntentState.LOST, IntentState.REJECTED):
        gone = intent(Leg.STOP, 100, "443.37", state=state)
        steps = plan(position(), FILLED_ENTRY, gone, intent(Leg.PARTIAL, 50, "447.13"))
        assert steps == (Place(stop(), 2),)


def test_a_stop_that_may_be_on_its_way_is_not_sent_twice() -> None:
    for state in (IntentState.PLANNED, IntentState.SENT, IntentState.UNKNOWN):
        unsure = intent(Leg.STOP, 100, "443.37", state=state)
        assert plan(position(), FILLED_ENTRY, unsure, intent(Leg.PARTIAL, 50, "447.13")) == ()


def test_while_the_entry_works_its_children_are_left_as_they_are() -> None:
    entry = intent(Leg.ENTRY, 100, None, filled=Decimal(60))
    exits = intent(Leg.STOP, 100, "443.37"), intent(Leg.PARTIAL, 50, "447.13")
    assert plan(position(60), entry, *exits) == ()


def test_while_the_entry_works_a_missing_stop_is_still_placed() -> None:
    entry = intent(Leg.ENTRY, 100, None, filled=Decimal(60))
    assert plan(position(60), entry) == (Place(stop(quantity=60), 1),)


def test_a_stop_that_covers_too_little_is_enlarged_even_while_the_entry_works() -> None:
    entry = intent(Leg.ENTRY, 100, None, filled=Decimal(60))
    steps = plan(position(60), entry, intent(Leg.STOP, 40, "443.37"))
    assert steps == (Modify(11, stop(quantity=60)),)


def test_an_entry_that_ended_early_shrinks_the_stop_to_what_was_entered() -> None:
    entry = intent(Leg.ENTRY, 100, None, filled=Decimal(60), state=IntentState.CANCELLED)
    exits = intent(Leg.STOP, 100, "443.37"), intent(Leg.PARTIAL, 30, "447.13")
    assert plan(position(60), entry, *exits) == (Modify(11, stop(quantity=60)),)


def test_a_flat_position_takes_its_working_exits_back() -> None:
    exits = intent(Leg.STOP, 50, "445.25"), intent(Leg.TARGET, 50, "460.25")
    assert plan(position(closed=100, partial=50), FILLED_ENTRY, *exits) == (Cancel(11), Cancel(13))


def test_a_stop_that_is_filling_is_not_joined_by_new_profit_exits() -> None:
    filling = intent(Leg.STOP, 100, "443.37", filled=Decimal(60))
    gone = intent(Leg.PARTIAL, 50, "447.13", state=IntentState.LOST)
    assert plan(position(closed=60), FILLED_ENTRY, filling, gone) == ()


def test_a_stop_that_died_half_filled_is_replaced_for_the_rest() -> None:
    dead = intent(Leg.STOP, 100, "443.37", filled=Decimal(60), state=IntentState.CANCELLED)
    assert plan(position(closed=60), FILLED_ENTRY, dead) == (Place(stop(quantity=40), 2),)


def test_of_two_live_stops_one_is_taken_back() -> None:
    second = intent(Leg.STOP, 100, "443.37", order_id=21, ordinal=2)
    exits = intent(Leg.STOP, 100, "443.37"), second, intent(Leg.PARTIAL, 50, "447.13")
    assert plan(position(), FILLED_ENTRY, *exits) == (Cancel(21),)


def test_a_profit_exit_that_somebody_cancelled_stays_cancelled() -> None:
    gone = intent(Leg.PARTIAL, 50, "447.13", state=IntentState.CANCELLED)
    assert plan(position(), FILLED_ENTRY, intent(Leg.STOP, 100, "443.37"), gone) == ()


def test_a_profit_exit_that_never_reached_the_broker_is_sent_again() -> None:
    lost = intent(Leg.PARTIAL, 50, "447.13", state=IntentState.LOST)
    steps = plan(position(), FILLED_ENTRY, intent(Leg.STOP, 100, "443.37"), lost)
    wanted = ExitOrder(Leg.PARTIAL, "SELL", "LMT", Decimal(50), Decimal("447.13"))
    assert steps == (Place(wanted, 1),)


def test_an_order_of_another_client_id_protects_but_is_never_touched() -> None:
    foreign = intent(Leg.STOP, 100, "440.00", client_id=7)
    assert plan(position(), FILLED_ENTRY, foreign, intent(Leg.PARTIAL, 50, "447.13")) == ()
    assert plan(None, foreign) == ()


def leaving(shares: int = 100, closed: int = 0) -> Position:
    """Return a position whose end at market is asked for."""
    held = position(shares, closed)
    held.exit_requested = "SMA 10 crossed below 30"
    return held


def at_market(quantity: int = 100) -> ExitOrder:
    """Return the desired exit at market."""
    return ExitOrder(Leg.EXIT, "SELL", "MKT", Decimal(quantity), None)


def market_exit(quantity: int = 100, **changes: object) -> Intent:
    """Return a working exit at market."""
    return intent(Leg.EXIT, quantity, None, order_type="MKT", **changes)


def test_a_position_that_is_to_end_keeps_its_stop_and_has_a_market_order_for_all() -> None:
    assert desired_exits(leaving(), RULES) == (stop(), at_market())
    assert desired_exits(leaving(100, 100), RULES) == ()


def test_the_end_takes_the_profit_exits_back_after_the_market_order_is_sent() -> None:
    exits = intent(Leg.STOP, 100, "443.37"), intent(Leg.PARTIAL, 50, "447.13")
    assert plan(leaving(), FILLED_ENTRY, *exits) == (Place(at_market(), 1), Cancel(12))


def test_a_market_exit_that_works_or_may_work_is_not_sent_twice() -> None:
    for state in (IntentState.PLANNED, IntentState.SENT, IntentState.UNKNOWN, IntentState.WORKING):
        exits = intent(Leg.STOP, 100, "443.37"), market_exit(state=state)
        assert plan(leaving(), FILLED_ENTRY, *exits) == ()


def test_a_market_exit_that_fills_in_parts_needs_no_step() -> None:
    exits = intent(Leg.STOP, 40, "443.37"), market_exit(filled=Decimal(60))
    assert plan(leaving(100, 60), FILLED_ENTRY, *exits) == ()


def test_a_market_exit_that_ended_with_shares_still_held_is_sent_again_for_the_rest() -> None:
    for state in (IntentState.CANCELLED, IntentState.LOST, IntentState.REJECTED):
        gone = market_exit(filled=Decimal(60), state=state)
        steps = plan(leaving(100, 60), FILLED_ENTRY, intent(Leg.STOP, 40, "443.37"), gone)
        assert steps == (Place(at_market(40), 2),)


def test_a_stop_that_fills_is_not_joined_by_a_market_exit_until_it_has_ended() -> None:
    filling = intent(Leg.STOP, 100, "443.37", filled=Decimal(30))
    assert plan(leaving(100, 30), FILLED_ENTRY, filling) == ()
    gone = filling.model_copy(update={"state": IntentState.CANCELLED})
    steps = plan(leaving(100, 30), FILLED_ENTRY, gone)
    assert steps == (Place(stop(quantity=70), 2), Place(at_market(70), 1))


def test_the_end_waits_for_the_entry_to_be_done() -> None:
    entry = intent(Leg.ENTRY, 100, None, filled=Decimal(60))
    assert plan(leaving(60), entry, intent(Leg.STOP, 100, "443.37")) == ()


def test_a_flat_position_takes_its_market_exit_back() -> None:
    assert plan(leaving(100, 100), FILLED_ENTRY, market_exit()) == (Cancel(14),)
