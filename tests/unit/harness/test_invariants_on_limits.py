"""Laws on limits and counters: a history that breaks each, and those that do not."""

from typing import Any

import pytest

from harness.checks import Invariant
from harness.invariants import (
    attempts_held,
    breakeven,
    daily_reset,
    limits_count_everything,
    limits_held,
    trade_status,
)
from tests.unit.harness.days_for_tests import RULES, held, in_and_out, told
from tests.unit.harness.stories import ENTRY, STOP, Story

ON_LIMITS = [
    module.INVARIANT
    for module in (breakeven, daily_reset, limits_count_everything, limits_held, trade_status)
]
THREE = {"TSLA|LONG|444.77": 3}


@pytest.mark.parametrize("invariant", ON_LIMITS, ids=lambda law: law.name)
def test_a_bot_that_counts_right_is_right(invariant: Invariant) -> None:
    assert invariant.check(held().state(**told()).end().history()) == []


@pytest.mark.parametrize("invariant", ON_LIMITS, ids=lambda law: law.name)
def test_a_bot_that_tells_little_is_not_judged(invariant: Invariant) -> None:
    story = Story().case().start()
    for number in (1, 2, 3):
        in_and_out(story, number, "-900")
    assert invariant.check(story.bar().state(positions={}).end().history()) == []


def test_more_trades_than_are_allowed_are_found() -> None:
    story = Story().case().start()
    for number in (1, 2, 3):
        in_and_out(story, number, "10").bar()
    (finding,) = limits_held.check(story.state(**told()).history())
    assert "entered 3 times in a day; 2 trades are allowed" in finding.sentence


def test_trades_of_two_days_are_not_one_days() -> None:
    story = Story().case().start()
    for number in (1, 2, 3):
        in_and_out(story, number, "10").bar().days_pass(number - 1)
    assert limits_held.check(story.state(**told()).history()) == []


def test_an_entry_after_the_days_loss_is_found() -> None:
    story = in_and_out(Story().case().start(), 1, "-1000").bar().killed().start()
    in_and_out(story, 2, "10").state(**told())
    (finding,) = limits_held.check(story.history())
    assert "The day had lost 1000, the limit is 1000" in finding.sentence


def test_an_entry_before_the_bot_could_know_of_the_loss_is_not() -> None:
    story = in_and_out(Story().case().start(), 1, "-1000")
    assert limits_held.check(in_and_out(story, 2, "10").state(**told()).history()) == []


@pytest.mark.parametrize("loss", ["-999.99", "500"])
def test_an_entry_below_the_limit_may_be_made(loss: str) -> None:
    story = in_and_out(Story().case().start(), 1, loss).bar()
    assert limits_held.check(in_and_out(story, 2, "10").state(**told()).history()) == []


def test_the_loss_of_yesterday_forbids_nothing() -> None:
    story = in_and_out(Story().case().start(), 1, "-1000").bar().days_pass(1).bar()
    assert limits_held.check(in_and_out(story, 2, "10").state(**told()).history()) == []


def test_a_loss_is_not_judged_where_the_broker_was_broken() -> None:
    story = in_and_out(Story().case().start(), 1, "-1000")
    story.add("broker", "fault", event="began", fault=1, name="drop", parameters={}, detail="")
    story.bar()
    assert limits_held.check(in_and_out(story, 2, "10").state(**told()).history()) == []


def test_a_breaker_that_should_have_tripped_is_found() -> None:
    breaker = {"failures": 5, "tripped_at": None}
    story = Story().case().start().killed().state("after kill", **told(circuit_breaker=breaker))
    (finding,) = limits_held.check(story.history())
    assert "counts 5 failed orders of 5" in finding.sentence


def test_the_budget_of_attempts_is_the_one_that_is_told() -> None:
    story = Story().case().start()
    for number in (1, 2, 3):
        in_and_out(story, number, "10")
    wide = told(rules={**RULES, "max_attempts": 3})
    assert attempts_held.check(story.state(**wide).history()) == []
    assert len(attempts_held.check(story.state(**told()).history())) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trades_today": 0}, "counts 0 trades today; 1 were opened"),
        ({"attempts": {}}, "counts 0 attempts of TSLA LONG; it made 1"),
        ({"attempts": {"TSLA|SHORT|432.50": 1}}, "counts 0 attempts of TSLA LONG"),
    ],
)
def test_a_counter_that_misses_something_is_found(change: dict[str, Any], words: str) -> None:
    story = held().killed().start().state(**told(**change))
    (finding,) = limits_count_everything.check(story.history())
    assert words in finding.sentence
    halted = held().killed().start().state(**told(**change, halted="the state was lost"))
    assert limits_count_everything.check(halted.history()) == []


