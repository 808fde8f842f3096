"""What the broker can say: one frozen dataclass per message of tws-protocol.md sections 2.3 to 2.7.

Replies hold values (contracts, order terms, decimals, aware times) and never the text of the
wire: the encoder writes each one as the negotiated server version wants it. `MESSAGE` is TWS's
name, used in journals and crash points. A price or an amount of None is unset.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from fakebroker.protocol.market_replies import MarketReply
from fakebroker.values import Contract, OrderStatus, OrderTerms

SYSTEM_ID = -1
LIVE_EXECUTION_ID = -1

# The session


@dataclass(frozen=True, slots=True)
class ManagedAccounts:
    """The accounts of this login."""

    MESSAGE: ClassVar[str] = "managedAccounts"
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NextValidId:
    """The lowest order id that this client may use next."""

    MESSAGE: ClassVar[str] = "nextValidId"
    order_id: int


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """An error or a notice about a request or an order; `req_id` -1 is about the system."""

    MESSAGE: ClassVar[str] = "error"
    req_id: int
    code: int
    text: str
    advanced_reject: str = ""


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """The time at the gateway."""

    MESSAGE: ClassVar[str] = "currentTime"
    time: datetime


# Orders


@dataclass(frozen=True, slots=True)
class Margins:
    """What an order would do to the account: the answer to a what-if order, in `currency`."""

    init_before: Decimal
    maint_before: Decimal
    equity_before: Decimal
    init_change: Decimal
    maint_change: Decimal
    equity_change: Decimal
    init_after: Decimal
    maint_after: Decimal
    equity_after: Decimal
    commission: Decimal | None = None
    min_commission: Decimal | None = None
    max_commission: Decimal | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is alive, or the answer to a what-if order when `margins` is there.

    It carries no filled quantity: only orderStatus and execDetails do (section 2.6). After a fill
    it is sent once more with `commission` in `currency` (section 3.5).
    """

    MESSAGE: ClassVar[str] = "openOrder"
    order_id: int
    contract: Contract
    terms: OrderTerms
    client_id: int
    perm_id: int
    status: OrderStatus
    warning_text: str = ""
    margins: Margins | None = None
    commission: Decimal | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class OpenOrderEnd:
    """All open orders that were asked for have been sent."""

    MESSAGE: ClassVar[str] = "openOrderEnd"


@dataclass(frozen=True, slots=True)
class OrderStatusReport:
    """How far an order has come; sizes are shares, prices are per share."""

    MESSAGE: ClassVar[str] = "orderStatus"
    order_id: int
    status: OrderStatus
    filled: Decimal
    remaining: Decimal
    avg_fill_price: Decimal
    perm_id: int
    parent_id: int
    last_fill_price: Decimal
    client_id: int
    why_held: str = ""
    mkt_cap_price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class OrderBound:
    """A manual order now has an id at an API client."""

    MESSAGE: ClassVar[str] = "orderBound"
    perm_id: int
    client_id: int
    order_id: int


@dataclass(frozen=True, slots=True)
class CompletedOrder:
    """An order of the day that is done; it has neither order id nor client id (section 2.7)."""

    MESSAGE: ClassVar[str] = "completedOrder"
    contract: Contract
    terms: OrderTerms
    perm_id: int
    status: OrderStatus
    filled_quantity: Decimal
    completed_time: datetime
    completed_status: str
    parent_perm_id: int | None = None


@dataclass(frozen=True, slots=True)
class CompletedOrdersEnd:
    """All completed orders have been sent."""

    MESSAGE: ClassVar[str] = "completedOrdersEnd"


# Executions


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; `side` is BOT or SLD, `cum_qty` and `avg_price` are running totals of the order."""

    exec_id: str
    time: datetime
    account: str
    exchange: str
    side: str
    shares: Decimal
    price: Decimal
    perm_id: int
    client_id: int
    cum_qty: Decimal
    avg_price: Decimal
    order_ref: str = ""
    liquidation: int = 0
    last_liquidity: int = 1


@dataclass(frozen=True, slots=True)
class ExecDetails:
    """A fill: live ones have `req_id` -1, answers to reqExecutions the request's own id."""

    MESSAGE: ClassVar[str] = "execDetails"
    req_id: int
    order_id: int
    contract: Contract
    execution: Execution


@dataclass(frozen=True, slots=True)
class ExecDetailsEnd:
    """All executions that were asked for have been sent."""

    MESSAGE: ClassVar[str] = "execDetailsEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class CommissionReport:
    """What a fill cost; an opening fill has no realised profit."""

    MESSAGE: ClassVar[str] = "commissionReport"
    exec_id: str
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None = None


# Account


@dataclass(frozen=True, slots=True)
class AccountValue:
    """One value of the account; `value` is text because TWS's values are not all numbers."""

    MESSAGE: ClassVar[str] = "accountValue"
    key: str
    value: str
    currency: str
    account: str


