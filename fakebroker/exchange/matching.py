"""When an order meets the market: prices as a path, and the level at which each order acts.

A bar is walked as open -> the extreme nearer to the open -> the other extreme -> close (the high
first when both are equally near). Getting to the open is a jump, everything after it is a
continuous move. An order acts when the price satisfies its threshold; during a move that is
exactly at its level, after a jump wherever the price landed. Pure functions over orders and
prices; nothing is changed here.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from fakebroker.exchange.instruments import tick_of
from fakebroker.exchange.orders import Order, OrderType, Stage
from fakebroker.market.tape import Bar
from fakebroker.values import Action

HUNDRED = Decimal(100)
# Once triggered these are market orders.
MARKET_TYPES = (
    OrderType.MARKET,
    OrderType.STOP,
    OrderType.TRAIL,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.MARKET_ON_CLOSE,
)
TRAILING_TYPES = (OrderType.TRAIL, OrderType.TRAIL_LIMIT)
UNTRIGGERED_TYPES = (
    OrderType.MARKET,
    OrderType.LIMIT,
    OrderType.MARKET_ON_CLOSE,
    OrderType.LIMIT_ON_CLOSE,
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A price, and whether it is reached from above (at or below it) or from below."""

    price: Decimal
    at_or_below: bool

    def holds(self, price: Decimal) -> bool:
        """Say whether the threshold is reached at `price`."""
        return price <= self.price if self.at_or_below else price >= self.price

    def level(self, start: Decimal, end: Decimal) -> Decimal | None:
        """Return the price at which a move from `start` to `end` first reaches it, or None."""
        if self.holds(start):
            return start
        return self.price if self.holds(end) else None


def bar_path(bar: Bar) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return the four prices that a bar is walked through."""
    if bar.high - bar.open <= bar.open - bar.low:
        return (bar.open, bar.high, bar.low, bar.close)
    return (bar.open, bar.low, bar.high, bar.close)


def becomes_market(order: Order) -> bool:
    """Say whether the order trades at any price once it works."""
    return order.order_type in MARKET_TYPES


def is_armed(order: Order) -> bool:
    """Say whether the order still waits for its trigger price."""
    return order.order_type not in UNTRIGGERED_TYPES and not order.triggered


def trigger_threshold(order: Order) -> Threshold | None:
    """Return where the order is triggered; None for a trail that has seen no price yet."""
    terms = order.terms
    sells = terms.action is Action.SELL
    match order.order_type:
        case OrderType.STOP | OrderType.STOP_LIMIT:
            return threshold(terms.aux_price, at_or_below=sells)
        case OrderType.TRAIL | OrderType.TRAIL_LIMIT:
            return threshold(terms.trail_stop_price, at_or_below=sells)
        case OrderType.MARKET_IF_TOUCHED | OrderType.LIMIT_IF_TOUCHED:
            return threshold(terms.aux_price, at_or_below=not sells)
        case (
            OrderType.MARKET
            | OrderType.LIMIT
            | OrderType.MARKET_ON_CLOSE
            | OrderType.LIMIT_ON_CLOSE
        ):
            return None
        case _ as never:
            assert_never(never)


def threshold(price: Decimal | None, *, at_or_below: bool) -> Threshold | None:
    """Return the threshold at a price, None where there is no price."""
    return None if price is None else Threshold(price, at_or_below=at_or_below)


def limit_threshold(order: Order) -> Threshold | None:
    """Return where a working order trades; None for one that trades at any price."""
    price = order.terms.limit_price
    if becomes_market(order) or price is None:
        return None
    return Threshold(price, at_or_below=order.terms.action is Action.BUY)


def acts_at(order: Order, price: Decimal) -> bool:
    """Say whether the order is triggered or trades at this price."""
    if is_armed(order):
        trigger = trigger_threshold(order)
        return trigger is not None and trigger.holds(price)
    limit = limit_threshold(order)
    return limit is None or limit.holds(price)


def next_level(order: Order, start: Decimal, end: Decimal) -> Decimal | None:
    """Return the price at which the order acts during a move, or None."""
    waits_for = trigger_threshold(order) if is_armed(order) else limit_threshold(order)
    return None if waits_for is None else waits_for.level(start, end)


def trailed_stop(order: Order, price: Decimal) -> Decimal | None:
    """Return where a trailing stop stands once the market was at `price`; None if not a trail.

    The stop follows the market by `aux_price` dollars or by `trailing_percent` and never goes
    back (tws-protocol.md section 3.7). Distances in percent are rounded to the tick.
    """
    waiting = order.stage in (Stage.NEW, Stage.HELD, Stage.CHILD, Stage.LOCATING)
    if order.order_type not in TRAILING_TYPES or order.triggered or waiting:
        return None
    terms = order.terms
    if terms.trailing_percent is not None:
        tick = tick_of(order.contract)
        distance = (price * terms.trailing_percent / HUNDRED / tick).quantize(Decimal(1)) * tick
    else:
        distance = terms.aux_price or Decimal(0)
    stop = terms.trail_stop_price
    if terms.action is Action.SELL:
        return price - distance if stop is None else max(stop, price - distance)
    return price + distance if stop is None else min(stop, price + distance)


def limit_behind(order: Order, stop: Decimal) -> Decimal | None:
    """Return the limit of a trailing limit order whose stop is at `stop`: further by its offset."""
    if order.limit_offset is None:
        return None
    sells = order.terms.action is Action.SELL
    return stop - order.limit_offset if sells else stop + order.limit_offset
