"""The checkpoint: everything that the bot must still know after it has died.

Plain records, validated strictly when they come from a disk. Quantities and prices are
`Decimal`, times carry a zone. The records know no store, no broker and no clock; what may be
changed in them is written in `ledger.py` and `reconcile.py`.
"""

import hashlib
import json
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from target_trader.names import LIVE, UNSEEN, IntentState, Leg, Side

VERSION = 1


class Record(BaseModel):
    """The base of everything in the checkpoint: strict types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ContractRecord(Record):
    """What is traded, as far as an order needs it."""

    symbol: str
    exchange: str = "SMART"
    currency: str = "USD"
    con_id: int = 0


class PartialRecord(Record):
    """One partial exit that was taken; `price` is the average over its fills."""

    time: datetime
    price: Decimal
    shares: Decimal
    reason: str = "PARTIAL_50"


class TradeStatus(StrEnum):
    """Where a trade stands, from its entered and closed quantities alone."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    CLOSED = "CLOSED"


class Position(Record):
    """One trade of the day, from the signal to flat.

    The quantities are a fold over the booked executions (`ledger.py`); `baseline_*` is what the
    broker already held when the position was adopted, `adjusted_shares` what the broker no
    longer holds although no execution says why. All shares are positive; `side` gives the sign.
    """

    trade_id: str
    symbol: str
    side: Side
    contract: ContractRecord
    pivot: Decimal | None
    target1: Decimal | None
    target2: Decimal | None
    planned_entry: Decimal
    initial_stop: Decimal
    partial_price: Decimal | None
    planned_shares: Decimal
    entry_reason: str
    signal_time: datetime
    stop_price: Decimal
    stop_order_id: int | None = None
    entry_price: Decimal = Decimal(0)
    entry_time: datetime | None = None
    shares: Decimal = Decimal(0)
    closed_shares: Decimal = Decimal(0)
    remaining: Decimal = Decimal(0)
    realized_pnl: Decimal = Decimal(0)
    baseline_shares: Decimal = Decimal(0)
    baseline_price: Decimal = Decimal(0)
    adjusted_shares: Decimal = Decimal(0)
    partials_taken: list[PartialRecord] = Field(default_factory=list)

    @property
    def open_shares(self) -> Decimal:
        """Shares still held; negative if more was closed than entered."""
        return self.shares - self.closed_shares

    @property
    def signed_quantity(self) -> Decimal:
        """The position as the broker writes it: negative when short."""
        return self.open_shares * self.side.sign

    @property
    def status(self) -> TradeStatus:
        """OPEN, PARTIAL or CLOSED; PENDING before the first fill."""
        if self.shares == 0:
            return TradeStatus.PENDING
        if self.open_shares == 0:
            return TradeStatus.CLOSED
        return TradeStatus.PARTIAL if self.closed_shares else TradeStatus.OPEN


class Intent(Record):
    """One order that the bot wants, durable before the first byte of it is sent.

    `limit_price` and `stop_price` are None where the order type has none. `client_id` is 0
    until the broker has named it. `quantity` follows the broker (an OCA group may reduce it).
    """

    order_ref: str
    trade_id: str
    leg: Leg
    ordinal: int = 1
    symbol: str
    side: Side
    action: str
    order_type: str
    quantity: Decimal
    filled: Decimal = Decimal(0)
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_id: int
    client_id: int = 0
    perm_id: int | None = None
    parent_id: int = 0
    oca_group: str = ""
    tif: str = "GTC"
    state: IntentState = IntentState.PLANNED
    planned_at: datetime
    unknown_since: datetime | None = None
    attempt_key: str | None = None

    @property
    def live(self) -> bool:
        """The order works, or may work for all we know."""
        return self.state in LIVE

    @property
    def unseen(self) -> bool:
        """The broker has not confirmed the order yet."""
        return self.state in UNSEEN

    @property
    def remaining(self) -> Decimal:
        """Shares of the order that have not been filled."""
        return self.quantity - self.filled

    @property
    def price(self) -> Decimal | None:
        """The one price of the order: the stop's trigger or the limit."""
        return self.stop_price if self.stop_price is not None else self.limit_price


