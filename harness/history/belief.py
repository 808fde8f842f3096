"""What a bot says that it believes: the JSON object that its `state` command prints.

Every field has a default, so that a small bot can tell a little; a field that is None was not
told and is not judged. Fields that we do not know are left out.
"""

from datetime import date
from decimal import Decimal

from pydantic import AwareDatetime, Field

from harness.values import Seen, Shares


class BelievedPosition(Seen):
    """One open position as the bot has it; `quantity` in shares, negative when short."""

    quantity: Shares
    entry_price: Decimal | None = None
    stop_price: Decimal | None = None
    partials: int | None = None
    status: str | None = None


class Intent(Seen):
    """An order that the bot means to send or has sent, as its durable record explains it."""

    order_ref: str
    leg: str = ""
    state: str = ""
    quantity: Decimal | None = None
    order_id: int | None = None
    perm_id: int | None = None


class BelievedHalt(Seen):
    """Why the bot does not trade until a person has looked; `kind` is "ENTRIES" or "ENGINE"."""

    kind: str = ""
    reason: str = ""


class BelievedBreaker(Seen):
    """The circuit breaker: failed orders so far, and since when it forbids entries."""

    failures: int = 0
    tripped_at: AwareDatetime | None = None


class BelievedTrade(Seen):
    """One trade of the day; `quantity` and `qty_closed` in shares, both positive.

    `signal_time` is the start of the bar whose signal it follows.
    """

    symbol: str
    side: str = ""
    strategy: str = ""
    status: str | None = None
    quantity: Shares | None = None
    qty_closed: Shares | None = None
    signal_time: AwareDatetime | None = None


class BelievedSignal(Seen):
    """The last signal that a strategy has acted on; `bar_time` is the start of its bar."""

    signal: str = ""
    bar_time: AwareDatetime | None = None


class BelievedWarmUp(Seen):
    """How many bars of a symbol the bot has seen, and the start of the last one."""

    bars_seen: int
    last_bar: AwareDatetime | None = None


class BotRules(Seen):
    """The numbers that the bot keeps to; one that is None was not told.

    Attributes:
        max_attempts: entries at the levels of a symbol and side in a day.
        max_daily_loss: dollars; with so much lost in a day nothing more is entered.
        max_daily_trades: entries in a day.
        breaker_failures: failed orders at which the circuit breaker trips.
        partial_share: the part of a position that the partial exit closes.
        breakeven_after_partial: whether the stop goes to the entry price when that has filled.
        warmup_gap_seconds: a pause in the bars after which the warm-up begins again.
    """

    max_attempts: int | None = None
    max_daily_loss: Decimal | None = None
    max_daily_trades: int | None = None
    breaker_failures: int | None = None
    partial_share: Decimal | None = None
    breakeven_after_partial: bool | None = None
    warmup_gap_seconds: Decimal | None = None


class Belief(Seen):
    """What the bot believes, as far as it tells.

    Attributes:
        positions: open positions by symbol; flat symbols are left out.
        attempts: attempts used, by "SYMBOL|SIDE|PIVOT".
        intents: every order of the day that the bot has a durable record of; None: not told.
        executions: ids of the executions that are booked; None: not told.
        realized_pnl: realised profit of the day in the account's currency; None: not told.
        trades_today: entries of the day; None: not told.
        halted: why the bot refuses to trade; None when it trades.
        halts: the same one by one; None: not told.
        circuit_breaker: failed orders; None: not told.
        frozen: symbols that are not touched, each with the reason.
        day: the exchange day that the counters are of; None: not told.
        saved_at: when the state was saved; None: not told, or never.
        trades: the trades of the day by their ids; None: not told.
        last_signals: by strategy and symbol; None: not told.
        warmup: by symbol; None: not told.
        rules: what the bot keeps to; None: not told.
    """

    positions: dict[str, BelievedPosition] = Field(default_factory=dict)
    attempts: dict[str, int] = Field(default_factory=dict)
    intents: tuple[Intent, ...] | None = None
    executions: tuple[str, ...] | None = None
    realized_pnl: Decimal | None = None
    trades_today: int | None = None
    halted: str | None = None
    halts: tuple[BelievedHalt, ...] | None = None
    circuit_breaker: BelievedBreaker | None = None
    frozen: dict[str, str] = Field(default_factory=dict)
    day: date | None = None
    saved_at: AwareDatetime | None = None
    trades: dict[str, BelievedTrade] | None = None
    last_signals: dict[str, BelievedSignal] | None = None
    warmup: dict[str, BelievedWarmUp] | None = None
    rules: BotRules | None = None

    @property
    def tells_attempts(self) -> bool:
        """Whether the bot has an answer to how many attempts it has used."""
        return "attempts" in self.model_fields_set

    def attempts_of(self, symbol: str, side: str) -> int:
        """Attempts used at all levels of a symbol and side ("LONG")."""
        key = [symbol, side]
        return sum(used for name, used in self.attempts.items() if name.split("|")[:2] == key)

    def quantity(self, symbol: str) -> Decimal:
        """Shares that the bot believes to hold of a symbol, negative when short."""
        position = self.positions.get(symbol)
        return Decimal(0) if position is None else position.quantity
