"""What is said over the control socket, as typed values.

One request a line, one answer a line, both JSON (see `control.py`). Everything here is frozen and
refuses unknown fields, so that a misspelt word is an error and never a silent default. Decimals
travel as strings, times as ISO 8601 with their offset.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fakebroker.faults.catalog import AnyFault

InMoment = Literal["received", "processed", "answered"]
OutMoment = Literal["unsent", "sent"]
IN_MOMENTS: tuple[InMoment, ...] = ("received", "processed", "answered")
OUT_MOMENTS: tuple[OutMoment, ...] = ("unsent", "sent")


class Message(BaseModel):
    """The common manners of everything that crosses the control socket."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Message):
    """An exact place in the traffic at which the broker stands still.

    `direction` is seen from the broker: "in" is what clients send. `occurrence` counts the
    messages of that kind from 1 over the whole life of the broker process and all sessions.

    Moments of "in": `received` (the frame is here, nothing of it is processed), `processed` (the
    books have changed, no answer has left), `answered` (the answers were handed to the socket).
    Moments of "out": `unsent` (about to leave), `sent` (handed to the socket).
    """

    direction: Literal["in", "out"]
    message: str
    occurrence: int = Field(ge=1)
    moment: InMoment | OutMoment

    @model_validator(mode="after")
    def _moment_fits_direction(self) -> "Point":
        moments: tuple[str, ...] = IN_MOMENTS if self.direction == "in" else OUT_MOMENTS
        if self.moment not in moments:
            raise ValueError(
                f"moment {self.moment!r} does not exist for direction {self.direction!r}: "
                f"use one of {', '.join(moments)}"
            )
        return self


class SessionStatus(Message):
    """One TCP connection of a client."""

    session: int
    client_id: int | None
    ready: bool
    peer_port: int | None


class Status(Message):
    """Where the broker stands; two equal answers mean that nothing moved in between."""

    now: datetime
    port: int
    frames_received: int
    frames_sent: int
    bars_played: int
    bars_left: int
    next_due: datetime | None
    sessions: tuple[SessionStatus, ...]
    subscriptions: int
    halted: Point | None
    postponed: timedelta = timedelta(0)
    """How much later than the tape says its bars come, because time has passed without them."""


class Step(Message):
    """What one step played, and where the broker stands after it."""

    kind: Literal["bar", "tick", "halt", "deadline", "end"]
    time: datetime
    status: Status | None = None


class BookOrder(Message):
    """An order of the day, live or done, as the broker keeps it."""

    perm_id: int
    order_id: int
    client_id: int
    order_ref: str
    symbol: str
    action: str
    order_type: str
    quantity: Decimal
    filled: Decimal
    remaining: Decimal
    limit_price: Decimal | None
    aux_price: Decimal | None
    status: str
    parent_perm_id: int | None
    oca_group: str
    transmitted: bool
    working: bool


class BookPosition(Message):
    """A position of the account; flat ones that were traded today stay listed with quantity 0."""

    account: str
    symbol: str
    con_id: int
    quantity: Decimal
    average_cost: Decimal
    realized_pnl: Decimal


class BookExecution(Message):
    """One execution of the day with its commission."""

    exec_id: str
    perm_id: int
    order_id: int
    client_id: int
    order_ref: str
    symbol: str
    side: str
    shares: Decimal
    price: Decimal
    time: datetime
    commission: Decimal | None
    realized_pnl: Decimal | None


class Books(Message):
    """The broker's truth at one instant."""

    now: datetime
    cash: Decimal
    positions: tuple[BookPosition, ...]
    orders: tuple[BookOrder, ...]
    executions: tuple[BookExecution, ...]
    last_prices: dict[str, Decimal]


class StatusRequest(Message):
    """Ask where the broker stands."""

    do: Literal["status"] = "status"


class StepRequest(Message):
    """Play the next bar or the next thing that is due (lockstep only)."""

    do: Literal["step"] = "step"


class BreakAtRequest(Message):
    """Stand still at a point; replaces the point that was armed before."""

    do: Literal["break_at"] = "break_at"
    point: Point


class ReleaseRequest(Message):
    """Go on from the point, as far as to `then`; `deliver`: what was held still arrives."""

    do: Literal["release"] = "release"
    deliver: bool
    then: Point | None = None


