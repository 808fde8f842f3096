"""What a client can ask: one frozen dataclass per message of tws-protocol.md section 2.1.

Names are TWS's own; `MESSAGE` is the name that journals and crash points use. A request holds
values and never the text of the wire; a number that the client left unset is None, and an empty
boolean is False (tws-protocol.md section 1, point 5). Nothing here knows how it was encoded.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakebroker.values import Contract, OrderTerms


@dataclass(frozen=True, slots=True)
class ComboLeg:
    """One leg of a BAG contract in a market data request."""

    con_id: int
    ratio: int
    action: str
    exchange: str


@dataclass(frozen=True, slots=True)
class DeltaNeutral:
    """The underlying that hedges a BAG contract in a market data request."""

    con_id: int
    delta: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions are asked for: an empty text and client id 0 restrict nothing.

    `time` is the text that the client sent ("yyyymmdd HH:MM:SS", with or without a zone).
    """

    client_id: int = 0
    account: str = ""
    time: str = ""
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    side: str = ""


@dataclass(frozen=True, slots=True)
class StartApi:
    """The client says who it is; everything else comes after this."""

    MESSAGE: ClassVar[str] = "startApi"
    client_id: int
    optional_capabilities: str = ""


# Orders and executions


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A new order, or the change of a live one of the same client (section 2.2)."""

    MESSAGE: ClassVar[str] = "placeOrder"
    order_id: int
    contract: Contract
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel one order of this client; the time is empty below server version 169."""

    MESSAGE: ClassVar[str] = "cancelOrder"
    order_id: int
    manual_cancel_order_time: str = ""


@dataclass(frozen=True, slots=True)
class ReqGlobalCancel:
    """Cancel every order of every client, manual ones too."""

    MESSAGE: ClassVar[str] = "reqGlobalCancel"


@dataclass(frozen=True, slots=True)
class ReqOpenOrders:
    """List the live orders of this client id."""

    MESSAGE: ClassVar[str] = "reqOpenOrders"


@dataclass(frozen=True, slots=True)
class ReqAllOpenOrders:
    """List the live orders of all clients, once."""

    MESSAGE: ClassVar[str] = "reqAllOpenOrders"


@dataclass(frozen=True, slots=True)
class ReqAutoOpenOrders:
    """Bind future manual orders to client 0."""

    MESSAGE: ClassVar[str] = "reqAutoOpenOrders"
    auto_bind: bool


@dataclass(frozen=True, slots=True)
class ReqCompletedOrders:
    """List the orders of the day that are done."""

    MESSAGE: ClassVar[str] = "reqCompletedOrders"
    api_only: bool


@dataclass(frozen=True, slots=True)
class ReqExecutions:
    """List the executions since midnight that pass the filter."""

    MESSAGE: ClassVar[str] = "reqExecutions"
    req_id: int
    filter: ExecutionFilter


@dataclass(frozen=True, slots=True)
class ReqIds:
    """Ask for the next valid order id; the count is ignored by TWS."""

    MESSAGE: ClassVar[str] = "reqIds"
    count: int = 1


# Account


@dataclass(frozen=True, slots=True)
class ReqManagedAccts:
    """Ask which accounts this login manages."""

    MESSAGE: ClassVar[str] = "reqManagedAccts"


@dataclass(frozen=True, slots=True)
class ReqAccountUpdates:
    """Subscribe to account values and portfolio, or end that."""

    MESSAGE: ClassVar[str] = "reqAccountUpdates"
    subscribe: bool
    account: str = ""


@dataclass(frozen=True, slots=True)
class ReqAccountUpdatesMulti:
    """Subscribe to the values of one account or model."""

    MESSAGE: ClassVar[str] = "reqAccountUpdatesMulti"
    req_id: int
    account: str = ""
    model_code: str = ""
    ledger_and_nlv: bool = False


@dataclass(frozen=True, slots=True)
class CancelAccountUpdatesMulti:
    """End a reqAccountUpdatesMulti."""

    MESSAGE: ClassVar[str] = "cancelAccountUpdatesMulti"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqAccountSummary:
    """Subscribe to some values of a group of accounts; `tags` is a comma list."""

    MESSAGE: ClassVar[str] = "reqAccountSummary"
    req_id: int
    group: str = "All"
    tags: str = ""


