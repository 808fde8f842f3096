"""Laws on signals, instances, exact numbers and recoveries: what breaks each, and what does not."""

from dataclasses import replace
from typing import Any

import pytest

from harness.checks import Invariant, Needs
from harness.invariants import (
    ALL_INVARIANTS,
    converges,
    exact_quantities,
    law_table,
    one_writer,
    recovery_bounds,
    signal_once,
)
from harness.invariants.recovery_bounds import REQUESTS_MAX, STEPS_MAX
from target_trader.belief import belief
from target_trader.picture import Picture
from target_trader.reconcile import reconcile
from target_trader.state.checkpoint import new_checkpoint
from tests.support.pictures import CONTEXT, NOW, RULES, fill, ref
from tests.support.pictures import DAY as DAY_OF_BOOKS
from tests.unit.harness.stories import ENTRY, STOP, TARGET, Story, stem

DAY = "2025-10-06"
SECOND = "PS60|TSLA|L|20251006|2|entry"
HERE = [
    module.INVARIANT
    for module in (converges, exact_quantities, one_writer, recovery_bounds, signal_once)
]


def day() -> Story:
    """Entered, killed at rest, restarted at once, a second entry some bars later."""
    story = Story().case().start().bar().bracket().bar().killed().start().bar().stopped_out()
    story.partial_gone().bar().order(11, "BUY", 100, ref=SECOND)
    return story.fill(11, "BOT", 100, ref=SECOND).done(11, "BUY", 100, ref=SECOND).bar().end()


@pytest.mark.parametrize("invariant", HERE, ids=lambda law: law.name)
def test_a_good_day_breaks_no_law(invariant: Invariant) -> None:
    assert invariant.check(day().history()) == []


def test_every_law_has_one_name_and_a_line_in_the_table() -> None:
    names = [law.name for law in ALL_INVARIANTS]
    assert len(set(names)) == len(names)
    table = law_table().splitlines()
    assert table[2:] == [f"| {a.name} | {a.law} | {a.needs.value} |" for a in ALL_INVARIANTS]
    assert {law.needs for law in ALL_INVARIANTS} == {Needs.BOOKS, Needs.BELIEF}


def entered_and_dead(*, filled: int = 100) -> Story:
    story = Story().case().start().bar().order(1, "BUY", 100, ref=ENTRY)
    if filled:
        story.fill(1, "BOT", filled, ref=ENTRY)
    status = "Filled" if filled == 100 else "Cancelled"
    story.order(1, "BUY", 100, ref=ENTRY, filled=filled, status=status, event="filled")
    return story.killed()


def test_a_second_entry_without_a_new_bar_is_found() -> None:
    story = entered_and_dead().start().order(9, "BUY", 100, ref=SECOND)
    (finding,) = signal_once.check(story.history())
    assert "Life 2 acted again on a signal of life 1" in finding.sentence
    assert finding.at_risk == 44500


def test_a_second_entry_while_the_first_one_works_is_found() -> None:
    story = Story().case().start().bar().order(1, "BUY", 100, "LMT", price="445").killed()
    story.start().order(9, "BUY", 100, "LMT", price="445.10")
    assert len(signal_once.check(story.history())) == 1


@pytest.mark.parametrize("ref", ["SMA|TSLA|L|20251006|1|entry", TARGET])
def test_an_entry_of_another_strategy_or_an_exit_is_another_signal(ref: str) -> None:
    story = entered_and_dead().start().order(9, "BUY", 100, "LMT", ref=ref, price="445")
    assert signal_once.check(story.history()) == []


def test_what_got_nothing_or_is_left_of_an_entry_may_be_sent_again() -> None:
    nothing = entered_and_dead(filled=0).start().order(9, "BUY", 100, ref=SECOND)
    assert signal_once.check(nothing.history()) == []
    rest = entered_and_dead(filled=40).start().order(9, "BUY", 60, ref=SECOND)
    assert signal_once.check(rest.history()) == []


