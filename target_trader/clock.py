"""The one place where the bot learns what time it is, always as New York sees it.

`MarketClock` knows only what the broker says: its own time at connect, then the end of each
bar, and its time again when no bar has come for a while. A day can therefore be replayed at any
speed and the bot does not notice. `SystemClock` is the clock of the machine, for live trading
without that wish. Only this file reads it.
"""

import asyncio
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


class Clock(Protocol):
    """What the bot asks for the time."""

    def now(self) -> datetime:
        """Return the present moment in New York, zone included."""

    def advance(self, moment: datetime) -> None:
        """Take note that the broker says it is `moment`, or later, now."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the machine's time in New York."""
        return datetime.now(UTC).astimezone(NEW_YORK)  # noqa: TID251 - the one clock of the bot

    def advance(self, moment: datetime) -> None:
        """Ignore what the broker says: the machine's clock goes by itself."""


class MarketClock:
    """The latest time that the broker has told; it never goes back."""

    def __init__(self) -> None:
        self.latest: datetime | None = None

    def now(self) -> datetime:
        """Return the broker's time; the machine's while the broker has told none."""
        return self.latest if self.latest is not None else SystemClock().now()

    def advance(self, moment: datetime) -> None:
        """Move to `moment` unless it is already later."""
        local = moment.astimezone(NEW_YORK)
        if self.latest is None or local > self.latest:
            self.latest = local


def exchange_day(moment: datetime) -> date:
    """Return the trading day that `moment` belongs to: the date in New York."""
    return moment.astimezone(NEW_YORK).date()


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event with a deadline; tell whether it came."""
    try:
        # Not wait_for: before Python 3.12 it can swallow a cancellation.
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
