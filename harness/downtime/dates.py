"""How long it is to a later day in New York; pure, and right over a change of the clocks.

Weekends are known, holidays are not.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from harness.points.quiet import NEW_YORK

Arrival = Literal["the next trading day", "the next week", "after the clocks change"]
ONE_DAY = timedelta(days=1)
MONDAY, SATURDAY = 0, 5


def days_until(arrival: Arrival, now: datetime) -> timedelta:
    """How long it is from `now` (aware) to the same clock time of a later weekday.

    Returns:
        the time that really passes: a day on which the clocks change has 23 or 25 hours.
    """
    here = now.astimezone(NEW_YORK)
    there = datetime.combine(day_of(arrival, here), here.time(), NEW_YORK)
    # Both in UTC: the difference of two times of one zone is that of the clocks on the wall.
    return there.astimezone(UTC) - here.astimezone(UTC)


def day_of(arrival: Arrival, here: datetime) -> date:
    """The day of an arrival, seen from a New York time."""
    day = here.date() + ONE_DAY
    match arrival:
        case "the next trading day":
            pass
        case "the next week":
            while day.weekday() != MONDAY:
                day += ONE_DAY
        case "after the clocks change":
            before = offset_on(here.date())
            while offset_on(day) == before:
                day += ONE_DAY
    while day.weekday() >= SATURDAY:
        day += ONE_DAY
    return day


def offset_on(day: date) -> timedelta | None:
    """How far New York's clocks are from UTC at the end of a day."""
    return datetime(day.year, day.month, day.day, 23, tzinfo=NEW_YORK).utcoffset()
