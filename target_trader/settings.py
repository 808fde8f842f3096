"""What the bot is told before it starts: the rules of the strategy, the watchlist, the place.

Pure values and one reader of a file. A watchlist that cannot be read is the user's mistake and
becomes a `TraderError` that names the file and the field.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from target_trader.errors import TraderError
from target_trader.names import Side


class StoreKind(StrEnum):
    """How the state is kept."""

    JSON = "json"
    SQLITE = "sqlite"
    REDIS = "redis"


class ClockKind(StrEnum):
    """Whose time the bot believes."""

    MARKET = "market"
    SYSTEM = "system"


class Policy(StrEnum):
    """What is done about a difference to the broker that no execution explains."""

    WARN_ONLY = "WARN_ONLY"
    SYNC_TO_BROKER = "SYNC_TO_BROKER"
    HALT_AND_ALERT = "HALT_AND_ALERT"


class Strategy(StrEnum):
    """Which signals are traded."""

    PS60 = "ps60"
    SMA = "sma"


class BreakEntry(StrEnum):
    """When a break is entered: every one at its close, or a weak one only after it has held."""

    CLOSE = "close"
    HYBRID = "hybrid"


class Hours(StrEnum):
    """When positions may be opened: in New York's regular session, or always."""

    REGULAR = "regular"
    ANY = "any"


class LogFormat(StrEnum):
    """How a line of the log is written: for a person, or one JSON object."""

    TEXT = "text"
    JSON = "json"


class Library(StrEnum):
    """The client library that speaks to the broker."""

    IB_INSYNC = "ib_insync"
    IB_ASYNC = "ib_async"


@dataclass(frozen=True, slots=True)
class SmaRules:
    """The SMA crossover: periods in candles, candles in seconds (both a multiple of a bar's 5).

    A cross of the fast over the slow average on `timeframe` is a BUY when the fast average is
    above the slow one on `trend_timeframe`, too; the other way round a SELL.
    """

    fast: int = 10
    slow: int = 30
    timeframe: timedelta = timedelta(minutes=1)
    trend_timeframe: timedelta = timedelta(minutes=5)
    stop_fraction: Decimal = Decimal("0.01")
    shorts: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the strategy and its limits. Prices in dollars, quantities in shares."""

    quantity: Decimal = Decimal(100)
    stop_distance: Decimal = Decimal("1.40")
    partial_share: Decimal = Decimal("0.5")
    max_attempts: int = 2
    warmup_bars: int = 20
    bars_kept: int = 60
    strong_volume_ratio: Decimal = Decimal("1.5")
    max_daily_loss: Decimal = Decimal(1000)
    max_daily_trades: int = 20
    max_stop_rejects: int = 3
    # Two bars: long enough for an order that was on its way, short enough to take the breakout.
    grace: timedelta = timedelta(seconds=10)
    # Positions lag fills (tws-protocol.md section 3.5); a fill this young outweighs them.
    position_lag: timedelta = timedelta(seconds=30)
    save_every: timedelta = timedelta(seconds=10)
    stale_after: timedelta = timedelta(hours=1)
    # A stored state that is younger than now by more than this was written by another clock.
    future_tolerance: timedelta = timedelta(minutes=1)
    # Bars older than this say nothing about the ones that come now: the warm-up begins again.
    warmup_gap: timedelta = timedelta(hours=1)
    # A whole checkpoint with a point of the equity curve, besides what every change saves.
    checkpoint_every: timedelta = timedelta(minutes=1)
    breaker_failures: int = 5
    hours: Hours = Hours.REGULAR
    scale_in: bool = False
    policy: Policy = Policy.SYNC_TO_BROKER
    strategies: tuple[Strategy, ...] = (Strategy.PS60,)
    break_entry: BreakEntry = BreakEntry.CLOSE
    # HYBRID: a strong break is entered when its momentum candle of so many bars closes beyond the
    # level; a weak one when it has held so many bars, or has come back this close and held.
    momentum_bars: int = 12
    hold_bars: int = 24
    pullback_distance: Decimal = Decimal("0.20")
    # The most shares that entries may build up in one symbol.
    max_shares: Decimal = Decimal(1000)
    sma: SmaRules = SmaRules()


class Setup(BaseModel):
    """One line of the watchlist: the levels of a symbol for one day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    resistance: Decimal
    support: Decimal
    target1: Decimal
    target2: Decimal
    # Without them a short's runner would have no target; the long targets are above the market.
    short_target1: Decimal | None = None
    short_target2: Decimal | None = None

    @model_validator(mode="after")
    def levels_in_order(self) -> "Setup":
        """Refuse levels that would make every bar a breakout of both sides."""
        if not self.symbol:
            raise ValueError("symbol must not be empty")
        if not 0 < self.support < self.resistance < self.target1 <= self.target2:
            raise ValueError(
                f"{self.symbol}: expected 0 < support < resistance < target1 <= target2, got "
                f"{self.support}, {self.resistance}, {self.target1}, {self.target2}"
            )
        return self

    def pivot(self, side: Side) -> Decimal:
        """The level whose break opens a position of this side."""
        return self.resistance if side is Side.LONG else self.support

    def targets(self, side: Side) -> tuple[Decimal | None, Decimal | None]:
        """The first and second target of a position of this side."""
        if side is Side.LONG:
            return self.target1, self.target2
        return self.short_target1, self.short_target2


class Watchlist(BaseModel):
    """The symbols of one day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: date
    setups: tuple[Setup, ...]

    @model_validator(mode="after")
    def each_symbol_once(self) -> "Watchlist":
        """Refuse two setups of one symbol: they would share one position."""
        symbols = [setup.symbol for setup in self.setups]
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: more than one setup")
        return self

    def setup(self, symbol: str) -> Setup | None:
        """Return the setup of a symbol, or None when it is not watched."""
        return next((setup for setup in self.setups if setup.symbol == symbol), None)


def load_watchlist(path: Path) -> Watchlist:
    """Read a watchlist file.

    Raises:
        TraderError: the file is missing, is no JSON or breaks a rule; the text says which.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TraderError(f"watchlist {path} cannot be read: {error}") from error
    try:
        return Watchlist.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TraderError(f"watchlist {path}: {place}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class TraderOptions:
    """Where the bot runs: the broker's door, the state folder, the watchlist."""

    host: str
    port: int
    client_id: int
    state_dir: Path
    store: StoreKind
    watchlist: Watchlist
    watchlist_name: str
    clock: ClockKind = ClockKind.MARKET
    rules: Rules = Rules()
    redis_url: str | None = None
    library: Library = Library.IB_INSYNC
