"""What can be configured: the sections and keys of the file, their types, ranges and defaults.

The defaults are those of `settings.Rules`; `example.toml` shows every key. Where a value comes from
is not known here, `config_sources.py` knows that.
"""

import re
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from target_trader.errors import TraderError
from target_trader.settings import (
    BreakEntry,
    ClockKind,
    Hours,
    Library,
    LogFormat,
    Policy,
    Rules,
    SmaRules,
    StoreKind,
    Strategy,
    TraderOptions,
    load_watchlist,
)

BAR_SECONDS = 5
RULES = Rules()
SECONDS = "_seconds"
PASSWORD_IN_QUERY = re.compile(r"(\bpassword=)[^&]*")
REDIS_SCHEMES = ("redis", "rediss", "unix")


def number(value: object) -> Decimal:
    """Take a number of a TOML file; a text or a truth value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic reports ValueError
    return Decimal(value)


def names(value: object) -> object:
    """Take a list of names; in an environment variable they are separated by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def seconds(value: timedelta) -> Decimal:
    """Write a duration in seconds."""
    return Decimal(value // timedelta(microseconds=1)) / 1_000_000


def duration(value: Decimal) -> timedelta:
    """Read a duration in seconds."""
    return timedelta(microseconds=int(value * 1_000_000))


Count = Annotated[int, Strict(), Field(ge=1)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Flag = Annotated[bool, Strict()]
Amount = Annotated[Decimal, BeforeValidator(number), Field(gt=0)]
Fraction = Annotated[Decimal, BeforeValidator(number), Field(ge=0, lt=1)]
Seconds = Annotated[Decimal, BeforeValidator(number), Field(gt=0, le=10_000_000)]
SecondsOrNone = Annotated[Decimal, BeforeValidator(number), Field(ge=0, le=10_000_000)]
Text = Annotated[str, Field(min_length=1)]


def masked(value: object) -> str:
    """Write a URL without its password."""
    text = str(value)
    try:
        password = urlsplit(text).password
    except ValueError:
        return "(a URL that cannot be read)"
    if password:
        text = text.replace(f":{password}@", ":***@")
    return PASSWORD_IN_QUERY.sub(r"\1***", text)


class Section(BaseModel):
    """The base of the sections: no unknown key, no change afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerSection(Section):
    """[broker]: where TWS or the gateway listens, and who we are there."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Strict(), Field(ge=1, le=65535)] = 7497
    client_id: Whole = 2001
    library: Library = Library.IB_INSYNC


class TradeSection(Section):
    """[trade]: what is traded, by which signals, in whose time."""

    watchlist: Path | None = None
    strategies: Annotated[tuple[Strategy, ...], BeforeValidator(names), Field(min_length=1)] = (
        RULES.strategies
    )
    clock: ClockKind = ClockKind.MARKET

    @model_validator(mode="after")
    def each_strategy_once(self) -> Self:
        """Refuse a strategy that is named twice."""
        if len(set(self.strategies)) < len(self.strategies):
            raise ValueError(f"strategies: {', '.join(self.strategies)}: one is named twice")
        return self


class StateSection(Section):
    """[state]: where the state is kept, how often it is saved, when it is too old."""

    dir: Path | None = None
    store: StoreKind = StoreKind.JSON
    redis_url: Text | None = None
    save_every_seconds: Seconds = seconds(RULES.save_every)
    checkpoint_every_seconds: Seconds = seconds(RULES.checkpoint_every)
    stale_after_seconds: Seconds = seconds(RULES.stale_after)
    future_tolerance_seconds: SecondsOrNone = seconds(RULES.future_tolerance)
    warmup_gap_seconds: Seconds = seconds(RULES.warmup_gap)

    @model_validator(mode="after")
    def known_scheme(self) -> Self:
        """Refuse a URL that is not one of a Redis, where one is used.

        REDIS_URL may be there for another program.
        """
        if self.store is StoreKind.REDIS and self.redis_url is not None:
            scheme, slashes, _ = self.redis_url.partition("://")
            if scheme not in REDIS_SCHEMES or not slashes:
                raise ValueError(
                    f"redis_url = {masked(self.redis_url)}: expected redis://, rediss:// or unix://"
                )
        return self


class RecoverySection(Section):
    """[recovery]: what is done about differences, and how long a doubt may last."""

    policy: Policy = RULES.policy
    grace_seconds: Seconds = seconds(RULES.grace)
    position_lag_seconds: SecondsOrNone = seconds(RULES.position_lag)


class RiskSection(Section):
    """[risk]: sizes and limits."""

    quantity: Annotated[Amount, Field(multiple_of=1)] = RULES.quantity
    max_shares: Annotated[Amount, Field(multiple_of=1)] = RULES.max_shares
    max_attempts: Count = RULES.max_attempts
    max_daily_loss: Amount = RULES.max_daily_loss
    max_daily_trades: Count = RULES.max_daily_trades
    max_stop_rejects: Count = RULES.max_stop_rejects
    breaker_failures: Count = RULES.breaker_failures
    hours: Hours = RULES.hours
    scale_in: Flag = RULES.scale_in

    @model_validator(mode="after")
    def one_entry_fits(self) -> Self:
        """Refuse a limit that no entry can keep."""
        if self.max_shares < self.quantity:
            raise ValueError(
                f"max_shares ({self.max_shares}) must not be less than quantity ({self.quantity})"
            )
        return self


class Ps60Section(Section):
    """[ps60]: the breakout strategy."""

    stop_distance: Amount = RULES.stop_distance
    partial_share: Fraction = RULES.partial_share
    warmup_bars: Count = RULES.warmup_bars
    bars_kept: Count = RULES.bars_kept
    strong_volume_ratio: Amount = RULES.strong_volume_ratio
    break_entry: BreakEntry = RULES.break_entry
    momentum_bars: Count = RULES.momentum_bars
    hold_bars: Count = RULES.hold_bars
    pullback_distance: Amount = RULES.pullback_distance

    @model_validator(mode="after")
    def enough_bars(self) -> Self:
        """Refuse to keep fewer bars than the warm-up needs."""
        if self.bars_kept < self.warmup_bars:
            raise ValueError(
                f"bars_kept ({self.bars_kept}) must not be less than "
                f"warmup_bars ({self.warmup_bars})"
            )
        return self


class SmaSection(Section):
    """[sma]: the crossover of two moving averages, confirmed on a longer timeframe."""

    fast: Count = RULES.sma.fast
    slow: Count = RULES.sma.slow
    timeframe_seconds: Seconds = seconds(RULES.sma.timeframe)
    trend_timeframe_seconds: Seconds = seconds(RULES.sma.trend_timeframe)
    stop_fraction: Annotated[Fraction, Field(gt=0)] = RULES.sma.stop_fraction
    shorts: Flag = RULES.sma.shorts

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """Refuse averages that cannot cross and candles that bars cannot fill."""
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        short, long = self.timeframe_seconds, self.trend_timeframe_seconds
        if short % BAR_SECONDS or long % BAR_SECONDS:
            raise ValueError(
                f"timeframe_seconds ({short}) and trend_timeframe_seconds ({long}) must be "
                f"multiples of a bar's {BAR_SECONDS} seconds"
            )
        if long < short:
            raise ValueError(
                f"trend_timeframe_seconds ({long}) must not be less than timeframe_seconds "
                f"({short})"
            )
        return self


class LogSection(Section):
    """[log]: how it is written, and a file besides stderr."""

    format: LogFormat = LogFormat.TEXT
    file: Path | None = None


class Config(Section):
    """The whole configuration; the sections of the file are its fields."""

    broker: BrokerSection = BrokerSection()
    trade: TradeSection = TradeSection()
    state: StateSection = StateSection()
    recovery: RecoverySection = RecoverySection()
    risk: RiskSection = RiskSection()
    ps60: Ps60Section = Ps60Section()
    sma: SmaSection = SmaSection()
    log: LogSection = LogSection()

    def rules(self) -> Rules:
        """Make the rules: each of their fields is a key of one section."""
        values: dict[str, Any] = {}
        for section in (self.trade, self.state, self.recovery, self.risk, self.ps60):
            values |= rule_values(section)
        known = {field.name for field in fields(Rules)}
        return Rules(
            **{name: value for name, value in values.items() if name in known},
            sma=SmaRules(**rule_values(self.sma)),
        )

    def state_dir(self) -> Path:
        """Return the state folder.

        Raises:
            TraderError: none is given.
        """
        if self.state.dir is None:
            raise TraderError("no state folder: give --state-dir, or dir in [state] of the file")
        return self.state.dir

    def options(self) -> TraderOptions:
        """Make the options of a trader; reads the watchlist.

        Raises:
            TraderError: no state folder or no watchlist is given, or it cannot be read.
        """
        folder, path = self.state_dir(), self.trade.watchlist
        if path is None:
            raise TraderError("no watchlist: give --watchlist, or watchlist in [trade] of the file")
        return TraderOptions(
            host=self.broker.host,
            port=self.broker.port,
            client_id=self.broker.client_id,
            state_dir=folder,
            store=self.state.store,
            watchlist=load_watchlist(path),
            watchlist_name=path.name,
            clock=self.trade.clock,
            rules=self.rules(),
            redis_url=self.state.redis_url,
            library=self.broker.library,
        )


def rule_values(section: Section) -> dict[str, Any]:
    """Return a section's values under the names that the rules have for them."""
    return {
        name.removesuffix(SECONDS): duration(value) if name.endswith(SECONDS) else value
        for name, value in section
    }
