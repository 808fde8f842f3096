"""Who wins when state and broker disagree, row by row of the table in reconcile.py."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from target_trader import reconcile as module
from target_trader.ledger import book
from target_trader.matching import urgent_unknowns
from target_trader.names import IntentState, Leg, Side
from target_trader.picture import Picture
from target_trader.reconcile import next_day, reconcile
from target_trader.state.checkpoint import Checkpoint, Position, new_checkpoint
from target_trader.strategy.exits import desired_exits
from tests.support.pictures import (
    CONTEXT,
    DAY,
    ENTRY_FILL,
    KEY,
    NOW,
    PARTIAL,
    RULES,
    STOP,
    add_trade,
    fill,
    held,
    order,
    quantity,
    ref,
    state,
    states,
    steps,
)


def test_the_desks_own_example_is_reported_in_its_words() -> None:
    """TSLA 50 and NVDA 100 agree; AMD's 200 were closed while the bot was away."""
    books = state("TSLA")
    book(books, fill("partial", 50, "447.13"))
    add_trade(books, "NVDA", entered=100)
    add_trade(books, "AMD", entered=200)
    picture = Picture(
        positions=(held(50), held(100, "NVDA")),
        open_orders=(),
        executions=(fill("entry", 100, "445.25"), fill("partial", 50, "447.13")),
    )
    outcome = reconcile(books, picture, context=CONTEXT)
    text = outcome.report.text()
    assert "TSLA: State file shows 50 shares, IBKR confirms 50 shares ✓" in text
    assert "NVDA: State file shows 100 shares, IBKR confirms 100 shares ✓" in text
    assert "AMD: State file shows 200 shares, IBKR shows 0 shares ⚠️" in text
    assert "→ Position was closed by broker during downtime" in text
    shares = [quantity(outcome, symbol) for symbol in ("TSLA", "NVDA", "AMD")]
    assert shares == [Decimal(50), Decimal(100), Decimal(0)]


def test_reconciling_does_not_change_the_books_it_was_given() -> None:
    books = state()
    before = books.model_copy(deep=True)
    reconcile(books, Picture(), context=CONTEXT)
    assert books == before


def test_reconciling_twice_is_reconciling_once() -> None:
    picture = Picture((held(100),), (STOP, PARTIAL), (), (ENTRY_FILL,))
    once = reconcile(state(), picture, context=CONTEXT)
    twice = reconcile(once.checkpoint, picture, context=CONTEXT)
    assert twice.checkpoint == once.checkpoint


def test_a_fill_that_was_missed_is_booked_with_all_that_follows() -> None:
    missed = fill("partial", 50, "447.13")
    picture = Picture((held(50),), (STOP,), (), (ENTRY_FILL, missed))
    outcome = reconcile(state(), picture, context=CONTEXT)
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.open_shares, len(position.partials_taken)) == (Decimal(50), 1)
    assert "missed fill booked: SLD 50 @ 447.13" in outcome.report.text()
    assert states(outcome)["partial"] == IntentState.FILLED
    assert steps(outcome) == ["target1"]


def test_a_stop_that_filled_while_the_bot_was_dead_closes_the_trade_at_its_price() -> None:
    books = state()
    done = order("partial", 0, "447.13", status="Cancelled", order_id=0, client_id=0)
    picture = Picture((), (), (done,), (ENTRY_FILL, fill("stop", 100, "443.37")))
    outcome = reconcile(books, picture, context=CONTEXT)
    assert quantity(outcome) == 0
    assert outcome.checkpoint.session.daily_pnl == Decimal("-188.00")
    assert states(outcome) == {"entry": "filled", "stop": "filled", "partial": "cancelled"}
    assert outcome.checkpoint.attempts[KEY] == 1


def test_pivot_targets_and_attempts_survive_from_the_state() -> None:
    books = state()
    books.attempts[KEY] = 2
    picture = Picture((held(100),), (STOP, PARTIAL), (), (ENTRY_FILL,))
    outcome = reconcile(books, picture, context=CONTEXT)
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.pivot, position.target2) == (Decimal("444.77"), Decimal("470.50"))
    assert position.entry_reason == "STRONG break"
    assert outcome.checkpoint.attempts == {KEY: 2}


def test_ids_prices_and_quantities_of_orders_are_taken_from_the_broker() -> None:
    picture = Picture(
        (held(50),), (order("stop", 50, "444.00"),), (), (ENTRY_FILL, fill("partial", 50, "447.13"))
    )
    outcome = reconcile(state(), picture, context=CONTEXT)
    stop = outcome.checkpoint.intents[1]
    assert (stop.quantity, stop.stop_price, stop.perm_id) == (Decimal(50), Decimal("444.00"), 1011)
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.stop_price, position.stop_order_id) == (Decimal("444.00"), 11)