def test_an_entry_that_was_never_released_may_be_sent_again() -> None:
    story = Story().case().start().bar().order(1, "BUY", 100, ref=ENTRY, transmitted=False)
    story.killed().start().order(9, "BUY", 100, ref=ENTRY)
    assert signal_once.check(story.history()) == []


def test_after_a_bar_or_on_the_other_side_it_is_a_new_signal() -> None:
    later = entered_and_dead().bar().start().order(9, "BUY", 100, ref=SECOND)
    assert signal_once.check(later.history()) == []
    short = "PS60|TSLA|S|20251006|1|entry"
    other = entered_and_dead().start().order(9, "SELL", 200, ref=short)
    assert signal_once.check(other.history()) == []


def test_orders_of_one_life_may_be_parts_of_one_entry() -> None:
    story = Story().case().start().bar().order(1, "BUY", 50).order(2, "BUY", 50)
    assert signal_once.check(story.history()) == []


def test_two_trades_of_one_signal_are_found_in_what_the_bot_tells() -> None:
    one = {"symbol": "TSLA", "side": "LONG", "strategy": "PS60", "signal_time": f"{DAY}T10:00:00Z"}
    names = [ref.rpartition("|")[0] for ref in (ENTRY, SECOND)]
    story = day()
    assert signal_once.check(story.history()) == []
    (finding,) = signal_once.check(story.state(trades=dict.fromkeys(names, one)).history())
    assert "follow one signal" in finding.sentence


def test_signals_are_not_judged_that_the_bot_had_to_guess_or_that_led_to_nothing() -> None:
    one = {"symbol": "TSLA", "side": "LONG", "strategy": "PS60", "signal_time": f"{DAY}T10:00:00Z"}
    names = [ref.rpartition("|")[0] for ref in (ENTRY, SECOND)]
    both = dict.fromkeys(names, one)
    unknown = {name: {**one, "signal_time": None} for name in names}
    unfilled = {names[0]: one, "PS60|TSLA|L|20251006|3": one}
    assert signal_once.check(day().state(trades=unknown).history()) == []
    assert signal_once.check(day().state(trades=unfilled).history()) == []
    harmed = day().harmed("empty.state", "state").state(trades=both)
    assert signal_once.check(harmed.history()) == []


def test_trades_that_the_bot_has_found_at_the_broker_together_follow_no_signal() -> None:
    """Two trades of one side are stopped out before the bot comes back on the next day.

    It knows of both by their fills alone, and from one and the same moment on.
    """
    stops = (
        fill("stop", 100, "443.37"),
        replace(fill("stop", 100, "443.37", number=1), order_ref=ref("stop", attempt=2)),
    )
    fresh = new_checkpoint(DAY_OF_BOOKS, now=NOW)
    found = reconcile(fresh, Picture(executions=stops), context=CONTEXT).checkpoint
    assert len({each.signal_time for each in found.positions.values()}) == 1
    told = belief(found, RULES)["trades"]
    assert [each["signal_time"] for each in told.values()] == [None, None]
    assert signal_once.check(day().state(trades=told).history()) == []


def test_an_entry_at_a_stop_price_is_an_entry_and_a_child_is_none() -> None:
    story = Story().case().start().bar().order(1, "BUY", 100, "STP", ref=ENTRY, price="446")
    story.killed().start().order(9, "BUY", 100, "STP", ref=SECOND, price="446")
    assert len(signal_once.check(story.history())) == 1
    story = Story().case().start().bar().order(1, "BUY", 100, "LMT", price="440").killed()
    story.start().order(9, "BUY", 100, "LMT", price="439", parent=1)
    assert signal_once.check(story.history()) == []


def test_an_earlier_life_that_still_acts_is_found() -> None:
    story = Story().case().launched().session("connected", 1).ready().killed().launched()
    story.session("connected", 2).received("cancelOrder", session=1, order_id=3)
    (finding,) = one_writer.check(story.history())
    assert "A connection of life 1 sent cancelOrder when life 2 had started" in finding.sentence