@dataclass(frozen=True, slots=True)
class PortfolioValue:
    """One position with its market value."""

    MESSAGE: ClassVar[str] = "portfolioValue"
    contract: Contract
    position: Decimal
    market_price: Decimal
    market_value: Decimal
    average_cost: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    account: str


@dataclass(frozen=True, slots=True)
class AccountUpdateTime:
    """When the account values are from, as TWS writes it: HH:MM in the time of `time`."""

    MESSAGE: ClassVar[str] = "accountUpdateTime"
    time: datetime


@dataclass(frozen=True, slots=True)
class AccountDownloadEnd:
    """The first load of account values and portfolio is complete."""

    MESSAGE: ClassVar[str] = "accountDownloadEnd"
    account: str


@dataclass(frozen=True, slots=True)
class AccountUpdateMulti:
    """One value of an account or model."""

    MESSAGE: ClassVar[str] = "accountUpdateMulti"
    req_id: int
    account: str
    model_code: str
    key: str
    value: str
    currency: str


@dataclass(frozen=True, slots=True)
class AccountUpdateMultiEnd:
    """The first load of an account or model is complete."""

    MESSAGE: ClassVar[str] = "accountUpdateMultiEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """One tag of one account of a summary."""

    MESSAGE: ClassVar[str] = "accountSummary"
    req_id: int
    account: str
    tag: str
    value: str
    currency: str


@dataclass(frozen=True, slots=True)
class AccountSummaryEnd:
    """The first load of a summary is complete."""

    MESSAGE: ClassVar[str] = "accountSummaryEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class Position:
    """One position of one account, in shares; a quantity of 0 says that it has been closed."""

    MESSAGE: ClassVar[str] = "position"
    account: str
    contract: Contract
    position: Decimal
    avg_cost: Decimal


@dataclass(frozen=True, slots=True)
class PositionEnd:
    """All positions have been sent; changes follow unasked."""

    MESSAGE: ClassVar[str] = "positionEnd"


@dataclass(frozen=True, slots=True)
class PositionMulti:
    """One position of one account or model."""

    MESSAGE: ClassVar[str] = "positionMulti"
    req_id: int
    account: str
    contract: Contract
    position: Decimal
    avg_cost: Decimal
    model_code: str = ""


@dataclass(frozen=True, slots=True)
class PositionMultiEnd:
    """All positions of an account or model have been sent."""

    MESSAGE: ClassVar[str] = "positionMultiEnd"
    req_id: int


@dataclass(frozen=True, slots=True)
class PnL:
    """Profit and loss of an account; None is unset."""

    MESSAGE: ClassVar[str] = "pnl"
    req_id: int
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None


@dataclass(frozen=True, slots=True)
class PnLSingle:
    """Profit and loss of one position; None is unset."""

    MESSAGE: ClassVar[str] = "pnlSingle"
    req_id: int
    position: Decimal
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    value: Decimal | None


# Contracts


@dataclass(frozen=True, slots=True)
class ContractDetails:
    """Everything about one contract (section 2.4); hours are TWS's texts."""

    MESSAGE: ClassVar[str] = "contractDetails"
    req_id: int
    contract: Contract
    market_name: str = ""
    min_tick: Decimal = Decimal("0.01")
    order_types: str = ""
    valid_exchanges: str = ""
    price_magnifier: int = 1
    under_con_id: int = 0
    long_name: str = ""
    contract_month: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    time_zone_id: str = ""
    trading_hours: str = ""
    liquid_hours: str = ""
    ev_rule: str = ""
    ev_multiplier: str = ""
    sec_ids: tuple[tuple[str, str], ...] = ()
    agg_group: int = 1
    under_symbol: str = ""
    under_sec_type: str = ""
    market_rule_ids: str = ""
    real_expiration_date: str = ""
    stock_type: str = ""
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    suggested_size_increment: Decimal = Decimal(100)


@dataclass(frozen=True, slots=True)
class ContractDetailsEnd:
    """All matching contracts have been sent."""

    MESSAGE: ClassVar[str] = "contractDetailsEnd"
    req_id: int


SessionReply = ManagedAccounts | NextValidId | ErrorMessage | CurrentTime

OrderReply = (
    OpenOrder
    | OpenOrderEnd
    | OrderStatusReport
    | OrderBound
    | CompletedOrder
    | CompletedOrdersEnd
    | ExecDetails
    | ExecDetailsEnd
    | CommissionReport
)

AccountReply = (
    AccountValue
    | PortfolioValue
    | AccountUpdateTime
    | AccountDownloadEnd
    | AccountUpdateMulti
    | AccountUpdateMultiEnd
    | AccountSummary
    | AccountSummaryEnd
    | Position
    | PositionEnd
    | PositionMulti
    | PositionMultiEnd
    | PnL
    | PnLSingle
)

Reply = (
    SessionReply | OrderReply | AccountReply | ContractDetails | ContractDetailsEnd | MarketReply
)