@dataclass(frozen=True, slots=True)
class CancelAccountSummary:
    """End a reqAccountSummary."""

    MESSAGE: ClassVar[str] = "cancelAccountSummary"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqPositions:
    """Subscribe to the positions of all accounts."""

    MESSAGE: ClassVar[str] = "reqPositions"


@dataclass(frozen=True, slots=True)
class CancelPositions:
    """End a reqPositions."""

    MESSAGE: ClassVar[str] = "cancelPositions"


@dataclass(frozen=True, slots=True)
class ReqPositionsMulti:
    """Subscribe to the positions of one account or model."""

    MESSAGE: ClassVar[str] = "reqPositionsMulti"
    req_id: int
    account: str = ""
    model_code: str = ""


@dataclass(frozen=True, slots=True)
class CancelPositionsMulti:
    """End a reqPositionsMulti."""

    MESSAGE: ClassVar[str] = "cancelPositionsMulti"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqPnL:
    """Subscribe to the profit and loss of an account."""

    MESSAGE: ClassVar[str] = "reqPnL"
    req_id: int
    account: str = ""
    model_code: str = ""


@dataclass(frozen=True, slots=True)
class CancelPnL:
    """End a reqPnL."""

    MESSAGE: ClassVar[str] = "cancelPnL"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqPnLSingle:
    """Subscribe to the profit and loss of one position."""

    MESSAGE: ClassVar[str] = "reqPnLSingle"
    req_id: int
    account: str
    model_code: str
    con_id: int


@dataclass(frozen=True, slots=True)
class CancelPnLSingle:
    """End a reqPnLSingle."""

    MESSAGE: ClassVar[str] = "cancelPnLSingle"
    req_id: int


# Contracts


@dataclass(frozen=True, slots=True)
class ReqContractDetails:
    """Ask for all contracts that match; the issuer id is empty below server version 176."""

    MESSAGE: ClassVar[str] = "reqContractDetails"
    req_id: int
    contract: Contract
    include_expired: bool = False
    sec_id_type: str = ""
    sec_id: str = ""
    issuer_id: str = ""


@dataclass(frozen=True, slots=True)
class ReqSecDefOptParams:
    """Ask for the option chain of an underlying."""

    MESSAGE: ClassVar[str] = "reqSecDefOptParams"
    req_id: int
    underlying_symbol: str
    fut_fop_exchange: str
    underlying_sec_type: str
    underlying_con_id: int


@dataclass(frozen=True, slots=True)
class ReqMatchingSymbols:
    """Search for contracts by a piece of symbol or name."""

    MESSAGE: ClassVar[str] = "reqMatchingSymbols"
    req_id: int
    pattern: str


@dataclass(frozen=True, slots=True)
class ReqMarketRule:
    """Ask for the price increments of a market rule."""

    MESSAGE: ClassVar[str] = "reqMarketRule"
    market_rule_id: int


# Market data


@dataclass(frozen=True, slots=True)
class ReqMktData:
    """Subscribe to the top of the book, or ask for one snapshot of it."""

    MESSAGE: ClassVar[str] = "reqMktData"
    req_id: int
    contract: Contract
    generic_tick_list: str = ""
    snapshot: bool = False
    regulatory_snapshot: bool = False
    legs: tuple[ComboLeg, ...] = ()
    delta_neutral: DeltaNeutral | None = None
    options: str = ""


@dataclass(frozen=True, slots=True)
class CancelMktData:
    """End a reqMktData."""

    MESSAGE: ClassVar[str] = "cancelMktData"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqMarketDataType:
    """Choose live (1), frozen (2), delayed (3) or delayed frozen (4) data."""

    MESSAGE: ClassVar[str] = "reqMarketDataType"
    market_data_type: int


@dataclass(frozen=True, slots=True)
class ReqRealTimeBars:
    """Subscribe to five-second bars; TWS ignores `bar_size` (seconds)."""

    MESSAGE: ClassVar[str] = "reqRealTimeBars"
    req_id: int
    contract: Contract
    bar_size: int = 5
    what_to_show: str = "TRADES"
    use_rth: bool = False
    options: str = ""


