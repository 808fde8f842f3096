"""Whose turn it is when the bot is quiet, and which clock the options ask for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.bot_clock import BotClock
from harness.clock_hand import FakedHand, Hand, Turn, WallHand, hand_of, nanoseconds, preparation
from harness.errors import HarnessError, UserError
from harness.targets import BotSpec
from harness.targets.faked_clock import DEADLINE, NOW, TAKEN, span

NOON = datetime(2025, 10, 6, 16, tzinfo=UTC)
IDLE = timedelta(seconds=60)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Market:
    """The status of a market that is never played, and the client that asks for it."""

    def __init__(self, due: float | None) -> None:
        self.now = NOON
        self.next_due = None if due is None else at(due)

    def advance(self, to: datetime) -> None:
        assert self.now < to
        assert self.next_due is None or to <= self.next_due
        self.now = to


class Table:
    """A hand, a market, and what the bot would write into the page."""

    def __init__(self) -> None:
        self.market = Market(5)
        self.hand = FakedHand(cast("ControlClient", self.market), NOON, idle=IDLE)
        self.page = self.hand._page.numbers

    def sleep_until(self, seconds: float) -> None:
        self.page[DEADLINE] = nanoseconds(at(seconds))

    def turn(self) -> Turn:
        return self.hand.turn(cast("Status", self.market))

    def shown(self) -> float:
        return (self.hand.now - NOON).total_seconds()


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.hand.close()


def test_a_timer_before_the_markets_next_event_fires_and_takes_the_exchange_along(
    table: Table,
) -> None:
    table.sleep_until(2)
    assert table.turn() is Turn.BOT
    assert (table.shown(), table.market.now) == (2, at(2))


def test_the_market_is_next_when_no_timer_is_due_before(table: Table) -> None:
    table.sleep_until(7)
    assert table.turn() is Turn.MARKET
    assert (table.shown(), table.market.now) == (0, NOON)
    table.hand.before_step(at(5))
    assert (table.shown(), table.market.now) == (5, NOON)


def test_a_timer_goes_first_where_it_meets_the_market(table: Table) -> None:
    table.sleep_until(5)
    assert table.turn() is Turn.BOT
    assert (table.shown(), table.market.now) == (5, at(5))


def test_nobody_knows_what_a_bot_without_a_timer_waits_for(table: Table) -> None:
    table.page[DEADLINE] = 0
    assert table.turn() is Turn.UNKNOWN
    assert table.shown() == 0


def test_the_clock_never_goes_back(table: Table) -> None:
    table.page[NOW] = nanoseconds(at(4))
    table.sleep_until(3)
    assert table.turn() is Turn.BOT
    assert table.shown() == 4


def test_after_the_last_event_timers_fire_for_a_while_and_not_for_ever(table: Table) -> None:
    table.market.next_due = None
    table.hand.before_step(at(5))
    for seconds in (30, 65):
        table.sleep_until(seconds)
        assert table.turn() is Turn.BOT
    table.sleep_until(66)
    assert table.turn() is Turn.MARKET
    assert table.shown() == 65


def test_a_bot_that_has_not_taken_the_clock_is_told_of(table: Table) -> None:
    with pytest.raises(HarnessError, match=r"not taken the faked clock.*--clock lockstep"):
        table.hand.require_taken()
    table.page[TAKEN] = 1
    table.hand.require_taken()


def test_in_real_time_the_market_is_next_when_its_time_has_come() -> None:
    market = Market(3600)
    early = WallHand(cast("ControlClient", market), NOON, speed=1)
    assert early.turn(cast("Status", market)) is Turn.BOT
    assert 0 < early.pause() <= 0.01
    assert NOON < market.now < at(3600)
    late = WallHand(cast("ControlClient", market), at(3600), speed=1)
    assert late.turn(cast("Status", market)) is Turn.MARKET


def test_in_lockstep_nobody_knows_and_nothing_is_done_to_the_bot() -> None:
    hand = hand_of(BotClock(), cast("ControlClient", Market(5)), NOON, idle=IDLE)
    assert type(hand) is Hand
    assert (dict(hand.variables), hand.descriptors) == ({}, ())
    assert hand.turn(cast("Status", Market(5))) is Turn.UNKNOWN
    assert preparation(BotClock()) == {}


@pytest.mark.parametrize("text", ["lockstep", "faked", "real", "real:60", "real:0.5"])
def test_a_clock_is_spelled_as_it_is_read(text: str) -> None:
    assert str(BotClock.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "wall", "faked:2", "real:", "real:0", "real:nan", "real:fast"]
)
def test_a_clock_that_there_is_not_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UserError, match="--clock") as caught:
        BotClock.parse(text)
    assert repr(text) in str(caught.value)


def test_a_replay_repeats_a_clock_that_was_asked_for() -> None:
    assert BotSpec.choose().clock.kind == "faked"
    assert BotSpec.choose().options == ""
    assert BotSpec.choose(clock="real:60").options == " --clock real:60"
    assert BotSpec.choose(command="cat {port}").clock.kind == "lockstep"
    assert (
        BotSpec.choose(command="cat", clock="faked").options == " --bot-command cat --clock faked"
    )


@pytest.mark.parametrize(
    ("seconds", "microseconds"),
    [(5, 5_000_000), (5.0000000000001, 5_000_000), (1e-9, 1), (1.0000001, 1_000_001)],
)
def test_a_wait_is_rounded_up_to_microseconds_but_not_for_a_floats_last_digits(
    seconds: float, microseconds: int
) -> None:
    assert span(seconds) == microseconds * 1000