def two_connections(*, second: int, closes: bool = False) -> Story:
    fields = {"symbol": "TSLA", "action": "BUY", "quantity": "100", "order_type": "MKT"}
    story = Story().case().launched().session("connected", 1).session("connected", 2, client=second)
    story.received(session=1, **fields)
    if closes:
        story.session("disconnected", 1)
    story.received(session=2, **fields)
    story.lines[-1]["client_id"] = second
    return story


def test_two_connections_that_send_the_same_are_found() -> None:
    (finding,) = one_writer.check(two_connections(second=2002).history())
    assert "clients 2001 and 2002, both sent BUY 100 TSLA MKT" in finding.sentence


def test_a_connection_that_follows_another_is_no_second_instance() -> None:
    assert one_writer.check(two_connections(second=2001).history()) == []
    assert one_writer.check(two_connections(second=2002, closes=True).history()) == []


@pytest.mark.parametrize("change", [{"quantity": "50"}, {"action": "SELL"}, {"order_ref": STOP}])
def test_two_connections_that_send_different_things_may_be_one_instance(
    change: dict[str, str],
) -> None:
    story = two_connections(second=2002)
    first, second = story.lines[-2:]
    second["fields"] = {**second["fields"], **change}
    if "order_ref" in change:
        first["fields"] = second["fields"]
    assert one_writer.check(story.history()) == []


def test_a_price_off_the_tick_is_found() -> None:
    story = Story().case().start().received(order_id=2, aux_price="443.3751", order_ref=STOP)
    story.sent("error", code=110, req_id=2)
    (finding,) = exact_quantities.check(story.history())
    assert "refused order 2: its price is off the tick" in finding.sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "0"},
        {"quantity": "99.99999999999999"},
        {"quantity": "100", "limit_price": "445.25000000000006"},
    ],
)
def test_remains_of_floats_in_an_order_are_found(fields: dict[str, Any]) -> None:
    story = Story().case().start().received(order_id=1, order_ref=ENTRY, **fields)
    assert len(exact_quantities.check(story.history())) == 1


def test_sound_numbers_are_exact() -> None:
    story = Story().case().start()
    story.received(order_id=1, quantity="0.5000", limit_price="1.08345", aux_price="443.370")
    story.state(positions={"TSLA": {"quantity": "100.0"}}, trades={"T": {"symbol": "TSLA"}})
    assert exact_quantities.check(story.history()) == []


@pytest.mark.parametrize(
    "belief",
    [
        {"positions": {"TSLA": {"quantity": "1E-17"}}},
        {"intents": [{"order_ref": STOP, "quantity": "50.00000001"}]},
        {"trades": {"T": {"symbol": "TSLA", "qty_closed": "49.99999999999999"}}},
    ],
)
def test_remains_of_floats_in_a_belief_are_found(belief: dict[str, Any]) -> None:
    assert len(exact_quantities.check(Story().case().start().state(**belief).history())) == 1


def waiting(steps: int, requests: int = 0) -> Story:
    story = Story().case().start().killed().launched().session("ready", 3)
    for _ in range(steps):
        story.add("harness", "waited_for", life=2)
    for _ in range(requests):
        story.received("reqOpenOrders")
    return story


def test_a_recovery_that_takes_too_long_is_found() -> None:
    (finding,) = recovery_bounds.check(waiting(STEPS_MAX + 1).ready().history())
    assert "In life 2 the bot had the market go on for 13 steps" in finding.sentence
    (finding,) = recovery_bounds.check(waiting(0, REQUESTS_MAX + 1).ready().history())
    assert "sent 1001 requests" in finding.sentence


def test_a_recovery_within_its_bounds_is_right() -> None:
    assert recovery_bounds.check(waiting(STEPS_MAX, REQUESTS_MAX).ready().history()) == []


def test_the_time_in_which_the_broker_lets_nobody_in_does_not_count() -> None:
    late = waiting(STEPS_MAX + 1).session("disconnected", 3).session("ready", 4).ready()
    assert recovery_bounds.check(late.history()) == []
    broken = waiting(STEPS_MAX + 1).ready()
    broken.add("broker", "fault", event="began", fault=1, name="silence", parameters={}, detail="")
    assert recovery_bounds.check(broken.history()) == []


