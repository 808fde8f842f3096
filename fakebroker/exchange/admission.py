"""What TWS looks at before an order enters the book, and the words of its refusals.

Codes and texts are IB's where one is known (tws-protocol.md sections 3.1, 3.3 and 3.8); 321 is
IB's general refusal, with the cause in plain words. Supported: MKT, LMT, STP, STP LMT, TRAIL,
TRAIL LIMIT, MIT, LIT, MOC, LOC; DAY, GTC, IOC, FOK, GTD, OPG; whole shares and contracts.
Everything else is refused, never ignored. Trading hours refuse nothing: see `timing.py`.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.groups import DEFAULT_OCA_TYPE
from fakebroker.exchange.instruments import tick_of
from fakebroker.exchange.matching import TRAILING_TYPES
from fakebroker.exchange.orders import ZERO, Order, OrderType
from fakebroker.exchange.timing import CLOSING_TYPES, good_till
from fakebroker.values import Contract, OrderTerms

LIMIT_TYPES = (
    OrderType.LIMIT,
    OrderType.STOP_LIMIT,
    OrderType.LIMIT_IF_TOUCHED,
    OrderType.LIMIT_ON_CLOSE,
)
TRIGGER_TYPES = (
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
)
TIFS = ("DAY", "GTC", "IOC", "FOK", "GTD", "OPG")
CLOSING_TIFS = ("DAY", "GTC")
OPENING_TYPES = (OrderType.MARKET, OrderType.LIMIT)
LIMIT_OFFSET = "lmtPriceOffset"
"""What the client's own distance of a trailing limit is called on the wire (section 2.2)."""
OCA_TYPES = (1, 2, 3)
# Also keeps every product within the 28 digits of the decimal context, so that money is exact.
QUANTITY_MAX = Decimal(10_000_000)
PRICE_MAX = Decimal(1_000_000)
PERCENT_MAX = Decimal(100)
ORDER_ID_MAX = 2**31 - 1

