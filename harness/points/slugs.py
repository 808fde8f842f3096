"""Points as short words without spaces, as they stand in a token, and back.

before.rename.state-file.2.20251006T100145    a system call
processed.placeOrder.2                        a message; ".lost": what was in flight is lost
passage.intents.saved.2                       a failpoint
quiet.20251006T100145                         between two bars
"""

import re
from datetime import datetime

from pydantic import ValidationError

from harness.errors import UserError
from harness.points.failpoint import FailPoint
from harness.points.quiet import NEW_YORK, Quiet
from harness.points.syscall import SystemCall
from harness.points.wire import MOMENTS, WirePoint

CLOCK = "%Y%m%dT%H%M%S"
SHAPES = {
    "call": re.compile(
        r"(?P<side>before|after|short)\.(?P<call>[a-z]+)\.(?P<role>[A-Za-z-]+)"
        r"\.(?P<occurrence>[1-9][0-9]*)\.(?P<time>[0-9]{8}T[0-9]{6})",
        re.ASCII,
    ),
    "wire": re.compile(
        r"(?P<moment>received|processed|answered|unsent|sent)\.(?P<message>[A-Za-z]+)"
        r"\.(?P<occurrence>[1-9][0-9]*)",
        re.ASCII,
    ),
    "failpoint": re.compile(
        r"passage\.(?P<name>[A-Za-z0-9_.-]+)\.(?P<occurrence>[1-9][0-9]*)", re.ASCII
    ),
    "quiet": re.compile(
        r"quiet\.(?P<time>[0-9]{8}T[0-9]{6})(?:\.(?P<events>[1-9][0-9]*))?", re.ASCII
    ),
}

Point = WirePoint | FailPoint | Quiet | SystemCall


def slug_of(point: Point) -> str:
    """A point as one word."""
    match point:
        case SystemCall():
            role = point.role.replace(" ", "-")
            where = f"{point.side}.{point.call}.{role}.{point.occurrence}"
            return f"{where}.{spell_time(point.time)}"
        case WirePoint():
            return f"{point.moment}.{point.message}.{point.occurrence}"
        case FailPoint():
            return f"passage.{point.name}.{point.occurrence}"
        case Quiet():
            events = f".{point.events}" if point.events else ""
            return f"quiet.{spell_time(point.after_bar)}{events}"


def parse_point(slug: str) -> Point:
    """Read the word of a point.

    Raises:
        UserError: it is none.
    """
    for kind, shape in SHAPES.items():
        found = shape.fullmatch(slug)
        if found is not None:
            try:
                return _point(kind, found.groupdict())
            except (ValidationError, ValueError) as error:
                raise UserError(f"{slug!r} names no point: {error}") from error
    raise UserError(
        f"{slug!r} names no point; points look like before.rename.state-file.2.20251006T100145, "
        f"processed.placeOrder.2, passage.intents.saved.1 or quiet.20251006T100145"
    )


def _point(kind: str, told: dict[str, str]) -> Point:
    match kind:
        case "call":
            fields = {
                **told,
                "role": told["role"].replace("-", " "),
                "time": parse_time(told["time"]),
            }
            return SystemCall.model_validate(fields)
        case "wire":
            way = next(way for way, moments in MOMENTS.items() if told["moment"] in moments)
            return WirePoint.model_validate({**told, "direction": way})
        case "failpoint":
            return FailPoint.model_validate(told)
        case _:
            return Quiet(after_bar=parse_time(told["time"]), events=int(told["events"] or 0))


def spell_time(moment: datetime) -> str:
    """A moment as one word, in New York."""
    return moment.astimezone(NEW_YORK).strftime(CLOCK)


def parse_time(clock: str) -> datetime:
    """Read such a word.

    Raises:
        ValueError: it is none.
    """
    return datetime.strptime(clock, CLOCK).replace(tzinfo=NEW_YORK)
