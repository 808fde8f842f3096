"""An end that is right after the memory was harmed, and all the ends that are not."""

import pytest

from harness.invariants.back_in_business import INVARIANT as BACK
from harness.invariants.the_bot_stays import INVARIANT as STAYS
from tests.unit.harness.stories import Story

WORDS = "target_trader: the state has version 99"


def killed_once() -> Story:
    return Story().case().start().killed()


def harmed(story: Story, *, blocks: bool = False) -> Story:
    what = {"fault": "empty.state", "words": "the state file is empty", "role": "state"}
    story.add("harness", "storage", life=story.life, **what, name="s.json", done="", blocks=blocks)
    return story


def found(story: Story) -> list[str]:
    history = story.end_copy()
    return [each.invariant for check in (STAYS, BACK) for each in check.check(history)]


@pytest.mark.parametrize("code", [2, 3])
def test_a_bot_that_refuses_with_words_after_its_state_was_harmed_is_right(code: int) -> None:
    assert found(harmed(killed_once()).launched().exited(code, WORDS)) == []


@pytest.mark.parametrize(
    ("code", "words"), [(2, ""), (3, "  "), (1, WORDS), (0, WORDS), (-11, WORDS), (127, WORDS)]
)
def test_a_bot_that_ends_without_words_or_by_accident_is_not(code: int, words: str) -> None:
    told = found(harmed(killed_once()).launched().exited(code, words))
    assert told == ["TheBotStays", "BackInBusiness"]


def test_a_bot_whose_state_was_not_harmed_may_not_refuse() -> None:
    assert found(killed_once().launched().exited(2, WORDS)) == ["TheBotStays", "BackInBusiness"]


def test_a_fault_that_did_not_happen_excuses_nothing() -> None:
    story = killed_once()
    story.add("harness", "skipped", life=1, fault="empty.wal", words="", reason="there is no wal")
    assert found(story.launched().exited(2, WORDS)) == ["TheBotStays", "BackInBusiness"]


def test_a_bot_that_cannot_save_may_end_with_the_code_of_any_error() -> None:
    assert found(harmed(killed_once(), blocks=True).launched().exited(1, WORDS)) == []
    later = harmed(killed_once(), blocks=True).launched().killed().launched().exited(1, WORDS)
    assert found(later) == ["TheBotStays", "BackInBusiness"]


def test_a_life_that_was_killed_in_its_recovery_leaves_the_excuse_to_the_next() -> None:
    assert found(harmed(killed_once()).launched().killed().launched().exited(2, WORDS)) == []


def test_a_life_that_became_ready_has_dealt_with_the_damage() -> None:
    story = harmed(killed_once()).start().killed().launched().exited(2, WORDS)
    assert found(story) == ["TheBotStays", "BackInBusiness"]


def test_a_life_before_the_damage_is_not_excused() -> None:
    story = Story().case().launched().exited(2, WORDS)
    assert found(harmed(story).start()) == ["TheBotStays"]


def test_a_bot_may_end_while_its_server_is_away_and_not_after_it() -> None:
    story = Story().case().start()
    story.add("harness", "outage", life=1, fault="redis-outage.x", words="", blocks=True)
    assert found(again(story).exited(1, WORDS)) == []
    story.add("harness", "outage_over", life=1, fault="redis-outage.x")
    assert found(again(story).exited(1, WORDS)) == ["TheBotStays"]


def test_a_bot_may_end_when_a_call_has_failed_in_this_life() -> None:
    story = Story().case().start()
    story.add("harness", "call_fault", life=1, fault="x")
    assert found(again(story).exited(1, WORDS)) == []
    assert found(again(story).killed().launched().exited(1, WORDS)) == [
        "TheBotStays",
        "BackInBusiness",
    ]


def again(story: Story) -> Story:
    """A copy of a story that can go on in another way."""
    copy = Story()
    copy.lines, copy.life = list(story.lines), story.life
    return copy
