from dataclasses import replace

import pytest

from harness.checks import Condition, Expectation, Invariant, Needs
from harness.errors import UserError
from harness.expectations import flat, killed, position, same_end_as_clean
from harness.history import History
from harness.judge import judge
from harness.result import Finding, Verdict, worst
from tests.unit.harness.scenarios_for_tests import STORY
from tests.unit.harness.stories import Story


def whole_day() -> Story:
    return Story().case(crashes=("a point",)).start().bracket().killed().start().bar()


def crash(_history: History) -> list[Finding]:
    raise ZeroDivisionError("no bars at all")


CRASHING = Invariant(name="Crashing", law="never", needs=Needs.BOOKS, check=crash)


def test_a_good_run_passes() -> None:
    result = judge(STORY, whole_day().end().history())
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert result.kill_points == ("quiet after the 10:00:00 bar",)


def test_a_broken_law_fails() -> None:
    story = whole_day()
    story.order(9, "SELL", 200).fill(9, "SLD", 200).end()
    result = judge(STORY, story.history())
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].invariant == "NoFlip"


def test_a_check_that_crashes_makes_the_run_inconclusive_and_names_itself() -> None:
    scenario = replace(STORY, invariants=(CRASHING,))
    result = judge(scenario, whole_day().end().history())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the check 'Crashing' crashed: ZeroDivisionError: no bars at all" in result.reasons[0]


def test_a_check_that_crashes_hides_no_finding() -> None:
    scenario = replace(STORY, invariants=(CRASHING,), expectations=(position("TSLA", 5),))
    result = judge(scenario, whole_day().end().history())
    assert result.verdict is Verdict.FAIL
    assert result.reasons


def test_a_condition_that_was_not_met_makes_the_run_inconclusive() -> None:
    scenario = replace(STORY, requires=(killed(2),))
    result = judge(scenario, whole_day().end().history())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons == ("the bot was killed once, not twice as planned",)


def test_a_crash_point_that_was_never_reached_makes_the_run_inconclusive() -> None:
    story = Story().case(crashes=("after the broker received the 9th placeOrder",)).start().end()
    result = judge(STORY, story.history())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons == (
        "the 1st crash point was never reached: after the broker received the 9th placeOrder",
    )


def test_a_run_that_was_broken_off_is_never_a_pass() -> None:
    broken = judge(STORY, whole_day().history())
    assert broken.verdict is Verdict.INCONCLUSIVE
    story = whole_day()
    story.add("harness", "cut_short", reason="the bot was not quiet within 60 s")
    told = judge(STORY, story.history())
    assert "the bot was not quiet within 60 s" in told.reasons


def test_laws_on_beliefs_are_left_unjudged_for_a_bot_that_does_not_tell() -> None:
    result = judge(STORY, whole_day().end().history())
    assert any(words.startswith("PositionAgrees") for words in result.unjudged)
    told = judge(STORY, whole_day().state(positions={"TSLA": {"quantity": "100"}}).end().history())
    assert told.unjudged == ()
    assert told.verdict is Verdict.PASS


def test_a_bot_that_tells_is_judged_by_what_it_tells() -> None:
    result = judge(STORY, whole_day().state(positions={}).end().history())
    assert [finding.invariant for finding in result.findings] == ["PositionAgrees"]


def test_an_expectation_that_compares_needs_the_clean_run() -> None:
    scenario = replace(STORY, expectations=(same_end_as_clean(),))
    result = judge(scenario, whole_day().end().history())
    assert result.verdict is Verdict.INCONCLUSIVE


def test_expectations_and_conditions_have_names_that_say_what_they_want() -> None:
    checks: tuple[Expectation | Condition, ...] = (flat("TSLA"), position("TSLA", 50), killed())
    assert [check.name for check in checks] == [
        "TSLA ends flat",
        "the account ends with 50 TSLA",
        "the bot was killed once",
    ]


def test_a_history_without_its_case_is_refused() -> None:
    with pytest.raises(UserError, match="does not say which case it is"):
        judge(STORY, Story().start().end().history())


def test_the_worst_verdict_wins_and_fail_is_the_worst() -> None:
    assert worst([]) is Verdict.PASS
    assert worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
