"""The text of a failure: what must be in it, and how long it may get."""

import json
from decimal import Decimal

from harness.judge import judge
from harness.report.terminal import at_risk, coverage, report, summary
from harness.report.timeline import LINES_MAX, timeline
from harness.result import Finding
from tests.unit.harness.scenarios_for_tests import STORY
from tests.unit.harness.stories import EXIT, Story


def flipped() -> Story:
    """The sample: the stop fills while the bot is dead, and the bot sells once more."""
    story = Story().case(crashes=("a point",)).start().bar().bracket().bar().killed()
    story.bar("444.10").stopped_out().partial_gone().start()
    story.order(9, "SELL", 50, ref=EXIT).fill(9, "SLD", 50, "444.10", ref=EXIT)
    story.done(9, "SELL", 50, ref=EXIT).bar("444.10")
    return story.state(positions={}).end()


def text_of(story: Story) -> str:
    history = story.history()
    return report(judge(STORY, history), history)


def test_a_failure_says_what_happened_in_one_plain_sentence() -> None:
    lines = text_of(flipped()).splitlines()
    assert lines[0] == ("FAILED  a small story / json / killed quiet after the 10:00:00 bar")
    assert lines[1] == "  The bot sold 50 TSLA that it no longer had. It is now SHORT 50 TSLA."


def test_a_failure_shows_who_did_what_and_marks_the_broken_law() -> None:
    text = text_of(flipped())
    assert "stop filled: SLD 100 TSLA @ 443.37" in text
    assert "the bot was dead" in text
    assert "bot     restarted" in text
    marked = [line for line in text.splitlines() if "<- NoFlip broken" in line]
    assert len(marked) == 1
    assert "SLD 50 TSLA @ 444.10" in marked[0]


def test_a_failure_shows_both_sides_the_risk_and_how_to_replay() -> None:
    text = text_of(flipped())
    assert "broker: SHORT 50 TSLA, no stop" in text
    assert "bot: flat" in text
    assert "at risk: $22,205" in text
    assert "replay: crashgate replay story/json@123abc" in text


def test_further_findings_follow_the_first() -> None:
    text = text_of(flipped())
    assert "also: Protected: " in text
    assert "also: PositionAgrees: The bot believes no TSLA; the broker has SHORT 50 TSLA." in text


def test_a_fill_while_the_bot_lives_is_not_said_to_be_while_it_was_dead() -> None:
    story = Story().case().start().bracket().stopped_out().bar().end()
    assert "the bot was dead" not in text_of(story)


def test_an_order_that_was_changed_is_in_the_story() -> None:
    story = Story().case().start().bracket().stop(50, event="modified").bar().end()
    assert "changed to SELL 50 TSLA STP 443.37" in text_of(story)


def test_a_long_day_is_cut_to_the_lines_around_the_mark() -> None:
    story = Story().case().start().bracket()
    for number in range(20, 60):
        story.order(number, "BUY", 1, "LMT", price="1")
    history = story.order(9, "SELL", 150).fill(9, "SLD", 150).end_copy()
    lines = timeline(history, judge(STORY, history).findings)
    assert len(lines) == LINES_MAX
    assert any(line.mark == "NoFlip broken" for line in lines)
    assert [line.seq for line in lines] == sorted(line.seq for line in lines)


def test_an_inconclusive_run_lists_its_reasons_and_no_timeline() -> None:
    text = text_of(Story().case(crashes=("somewhere",)).start().bracket().bar().end())
    assert text.startswith("INCONCLUSIVE  a small story / json / never killed")
    assert "the 1st crash point was never reached: somewhere" in text
    assert "entry filled" not in text


def test_the_same_shares_are_at_risk_only_once() -> None:
    naked, flip = (
        Finding(invariant=name, sentence="", at_risk=Decimal(money))
        for name, money in (("Protected", 22205), ("NoFlip", 22200))
    )
    assert at_risk((flip, naked)) == 22205
    assert at_risk(()) == 0


def test_the_table_aligns_its_columns() -> None:
    rows = [("a", "json", "quiet", "PASS"), ("a-longer-one", "sqlite", "", "INCONCLUSIVE")]
    assert summary(rows).splitlines() == [
        "scenario      store   killed  verdict",
        "a             json    quiet   PASS",
        "a-longer-one  sqlite          INCONCLUSIVE",
    ]


def part(**changes: object) -> str:
    """What one part of a sweep tells."""
    plain = {"scenario": "day", "store": "json", "points": 9, "hit": 4, "trials": 6, "passed": 6}
    return json.dumps({**plain, "foretold": 0, "unfit": 0, "shown": [], "misfits": [], **changes})


def test_a_word_that_did_not_fit_is_told_unless_another_part_has_shown_it() -> None:
    whole = [
        part(passed=4, unfit=2, misfits=["stop-fills", "target-fills"]),
        part(shown=["stop-fills"]),
    ]
    assert coverage(whole) == (
        "day  json  8 of 9 points hit, 10 of 12 trials passed, 2 did not fit and show nothing; "
        "fitted nowhere: target-fills"
    )
    unfit = part(misfits=["entry-fills"])
    assert "nowhere" not in coverage([unfit, part(scenario="slow", shown=["entry-fills"])])
    assert "nowhere: entry" in coverage([unfit, part(store="redis", shown=["entry-fills"])])
    assert coverage([part()]) == "day  json  4 of 9 points hit, 6 of 6 trials passed"