def test_a_stop_that_is_gone_is_known_to_be_gone_and_placed_anew() -> None:
    outcome = reconcile(
        state(), Picture((held(100),), (PARTIAL,), (), (ENTRY_FILL,)), context=CONTEXT
    )
    assert states(outcome)["stop"] == IntentState.CANCELLED
    assert steps(outcome) == ["stop2"]


def test_a_bracket_without_a_trace_is_unknown_and_nothing_is_given_back() -> None:
    outcome = reconcile(state(entered=0), Picture(), context=CONTEXT)
    assert set(states(outcome).values()) == {IntentState.UNKNOWN}
    assert outcome.checkpoint.attempts[KEY] == 1
    assert outcome.checkpoint.memory("TSLA").pending is None
    assert urgent_unknowns(outcome.checkpoint, rules=RULES, now=NOW) == []


def test_the_grace_of_an_unknown_bracket_is_over_after_ten_seconds_of_the_first_look() -> None:
    first = reconcile(state(entered=0), Picture(), context=CONTEXT)
    later = replace(CONTEXT, now=NOW + timedelta(seconds=9))
    second = reconcile(first.checkpoint, Picture(), context=later)
    assert urgent_unknowns(second.checkpoint, rules=RULES, now=later.now) == []
    now = NOW + timedelta(seconds=10)
    assert len(urgent_unknowns(second.checkpoint, rules=RULES, now=now)) == 3


def test_a_bracket_that_was_withdrawn_without_a_trace_is_lost_and_the_attempt_comes_back() -> None:
    context = replace(CONTEXT, withdrawn=frozenset({10, 11, 12}))
    outcome = reconcile(state(entered=0), Picture(), context=context)
    assert set(states(outcome).values()) == {IntentState.LOST}
    assert outcome.checkpoint.attempts[KEY] == 0
    assert outcome.checkpoint.memory("TSLA").pending is Side.LONG
    assert outcome.checkpoint.positions == {}
    again = reconcile(outcome.checkpoint, Picture(), context=context)
    assert again.checkpoint.attempts[KEY] == 0


def test_an_entry_that_was_parked_and_withdrawn_is_lost_as_well() -> None:
    """An untransmitted parent is not listed; our cancel ends it, and then it is."""
    context = replace(CONTEXT, withdrawn=frozenset({10, 11, 12}))
    parked = order("entry", 100, status="Cancelled", order_id=0, client_id=0)
    outcome = reconcile(state(entered=0), Picture(completed_orders=(parked,)), context=context)
    assert states(outcome)["entry"] == IntentState.LOST
    assert outcome.checkpoint.attempts[KEY] == 0


def test_a_listed_bracket_without_its_last_leg_is_parked_and_decided_as_a_whole() -> None:
    parked = Picture(open_orders=(order("entry", 100), STOP))
    first = reconcile(state(entered=0), parked, context=CONTEXT)
    assert set(states(first).values()) == {IntentState.UNKNOWN}
    now = NOW + timedelta(seconds=10)
    again = reconcile(first.checkpoint, parked, context=replace(CONTEXT, now=now))
    assert len(urgent_unknowns(again.checkpoint, rules=RULES, now=now)) == 3
    gone = replace(CONTEXT, now=now, withdrawn=frozenset({10, 11, 12}))
    last = reconcile(again.checkpoint, Picture(), context=gone)
    assert set(states(last).values()) == {IntentState.LOST}
    assert last.checkpoint.attempts[KEY] == 0


def test_an_entry_that_the_broker_cancelled_is_an_attempt_that_was_made() -> None:
    done = order("entry", 100, status="Cancelled", order_id=0, client_id=0)
    outcome = reconcile(state(entered=0), Picture(completed_orders=(done,)), context=CONTEXT)
    assert states(outcome)["entry"] == IntentState.CANCELLED
    assert outcome.checkpoint.attempts[KEY] == 1


