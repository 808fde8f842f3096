"""The hand that moves a bot's clock, and who is next: a timer of the bot, or the market.

One hand belongs to one life of the bot. It is asked whenever the bot is quiet. With a faked clock
the bot's time and the exchange's are one: both begin at the exchange's present, and go to the
earlier of the next timer of the bot and the next event of the market; a timer goes first where
they meet. So a timer of five seconds fires at once when nothing else is to happen, and nothing
depends on how fast this machine is.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.bot_clock import BotClock
from harness.clock import Wall
from harness.errors import HarnessError
from harness.targets.faked_clock import (
    DEADLINE,
    FOLDER,
    MEMORY_NAME,
    NOW,
    PAGE_BYTES,
    STARTED,
    TAKEN,
    VARIABLE,
    Page,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LOOK_SECONDS = 0.01


class Turn(Enum):
    """Who is next when the bot is quiet."""

    BOT = auto()
    """Time was given to the bot: look again whether it is quiet."""
    MARKET = auto()
    """The next event of the market."""
    UNKNOWN = auto()
    """The bot may be waiting for something that is not seen from outside."""


class Hand:
    """The bot has the machine's clock, and the market does not wait for its timers.

    Attributes:
        variables: what the bot's environment needs.
        descriptors: what the bot has to inherit.
    """

    variables: Mapping[str, str] = {}
    descriptors: tuple[int, ...] = ()

    def turn(self, status: Status) -> Turn:  # noqa: ARG002 - other hands ask it
        """Say who is next, and give the bot time when it is the bot."""
        return Turn.UNKNOWN

    def pause(self) -> float:
        """How many seconds to wait before the next look, when it is the bot's turn."""
        return 0.0

    def before_step(self, due: datetime | None) -> None:  # noqa: ARG002 - other hands move
        """Hear that the market plays what is due then."""
        return

    def require_taken(self) -> None:
        """Make sure that the bot goes by this clock.

        Raises:
            HarnessError: it does not.
        """
        return

    def close(self) -> None:
        """Let go of what the bot inherited."""
        return


class WallHand(Hand):
    """The bot has the machine's clock, and the market goes by it, so many times as fast."""

    def __init__(self, control: ControlClient, now: datetime, *, speed: float) -> None:
        self._control = control
        self._wall = Wall(now, speed=speed)
        self._due: datetime | None = None

    def turn(self, status: Status) -> Turn:
        """The market's when its next event is due by the wall clock."""
        self._due = status.next_due
        if self._due is None:
            return Turn.MARKET
        now = self._wall.now()
        if now >= self._due:
            return Turn.MARKET
        if now > status.now:
            self._control.advance(now)
        return Turn.BOT

    def pause(self) -> float:
        """Until the next event, at most as long as a kill may have to wait."""
        return LOOK_SECONDS if self._due is None else min(LOOK_SECONDS, self._wall.left(self._due))


class FakedHand(Hand):
    """The bot has a clock that this hand moves.

    Args:
        control: the exchange's clock is moved over it.
        now: where the clock begins.
        idle: for how long timers fire after the market's last event, while the bot is not ready.
    """

    def __init__(self, control: ControlClient, now: datetime, *, idle: timedelta) -> None:
        self._control = control
        self._idle = idle
        self._last_event = now
        self._memory = os.memfd_create(MEMORY_NAME, os.MFD_CLOEXEC)
        os.ftruncate(self._memory, PAGE_BYTES)
        self._page = Page(self._memory)
        self._page.numbers[NOW] = self._page.numbers[STARTED] = nanoseconds(now)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.descriptors = (self._memory, self._wake_read)
        self.variables = {
            VARIABLE: ",".join(map(str, self.descriptors)),
            **preparation(BotClock(kind="faked")),
        }

    @property
    def now(self) -> datetime:
        """What the bot's clock shows."""
        return moment(self._page.numbers[NOW])

    @property
    def deadline(self) -> datetime | None:
        """The next moment that the bot sleeps for."""
        told = self._page.numbers[DEADLINE]
        return moment(told) if told else None

    def turn(self, status: Status) -> Turn:
        """The bot's, when a timer is due no later than the market's next event."""
        due, deadline = status.next_due, self.deadline
        if deadline is None:
            return Turn.UNKNOWN
        if due is None and deadline > self._last_event + self._idle:
            return Turn.MARKET
        if due is not None and due < deadline:
            return Turn.MARKET
        if deadline > status.now:
            self._control.advance(deadline)
        self._move(deadline)
        return Turn.BOT

    def before_step(self, due: datetime | None) -> None:
        """Move the clock to what the market plays; the bot sees it there when it hears of it."""
        if due is not None:
            self._last_event = due
            self._move(due)

    def require_taken(self) -> None:
        """Make sure that the bot goes by this clock."""
        if not self._page.numbers[TAKEN]:
            raise HarnessError(
                "the bot trades and has not taken the faked clock: that takes a Python program "
                "that is not started with -I, -E or -S; give --clock lockstep or --clock real"
            )

    def close(self) -> None:
        """Let go of the page and the pipe."""
        self._page.close()
        for descriptor in (self._memory, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _move(self, to: datetime) -> None:
        """Move the bot's clock, never back, and wake who is due."""
        numbers = self._page.numbers
        numbers[NOW] = max(numbers[NOW], nanoseconds(to))
        if 0 < numbers[DEADLINE] <= numbers[NOW]:
            os.write(self._wake_write, b"!")


def hand_of(clock: BotClock, control: ControlClient, now: datetime, *, idle: timedelta) -> Hand:
    """The hand of a clock.

    Args:
        clock: which.
        control: the broker's.
        now: exchange time.
        idle: see `FakedHand`.
    """
    match clock.kind:
        case "lockstep":
            return Hand()
        case "faked":
            return FakedHand(control, now, idle=idle)
        case "real":
            return WallHand(control, now, speed=clock.speed)


def preparation(clock: BotClock) -> dict[str, str]:
    """Variables with which every command of a bot is started, so that one fork server serves all.

    They put the faked clock in place; without a page it tells the machine's time.
    """
    if clock.kind != "faked":
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (FOLDER, os.environ.get("PYTHONPATH"))))}


def nanoseconds(at: datetime) -> int:
    """A moment as the page has it."""
    return (at - EPOCH) // MICROSECOND * 1000


def moment(told: int) -> datetime:
    """A moment of the page, in UTC."""
    return EPOCH + timedelta(microseconds=told // 1000)
