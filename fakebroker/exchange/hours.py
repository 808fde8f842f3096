"""When a kind of contract trades: regular and extended sessions, in New York's time.

Weekdays only; holidays and half days are not known here. Futures and forex trade around the clock
from the evening before with a break in the late afternoon, and all of it counts as regular [A].
Pure functions of a contract's kind and a time.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fakebroker.market.postpone import later

EXCHANGE_ZONE = ZoneInfo("America/New_York")
ONE_DAY = timedelta(days=1)
SATURDAY = 5
HOURS_DAYS = 5
DAYS_AHEAD = 8
NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Hours:
    """The daily times of a session; one that opens later than it closes opens the day before."""

    opening: time
    closing: time

    def session(self, day: date) -> "Session | None":
        """Return the session that closes on this day, None at the weekend."""
        if day.weekday() >= SATURDAY:
            return None
        first = day - ONE_DAY if self.opening > self.closing else day
        return Session(
            datetime.combine(first, self.opening, EXCHANGE_ZONE),
            datetime.combine(day, self.closing, EXCHANGE_ZONE),
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One session: open from `start` on, and no longer at `end`; both aware."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Say whether the market is open at this time."""
        return self.start <= moment < self.end


DAY = Hours(time(9, 30), time(16))
LONG_DAY = Hours(time(4), time(20))
GLOBEX = Hours(time(18), time(17))
AROUND_THE_CLOCK = Hours(time(17, 15), time(17))
REGULAR = {"STK": DAY, "OPT": DAY, "FUT": GLOBEX, "CASH": AROUND_THE_CLOCK}
EXTENDED = {**REGULAR, "STK": LONG_DAY}


def regular_hours(sec_type: str) -> Hours:
    """Return the hours in which every order works."""
    return REGULAR.get(sec_type, DAY)


def extended_hours(sec_type: str) -> Hours:
    """Return the hours in which orders with outsideRth work."""
    return EXTENDED.get(sec_type, DAY)


def session_at_or_after(hours: Hours, moment: datetime) -> Session:
    """Return the session that is on at this time, else the next one."""
    today = moment.astimezone(EXCHANGE_ZONE).date()
    for offset in range(DAYS_AHEAD):
        session = hours.session(today + offset * ONE_DAY)
        if session is not None and moment < session.end:
            return session
    raise AssertionError("a week without a session")


def opening_at_or_after(hours: Hours, moment: datetime) -> datetime:
    """Return the first opening that is not before this time."""
    session = session_at_or_after(hours, moment)
    if session.start < moment:
        session = session_at_or_after(hours, session.end)
    return session.start


def ends_between(start: datetime, end: datetime) -> tuple[datetime, ...]:
    """Return when sessions and days of stocks end after `start` and before `end`, in order.

    Each is just after its end, when what ends with it is over.
    """
    first, last = (moment.astimezone(EXCHANGE_ZONE).date() for moment in (start, end))
    days = [first + offset * ONE_DAY for offset in range((last - first).days + 1)]
    clocks = (time(0), *(replaced(hours.closing) for hours in (DAY, LONG_DAY)))
    moments = (datetime.combine(day, clock, EXCHANGE_ZONE) for day in days for clock in clocks)
    return tuple(later(moment, NO_TIME) for moment in moments if start < moment < end)


def replaced(closing: time) -> time:
    """Return the instant after a close."""
    return closing.replace(microsecond=1)


def hours_text(hours: Hours, today: date) -> str:
    """Return five days of hours in IB's form `20261120:0930-20261120:1600;20261121:CLOSED`."""
    days = []
    for offset in range(HOURS_DAYS):
        day = today + offset * ONE_DAY
        session = hours.session(day)
        if session is None:
            days.append(f"{day:%Y%m%d}:CLOSED")
        else:
            days.append(f"{session.start:%Y%m%d:%H%M}-{session.end:%Y%m%d:%H%M}")
    return ";".join(days)
