"""From the text of a history to its events; what is wrong with it is said of a line and a field."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from harness.errors import UserError
from harness.history.lines import lines_of
from harness.history.records import Event, EventFields

EVENTS: TypeAdapter[list[EventFields]] = TypeAdapter(list[EventFields])


def events_of(lines: Sequence[Mapping[str, Any]], *, name: str) -> tuple[Event, ...]:
    """Make events of parsed lines.

    Raises:
        UserError: a line is not an event, or they are not in order; the message has its number.
    """
    try:
        # All at once: a history has hundreds of lines, and each call costs more than its line.
        told = EVENTS.validate_python(lines)
    except ValidationError as error:
        number = error.errors(include_url=False)[0]["loc"][0]
        assert isinstance(number, int), "a list's errors begin with the place in it"
        raise UserError(f"{name} line {number + 1}: {first_words(error, skip=1)}") from error
    events = tuple(
        Event(fields["seq"], fields["time"], fields["source"], fields["kind"], line)
        for fields, line in zip(told, lines, strict=True)
    )
    for number, (before, event) in enumerate(itertools.pairwise(events), start=2):
        if event.seq <= before.seq:
            raise UserError(
                f"{name} line {number}: seq {event.seq} follows {before.seq}; "
                f"the lines are not in the order in which they were written"
            )
    return events


def read_lines(text: str, *, name: str) -> list[Mapping[str, Any]]:
    """Read the JSON object on each line.

    Raises:
        UserError: a line holds none; the message has its number.
    """
    lines = lines_of(text)
    try:
        # All at once where all is well, and by pydantic's reader, which is faster than json's; one
        # by one to find out which line is not, and in json's words.
        parsed: list[Any] = from_json(f"[{','.join(lines)}]")
    except ValueError:
        parsed = []
    if len(parsed) == len(lines) and all(isinstance(each, dict) for each in parsed):
        return parsed
    return [read_line(line, where=f"{name} line {n}") for n, line in enumerate(lines, start=1)]


def read_line(line: str, *, where: str) -> Mapping[str, Any]:
    """Read one line.

    Raises:
        UserError: it holds no JSON object.
    """
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is damaged or cut off: {error}: {line[:60]!r}") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{where} is not an object: {line[:60]!r}")
    return parsed


def first_words(error: ValidationError, *, skip: int = 0) -> str:
    """The first complaint of a validation, with the field (less `skip` parts) and the value."""
    item = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in item["loc"][skip:])
    return f"{field}: {item['msg']} (got {str(item.get('input'))[:60]!r})"
