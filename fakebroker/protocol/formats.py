"""How values look on the wire: numbers, sizes, booleans and times (tws-protocol.md section 1).

Numbers are plain, never with an exponent. Which of the formats a field has depends on the message
and the server version; only that choice is the encoders', the spelling is here.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from fakebroker.protocol import versions
from fakebroker.protocol.fields import UNSET_DOUBLE

# Where the exchange is, and the time that a gateway of its login shows.
EXCHANGE_ZONE: Final = ZoneInfo("America/New_York")


def number(value: Decimal) -> str:
    """Return a number without an exponent and without zeros that say nothing."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-", "-0"} else text


def double(value: Decimal) -> str:
    """Return a number as Java writes a double: whole ones end with `.0`."""
    text = number(value)
    return text if "." in text else f"{text}.0"


def double_or_unset(value: Decimal | None) -> str:
    """Return a number, or the largest double when it is unset."""
    return UNSET_DOUBLE if value is None else double(value)


def number_or_empty(value: Decimal | None) -> str:
    """Return a number, or nothing when it is unset."""
    return "" if value is None else number(value)


def size(value: Decimal, server_version: int) -> str:
    """Return a size; it loses its decimals for clients that read it with int() (section 0)."""
    if server_version < versions.DECIMAL_SIZES:
        return str(int(value))
    return number(value)


def boolean(value: bool) -> str:  # noqa: FBT001 (the value to write, not a switch)
    """Return 1 or 0."""
    return "1" if value else "0"


def epoch(time: datetime) -> str:
    """Return whole seconds since 1970."""
    return str(int(aware(time).timestamp()))


def exchange_time(time: datetime, server_version: int) -> str:
    """Return a time as executions and bars have it: with its zone from 174 on, two blanks below."""
    if server_version < versions.ZONED_TIMES:
        return naive_time(time)
    return zoned_time(time)


def naive_time(time: datetime) -> str:
    """Return an exchange time that does not say its zone."""
    return aware(time).astimezone(EXCHANGE_ZONE).strftime("%Y%m%d  %H:%M:%S")


def zoned_time(time: datetime) -> str:
    """Return an exchange time that does."""
    return f"{aware(time).astimezone(EXCHANGE_ZONE):%Y%m%d %H:%M:%S} {EXCHANGE_ZONE.key}"


def clock(time: datetime) -> str:
    """Return hours and minutes at the exchange."""
    return aware(time).astimezone(EXCHANGE_ZONE).strftime("%H:%M")


def day(value: date) -> str:
    """Return a day as yyyymmdd."""
    return value.strftime("%Y%m%d")


def aware(time: datetime) -> datetime:
    """Return the time, which must say what zone it is in.

    Raises:
        ValueError: It does not, so it could be any of two dozen moments.
    """
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no zone; use one that is aware, such as {UTC}")
    return time
