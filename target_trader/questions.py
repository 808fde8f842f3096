"""What the handlers of messages wish for: that the broker is asked, now, later, or from the start.

Handlers are synchronous and cannot wait for an answer; they leave a wish here, and the main loop
(`recovery.py`) fulfils it. Several wishes of one kind make one question.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from target_trader.clock import Clock
from target_trader.log import tell


class Wake(StrEnum):
    """What the main loop is woken for."""

    ASK = "ask"
    RECOVER = "recover"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that may settle by itself: when to look again, and whether it is still there."""

    at: datetime
    still: Callable[[], bool]


class Questions:
    """The open wishes of one connection.

    `asking` is whether a question is under way. `link_lost_at` is when IBKR said that its own line
    is down (1100), None while it is up; `data_lost` that it came back without our subscriptions,
    `bars_missed` that it came back at all: bars of that time are to be asked for.

    Args:
        clock: the bot's clock.
        grace: how long a doubt may take to settle by itself.
    """

    def __init__(self, clock: Clock, *, grace: timedelta) -> None:
        self.clock = clock
        self.grace = grace
        self.wakes: asyncio.Queue[Wake] = asyncio.Queue()
        self.doubts: dict[str, Doubt] = {}
        self.asking = False
        self.link_lost_at: datetime | None = None
        self.data_lost = False
        self.bars_missed = False

    @property
    def link_up(self) -> bool:
        """IBKR's own line is up, as far as it has said."""
        return self.link_lost_at is None

    def ask(self, reason: str) -> None:
        """Have the broker asked for everything; several reasons make one question.

        While IBKR's own line is down the answers would be old or none; its return is a reason to
        ask of its own.
        """
        if not self.link_up:
            tell("ask_postponed", f"IBKR is asked when its line is up: {reason}", reason=reason)
            return
        tell("asking", f"Asking IBKR: {reason}", reason=reason)
        if self.asking:
            self.ask_later(reason)
        elif self.wakes.empty():
            self.wakes.put_nowait(Wake.ASK)

    def ask_later(self, reason: str, still: Callable[[], bool] = lambda: True) -> None:
        """Have the broker asked after the grace period, if the doubt is `still` there then."""
        if reason not in self.doubts:
            self.doubts[reason] = Doubt(self.clock.now() + self.grace, still)

    def ripe(self, now: datetime) -> bool:
        """Take out the doubts whose grace is over; tell whether one of them is still there."""
        due = [each for each in self.doubts.values() if now >= each.at]
        self.doubts = {name: each for name, each in self.doubts.items() if now < each.at}
        return any(each.still() for each in due)

    def begin(self) -> None:
        """A question begins; its answer settles every doubt that is open now."""
        self.asking = True
        self.doubts.clear()

    def forget_connection(self) -> None:
        """Drop every wish of the last connection: recovering fulfils all of them."""
        while not self.wakes.empty():
            self.wakes.get_nowait()
        self.doubts.clear()
        self.link_lost_at = None
        self.data_lost = self.bars_missed = False
