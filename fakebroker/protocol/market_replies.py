"""What the broker can say about the market: ticks, bars, what can be traded (section 2.3).

The same rules as in `replies`, whose `Reply` these are a part of: values, never wire text. The
section is of tws-protocol.md. Sizes and volumes are shares, prices are per share, times aware.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Literal

EPOCH_DATES = 2


@dataclass(frozen=True, slots=True)
class TickPrice:
    """A price of a tick type with its size; a price of None means that there is none (-1)."""

    MESSAGE: ClassVar[str] = "tickPrice"
    req_id: int
    tick_type: int
    price: Decimal | None
    size: Decimal = Decimal(0)
    attributes: int = 0


@dataclass(frozen=True, slots=True)
class TickSize:
    """A size of a tick type."""

    MESSAGE: ClassVar[str] = "tickSize"
    req_id: int
    tick_type: int
    size: Decimal


@dataclass(frozen=True, slots=True)
class TickGeneric:
    """A number of a tick type, such as halted."""

    MESSAGE: ClassVar[str] = "tickGeneric"
    req_id: int
    tick_type: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class TickString:
    """A text of a tick type, such as the last time in epoch seconds."""

    MESSAGE: ClassVar[str] = "tickString"
    req_id: int
    tick_type: int
    value: str


@dataclass(frozen=True, slots=True)
class TickReqParams:
    """The smallest price step and the exchanges behind a market data subscription."""

    MESSAGE: ClassVar[str] = "tickReqParams"
    req_id: int
    min_tick: Decimal
    bbo_exchange: str = ""
    snapshot_permissions: int = 0


@dataclass(frozen=True, slots=True)
class TickSnapshotEnd:
    """A market data snapshot is complete."""

    MESSAGE: ClassVar[str] = "tickSnapshotEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class MarketDataType:
    """Data of a subscription are live (1), frozen (2), delayed (3) or delayed frozen (4)."""

    MESSAGE: ClassVar[str] = "marketDataType"
    req_id: int
    market_data_type: int


@dataclass(frozen=True, slots=True)
class RealtimeBar:
    """A five-second bar; `time` is its start."""

    MESSAGE: ClassVar[str] = "realtimeBar"
    req_id: int
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    wap: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class HistoricalBar:
    """A bar of the past; `time` is its start, or the day of a daily bar."""

    time: datetime | date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    wap: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class HistoricalData:
    """The whole answer to reqHistoricalData; `format_date` 2 writes times as epoch seconds."""

    MESSAGE: ClassVar[str] = "historicalData"
    req_id: int
    start: datetime
    end: datetime
    bars: tuple[HistoricalBar, ...]
    format_date: int = 1


@dataclass(frozen=True, slots=True)
class HistoricalDataUpdate:
    """The bar in progress of a request that is kept up to date."""

    MESSAGE: ClassVar[str] = "historicalDataUpdate"
    req_id: int
    bar: HistoricalBar
    format_date: int = 1


@dataclass(frozen=True, slots=True)
class HeadTimestamp:
    """How far the past of a contract reaches back; `format_date` as in HistoricalData."""

    MESSAGE: ClassVar[str] = "headTimestamp"
    req_id: int
    time: datetime
    format_date: int = 1


@dataclass(frozen=True, slots=True)
class HistoricalTickLast:
    """One trade of the past."""

    time: datetime
    price: Decimal
    size: Decimal
    exchange: str = ""
    conditions: str = ""
    attributes: int = 0


@dataclass(frozen=True, slots=True)
class HistoricalTicksLast:
    """Trades of the past; `done` says that nothing follows for this request."""

    MESSAGE: ClassVar[str] = "historicalTicksLast"
    req_id: int
    ticks: tuple[HistoricalTickLast, ...]
    done: bool


@dataclass(frozen=True, slots=True)
class TickByTickLast:
    """One trade as it happens: kind 1 is Last, kind 2 AllLast."""

    MESSAGE: ClassVar[str] = "tickByTick"
    req_id: int
    kind: Literal[1, 2]
    time: datetime
    price: Decimal
    size: Decimal
    attributes: int = 0
    exchange: str = ""
    conditions: str = ""


@dataclass(frozen=True, slots=True)
class TickByTickBidAsk:
    """One change of the best bid or ask."""

    MESSAGE: ClassVar[str] = "tickByTick"
    req_id: int
    time: datetime
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    attributes: int = 0


@dataclass(frozen=True, slots=True)
class TickByTickMidPoint:
    """One change of the middle between bid and ask."""

    MESSAGE: ClassVar[str] = "tickByTick"
    req_id: int
    time: datetime
    mid_point: Decimal


@dataclass(frozen=True, slots=True)
class SecDefOptParams:
    """The option chain of one exchange; expirations are yyyymmdd."""

    MESSAGE: ClassVar[str] = "secDefOptParams"
    req_id: int
    exchange: str
    underlying_con_id: int
    trading_class: str
    multiplier: str
    expirations: tuple[date, ...]
    strikes: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class SecDefOptParamsEnd:
    """All exchanges of an option chain have been sent."""

    MESSAGE: ClassVar[str] = "secDefOptParamsEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class SymbolSample:
    """One row of a symbol search; description and issuer appear from server version 176."""

    con_id: int
    symbol: str
    sec_type: str
    primary_exchange: str
    currency: str
    derivative_sec_types: tuple[str, ...] = ()
    description: str = ""
    issuer_id: str = ""


@dataclass(frozen=True, slots=True)
class SymbolSamples:
    """The whole answer to a symbol search."""

    MESSAGE: ClassVar[str] = "symbolSamples"
    req_id: int
    samples: tuple[SymbolSample, ...]


@dataclass(frozen=True, slots=True)
class PriceIncrement:
    """From `low_edge` upwards prices move in steps of `increment`."""

    low_edge: Decimal
    increment: Decimal


@dataclass(frozen=True, slots=True)
class MarketRule:
    """The price steps of a market rule."""

    MESSAGE: ClassVar[str] = "marketRule"
    market_rule_id: int
    increments: tuple[PriceIncrement, ...]


MarketReply = (
    TickPrice
    | TickSize
    | TickGeneric
    | TickString
    | TickReqParams
    | TickSnapshotEnd
    | MarketDataType
    | RealtimeBar
    | HistoricalData
    | HistoricalDataUpdate
    | HeadTimestamp
    | HistoricalTicksLast
    | TickByTickLast
    | TickByTickBidAsk
    | TickByTickMidPoint
    | SecDefOptParams
    | SecDefOptParamsEnd
    | SymbolSamples
    | MarketRule
)