@pytest.mark.parametrize("where", ["open", "completed", "executions"])
def test_a_trace_anywhere_at_the_broker_is_enough_to_know_an_entry(where: str) -> None:
    picture = {
        "open": Picture(open_orders=(order("entry", 100), STOP, PARTIAL)),
        "completed": Picture(
            (held(100),), (), (order("entry", 0, status="Filled", order_id=0),), (ENTRY_FILL,)
        ),
        "executions": Picture((held(100),), (), (), (ENTRY_FILL,)),
    }[where]
    outcome = reconcile(state(entered=0), picture, context=CONTEXT)
    assert outcome.checkpoint.intents[0].state in {IntentState.WORKING, IntentState.FILLED}
    assert outcome.checkpoint.intents[0].perm_id == 1010
    assert outcome.checkpoint.attempts[KEY] == 1


def test_an_entry_that_filled_without_its_stop_is_given_one_at_once() -> None:
    outcome = reconcile(
        state(entered=0), Picture((held(100),), (), (), (ENTRY_FILL,)), context=CONTEXT
    )
    assert states(outcome) == {"entry": "filled", "stop": "lost", "partial": "lost"}
    assert steps(outcome) == ["stop2", "partial2"]


def test_an_unknown_stop_of_an_open_position_is_asked_about_without_grace() -> None:
    books = state()
    stop = books.intents[1]
    stop.state, stop.perm_id, stop.parent_id = IntentState.PLANNED, None, 0
    outcome = reconcile(
        books, Picture((held(100),), (PARTIAL,), (), (ENTRY_FILL,)), context=CONTEXT
    )
    assert states(outcome)["stop"] == IntentState.UNKNOWN
    urgent = urgent_unknowns(outcome.checkpoint, rules=RULES, now=NOW)
    assert [each.order_ref for each in urgent] == [ref("stop")]


def test_a_position_that_vanished_without_a_fill_is_closed_loudly() -> None:
    outcome = reconcile(state(), Picture((), (), (), (ENTRY_FILL,)), context=CONTEXT)
    assert quantity(outcome) == 0
    assert "no fill explains the difference" in outcome.report.text()


def test_a_smaller_and_a_larger_position_are_taken_over() -> None:
    for shares in (30, 140):
        picture = Picture((held(shares),), (STOP,), (), (ENTRY_FILL,))
        assert quantity(reconcile(state(), picture, context=CONTEXT)) == shares


def test_a_position_that_was_sold_by_hand_is_closed_with_that_fill() -> None:
    by_hand = replace(
        fill("stop", 100, "446.00", at=NOW - timedelta(minutes=1)),
        order_id=0,
        client_id=0,
        perm_id=99,
        order_ref="",
    )
    outcome = reconcile(
        state(), Picture((), (STOP, PARTIAL), (), (ENTRY_FILL, by_hand)), context=CONTEXT
    )
    assert quantity(outcome) == 0
    assert outcome.checkpoint.session.daily_pnl == 75
    assert "traded by hand" in outcome.report.text()


def test_a_position_that_was_turned_over_by_hand_is_no_lag_however_young_the_fills() -> None:
    young = NOW - timedelta(seconds=1)
    entered = replace(ENTRY_FILL, time=young)
    by_hand = replace(
        fill("stop", 200, "446.00", at=young), order_id=0, client_id=0, perm_id=99, order_ref=""
    )
    picture = Picture((held(-100),), (STOP, PARTIAL), (), (entered, by_hand))
    outcome = reconcile(state(), picture, context=CONTEXT)
    assert quantity(outcome) == -100
    assert outcome.ask_again


def test_a_difference_that_young_fills_do_not_come_to_is_no_lag() -> None:
    young = replace(ENTRY_FILL, time=NOW - timedelta(seconds=1))
    outcome = reconcile(state(), Picture((held(70),), (STOP,), (), (young,)), context=CONTEXT)
    assert quantity(outcome) == 70
    assert outcome.ask_again


def test_a_fresh_fill_outweighs_a_position_that_lags_and_is_asked_about_again() -> None:
    fresh = fill("entry", 100, "445.25", at=NOW - timedelta(seconds=1))
    outcome = reconcile(
        state(entered=0), Picture((), (STOP, PARTIAL), (), (fresh,)), context=CONTEXT
    )
    assert quantity(outcome) == 100
    assert outcome.ask_again


def test_a_flipped_position_is_adopted_and_protected() -> None:
    stop, exit_by_hand = fill("stop", 100, "443.37"), fill("stop", 50, "443.00", number=1)
    outcome = reconcile(
        state(), Picture((held(-50),), (), (), (ENTRY_FILL, stop, exit_by_hand)), context=CONTEXT
    )
    assert quantity(outcome) == -50
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert position.side is Side.SHORT
    assert steps(outcome) == ["stop1"]


