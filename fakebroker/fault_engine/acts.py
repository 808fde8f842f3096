"""What a fault wants done, as values: the engine decides, whoever holds sockets and books obeys.

Nothing here happens by itself, so the engine stays a pure function of messages and time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from fakebroker.faults.base import How
from fakebroker.protocol.replies import ErrorMessage, Reply
from fakebroker.protocol.requests import Request
from fakebroker.values import Contract


@dataclass(frozen=True, slots=True)
class Packet:
    """A request on its way in. `live_order`: it names a live order of its client."""

    session: int
    client_id: int | None
    request: Request
    occurrence: int = 1
    live_order: bool = False
    perm_id: int = 0
    """Of the order that it names, 0 for none."""
    placed_time: datetime | None = None
    """When that order came."""
    contract: Contract | None = None
    """What it asks data of, as the catalogue has it; None for nothing that exists."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A reply on its way out."""

    session: int
    client_id: int | None
    reply: Reply
    occurrence: int = 1


@dataclass(frozen=True, slots=True)
class Note:
    """A record for the journal."""

    event: Literal["armed", "fired", "healed"]
    number: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tell:
    """An error message to one session, to one client id, or to everyone who is logged in."""

    code: int
    text: str
    req_id: int = -1
    session: int | None = None
    client_id: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """End one connection, those of a client id, or all; `last` is said to each before."""

    how: How
    session: int | None = None
    client_id: int | None = None
    last: ErrorMessage | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """The gateway itself is gone: no client id is taken any more."""


@dataclass(frozen=True, slots=True)
class Hush:
    """Read and send nothing on the connections that stand now."""

    number: int
    client_id: int | None


@dataclass(frozen=True, slots=True)
class Unhush:
    """Go on with the connections that fault `number` has silenced."""

    number: int


@dataclass(frozen=True, slots=True)
class ClosePort:
    """Refuse new connections."""


@dataclass(frozen=True, slots=True)
class OpenPort:
    """Accept connections again."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send a reply that was held back."""

    parcel: Parcel


@dataclass(frozen=True, slots=True)
class Take:
    """Process a request that was held back."""

    packet: Packet


@dataclass(frozen=True, slots=True)
class ReplayOrders:
    """Tell the clients their open orders, unasked."""

    client_id: int | None


@dataclass(frozen=True, slots=True)
class EndSubscriptions:
    """Market data subscriptions are lost without a word."""

    client_id: int | None


@dataclass(frozen=True, slots=True)
class TellSubscribers:
    """An error for each market data subscription."""

    code: int
    text: str
    client_id: int | None


@dataclass(frozen=True, slots=True)
class EndHistories:
    """Histories that are kept up to date get 10182 and end: all, or one of a session."""

    client_id: int | None = None
    session: int | None = None
    req_id: int | None = None


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Bars, kept histories and with `ticks` tick-by-tick data get 10225 and stand still."""

    client_id: int | None
    symbol: str | None
    ticks: bool


@dataclass(frozen=True, slots=True)
class EndAccountUpdates:
    """Who has subscribed to the account's updates gets 2100 and no more of them."""

    client_id: int | None


@dataclass(frozen=True, slots=True)
class DelayNext:
    """The next reqMktData of a session gets delayed data."""

    session: int


@dataclass(frozen=True, slots=True)
class FillPart:
    """Fill so many shares of an order at its limit or the last price."""

    client_id: int
    order_id: int
    shares: Decimal


@dataclass(frozen=True, slots=True)
class Split:
    """Let the next modify leave the order alive beside the new one, under the same order id."""

    client_id: int
    order_id: int


@dataclass(frozen=True, slots=True)
class Correct:
    """Correct an execution; None for the id is the last one, for a value as it was."""

    exec_id: str | None
    shares: Decimal | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Bust:
    """Take an execution back; None is the last one."""

    exec_id: str | None


@dataclass(frozen=True, slots=True)
class RollBack:
    """Forget received order ids of one client id, or of all that are connected."""

    client_id: int | None
    count: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Forget what all clients sent in the last seconds, where nothing has come of it."""

    seconds: timedelta


@dataclass(frozen=True, slots=True)
class RejectLive:
    """Reject live orders that were acknowledged."""

    client_id: int | None
    order_ref: str | None
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Expire:
    """End live orders as the close does."""

    client_id: int | None
    order_ref: str | None


Act = (
    Note
    | Tell
    | Cut
    | Forget
    | Hush
    | Unhush
    | ClosePort
    | OpenPort
    | Deliver
    | Take
    | ReplayOrders
    | EndSubscriptions
    | TellSubscribers
    | EndHistories
    | Deactivate
    | EndAccountUpdates
    | DelayNext
    | FillPart
    | Split
    | Correct
    | Bust
    | RollBack
    | TakeBack
    | RejectLive
    | Expire
)
