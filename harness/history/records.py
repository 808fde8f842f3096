"""The typed records of a history, each with its place in the order (`seq`) and exchange time.

They are read from JSON that the broker or the harness wrote; a record that lacks a field is a
damaged history. Money, prices and quantities are `Decimal`, quantities in shares.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, Field, JsonValue, SkipValidation
from typing_extensions import TypedDict

from fakebroker.control_messages import BookOrder, Books
from harness.history.belief import Belief
from harness.values import Seen, Shares

# Statuses after which an order can do nothing more (tws-protocol.md section 3.4).
DONE_STATUSES = ("Filled", "Cancelled", "ApiCancelled", "Inactive")
STOP_TYPES = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")
ENTRY_LEG = "entry"
EXIT_LEGS = ("stop", "partial", "target", "exit")


class EventFields(TypedDict):
    """What every line of a history must have."""

    seq: int
    time: AwareDatetime
    source: Literal["harness", "broker", "bot"]
    kind: str


class Event(NamedTuple):
    """One line of a history: `source` is "harness", "broker" or "bot"; `data` all its fields.

    No model: there are hundreds in each of thousands of histories.
    """

    seq: int
    time: datetime
    source: Literal["harness", "broker", "bot"]
    kind: str
    data: Mapping[str, JsonValue]


class Record(Seen):
    """What every typed record has."""

    seq: int
    time: AwareDatetime


class Fill(Record):
    """An execution, as the exchange made it; `side` is IB's "BOT" or "SLD"."""

    exec_id: str
    perm_id: int
    order_id: int
    client_id: int
    order_ref: str
    symbol: str
    side: Literal["BOT", "SLD"]
    shares: Shares
    price: Decimal
    position_after: Shares

    @property
    def signed_shares(self) -> Decimal:
        """Shares with the sign of what they do to the position."""
        return self.shares if self.side == "BOT" else -self.shares

    @property
    def position_before(self) -> Decimal:
        """The position that the fill met."""
        return self.position_after - self.signed_shares


class OrderRecord(Record):
    """What an order looked like after something happened to it (`event`)."""

    event: str
    perm_id: int
    order_id: int
    client_id: int
    order_ref: str
    symbol: str
    action: Literal["BUY", "SELL"]
    order_type: str
    quantity: Shares
    filled: Shares
    remaining: Shares
    limit_price: Decimal | None
    aux_price: Decimal | None
    status: str
    parent_perm_id: int | None
    oca_group: str
    transmitted: bool
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether the order can do nothing more."""
        return self.status in DONE_STATUSES

    @property
    def by_bot(self) -> bool:
        """Whether an API client placed it; orders by hand have client 0 and order id 0."""
        return bool(self.order_ref) or self.client_id != 0

    @property
    def leg(self) -> str:
        """The leg that the orderRef names, without its number ("stop" for "...|stop2")."""
        return leg_of(self.order_ref)

    @property
    def is_stop(self) -> bool:
        """Whether it is an order that limits a loss."""
        return self.order_type in STOP_TYPES

    def describe(self) -> str:
        """Say what the order asks for, "SELL 50 TSLA STP 443.37"."""
        prices = [str(price) for price in (self.limit_price, self.aux_price) if price is not None]
        words = [self.action, str(self.quantity), self.symbol, self.order_type, *prices]
        return " ".join(words)


class WireMessage(Record):
    """A message that the broker received or sent; `lost` ones never arrived.

    `direction` is seen from the broker. `fields` are those that matter, by their TWS names.
    """

    direction: Literal["in", "out"]
    lost: bool
    session: int
    client_id: int | None = None
    message: str
    occurrence: int | None = None
    fields: dict[str, SkipValidation[JsonValue]] = Field(default_factory=dict)

    def text(self, *names: str) -> str:
        """The first of the named fields that is there, as text; empty when none is."""
        return next((str(self.fields[name]) for name in names if name in self.fields), "")

    @property
    def order_id(self) -> int | None:
        """The client's order id in the message, if it has one."""
        found = self.text("order_id", "orderId")
        return int(found) if found else None

    @property
    def order_ref(self) -> str:
        """The orderRef in the message, empty if it has none."""
        return self.text("order_ref", "orderRef")


class Killed(Record):
    """The bot was killed; `point` says where, in plain words, `how` by whom."""

    life: int
    point: str
    how: str


class Exited(Record):
    """The bot ended by itself; `last_words` is the last line that it wrote."""

    life: int
    code: int
    last_words: str = ""


class StateRead(Record):
    """What the bot's state said: `when` is "after kill" or "end"."""

    life: int
    when: Literal["after kill", "end"]
    belief: Belief


class BooksRead(Record):
    """The broker's books at one instant."""

    books: Books


class Life(Seen):
    """One process of the bot, from its launch: what became of it and where in the history.

    `first_seq` is its launch; `last_seq` the place before the next launch or the end.
    """

    number: int
    first_seq: int
    last_seq: int
    ready_seq: int | None
    killed: Killed | None
    exited: Exited | None


def fillable(
    order: OrderRecord | BookOrder, orders: Mapping[int, OrderRecord | BookOrder]
) -> Decimal:
    """Shares that an order can fill now: a child no more than its parent has filled.

    As long as the parent still fills, its children of one group share that: a stop and a target of
    a half-filled entry cannot together close what was never opened (tws-protocol.md section 3.7).

    Args:
        order: one of them.
        orders: all by permanent id.
    """
    if order.status in DONE_STATUSES or not order.transmitted:
        return Decimal(0)
    parent = orders.get(order.parent_perm_id or 0)
    if parent is None or parent.status in DONE_STATUSES:
        return order.remaining
    group = order.parent_perm_id, order.oca_group
    children = (row for row in orders.values() if (row.parent_perm_id, row.oca_group) == group)
    taken = sum((child.filled for child in children), Decimal(0))
    return max(Decimal(0), min(order.remaining, parent.filled - taken))


def leg_of(order_ref: str) -> str:
    """The last part of an orderRef without a trailing number; empty for an empty ref."""
    return order_ref.rpartition("|")[2].rstrip("0123456789")


def root_of(exec_id: str) -> str:
    """The part of an execution id that a correction keeps."""
    return exec_id.rpartition(".")[0] or exec_id
