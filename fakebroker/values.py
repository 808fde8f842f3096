"""The words that the wire, the exchange and the outside share: contracts, orders, statuses.

Pure values, no behaviour. Names are TWS's own in snake case. Money, prices and quantities are
`Decimal`; a number that a client left unset is `None` here and an empty field on the wire
(tws-protocol.md section 1, point 5).
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Action(StrEnum):
    """The side of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderStatus(StrEnum):
    """The states that IB puts on the wire (tws-protocol.md section 3.4)."""

    API_PENDING = "ApiPending"
    PENDING_SUBMIT = "PendingSubmit"
    PENDING_CANCEL = "PendingCancel"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    API_CANCELLED = "ApiCancelled"
    CANCELLED = "Cancelled"
    FILLED = "Filled"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class Contract:
    """What is traded: the twelve contract fields of a request (`C12` in tws-protocol.md)."""

    symbol: str
    sec_type: str = "STK"
    con_id: int = 0
    last_trade_date: str = ""
    strike: Decimal = Decimal(0)
    right: str = ""
    multiplier: str = ""
    exchange: str = "SMART"
    primary_exchange: str = ""
    currency: str = "USD"
    local_symbol: str = ""
    trading_class: str = ""


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What a client asks for with placeOrder (tws-protocol.md section 2.2).

    The fields that the exchange understands have names. Everything else that the client sent
    and that openOrder and completedOrder echo is kept in `echoed`, by its name in section 2.2,
    as the text that came over the wire; a field that was left empty is not in it.
    """

    action: Action
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None = None
    aux_price: Decimal | None = None
    tif: str = "DAY"
    oca_group: str = ""
    oca_type: int = 0
    account: str = ""
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    outside_rth: bool = False
    trigger_method: int = 0
    good_after_time: str = ""
    good_till_date: str = ""
    trail_stop_price: Decimal | None = None
    trailing_percent: Decimal | None = None
    what_if: bool = False
    auto_cancel_parent: bool = False
    echoed: tuple[tuple[str, str], ...] = ()