@dataclass(frozen=True, slots=True)
class CancelRealTimeBars:
    """End a reqRealTimeBars."""

    MESSAGE: ClassVar[str] = "cancelRealTimeBars"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqHistoricalData:
    """Ask for bars of the past; times, durations and sizes are TWS's own texts."""

    MESSAGE: ClassVar[str] = "reqHistoricalData"
    req_id: int
    contract: Contract
    include_expired: bool
    end_time: str
    bar_size: str
    duration: str
    use_rth: bool
    what_to_show: str
    format_date: int
    legs: tuple[ComboLeg, ...] = ()
    keep_up_to_date: bool = False
    options: str = ""


@dataclass(frozen=True, slots=True)
class CancelHistoricalData:
    """End a reqHistoricalData."""

    MESSAGE: ClassVar[str] = "cancelHistoricalData"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqHeadTimeStamp:
    """Ask how far the past of a contract reaches back."""

    MESSAGE: ClassVar[str] = "reqHeadTimeStamp"
    req_id: int
    contract: Contract
    include_expired: bool
    use_rth: bool
    what_to_show: str
    format_date: int


@dataclass(frozen=True, slots=True)
class CancelHeadTimeStamp:
    """End a reqHeadTimeStamp."""

    MESSAGE: ClassVar[str] = "cancelHeadTimeStamp"
    req_id: int


@dataclass(frozen=True, slots=True)
class ReqHistoricalTicks:
    """Ask for ticks of the past, up to `count` of them."""

    MESSAGE: ClassVar[str] = "reqHistoricalTicks"
    req_id: int
    contract: Contract
    include_expired: bool
    start: str
    end: str
    count: int
    what_to_show: str
    use_rth: bool
    ignore_size: bool
    options: str = ""


@dataclass(frozen=True, slots=True)
class ReqTickByTickData:
    """Subscribe to every tick; the type is Last, AllLast, BidAsk or MidPoint."""

    MESSAGE: ClassVar[str] = "reqTickByTickData"
    req_id: int
    contract: Contract
    tick_type: str
    count: int = 0
    ignore_size: bool = False


@dataclass(frozen=True, slots=True)
class CancelTickByTickData:
    """End a reqTickByTickData."""

    MESSAGE: ClassVar[str] = "cancelTickByTickData"
    req_id: int


# The gateway itself


@dataclass(frozen=True, slots=True)
class ReqCurrentTime:
    """Ask what time it is; bots use it to see whether the link is alive."""

    MESSAGE: ClassVar[str] = "reqCurrentTime"


@dataclass(frozen=True, slots=True)
class SetServerLogLevel:
    """Choose how much TWS writes into its own log."""

    MESSAGE: ClassVar[str] = "setServerLogLevel"
    level: int


Request = (
    StartApi
    | PlaceOrder
    | CancelOrder
    | ReqGlobalCancel
    | ReqOpenOrders
    | ReqAllOpenOrders
    | ReqAutoOpenOrders
    | ReqCompletedOrders
    | ReqExecutions
    | ReqIds
    | ReqManagedAccts
    | ReqAccountUpdates
    | ReqAccountUpdatesMulti
    | CancelAccountUpdatesMulti
    | ReqAccountSummary
    | CancelAccountSummary
    | ReqPositions
    | CancelPositions
    | ReqPositionsMulti
    | CancelPositionsMulti
    | ReqPnL
    | CancelPnL
    | ReqPnLSingle
    | CancelPnLSingle
    | ReqContractDetails
    | ReqSecDefOptParams
    | ReqMatchingSymbols
    | ReqMarketRule
    | ReqMktData
    | CancelMktData
    | ReqMarketDataType
    | ReqRealTimeBars
    | CancelRealTimeBars
    | ReqHistoricalData
    | CancelHistoricalData
    | ReqHeadTimeStamp
    | CancelHeadTimeStamp
    | ReqHistoricalTicks
    | ReqTickByTickData
    | CancelTickByTickData
    | ReqCurrentTime
    | SetServerLogLevel
)
