"""The messages on the wire: they are most of a history, and the laws ask for a tenth of them."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import UserError
from harness.history.reading import first_words
from harness.history.records import Event, WireMessage

MESSAGES: TypeAdapter[list[WireMessage]] = TypeAdapter(list[WireMessage])
WAYS = {"received": "in", "sent": "out"}
WIRE = frozenset({*WAYS, "lost"})
"""The kinds of event that are a message."""
NO_FIELDS: dict[str, Any] = {}
WHOLE_OR_NOTHING = (int, type(None))


def messages_of_events(events: Sequence[Event], *, name: str) -> tuple[WireMessage, ...]:
    """Read messages.

    Args:
        events: of the kinds in `WIRE`.
        name: of their history.

    Raises:
        UserError: one is damaged; the message has its place in the history.
    """
    told = [
        {**event.data, "direction": direction(event), "lost": event.kind == "lost"}
        for event in events
    ]
    try:
        return tuple(MESSAGES.validate_python(told))
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"][0]
        assert isinstance(place, int), "a list's errors begin with the place in it"
        raise UserError(
            f"{name}: event {told[place]['seq']} ({told[place]['kind']}): "
            f"{first_words(error, skip=1)}"
        ) from error


def direction(event: Event) -> str:
    """The direction of a message on the wire, seen from the broker."""
    return WAYS.get(event.kind) or str(event.data.get("direction"))


def is_plain(event: Event) -> bool:
    """Whether a message surely is as the broker writes it, which is told without making it."""
    told = event.data
    return (
        type(told.get("session")) is int
        and type(told.get("message")) is str
        and type(told.get("fields", NO_FIELDS)) is dict
        and type(told.get("client_id")) in WHOLE_OR_NOTHING
        and type(told.get("occurrence")) in WHOLE_OR_NOTHING
        and (event.kind in WAYS or told.get("direction") in WAYS.values())
    )
