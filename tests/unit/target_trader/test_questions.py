"""When the broker is asked: now, after the grace period, or not while its line is down."""

from datetime import datetime, timedelta

from target_trader.clock import NEW_YORK, MarketClock
from target_trader.questions import Questions, Wake

NOW = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
GRACE = timedelta(seconds=10)


def questions() -> Questions:
    """The wishes of a bot whose clock says ten."""
    clock = MarketClock()
    clock.advance(NOW)
    return Questions(clock, grace=GRACE)


def test_several_reasons_make_one_question() -> None:
    wishes = questions()
    wishes.ask("a fill")
    wishes.ask("a cancel")
    assert wishes.wakes.get_nowait() is Wake.ASK
    assert wishes.wakes.empty()


def test_a_reason_that_comes_while_asking_is_asked_after_the_grace_period() -> None:
    wishes = questions()
    wishes.begin()
    wishes.ask("a fill")
    assert wishes.wakes.empty()
    assert not wishes.ripe(NOW + GRACE - timedelta(seconds=1))
    assert wishes.ripe(NOW + GRACE)
    assert not wishes.ripe(NOW + GRACE)


def test_a_doubt_that_has_settled_by_itself_is_no_reason_to_ask() -> None:
    wishes = questions()
    lagging = [True]
    wishes.ask_later("a position", lambda: lagging[0])
    lagging[0] = False
    assert not wishes.ripe(NOW + GRACE)


def test_nothing_is_asked_while_the_line_of_the_broker_is_down() -> None:
    wishes = questions()
    wishes.link_lost_at = NOW
    wishes.ask("a fill")
    assert wishes.wakes.empty()
    wishes.link_lost_at = None
    wishes.ask("its line is up")
    assert wishes.wakes.get_nowait() is Wake.ASK


def test_a_new_connection_begins_without_the_wishes_of_the_last() -> None:
    wishes = questions()
    wishes.ask("a fill")
    wishes.ask_later("a position")
    wishes.link_lost_at, wishes.data_lost = NOW, True
    wishes.forget_connection()
    assert wishes.wakes.empty()
    assert not wishes.ripe(NOW + GRACE)
    assert wishes.link_up
    assert not wishes.data_lost
