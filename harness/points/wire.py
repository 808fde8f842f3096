"""A crash at the n-th message of a kind between the bot and the broker.

The broker holds what it would do next, so that a kill "after it received the order and before it
answered" lands there every time. Occurrences are counted over the broker's whole life, over all
sessions, from 1; message names are TWS's own ("placeOrder", "execDetails").
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from fakebroker.control_messages import Point
from harness.points.words import ordinal
from harness.values import Value


class Direction(StrEnum):
    """Which way the message goes, as the broker sees it."""

    IN = "in"
    OUT = "out"


class Moment(StrEnum):
    """At which side of the message the bot dies."""

    RECEIVED = "received"
    """The message is at the broker, which has done nothing with it."""
    PROCESSED = "processed"
    """The broker has acted on it; its answers are not sent."""
    ANSWERED = "answered"
    """The answers are sent."""
    UNSENT = "unsent"
    """The broker is about to send the message."""
    SENT = "sent"
    """The message is handed to the socket."""


MOMENTS = {
    Direction.IN: (Moment.RECEIVED, Moment.PROCESSED, Moment.ANSWERED),
    Direction.OUT: (Moment.UNSENT, Moment.SENT),
}


class WirePoint(Value):
    """The `occurrence`-th `message` in `direction`, at `moment`."""

    kind: Literal["wire"] = "wire"
    direction: Direction
    message: str = Field(pattern=r"^[a-zA-Z]+$")
    occurrence: int = Field(ge=1)
    moment: Moment

    @model_validator(mode="after")
    def _moment_fits_direction(self) -> Self:
        if self.moment not in MOMENTS[self.direction]:
            fitting = ", ".join(MOMENTS[self.direction])
            raise ValueError(
                f"moment {self.moment.value!r} does not fit direction "
                f"{self.direction.value!r}; use {fitting}"
            )
        return self

    @property
    def for_broker(self) -> Point:
        """What the broker is told."""
        return Point.model_validate(self.model_dump(exclude={"kind"}))

    def describe(self) -> str:
        """Say where the point is, in plain words."""
        which = f"the {ordinal(self.occurrence)} {self.message}"
        match self.moment:
            case Moment.RECEIVED:
                return f"after the broker received {which} and before it acted on it"
            case Moment.PROCESSED:
                return f"after the broker acted on {which} and before it answered"
            case Moment.ANSWERED:
                return f"after the broker answered {which}"
            case Moment.UNSENT:
                return f"before the broker sent {which}"
            case Moment.SENT:
                return f"after the broker sent {which}"


def received(message: str, *, nth: int = 1) -> WirePoint:
    """The bot's `nth` `message` is at the broker, and nothing is done about it yet."""
    return WirePoint(
        direction=Direction.IN, message=message, occurrence=nth, moment=Moment.RECEIVED
    )


def processed(message: str, *, nth: int = 1) -> WirePoint:
    """The broker has acted on the bot's `nth` `message` and has not answered."""
    return WirePoint(
        direction=Direction.IN, message=message, occurrence=nth, moment=Moment.PROCESSED
    )


def answered(message: str, *, nth: int = 1) -> WirePoint:
    """The broker has answered the bot's `nth` `message`."""
    return WirePoint(
        direction=Direction.IN, message=message, occurrence=nth, moment=Moment.ANSWERED
    )


def unsent(message: str, *, nth: int = 1) -> WirePoint:
    """The broker is about to send its `nth` `message`."""
    return WirePoint(direction=Direction.OUT, message=message, occurrence=nth, moment=Moment.UNSENT)


def sent(message: str, *, nth: int = 1) -> WirePoint:
    """The broker has just sent its `nth` `message`."""
    return WirePoint(direction=Direction.OUT, message=message, occurrence=nth, moment=Moment.SENT)
