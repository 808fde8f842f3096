"""What the engine remembers: each armed fault, and what is known of the traffic so far."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fakebroker.fault_engine.acts import Act, Note, Packet, Parcel
from fakebroker.faults.base import Counted, How
from fakebroker.faults.catalog import Fault
from fakebroker.protocol.replies import ErrorMessage
from fakebroker.protocol.requests import Request

OrderKey = tuple[int, int]
"""Client id and order id."""


class State(StrEnum):
    """How far a fault has come."""

    ARMED = "armed"
    ACTIVE = "active"
    SPENT = "spent"
    """It has acted as often as it should."""
    HEALED = "healed"


@dataclass(slots=True)
class Armed:
    """One fault and all that it has done and holds."""

    number: int
    fault: Fault
    state: State = State.ARMED
    seen: int = 0
    """Messages of the kind that begins it."""
    hits: int = 0
    packets: list[Packet] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    orders: set[OrderKey] = field(default_factory=set)
    exec_ids: set[str] = field(default_factory=set)
    stuck: dict[int, datetime | None] = field(default_factory=dict)
    """Client ids that are taken, and until when."""
    sent: dict[int, tuple[datetime, int, int]] = field(default_factory=dict)
    """Of a session: since when it is counted, how many messages, how often there were too many."""
    times: list[datetime] = field(default_factory=list)
    """When requests came that count together."""

    @property
    def begun(self) -> bool:
        """Whether it has begun and is not healed."""
        return self.state in (State.ACTIVE, State.SPENT)

    def concerns(self, client_id: int | None) -> bool:
        """Say whether the fault touches this client."""
        return self.fault.client_id is None or self.fault.client_id == client_id

    def hit(self, detail: str) -> Note:
        """Count that it acted on a message."""
        self.hits += 1
        if isinstance(self.fault, Counted) and self.hits == self.fault.times:
            self.state = State.SPENT
        return Note("fired", self.number, detail)


@dataclass(slots=True)
class Memory:
    """What is known of the traffic, whatever is armed."""

    answering: str | None = None
    """The request that is being processed; None while things happen unasked."""
    placed: dict[OrderKey, int] = field(default_factory=dict)
    """The session that placed an order first."""
    data_types: dict[int, int] = field(default_factory=dict)
    """What a session asked for with reqMarketDataType."""


@dataclass(slots=True)
class Incoming:
    """What becomes of a request. `copies` of it are processed, none when it is lost."""

    request: Request
    copies: int = 1
    answer: ErrorMessage | None = None
    in_use: bool = False
    """A startApi is answered as if the client id were taken."""
    held: bool = False
    """It is not lost: it comes later."""
    before: list[Act] = field(default_factory=list)
    after: list[Act] = field(default_factory=list)

    def lose(self) -> None:
        """Do not process it."""
        self.copies = 0


@dataclass(slots=True)
class Outgoing:
    """What becomes of a reply: what leaves in its place, and what happens then."""

    parcels: list[Parcel]
    held: bool = False
    """Something of it is not lost: it comes later."""
    bytes_max: int | None = None
    """Only so many bytes of it leave; 0 is half of them."""
    cut: How | None = None
    acts: list[Act] = field(default_factory=list)
