"""Moves what is still to come of a tape to a later time, over nights and changes of the clocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar
from zoneinfo import ZoneInfo

from fakebroker.market.tape import Bar, Halt, Tick

EXCHANGE_ZONE = ZoneInfo("America/New_York")
EventT = TypeVar("EventT", bound=Bar | Tick | Halt)


class PostponeError(Exception):
    """A tape cannot be postponed by that; the message says by what it can."""


def later(moment: datetime, by: timedelta) -> datetime:
    """Return the time that is so much later, however the clocks change, with its own offset.

    A time that keeps a zone would be added to by the clock on the wall.
    """
    there = (moment.astimezone(UTC) + by).astimezone(EXCHANGE_ZONE)
    offset = there.utcoffset()
    assert offset is not None, "New York has an offset at every time"
    return there.replace(tzinfo=timezone(offset))


def moved(events: tuple[EventT, ...], first: int, by: timedelta) -> tuple[EventT, ...]:
    """Return events, those from the `first` one on so much later."""
    rest = (replace(event, time=later(event.time, by)) for event in events[first:])
    return (*events[:first], *rest)
