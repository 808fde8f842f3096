"""Laws on what a bot remembers from life to life: what breaks each of them, and what does not."""

from typing import Any

import pytest

from harness.checks import Invariant
from harness.invariants import (
    checkpoint_readable,
    halt_sticks,
    load_or_halt_loudly,
    no_time_travel,
    warm_up_once,
)
from tests.unit.harness.stories import ENTRY, Story, stem

DAY = "2025-10-06"
ON_MEMORY = [
    module.INVARIANT
    for module in (
        checkpoint_readable,
        halt_sticks,
        load_or_halt_loudly,
        no_time_travel,
        warm_up_once,
    )
]
BREAKER = {"failures": 2, "tripped_at": None}
TRIPPED = {"failures": 5, "tripped_at": "2025-10-06T10:00:00-04:00"}
HALT: dict[str, Any] = {
    "halted": "look at it",
    "halts": [{"kind": "ENTRIES", "reason": "look at it"}],
}
FREE: dict[str, Any] = {"halted": None, "halts": []}


def two_looks(first: dict[str, Any], second: dict[str, Any]) -> Story:
    """A bot that is killed with one state and ends with another."""
    story = Story().case().start().bar().killed().state("after kill", **first)
    return story.start().bar().state(**second)


def with_a_trade() -> dict[str, Any]:
    return {
        "day": DAY,
        "saved_at": "2025-10-06T10:00:30-04:00",
        "executions": [stem(1)],
        "trades": {"T1": {"symbol": "TSLA", "quantity": "100"}},
        "last_signals": {"TSLA:10:30": {"signal": "BUY", "bar_time": "2025-10-06T10:00:00-04:00"}},
        "circuit_breaker": BREAKER,
        "warmup": {"TSLA": {"bars_seen": 20, "last_bar": "2025-10-06T10:00:00-04:00"}},
        "rules": {"warmup_gap_seconds": "3600"},
        **FREE,
    }


@pytest.mark.parametrize("invariant", ON_MEMORY, ids=lambda law: law.name)
def test_a_bot_that_remembers_everything_is_right(invariant: Invariant) -> None:
    assert invariant.check(two_looks(with_a_trade(), with_a_trade()).history()) == []


@pytest.mark.parametrize("invariant", ON_MEMORY, ids=lambda law: law.name)
def test_a_bot_that_tells_little_is_not_judged(invariant: Invariant) -> None:
    little: dict[str, Any] = {"day": DAY, "saved_at": with_a_trade()["saved_at"]}
    for first, second in (({}, {}), (with_a_trade(), little), (little, with_a_trade())):
        assert invariant.check(two_looks(first, second).history()) == []
        story = damaged("empty.state", "state", first, {**second, "day": DAY})
        assert invariant.check(story.history()) == []


def later() -> str:
    return "2025-10-06T10:01:00-04:00"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"saved_at": "2025-10-06T10:00:29-04:00"}, "saved at 10:00:29, before 10:00:30"),
        ({"saved_at": None}, "now there is none"),
        ({"executions": []}, f"had booked the execution {stem(1)}"),
        ({"trades": {}}, "it knew the trade T1"),
        ({"last_signals": {}}, "it had acted on BUY of TSLA:10:30"),
    ],
)
def test_what_was_durable_must_not_be_forgotten(change: dict[str, Any], words: str) -> None:
    story = two_looks(with_a_trade(), {**with_a_trade(), **change})
    (finding,) = no_time_travel.check(story.history())
    assert words in finding.sentence
    assert finding.seqs[-1] == len(story.lines)


def test_an_older_last_signal_is_an_older_state() -> None:
    older = {"TSLA:10:30": {"signal": "SELL", "bar_time": "2025-10-06T09:59:00-04:00"}}
    story = two_looks(with_a_trade(), {**with_a_trade(), "last_signals": older})
    assert len(no_time_travel.check(story.history())) == 1


def test_executions_and_trades_may_go_with_their_day() -> None:
    fresh = {"day": "2025-10-07", "saved_at": later(), "executions": [], "trades": {}}
    story = two_looks(with_a_trade(), {**with_a_trade(), **fresh})
    assert no_time_travel.check(story.history()) == []


def test_an_execution_that_was_taken_back_may_go() -> None:
    story = Story().case().start().order(1, "BUY", 100, ref=ENTRY).filled_entry()
    story.killed().state("after kill", **with_a_trade()).busted(1, 1, "BUY", 100, ref=ENTRY)
    story.start().state(**{**with_a_trade(), "executions": [], "trades": {}})
    assert no_time_travel.check(story.history()) == []


def test_a_state_that_was_harmed_is_not_the_bots_to_keep() -> None:
    story = Story().case().start().killed().state("after kill", **with_a_trade())
    story.harmed("stale.folder.3", "folder").start().state(saved_at=None)
    assert no_time_travel.check(story.history()) == []
    assert warm_up_once.check(story.history()) == []


