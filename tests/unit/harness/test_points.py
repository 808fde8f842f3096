import pytest
from pydantic import ValidationError

from harness.points import (
    Direction,
    FailPoint,
    Moment,
    Quiet,
    WirePoint,
    answered,
    processed,
    received,
    sent,
    unsent,
)
from harness.points.failpoint import name_in, telling
from harness.points.words import ordinal
from tests.unit.harness.stories import OPEN


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (received("placeOrder"), "after the broker received the 1st placeOrder"),
        (received("placeOrder"), "and before it acted on it"),
        (processed("placeOrder", nth=2), "acted on the 2nd placeOrder and before it answered"),
        (answered("cancelOrder", nth=3), "after the broker answered the 3rd cancelOrder"),
        (unsent("execDetails"), "before the broker sent the 1st execDetails"),
        (sent("openOrder", nth=11), "after the broker sent the 11th openOrder"),
        (FailPoint(name="intents.saved", occurrence=2), "at the 2nd passage of intents.saved"),
        (Quiet(after_bar=OPEN), "quiet after the 10:00:00 bar"),
    ],
)
def test_a_point_says_where_it_is(point: WirePoint | FailPoint | Quiet, words: str) -> None:
    assert words in point.describe()


def test_a_moment_must_fit_its_direction() -> None:
    with pytest.raises(ValidationError, match="'sent' does not fit direction 'in'; use received"):
        WirePoint(direction=Direction.IN, message="x", occurrence=1, moment=Moment.SENT)


def test_a_quiet_point_needs_a_time_zone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Quiet(after_bar=OPEN.replace(tzinfo=None))


def test_a_failpoint_is_told_to_let_earlier_passages_go() -> None:
    assert FailPoint(name="intents.saved").terms() == "intents.saved=1*kill"
    assert FailPoint(name="fill.saved", occurrence=3).terms() == "fill.saved=2*off->1*kill"


def test_failpoints_that_tell_their_passages_are_heard() -> None:
    assert telling(["intents.saved", "fill.saved"]) == "intents.saved=print;fill.saved=print"
    assert name_in(FailPoint(name="fill.saved", occurrence=3).words("print")) == "fill.saved"


@pytest.mark.parametrize(
    "line",
    [
        FailPoint(name="fill.saved").words("kill"),
        "failpoint fill.saved: print ",
        "12:00 failpoint fill.saved: print",
        "failpoint : print",
        "",
    ],
)
def test_other_words_tell_no_passage(line: str) -> None:
    assert name_in(line) is None


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1st"), (3, "3rd"), (11, "11th"), (112, "112th"), (122, "122nd")]
)
def test_ordinals_are_english(number: int, words: str) -> None:
    assert ordinal(number) == words
