"""When an order may act: sessions, auctions, the way to the exchange, and when it lapses.

Pure questions about one order and one moment of the market. With the setting `market_hours` at
`always` only the auctions and the latency count; tws-protocol.md section 3.7 has the rest.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakebroker.exchange.hours import (
    EXCHANGE_ZONE,
    Session,
    extended_hours,
    opening_at_or_after,
    regular_hours,
    session_at_or_after,
)
from fakebroker.exchange.instruments import STOCK
from fakebroker.exchange.orders import ZERO, Order, OrderType
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms

OPENING_TIF = "OPG"
AT_ONCE_TIFS = ("IOC", "FOK")
CLOSING_TYPES = (OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE)
REGULAR_ONLY = (OrderType.MARKET, *CLOSING_TYPES)
"""What has no use for outsideRth; warning 2109 says so."""
GOOD_TILL = re.compile(r"(\d{8})(?:(?: +|-)(\d{1,2}:\d\d(?::\d\d)?))?(?: +(\S+))?")
ZONES = {"EST": "America/New_York", "EDT": "America/New_York", "US/Eastern": "America/New_York"}
END_OF_DATE = time(23, 59, 59)


class Auction(StrEnum):
    """Whether the market is continuous or at one of its two auctions."""

    NONE = "none"
    OPEN = "open"
    CLOSE = "close"


@dataclass(slots=True)
class Moment:
    """Where the market is: `time` for its sessions, `arrived` for what is under way to it."""

    time: datetime
    arrived: datetime
    auction: Auction = Auction.NONE


def may_act(order: Order, moment: Moment, settings: BrokerSettings) -> bool:
    """Say whether the order can be triggered or filled now, at whatever price."""
    if order.bars_to_wait or (order.wait_until is not None and moment.arrived < order.wait_until):
        return False
    if order.terms.tif == OPENING_TIF:
        return moment.auction is Auction.OPEN and opening_of(order) <= moment.time
    if order.order_type in CLOSING_TYPES:
        return moment.auction is Auction.CLOSE
    return in_hours(order, moment.time, settings)


def in_hours(order: Order, moment: datetime, settings: BrokerSettings) -> bool:
    """Say whether the order's market is open."""
    if settings.market_hours == "always":
        return True
    return session_of(order.contract, order.terms, moment).holds(moment)


def session_of(contract: Contract, terms: OrderTerms, moment: datetime) -> Session:
    """Return the session in which such an order works at this time, or will work next."""
    kind = contract.sec_type
    outside = terms.outside_rth and terms.order_type not in REGULAR_ONLY
    hours = extended_hours(kind) if outside else regular_hours(kind)
    return session_at_or_after(hours, moment)


def opening_of(order: Order) -> datetime:
    """Return the opening that an order with tif OPG is for."""
    return opening_at_or_after(regular_hours(order.contract.sec_type), order.placed_time)


def regular_session(contract: Contract, moment: datetime) -> Session:
    """Return the regular session that is on, else the next one."""
    return session_at_or_after(regular_hours(contract.sec_type), moment)


def waits_for_opening(order: Order, moment: datetime, settings: BrokerSettings) -> bool:
    """Say whether IB keeps the order back until its market opens (warning 399)."""
    return order.terms.tif != OPENING_TIF and not in_hours(order, moment, settings)


def warning_for(order: Order, moment: datetime, settings: BrokerSettings) -> tuple[int, str] | None:
    """Return the warning that an order gets which is accepted now: 399, 2109 or none."""
    if settings.market_hours == "always":
        return None
    if waits_for_opening(order, moment, settings):
        start = session_of(order.contract, order.terms, moment).start
        terms, contract = order.terms, order.contract
        return 399, (
            f"Order Message:\n{terms.action} {terms.quantity} {contract.local_symbol} "
            f"{contract.primary_exchange or contract.exchange}\n"
            "Warning: Your order will not be placed at the exchange until "
            f"{start:%Y-%m-%d %H:%M:%S} US/Eastern."
        )
    if order.terms.outside_rth and order.order_type in REGULAR_ONLY:
        return 2109, (
            "Order Event Warning:Attribute 'Outside Regular Trading Hours' is ignored based on "
            "the order type and destination. PlaceOrder is now being processed."
        )
    return None


def expiry_of(
    contract: Contract, terms: OrderTerms, placed: datetime, settings: BrokerSettings
) -> datetime | None:
    """Return when the order lapses; None if it does not, or with the day or its auction."""
    match terms.tif:
        case "GTC" | "OPG":
            return None
        case "GTD":
            return good_till(terms.good_till_date)
        case _ if terms.order_type in CLOSING_TYPES:
            return regular_session(contract, placed).end
        case _ if settings.market_hours == "sessions":
            return session_of(contract, terms, placed).end
        case _:
            return None


def ends_with_day(order: Order) -> bool:
    """Say whether the end of the exchange's day is the order's end."""
    return order.expires is None and order.terms.tif not in ("GTC", OPENING_TIF)


def good_till(text: str) -> datetime | None:
    """Read a good till date, None if it is none.

    `20251006 15:30:00`, in New York or with a zone behind it; `20251006-15:30:00` is UTC; a date
    alone is good to the end of that day.
    """
    found = GOOD_TILL.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, zone_name = found[1], found[2], found[3]
    zone: ZoneInfo = ZoneInfo("UTC") if "-" in text[:9] else EXCHANGE_ZONE
    try:
        if zone_name:
            zone = ZoneInfo(ZONES.get(zone_name, zone_name))
        date = datetime.strptime(day, "%Y%m%d").date()  # noqa: DTZ007 - only the date is taken
        moment = clock_time(clock) if clock else END_OF_DATE
    except (ValueError, ZoneInfoNotFoundError):
        return None
    return datetime.combine(date, moment, zone)


def clock_time(text: str) -> time:
    """Read `9:30` or `09:30:00`.

    Raises:
        ValueError: There is no such time.
    """
    hour, minute, second, *_ = (*map(int, text.split(":")), 0)
    return time(hour, minute, second)


def needs_locate(order: Order, held: Decimal, settings: BrokerSettings) -> bool:
    """Say whether the order would sell stock short that has to be found first.

    Args:
        order: The order.
        held: Shares in its account.
        settings: The knob is `locate_after_bars`.
    """
    sells_stock = order.terms.action is Action.SELL and order.contract.sec_type == STOCK
    return settings.locate_after_bars > 0 and sells_stock and order.remaining > max(held, ZERO)