def at_rest() -> Story:
    return Story().case().start().bar().bracket().bar().killed()


def test_a_restart_that_puts_back_what_was_there_is_right() -> None:
    story = at_rest().launched()
    story.stop(100, status="Cancelled", event="cancelled").stop(100, perm_id=20).ready()
    assert converges.check(story.history()) == []


@pytest.mark.parametrize("what", ["another stop", "no stop", "a trade"])
def test_a_restart_that_changes_something_is_found(what: str) -> None:
    story = at_rest().launched()
    if what == "another stop":
        story.order(20, "SELL", 50, "STP", ref=STOP, price="440.00")
    elif what == "no stop":
        story.stop(100, status="Cancelled", event="cancelled")
    else:
        story.order(20, "SELL", 10).fill(20, "SLD", 10).done(20, "SELL", 10)
    (finding,) = converges.check(story.ready().history())
    assert finding.sentence.startswith("Nothing had happened since the bot was quiet")


def test_a_restart_after_which_something_had_happened_may_change_something() -> None:
    changed = [at_rest().bar(), at_rest().stopped_out(), at_rest().harmed("empty.state", "state")]
    changed.append(Story().case().start().bar().bracket().killed("before the 3rd placeOrder"))
    for story in changed:
        story.launched().order(20, "SELL", 1, "STP", ref=STOP, price="440.00").ready()
        assert converges.check(story.history()) == []


def looked_at_twice(trades: int, **second: object) -> Story:
    belief = {"day": DAY, "executions": [stem(1)], "positions": {"TSLA": {"quantity": "100"}}}
    story = at_rest().state("after kill", **belief, trades_today=1)
    return (
        story.launched()
        .killed()
        .state("after kill", **{**belief, **second, "trades_today": trades})
    )


def test_a_restart_that_books_something_is_found() -> None:
    (finding,) = converges.check(looked_at_twice(2).history())
    assert "the number of trades was 1 and is 2" in finding.sentence
    (finding,) = converges.check(looked_at_twice(1, positions={}).history())
    assert "the position in TSLA was 100 and is 0" in finding.sentence


def test_a_restart_that_books_nothing_or_what_was_missing_is_right() -> None:
    assert converges.check(looked_at_twice(1).history()) == []
    story = at_rest().state("after kill", day=DAY, executions=[], trades_today=0)
    story.launched().killed().state("after kill", day=DAY, executions=[stem(1)], trades_today=1)
    assert converges.check(story.history()) == []


def test_a_restart_is_not_judged_where_others_had_a_hand_in_it() -> None:
    by_hand = at_rest().launched().order(20, "SELL", 10, client=0)
    broken = at_rest().launched().order(20, "SELL", 50, "STP", ref=STOP, price="440.00")
    broken.add("broker", "fault", event="armed", fault=1, name="x", parameters={}, detail="")
    corrected = at_rest().launched().corrected(1, "BOT", 90, ref=ENTRY)
    for story in (by_hand, broken, corrected):
        assert converges.check(story.ready().history()) == []


def test_books_may_change_with_the_market_and_with_the_day() -> None:
    told: dict[str, Any] = {"executions": [], "trades_today": 1, "day": DAY}
    after_a_bar = Story().case().start().killed().state("after kill", **told).launched().bar()
    next_day = Story().case().start().killed().state("after kill", **told).launched()
    silent = Story().case().start().killed()
    silent.state("after kill", day=DAY, trades_today=1).launched()
    for story, day in ((after_a_bar, DAY), (next_day, "2025-10-07"), (silent, DAY)):
        story.killed().state("after kill", **{**told, "day": day, "trades_today": 2})
        assert converges.check(story.history()) == []


def test_a_life_that_never_becomes_ready_is_not_a_matter_of_bounds() -> None:
    assert recovery_bounds.check(waiting(STEPS_MAX + 1).end().history()) == []


def test_only_orders_have_to_be_for_something() -> None:
    story = Story().case().start().received("reqHistoricalData", quantity="0")
    assert exact_quantities.check(story.history()) == []