CANCELLED_TEXT = "Order Canceled - reason:"
REJECTED_TEXT = "Order rejected - reason:"
DUPLICATE_ID_TEXT = "Duplicate order id"
PRICE_VARIATION_TEXT = (
    "The price does not conform to the minimum price variation for this contract."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error code and IB's text for it."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """An order that may enter: the qualified contract and the terms as the book keeps them."""

    contract: Contract
    terms: OrderTerms


def admit(
    contract: Contract, terms: OrderTerms, *, accounts: tuple[str, ...], catalog: Catalog
) -> Admitted | Refusal:
    """Return the order as the book would keep it, or why it is refused.

    `accounts` are the codes that the login manages; the first one is meant where it is the only.
    """
    resolved = catalog.resolve(contract)
    if resolved is None:
        return Refusal(200, "No security definition has been found for the request")
    if terms.account not in ("", *accounts):
        return invalid(f"Invalid account code '{terms.account}'")
    if len(accounts) > 1 and not terms.account:
        return Refusal(435, "You must specify an account.")
    if terms.order_type not in tuple(OrderType):
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    settled = settle_terms(terms, terms.account or accounts[0])
    return (
        check_quantity(settled)
        or check_conditions(settled)
        or check_time_in_force(settled)
        or check_prices(settled, tick_of(resolved))
        or Admitted(resolved, settled)
    )


def settle_terms(terms: OrderTerms, account: str) -> OrderTerms:
    """Return the terms with TWS's defaults, and without prices that the type has no use for.

    Clients send 0.0 for prices that they do not mean (section 2.2).
    """
    order_type = OrderType(terms.order_type)
    trails = order_type in TRAILING_TYPES
    limited = order_type in LIMIT_TYPES
    if order_type is OrderType.TRAIL_LIMIT:
        limited = bool(terms.limit_price)
    has_aux = order_type in TRIGGER_TYPES or trails
    percent = terms.trailing_percent or None if trails else None
    aux_price = terms.aux_price if has_aux and percent is None else None
    return replace(
        terms,
        account=account,
        tif=terms.tif or "DAY",
        oca_type=terms.oca_type or DEFAULT_OCA_TYPE,
        limit_price=terms.limit_price if limited else None,
        aux_price=aux_price,
        trailing_percent=percent,
        trail_stop_price=terms.trail_stop_price if trails and terms.trail_stop_price else None,
    )


def check_quantity(terms: OrderTerms) -> Refusal | None:
    """Refuse a size that cannot be traded."""
    quantity = terms.quantity
    if not quantity.is_finite() or quantity < 0 or quantity > QUANTITY_MAX:
        return invalid(f"Order size {quantity} is out of range")
    if quantity == 0:
        return Refusal(434, "The order size cannot be zero.")
    if quantity != quantity.to_integral_value():
        return Refusal(10243, "Fractional-sized order cannot be placed via API.")
    return None


def check_conditions(terms: OrderTerms) -> Refusal | None:
    """Refuse what this market cannot do, rather than do something else."""
    if terms.tif not in TIFS:
        return invalid(f"Time in force {terms.tif} is not supported here; use {', '.join(TIFS)}")
    if terms.good_after_time:
        return invalid("Good after time is not supported here")
    if terms.oca_type not in OCA_TYPES:
        return invalid(f"Invalid OCA type {terms.oca_type}")
    return None


def check_time_in_force(terms: OrderTerms) -> Refusal | None:
    """Refuse a time in force that the order type has not, or that has no good end."""
    if terms.order_type in CLOSING_TYPES and terms.tif not in CLOSING_TIFS:
        return invalid(f"Time in force {terms.tif} does not go with {terms.order_type}")
    if terms.tif == "OPG" and terms.order_type not in OPENING_TYPES:
        return invalid(f"Time in force OPG does not go with {terms.order_type}")
    if terms.tif == "GTD" and good_till(terms.good_till_date) is None:
        return invalid(f"Good till date '{terms.good_till_date}' is not a date")
    return None


def check_prices(terms: OrderTerms, tick: Decimal) -> Refusal | None:
    """Refuse prices that are missing, out of range or off the tick."""
    order_type = OrderType(terms.order_type)
    if order_type in LIMIT_TYPES and not terms.limit_price:
        return invalid("Limit price is missing")
    if order_type in TRIGGER_TYPES and not terms.aux_price:
        return invalid("Aux price is missing")
    if order_type is OrderType.TRAIL_LIMIT and limit_offset(terms) is None:
        return invalid("Limit price offset is missing")
    if order_type in TRAILING_TYPES:
        percent = terms.trailing_percent
        if percent is None and not terms.aux_price:
            return invalid("Trailing amount or percentage is missing")
        if percent is not None and not (percent.is_finite() and 0 < percent < PERCENT_MAX):
            return invalid(f"Trailing percentage {percent} is out of range")
    offset = limit_offset(terms) or None
    for price in (terms.limit_price, terms.aux_price, terms.trail_stop_price, offset):
        if price is None:
            continue
        if not price.is_finite() or not 0 < price <= PRICE_MAX or price % tick != ZERO:
            return Refusal(110, PRICE_VARIATION_TEXT)
    return None


def limit_offset(terms: OrderTerms) -> Decimal | None:
    """Return how far the limit of a trailing limit order is behind its stop, None if unknown.

    The client says it, or gives stop and limit of the start.
    """
    if terms.order_type != OrderType.TRAIL_LIMIT:
        return None
    if terms.limit_price and terms.trail_stop_price:
        return abs(terms.trail_stop_price - terms.limit_price)
    said = dict(terms.echoed).get(LIMIT_OFFSET, "")
    return Decimal(said) if said else None


def check_change(order: Order, contract: Contract, terms: OrderTerms) -> Refusal | None:
    """Refuse a modify that would make another order of it (sections 3.1 and 3.3)."""
    if contract.con_id != order.contract.con_id or terms.action is not order.terms.action:
        return Refusal(105, "Order being modified does not match original order.")
    if terms.order_type != order.terms.order_type:
        return Refusal(329, "Order modify failed. Cannot change to the new order type.")
    if terms.oca_group != order.terms.oca_group:
        return Refusal(10326, "OCA group revision is not allowed.")
    if terms.quantity <= order.filled:
        return invalid(f"Order size {terms.quantity} is not above the filled {order.filled}")
    return None


def check_order_id(order_id: int, highest: int) -> Refusal | None:
    """Refuse an id that cannot name a new order (section 3.1)."""
    if order_id > ORDER_ID_MAX:
        return Refusal(320, f"Error reading request. Order id {order_id} is above 2147483647.")
    if order_id <= highest:
        return Refusal(103, DUPLICATE_ID_TEXT)
    return None


def invalid(cause: str) -> Refusal:
    """Return IB's general refusal with its cause."""
    return Refusal(321, f"Error validating request.-'bW' : cause - {cause}")