def test_a_halt_that_is_gone_after_a_restart_is_found() -> None:
    told = {"circuit_breaker": BREAKER, **HALT}
    (finding,) = halt_sticks.check(two_looks(told, {**told, **FREE}).history())
    assert "was halted (look at it) and trades on" in finding.sentence
    (finding,) = halt_sticks.check(two_looks({"halted": "x"}, {"halted": None}).history())
    assert "was halted (x)" in finding.sentence


def test_a_halt_stays_over_the_night_unless_it_is_only_words() -> None:
    for told, count in ((HALT, 1), ({"halted": "the day's loss"}, 0)):
        story = Story().case().start().killed().state("after kill", **told).days_pass(1)
        after = FREE if "halts" in told else {"halted": None}
        assert len(halt_sticks.check(story.start().state(**after).history())) == count


def test_an_engine_halt_must_not_become_a_lesser_one() -> None:
    engine = {"halted": "a; b", "halts": [{"kind": "ENGINE"}, {"kind": "ENTRIES"}]}
    assert len(halt_sticks.check(two_looks(engine, HALT).history())) == 1
    assert halt_sticks.check(two_looks(HALT, engine).history()) == []


def test_a_person_may_lift_a_halt() -> None:
    story = Story().case().start().killed().state("after kill", **HALT, circuit_breaker=TRIPPED)
    story.add("harness", "resumed", life=1)
    story.start().state(**FREE, circuit_breaker=BREAKER)
    assert halt_sticks.check(story.history()) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"failures": 5, "tripped_at": None}, "had tripped at 10:00:00 and is closed again"),
        ({"failures": 0, "tripped_at": None}, "closed again"),
        ({"failures": 4, "tripped_at": later()}, "had counted 5 failures and now counts 4"),
    ],
)
def test_a_breaker_that_is_set_back_is_found(now: dict[str, Any], words: str) -> None:
    story = two_looks({"circuit_breaker": TRIPPED}, {"circuit_breaker": now})
    (finding,) = halt_sticks.check(story.history())
    assert words in finding.sentence


@pytest.mark.parametrize("told", [HALT, {"circuit_breaker": TRIPPED}, {"halted": "in words"}])
def test_an_entry_in_spite_of_a_halt_is_found(told: dict[str, Any]) -> None:
    story = Story().case().start().killed().state("after kill", **told).start()
    story.order(1, "BUY", 100, ref=ENTRY).filled_entry().state(**told)
    (finding,) = halt_sticks.check(story.history())
    assert "may not trade" in finding.sentence
    assert finding.at_risk == 44525


def test_a_bot_that_is_free_may_enter_and_so_may_one_whose_halt_was_for_its_day() -> None:
    for told in (FREE, {"halted": "the day's loss"}):
        story = Story().case().start().killed().state("after kill", **told).days_pass(1).start()
        story.order(1, "BUY", 100, ref=ENTRY).filled_entry()
        assert halt_sticks.check(story.history()) == []


def test_an_entry_that_was_on_its_way_before_the_halt_may_fill() -> None:
    story = Story().case().start().order(1, "BUY", 100, ref=ENTRY).killed()
    story.state("after kill", **HALT).filled_entry().start().state(**HALT)
    assert halt_sticks.check(story.history()) == []


def damaged(fault: str, role: str, first: dict[str, Any], second: dict[str, Any]) -> Story:
    """A bot whose memory is damaged after a first reading."""
    story = Story().case().start().order(1, "BUY", 100, ref=ENTRY).filled_entry().killed()
    story.state("after kill", **first).harmed(fault, role)
    return story.start().state(**second)


KNOWN: dict[str, Any] = {
    "day": DAY,
    "attempts": {"TSLA|LONG|444.77": 1},
    "executions": [f"{stem(1)}.01"],
    "circuit_breaker": BREAKER,
    **FREE,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attempts": {}}, "counts 0 attempts of TSLA LONG, 1 before"),
        ({"executions": []}, "has forgotten the execution"),
        ({"circuit_breaker": {"failures": 1, "tripped_at": None}}, "counts 1 failed orders"),
    ],
)
def test_a_silent_default_after_a_damage_is_found(change: dict[str, Any], words: str) -> None:
    story = damaged("torn.state.prefix.4096", "state", KNOWN, {**KNOWN, **change})
    (finding,) = load_or_halt_loudly.check(story.history())
    assert words in finding.sentence
    loud = damaged("torn.state.prefix.4096", "state", KNOWN, {**KNOWN, **change, **HALT})
    assert load_or_halt_loudly.check(loud.history()) == []