class BooksRequest(Message):
    """Ask for the books."""

    do: Literal["books"] = "books"


class FillRequest(Message):
    """Fill a working order by hand."""

    do: Literal["fill"] = "fill"
    perm_id: int
    shares: Decimal = Field(gt=0)
    price: Decimal = Field(gt=0)


class CancelRequest(Message):
    """Cancel an order as the broker would, or as a person in TWS would."""

    do: Literal["cancel"] = "cancel"
    perm_id: int
    by_hand: bool = False


class ExpireRequest(Message):
    """End a live order as if its time in force were over."""

    do: Literal["expire"] = "expire"
    perm_id: int


class RejectRequest(Message):
    """Reject a live order that was acknowledged: it is Inactive for good."""

    do: Literal["reject"] = "reject"
    perm_id: int
    code: int = Field(default=201, ge=1)
    reason: str = "Order rejected - reason:by the exchange"


class PriceRequest(Message):
    """Trade a stock at a price: at once as a gap does, or through every price on the way there."""

    do: Literal["price"] = "price"
    symbol: str
    price: Decimal = Field(gt=0)
    jumps: bool = True


class PassTimeRequest(Message):
    """Let so much time pass in which the tape plays nothing; the rest of it comes as much later."""

    do: Literal["pass_time"] = "pass_time"
    by: timedelta = Field(gt=timedelta(0))


class AdvanceRequest(Message):
    """Let the clock go on, at most to what is due next, and play nothing (lockstep only)."""

    do: Literal["advance"] = "advance"
    to: AwareDatetime


class ManualOrderRequest(Message):
    """A person in TWS sends a market order: client 0, order id 0."""

    do: Literal["manual_order"] = "manual_order"
    symbol: str
    action: Literal["BUY", "SELL"]
    quantity: Decimal = Field(gt=0)


class FaultRequest(Message):
    """Arm a fault (docs/faults.md)."""

    do: Literal["fault"] = "fault"
    fault: AnyFault


class HealRequest(Message):
    """End a fault by its number, or all of them."""

    do: Literal["heal"] = "heal"
    fault: int | Literal["all"]


class FaultsRequest(Message):
    """Ask which faults there are."""

    do: Literal["faults"] = "faults"


class ForkRequest(Message):
    """Make a second broker with these books; the answer carries its control connection."""

    do: Literal["fork"] = "fork"
    journal: str
    """Path of the new file that it writes its journal to."""


class LoseClientsRequest(Message):
    """The connections of all clients are gone, as when their processes die."""

    do: Literal["lose_clients"] = "lose_clients"


class FingerprintRequest(Message):
    """Tell a digest of all that the rest of the day rests on, but settings and tape."""

    do: Literal["fingerprint"] = "fingerprint"
    counts: bool = True
    """Take in how many messages have passed, which points and faults count by."""


class ShutdownRequest(Message):
    """End the process."""

    do: Literal["shutdown"] = "shutdown"


ControlRequest = Annotated[
    StatusRequest
    | StepRequest
    | BreakAtRequest
    | ReleaseRequest
    | BooksRequest
    | FillRequest
    | CancelRequest
    | ExpireRequest
    | RejectRequest
    | PriceRequest
    | PassTimeRequest
    | AdvanceRequest
    | ManualOrderRequest
    | FaultRequest
    | HealRequest
    | FaultsRequest
    | ForkRequest
    | LoseClientsRequest
    | FingerprintRequest
    | ShutdownRequest,
    Field(discriminator="do"),
]


class Forked(Message):
    """A second broker: its process, and its port on the address of the first."""

    pid: int
    port: int


class Fingerprint(Message):
    """What a broker is, as hexadecimal digits."""

    digest: str


class FaultNumber(Message):
    """The number of a fault that was armed."""

    fault: int


class FaultState(Message):
    """One fault and how far it has come; `hits` counts the messages it has acted on."""

    number: int
    state: Literal["armed", "active", "spent", "healed"]
    hits: int
    fault: AnyFault


class Faults(Message):
    """Every fault that was armed."""

    faults: tuple[FaultState, ...]


class Done(Message):
    """The answer to a request that has nothing to tell."""


Result = Status | Step | Books | FaultNumber | Faults | Forked | Fingerprint | Done
