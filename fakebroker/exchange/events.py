"""What the exchange reports, in the order in which it happened.

Every input of the exchange returns a tuple of these. One fill is always reported as `Filled`,
`OrderChanged` with event `filled`, `Commissioned`, `PositionChanged`; what the fill does to other
orders follows after that. Who is told what, when and how late is not known here.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from fakebroker.exchange.orders import OrderEvent, OrderView
from fakebroker.values import Contract


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution (tws-protocol.md section 2.5)."""

    exec_id: str
    time: datetime
    perm_id: int
    order_id: int
    client_id: int
    account: str
    contract: Contract
    side: Literal["BOT", "SLD"]
    shares: Decimal
    price: Decimal
    cum_qty: Decimal
    """Shares of the order up to and with this execution."""
    avg_price: Decimal
    """Average price of these."""
    order_ref: str


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order entered the book or changed.

    `code` is set when TWS reports the change as an error (202 cancelled, 201 rejected); `reason`
    is then its text. Without a code, `reason` is for people only.
    """

    order: OrderView
    event: OrderEvent
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """An execution; `order` is the order after it, `position_after` in shares, short negative."""

    execution: ExecutionRecord
    order: OrderView
    position_after: Decimal
    corrects: str = ""
    """The id of the execution that this one replaces; empty for a new one (section 3.5)."""


@dataclass(frozen=True, slots=True)
class Commissioned:
    """What an execution cost and, where it closed something, realised net of commissions."""

    exec_id: str
    perm_id: int
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """A position, quantity 0 when it is flat; `average_cost` a share with commissions."""

    account: str
    contract: Contract
    quantity: Decimal
    average_cost: Decimal


@dataclass(frozen=True, slots=True)
class Refused:
    """TWS answers an error for this order id, and nothing in the book has changed."""

    client_id: int
    order_id: int
    code: int
    text: str


ExchangeEvent = OrderChanged | Filled | Commissioned | PositionChanged | Refused
