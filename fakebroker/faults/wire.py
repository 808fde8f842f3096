"""Faults of wire and books in their plain form: one thing goes wrong, at a place that is asked for.

The faults that users have reported are made of these and have names of their own in `field.py`.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from fakebroker.faults.base import (
    AtMessage,
    Counted,
    FaultBase,
    How,
    Lasting,
    When,
    Window,
    known_message,
)
from fakebroker.faults.messages import REPLIES, REQUESTS


class OnMessage(Counted):
    """A fault that acts on messages of one kind, in either direction."""

    message: str

    @field_validator("message")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_message(name)


class OnReply(Counted):
    """A fault that acts on messages of one kind that the broker sends."""

    message: str

    @field_validator("message")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REPLIES:
            raise ValueError(f"{name!r} is no message of the broker, such as orderStatus")
        return name


class OnRequest(Counted):
    """A fault that acts on messages of one kind that clients send."""

    message: str

    @field_validator("message")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REQUESTS:
            raise ValueError(f"{name!r} is no message of a client, such as placeOrder")
        return name


class Drop(OnMessage):
    """The message is lost: a request is not processed, a reply is not sent."""

    SEEN: ClassVar[str] = "sections 0b.13, 0b.21"
    name: Literal["drop"] = "drop"


class DelayMessage(OnMessage):
    """The message arrives `seconds` of exchange time late; others overtake it."""

    SEEN: ClassVar[str] = "section 0b.12"
    name: Literal["delay"] = "delay"
    seconds: Window


class Duplicate(OnMessage):
    """The message comes twice."""

    SEEN: ClassVar[str] = "section 0b.13"
    name: Literal["duplicate"] = "duplicate"


class Reorder(OnReply):
    """The message changes places with the next one to the same client."""

    SEEN: ClassVar[str] = "section 3.5"
    name: Literal["reorder"] = "reorder"


class CutAtMessage(OnMessage):
    """The connection ends at a message, before or after it was processed or sent."""

    SEEN: ClassVar[str] = "section 0b.1"
    name: Literal["cut_at_message"] = "cut_at_message"
    moment: Literal["before", "after"] = "before"
    how: How = "rst"


class CutConnections(FaultBase):
    """The connections of all clients, or of one client id, end."""

    SEEN: ClassVar[str] = "section 0b.1"
    name: Literal["cut_connections"] = "cut_connections"
    how: How = "rst"


class HalfFrame(OnReply):
    """Only the first bytes of a reply leave, then the connection ends; null is half of them."""

    SEEN: ClassVar[str] = "section 0b.1"
    name: Literal["half_frame"] = "half_frame"
    bytes: Annotated[int, Field(ge=1)] | None = None


class Silence(Lasting):
    """The sockets stay open and nothing is read or sent: the half-open connection of section 1."""

    SEEN: ClassVar[str] = "section 1, liveness"
    name: Literal["silence"] = "silence"


class RefuseConnections(Lasting):
    """The port refuses; connections that stand are left alone."""

    SEEN: ClassVar[str] = "section 0b.20"
    name: Literal["refuse_connections"] = "refuse_connections"


class Reject(OnRequest):
    """The request is answered with an error, under its own id, and not processed."""

    SEEN: ClassVar[str] = "section 3.8"
    name: Literal["reject"] = "reject"
    message: str = "placeOrder"
    code: Annotated[int, Field(ge=1)] = 201
    text: str = "Order rejected - reason:injected by a fault"


class Notice(FaultBase):
    """An error or notice about the system, id -1, to all clients or one."""

    SEEN: ClassVar[str] = "section 3.8"
    name: Literal["notice"] = "notice"
    code: Annotated[int, Field(ge=1)]
    text: str


class ExpireOrders(FaultBase):
    """Live orders end as DAY orders do at the close: Cancelled and 202, unasked."""

    SEEN: ClassVar[str] = "section 0b.18"
    name: Literal["expire_orders"] = "expire_orders"
    order_ref: str | None = None
    """Only the orders with this orderRef; null is all."""


class RejectOrders(FaultBase):
    """Live orders that were acknowledged are rejected after all: Inactive and the code."""

    SEEN: ClassVar[str] = "section 0b.24"
    name: Literal["reject_orders"] = "reject_orders"
    order_ref: str | None = None
    """Only the orders with this orderRef; null is all."""
    code: Annotated[int, Field(ge=1)] = 201
    text: str = "Order rejected - reason:injected by a fault"


class Renumber(Lasting):
    """Orders that the client placed so far are told under order ids raised by `offset`."""

    SEEN: ClassVar[str] = "section 3.1"
    name: Literal["renumber"] = "renumber"
    offset: Annotated[int, Field(ge=1)] = 1000


class ConnectivityLost(Lasting):
    """The code while the API socket stays up, then 1102 or 1101 and the open orders again (3.9)."""

    SEEN: ClassVar[str] = "section 0b.19"
    name: Literal["connectivity_lost"] = "connectivity_lost"
    code: Literal[1100, 2110] = 1100
    """2110 is the gateway's own link to its server (section 3.8)."""
    restored: Literal[1101, 1102] = 1102
    """1101 also ends the market data subscriptions."""
    orders: Literal["lost", "queued", "taken", "duplicated"] = "queued"
    """What becomes of orders and cancels that are sent meanwhile. `duplicated`: they are taken, and
    those that still live at the end exist twice, with two permIds under one order id."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """How often the code is said at the start."""


AT_FILL: When = AtMessage(message="execDetails")
Shares = Annotated[Decimal, Field(gt=0, multiple_of=1)]
Price = Annotated[Decimal, Field(gt=0)]
