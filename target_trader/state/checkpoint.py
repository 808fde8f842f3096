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

VERSION = 2


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

    `signal_time` is the bar that asked for the trade. Of a trade that only the broker knew it is
    when it was found, and `signal_known` is false: nobody may take it for a signal.

    `order_ids` names the newest order of each leg ("stop": 12). `exit_requested` is why the whole
    position is to be closed at market, or None.
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
    signal_known: bool = True
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
    strategy: str = "PS60"
    order_ids: dict[str, int] = Field(default_factory=dict)
    last_price: Decimal | None = None
    exit_requested: str | None = None

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
    `taken_back` are the shares of fills that the exchange has taken back: they are known, and gone.
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
    taken_back: Decimal = Decimal(0)
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
    failure_counted: bool = False

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
    def untold(self) -> Decimal:
        """Shares that no known fill tells of an order that is filled, by IBKR's word."""
        known = self.filled + self.taken_back
        return (
            max(self.quantity - known, Decimal(0))
            if self.state is IntentState.FILLED
            else Decimal(0)
        )

    @property
    def price(self) -> Decimal | None:
        """The one price of the order: the stop's trigger or the limit."""
        return self.stop_price if self.stop_price is not None else self.limit_price


class BookedExecution(Record):
    """One fill of the broker, booked once; the key is its execId without the last part.

    `trade_id` is empty while no trade of ours explains it. `realized_pnl` is the broker's, in
    dollars net of commissions, or None when the broker has not told one. An `estimated` one was
    never told: order and position show that there was a fill (`estimates.py`).
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
    estimated: bool = False


class BarRecord(Record):
    """One five-second bar; `time` is its start."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class BreakoutKind(StrEnum):
    """How convincing a breakout was; PULLBACK is one that came back to its level and held."""

    STRONG = "STRONG"
    WEAK = "WEAK"
    PULLBACK = "PULLBACK"


class Retest(StrEnum):
    """How far a break is on its way back to its level: not left it, gone away, come back."""

    NONE = "NONE"
    AWAY = "AWAY"
    BACK = "BACK"


class Breakout(Record):
    """One break of a level: when, at what price, how strong, and what became of it.

    `bar` and `candle_close_bar` are numbers of bars as `BreakoutMemory.bars_seen` counts them;
    the second is None until the momentum candle has closed beyond the level. `entry_reason` is
    None until the break has asked for an entry.
    """

    side: Side
    bar: int
    bar_time: datetime
    price: Decimal
    kind: BreakoutKind
    volume_ratio: Decimal | None
    candle_close: Decimal
    candle_close_bar: int | None = None
    bars_held: int = 0
    entry_reason: str | None = None
    retest: Retest = Retest.NONE


class BreakoutMemory(Record):
    """What the strategy remembers of one symbol, so that no bar is looked back at.

    A side is armed when a bar has closed on the near side of its level while flat. `pending` is
    a side whose entry never reached the broker: the next bar decides whether it still holds.
    `volume_sum` is the volume of the last `volume_bars` bars, in shares.
    """

    bars_seen: int = 0
    last_bar: datetime | None = None
    armed_long: bool = False
    armed_short: bool = False
    pending: Side | None = None
    breakout: Breakout | None = None
    volume_sum: Decimal = Decimal(0)
    volume_bars: int = 0


class SmaMemory(Record):
    """What the SMA crossover remembers of one symbol and one timeframe; no bar is looked back at.

    `closes` are the closes of the last finished candles, newest last, no more than the slow period
    needs; the sums are kept beside them so that a candle costs the same whatever the period.
    `candle_*` is the candle that is being built; None before the first bar.
    """

    closes: list[Decimal] = Field(default_factory=list)
    fast_sum: Decimal = Decimal(0)
    slow_sum: Decimal = Decimal(0)
    candle_start: datetime | None = None
    candle_close: Decimal | None = None
    last_bar: datetime | None = None
    above: bool | None = None


class LastSignal(Record):
    """The last signal that a strategy has acted on, so that it is not acted on twice.

    Keyed in the checkpoint by `symbol:fast:slow`, `AAPL:10:30`. It outlives the day. `pending` is
    a side that is still to be entered for it: the position of the other side is being closed, or
    the entry never reached the broker.
    """

    signal: str
    bar_time: datetime
    price: Decimal
    pending: Side | None = None


class CircuitBreaker(Record):
    """Failed orders, counted over days and restarts. Only a person sets it back."""

    failures: int = 0
    tripped_at: datetime | None = None
    last_failure: str | None = None


class HaltKind(StrEnum):
    """What a halt forbids: new entries, or every order."""

    ENTRIES = "ENTRIES"
    ENGINE = "ENGINE"