class BookedExecution(Record):
    """One fill of the broker, booked once; the key is its execId without the last part.

    `trade_id` is empty while no trade of ours explains it. `realized_pnl` is the broker's, in
    dollars net of commissions, or None when the broker has not told one.
    """

    exec_id: str
    time: datetime
    symbol: str
    side: str
    shares: Decimal
    price: Decimal
    order_id: int
    client_id: int
    perm_id: int
    order_ref: str
    trade_id: str = ""
    leg: Leg | None = None
    commission: Decimal | None = None
    realized_pnl: Decimal | None = None


class BarRecord(Record):
    """One five-second bar; `time` is its start."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class BreakoutKind(StrEnum):
    """How convincing a breakout was."""

    STRONG = "STRONG"
    WEAK = "WEAK"


class Breakout(Record):
    """One break of a level: when, at what price, how strong."""

    side: Side
    bar_time: datetime
    price: Decimal
    kind: BreakoutKind
    volume_ratio: Decimal | None
    candle_close: Decimal
    bars_held: int = 0


class BreakoutMemory(Record):
    """What the strategy remembers of one symbol, so that no bar is looked back at.

    A side is armed when a bar has closed on the near side of its level while flat. `pending` is
    a side whose entry never reached the broker: the next bar decides whether it still holds.
    """

    bars_seen: int = 0
    last_bar: datetime | None = None
    armed_long: bool = False
    armed_short: bool = False
    pending: Side | None = None
    breakout: Breakout | None = None


class Session(Record):
    """The day's counters. Money in dollars."""

    start_time: datetime
    daily_pnl: Decimal = Decimal(0)
    trades_today: int = 0
    filter_blocks: dict[str, int] = Field(default_factory=dict)
    entry_paths: dict[str, int] = Field(default_factory=dict)


class Checkpoint(Record):
    """Everything, as of `saved_at`, for one exchange day.

    `positions` is keyed by trade id and holds the closed trades of the day as well, so that a
    late correction of a fill finds its trade. `executions` is keyed by execId stem.
    """

    version: int = VERSION
    day: date
    saved_at: datetime
    session: Session
    halted: str | None = None
    positions: dict[str, Position] = Field(default_factory=dict)
    intents: list[Intent] = Field(default_factory=list)
    attempts: dict[str, int] = Field(default_factory=dict)
    executions: dict[str, BookedExecution] = Field(default_factory=dict)
    bars: dict[str, list[BarRecord]] = Field(default_factory=dict)
    breakouts: dict[str, BreakoutMemory] = Field(default_factory=dict)

    def position_of(self, symbol: str) -> Position | None:
        """Return the trade of this symbol that holds shares, or None when flat."""
        for position in self.positions.values():
            if position.symbol == symbol and position.open_shares != 0:
                return position
        return None

    def open_positions(self) -> list[Position]:
        """Return every trade that holds shares."""
        return [position for position in self.positions.values() if position.open_shares != 0]

    def memory(self, symbol: str) -> BreakoutMemory:
        """Return the strategy's memory of a symbol, a fresh one the first time."""
        return self.breakouts.setdefault(symbol, BreakoutMemory())

    def live_intents(self, symbol: str) -> list[Intent]:
        """Return the orders of a symbol that work or may work."""
        return [intent for intent in self.intents if intent.symbol == symbol and intent.live]

    def intent_by_id(self, order_id: int) -> Intent | None:
        """Return the newest intent with this order id."""
        for intent in reversed(self.intents):
            if intent.order_id == order_id:
                return intent
        return None


def new_checkpoint(day: date, *, now: datetime) -> Checkpoint:
    """Return the empty checkpoint that a day begins with."""
    return Checkpoint(day=day, saved_at=now, session=Session(start_time=now))


def canonical(checkpoint: Checkpoint) -> str:
    """Write a checkpoint as JSON that is the same for equal checkpoints."""
    tree = checkpoint.model_dump(mode="json")
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def checksum(text: str) -> str:
    """Return the sha256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
