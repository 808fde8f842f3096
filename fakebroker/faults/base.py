"""What all faults have in common: when they begin, whom they touch, how often or how long.

A fault is data. It is armed, begins when its `when` comes true, acts on so many messages or for so
long, and ends by itself or is healed by hand. Times are exchange times, so a fault works the same
in lockstep. What a fault does is in `fakebroker.fault_engine`; this package only says what exists.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from fakebroker.faults.messages import REPLIES, REQUESTS

NOTHING = timedelta(0)
Delay = Annotated[timedelta, Field(ge=NOTHING)]
Window = Annotated[timedelta, Field(gt=NOTHING)]
Times = Annotated[int, Field(ge=1)]
How = Literal["fin", "rst"]


def known_message(name: str) -> str:
    """Return the name of a message.

    Raises:
        ValueError: Neither clients nor the broker send such a message.
    """
    if name not in REQUESTS and name not in REPLIES:
        raise ValueError(f"{name!r} is no message: use TWS's name, such as placeOrder or openOrder")
    return name


class Value(BaseModel):
    """The manners of everything here: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Now(Value):
    """At once when it is armed."""

    on: Literal["now"] = "now"


class AtTime(Value):
    """At an exchange time."""

    on: Literal["time"] = "time"
    at: AwareDatetime


class AtMessage(Value):
    """At the n-th message of a kind, counted from the arming.

    With a request the fault begins before it is processed, with a reply after it was sent; a fault
    that acts on messages acts on this one already.
    """

    on: Literal["message"] = "message"
    message: str
    occurrence: Times = 1

    @field_validator("message")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_message(name)


class AtOrder(Value):
    """When an order gets into a state; without `order_ref` any order of the client."""

    on: Literal["order"] = "order"
    status: Literal["PreSubmitted", "Submitted", "PendingCancel", "Cancelled", "Filled", "Inactive"]
    order_ref: str | None = None
    partly_filled: bool | None = None
    """True: only when some and not all shares are filled; False: only when none are."""


When = Annotated[Now | AtTime | AtMessage | AtOrder, Field(discriminator="on")]


class FaultBase(Value):
    """One fault. `client_id` narrows it to the sessions and orders of one client id."""

    SEEN: ClassVar[str]
    """Where in the field it was seen: its rank in the list of faults, or a section."""

    when: When = Now()
    client_id: Annotated[int, Field(ge=0)] | None = None


class Counted(FaultBase):
    """A fault that acts on so many messages; `times` null is all, until it is healed."""

    times: Times | None = 1


class Lasting(FaultBase):
    """A fault that lasts `seconds` of exchange time; null is until it is healed."""

    seconds: Window | None = None


def describe_when(when: When) -> str:
    """Return one phrase for a journal."""
    match when:
        case Now():
            return "now"
        case AtTime(at=at):
            return f"at {at.isoformat()}"
        case AtMessage(message=message, occurrence=occurrence):
            return f"{message} #{occurrence}"
        case AtOrder(status=status, order_ref=order_ref, partly_filled=partly):
            words = f"order {status}" if order_ref is None else f"order {order_ref!r} {status}"
            return words if partly is None else f"{words}, partly filled: {partly}"