def test_an_unknown_position_of_a_watched_symbol_is_adopted_with_a_stop_below_its_cost() -> None:
    empty = new_checkpoint(DAY, now=NOW)
    outcome = reconcile(empty, Picture((held(80, cost="450.00"),)), context=CONTEXT)
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.shares, position.initial_stop) == (Decimal(80), Decimal("448.60"))
    assert [each.leg for each in desired_exits(position, RULES)] == [Leg.STOP]
    assert "In IBKR portfolio but NOT in state file" in outcome.report.text()


def test_an_adopted_position_keeps_the_stop_that_already_guards_it() -> None:
    guard = order("stop", 100, "441.00", order_ref="PS60|TSLA|L|20251003|2|stop")
    outcome = reconcile(
        new_checkpoint(DAY, now=NOW), Picture((held(100),), (guard,)), context=CONTEXT
    )
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.stop_price, position.stop_order_id) == (Decimal("441.00"), 11)
    assert steps(outcome) == []


def test_a_foreign_position_is_reported_and_left_alone() -> None:
    outcome = reconcile(new_checkpoint(DAY, now=NOW), Picture((held(300, "IBM"),)), context=CONTEXT)
    assert outcome.checkpoint.positions == {}
    assert "IBM: IBKR holds 300 shares, not ours: left alone" in outcome.report.text()


def test_a_foreign_order_is_reported_and_left_alone() -> None:
    foreign = order("stop", 100, "440", order_ref="by hand", order_id=0, client_id=0)
    outcome = reconcile(
        new_checkpoint(DAY, now=NOW), Picture(open_orders=(foreign,)), context=CONTEXT
    )
    assert outcome.checkpoint.intents == []
    assert "foreign order left alone" in outcome.report.text()


def test_a_lost_state_rebuilds_trade_and_attempts_from_the_refs_at_the_broker() -> None:
    entry = replace(ENTRY_FILL, order_ref=ref("entry", attempt=2))
    stop = replace(STOP, order_ref=ref("stop", attempt=2))
    outcome = reconcile(
        new_checkpoint(DAY, now=NOW), Picture((held(100),), (stop,), (), (entry,)), context=CONTEXT
    )
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert position.trade_id == "PS60|TSLA|L|20251006|2"
    assert (position.pivot, position.initial_stop) == (Decimal("444.77"), Decimal("443.37"))
    assert position.partial_price == Decimal("447.13")
    assert outcome.checkpoint.attempts == {KEY: 2}


def test_a_rebuilt_trade_whose_partial_was_taken_goes_on_at_breakeven() -> None:
    stop = order("stop", 50, "445.25")
    outcome = reconcile(
        new_checkpoint(DAY, now=NOW),
        Picture((held(50),), (stop,), (), (ENTRY_FILL, fill("partial", 50, "447.13"))),
        context=CONTEXT,
    )
    exits = desired_exits(outcome.checkpoint.position_of("TSLA"), RULES)
    assert [(each.leg, each.price) for each in exits] == [
        (Leg.STOP, Decimal("445.25")),
        (Leg.TARGET, Decimal("460.25")),
    ]


def test_an_inactive_stop_is_no_protection_after_it_was_withdrawn() -> None:
    idle = order("stop", 100, "443.37", status="Inactive")
    picture = Picture((held(100),), (idle, PARTIAL), (), (ENTRY_FILL,))
    first = reconcile(state(), picture, context=CONTEXT)
    assert states(first)["stop"] == IntentState.UNKNOWN
    second = reconcile(
        first.checkpoint, picture, context=replace(CONTEXT, withdrawn=frozenset({11}))
    )
    assert states(second)["stop"] == IntentState.REJECTED
    assert steps(second) == ["stop2"]


def test_a_new_day_keeps_what_is_open_and_forgets_the_attempts() -> None:
    tomorrow = next_day(state(), date(2025, 10, 7), now=NOW + timedelta(days=1))
    assert tomorrow.attempts == {}
    assert tomorrow.session.daily_pnl == 0
    position = tomorrow.position_of("TSLA")
    assert position is not None
    assert position.open_shares == 100


@pytest.mark.parametrize("record", [Checkpoint, Position])
def test_the_table_of_who_wins_names_every_field(record: type[Checkpoint | Position]) -> None:
    rows = [line for line in (module.__doc__ or "").splitlines() if line.startswith("| `")]
    named = re.findall(r"`([a-z_0-9.]+)`", " ".join(row.split("|")[1] for row in rows))
    prefix = "position." if record is Position else ""
    missing = [name for name in record.model_fields if prefix + name not in named]
    assert missing == []