class Halt(Record):
    """Why the bot does not trade. It stays, over restarts and days, until a person lifts it."""

    kind: HaltKind
    reason: str
    since: datetime


class EquityPoint(Record):
    """The account at one minute of the day, in dollars."""

    time: datetime
    equity: Decimal
    daily_pnl: Decimal


class OrderAudit(Record):
    """One change of one order's state, in the order in which the bot learned of it."""

    number: int
    time: datetime
    order_ref: str
    order_id: int
    perm_id: int | None
    state: IntentState
    quantity: Decimal
    filled: Decimal
    price: Decimal | None


class WatchedRecord(Record):
    """One line of the watchlist that the day began with."""

    symbol: str
    resistance: Decimal
    support: Decimal
    target1: Decimal
    target2: Decimal


class Session(Record):
    """The day's counters. Money in dollars.

    `reset_at` is when the counters were set to zero at the open; None before that.
    `doubted_since` is when the day was taken up from a state that is known not to be the last one
    saved: nothing is entered until the broker has been asked again; None when in no doubt.
    `bookings` names the booked executions in the order in which the bot learned of them
    (`history.py`).
    """

    start_time: datetime
    reset_at: datetime | None = None
    doubted_since: datetime | None = None
    watchlist: list[WatchedRecord] = Field(default_factory=list)
    daily_pnl: Decimal = Decimal(0)
    trades_today: int = 0
    filter_blocks: dict[str, int] = Field(default_factory=dict)
    entry_paths: dict[str, int] = Field(default_factory=dict)
    bookings: list[str] = Field(default_factory=list)


class Checkpoint(Record):
    """Everything, as of `saved_at`, for one exchange day.

    `positions` is keyed by trade id and holds the closed trades of the day as well, so that a
    late correction of a fill finds its trade. `executions` is keyed by execId stem. `frozen` says
    for a symbol why no order may be sent in it until books and broker agree. `cash` is the
    broker's, in dollars.
    """

    version: int = VERSION
    day: date
    saved_at: datetime
    session: Session
    halts: list[Halt] = Field(default_factory=list)
    circuit_breaker: CircuitBreaker = Field(default_factory=CircuitBreaker)
    frozen: dict[str, str] = Field(default_factory=dict)
    cash: Decimal | None = None
    positions: dict[str, Position] = Field(default_factory=dict)
    intents: list[Intent] = Field(default_factory=list)
    attempts: dict[str, int] = Field(default_factory=dict)
    executions: dict[str, BookedExecution] = Field(default_factory=dict)
    bars: dict[str, list[BarRecord]] = Field(default_factory=dict)
    breakouts: dict[str, BreakoutMemory] = Field(default_factory=dict)
    sma: dict[str, SmaMemory] = Field(default_factory=dict)
    last_signals: dict[str, LastSignal] = Field(default_factory=dict)
    equity_curve: list[EquityPoint] = Field(default_factory=list)
    order_audit: list[OrderAudit] = Field(default_factory=list)

    @property
    def halted(self) -> str | None:
        """Why no position may be opened, all reasons in one line; None when it may."""
        return "; ".join(halt.reason for halt in self.halts) or None

    @property
    def engine_halted(self) -> bool:
        """No order at all may be sent."""
        return any(halt.kind is HaltKind.ENGINE for halt in self.halts)

    def halt(self, reason: str, *, now: datetime, kind: HaltKind = HaltKind.ENTRIES) -> bool:
        """Halt for a reason; tell whether it is a new one."""
        if any(halt.kind is kind and halt.reason == reason for halt in self.halts):
            return False
        self.halts.append(Halt(kind=kind, reason=reason, since=now))
        return True

    def held(self, symbol: str) -> Decimal:
        """Return the signed shares that the books hold of a symbol, over all its trades."""
        trades = (each for each in self.positions.values() if each.symbol == symbol)
        return sum((each.signed_quantity for each in trades), Decimal(0))

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


def new_checkpoint(day: date, *, now: datetime, keeping: Checkpoint | None = None) -> Checkpoint:
    """Return the checkpoint that a day begins with.

    Args:
        day: the exchange day.
        now: the present moment.
        keeping: an older checkpoint; what outlives a day is taken from it: halts, the circuit
            breaker and the last signals. Only a person ends the first two.
    """
    fresh = Checkpoint(day=day, saved_at=now, session=Session(start_time=now))
    if keeping is not None:
        old = keeping.model_copy(deep=True)
        fresh.halts, fresh.circuit_breaker = old.halts, old.circuit_breaker
        fresh.last_signals = old.last_signals
    return fresh


def canonical(checkpoint: Checkpoint) -> str:
    """Write a checkpoint as JSON that is the same for equal checkpoints."""
    tree = checkpoint.model_dump(mode="json")
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def checksum(text: str) -> str:
    """Return the sha256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