def test_an_entry_by_hand_or_of_another_strategy_is_no_attempt() -> None:
    story = Story().case().start().order(1, "BUY", 5, client=0).fill(1, "BOT", 5, client=0)
    assert limits_count_everything.check(story.state(**told(attempts={})).history()) == []
    ref = "SMA|TSLA|L|20251006|1|entry"
    story = Story().case().start().order(1, "BUY", 5, ref=ref).fill(1, "BOT", 5, ref=ref)
    assert limits_count_everything.check(story.state(**told(attempts={})).history()) == []


def test_an_entry_that_is_corrected_or_taken_back_is_counted_right() -> None:
    corrected = held().corrected(1, "BOT", 90, ref=ENTRY).state(**told())
    assert limits_count_everything.check(corrected.history()) == []
    busted = held().busted(1, 1, "BUY", 100, ref=ENTRY)
    assert (
        limits_count_everything.check(busted.state(**told(trades_today=0, attempts={})).history())
        == []
    )


def test_counters_of_today_need_not_know_yesterday() -> None:
    story = held().killed().days_pass(1).start()
    fresh = told(day="2025-10-07", trades_today=0, attempts={})
    assert limits_count_everything.check(story.state(**fresh).history()) == []
    assert daily_reset.check(story.history()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attempts": {}}, "counts 1 trades on 2025-10-07; the broker has seen 0"),
        (
            {"trades_today": 0, "attempts": {"TSLA|LONG|444.77": 3}},
            "counts 3 attempts of TSLA LONG",
        ),
    ],
)
def test_counters_that_were_not_reset_are_found(change: dict[str, Any], words: str) -> None:
    story = held().killed().days_pass(1).start()
    (finding,) = daily_reset.check(story.state(**told(day="2025-10-07", **change)).history())
    assert words in finding.sentence


@pytest.mark.parametrize(
    "other",
    [{"symbol": "NVDA"}, {"action": "SELL"}, {"order_ref": STOP}, {"message": "cancelOrder"}],
)
def test_orders_for_something_else_are_no_attempts(other: dict[str, Any]) -> None:
    fields = {"message": "placeOrder", "symbol": "TSLA", "action": "BUY", "order_ref": ENTRY}
    story = Story().case().start()
    for number, each in enumerate((fields, {**fields, **other}), start=1):
        story.received(order_id=number, **each)
    story.state(**told(trades_today=0, attempts=THREE))
    assert len(daily_reset.check(story.history())) == 1


def test_orders_of_another_day_or_from_later_on_are_no_attempts_of_the_day() -> None:
    for days in (0, 1):
        story = Story().case().start()
        for number in (1, 2):
            story.received(order_id=number, symbol="TSLA", action="BUY", order_ref=ENTRY)
        day = f"2025-10-0{6 + days}"
        story.days_pass(days).state(**told(day=day, trades_today=0, attempts=THREE))
        assert len(daily_reset.check(story.history())) == days
    story = Story().case().start().state(**told(trades_today=0, attempts=THREE))
    for number in (1, 2):
        story.received(order_id=number, symbol="TSLA", action="BUY", order_ref=ENTRY)
    assert len(daily_reset.check(story.history())) == 1


def test_counters_of_an_untold_day_are_not_judged() -> None:
    story = Story().case().start().state(**told(day=None, trades_today=9, attempts=THREE))
    assert daily_reset.check(story.history()) == []


def test_a_trade_that_is_counted_twice_is_found() -> None:
    (finding,) = daily_reset.check(held().state(**told(trades_today=2)).history())
    assert "counts 2 trades on 2025-10-06; the broker has seen 1" in finding.sentence


def test_an_attempt_may_be_counted_before_its_order_is_sent() -> None:
    story = held().killed().state("after kill", **told(attempts={"TSLA|LONG|444.77": 2}))
    assert daily_reset.check(story.history()) == []