def test_attempts_of_another_day_or_strategy_or_from_later_on_are_not_missed() -> None:
    none = {**KNOWN, "attempts": {}}
    other = {**none, "day": "2025-10-07", "executions": []}
    assert load_or_halt_loudly.check(damaged("empty.state", "state", KNOWN, other).history()) == []
    ref = "SMA|TSLA|L|20251006|1|entry"
    cross = Story().case().start().order(1, "BUY", 100, ref=ref).fill(1, "BOT", 100, ref=ref)
    later_on = Story().case().start()
    for story in (cross, later_on):
        told = {**KNOWN, "executions": []}
        story.killed().state("after kill", **told).harmed("empty.state", "state")
        story.start().killed().state("after kill", **{**told, "attempts": {}})
    later_on.order(1, "BUY", 100, ref=ENTRY).filled_entry()
    for story in (cross, later_on):
        assert load_or_halt_loudly.check(story.history()) == []


def test_a_halt_or_a_tripped_breaker_that_a_damage_took_is_found() -> None:
    open_again = {"failures": 5, "tripped_at": None}
    for change in (HALT, {"circuit_breaker": TRIPPED}):
        second = {**KNOWN, "circuit_breaker": open_again}
        story = damaged("empty.state", "state", {**KNOWN, **change}, second)
        (finding,) = load_or_halt_loudly.check(story.history())
        assert "has forgotten that" in finding.sentence


@pytest.mark.parametrize(
    ("fault", "role"),
    [("stale.folder.1", "folder"), ("missing.state", "state"), ("torn.wal.prefix.512", "wal")],
)
def test_what_nobody_can_see_is_judged_by_what_the_broker_knows(fault: str, role: str) -> None:
    less = {**KNOWN, "circuit_breaker": {"failures": 0, "tripped_at": None}}
    assert load_or_halt_loudly.check(damaged(fault, role, KNOWN, less).history()) == []
    none = {**KNOWN, "attempts": {}}
    assert len(load_or_halt_loudly.check(damaged(fault, role, KNOWN, none).history())) == 1


def test_an_attempt_that_never_reached_the_broker_may_be_given_back() -> None:
    two = {**KNOWN, "attempts": {"TSLA|LONG|444.77": 2}}
    assert load_or_halt_loudly.check(damaged("empty.state", "state", two, KNOWN).history()) == []


def test_a_life_that_died_in_its_recovery_has_not_dealt_with_the_damage() -> None:
    story = Story().case().start().killed().state("after kill", **KNOWN)
    story.harmed("empty.state", "state").launched().killed().state("after kill", attempts={})
    assert load_or_halt_loudly.check(story.history()) == []


def warm(bars: int, last: str = "10:00:00") -> dict[str, Any]:
    seen = {"bars_seen": bars, "last_bar": f"2025-10-06T{last}-04:00"}
    return {"day": DAY, "warmup": {"TSLA": seen}, "rules": {"warmup_gap_seconds": "3600"}}


def test_a_warm_up_that_is_repeated_is_found() -> None:
    (finding,) = warm_up_once.check(two_looks(warm(20), warm(3)).history())
    assert "had seen 20 bars of TSLA and after a restart has seen 3" in finding.sentence
    gone = {**warm(20), "warmup": {}}
    assert len(warm_up_once.check(two_looks(warm(20), gone).history())) == 1


def test_a_warm_up_begins_again_after_a_long_pause_or_another_day() -> None:
    assert warm_up_once.check(two_looks(warm(20, "08:30:00"), warm(3)).history()) == []
    other = {**warm(3), "day": "2025-10-07"}
    assert warm_up_once.check(two_looks(warm(20), other).history()) == []


def test_a_bot_that_does_not_tell_how_long_a_warm_up_is_good_for_is_not_judged() -> None:
    first, second = ({**warm(bars), "rules": {}} for bars in (20, 3))
    assert warm_up_once.check(two_looks(first, second).history()) == []


def unreadable(story: Story) -> Story:
    words = "no such table: bot_state"
    story.add("harness", "unreadable", life=story.life, when="after kill", code=1, words=words)
    return story


def test_a_state_that_an_outside_reader_cannot_read_is_found() -> None:
    (finding,) = checkpoint_readable.check(unreadable(Story().case().start().killed()).history())
    assert "after kill of life 1" in finding.sentence
    assert "exit code 1: no such table" in finding.sentence


def test_nobody_has_to_read_a_damaged_state_before_the_bot_has_dealt_with_it() -> None:
    story = Story().case().start().killed().harmed("future.state.version", "state")
    story.launched().killed()
    assert checkpoint_readable.check(unreadable(story).history()) == []
    story.start().killed()
    assert len(checkpoint_readable.check(unreadable(story).history())) == 1


def test_nobody_has_to_read_a_state_whose_server_is_down() -> None:
    story = Story().case().start()
    story.add("harness", "outage", life=1, fault="redis-outage.x", words="", blocks=True)
    assert checkpoint_readable.check(unreadable(story.killed()).history()) == []
    story.add("harness", "outage_over", life=1, fault="redis-outage.x")
    assert len(checkpoint_readable.check(unreadable(story).history())) == 1
