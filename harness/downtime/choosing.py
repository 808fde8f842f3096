"""Finds in the broker's books what an act of a downtime is about."""

from decimal import ROUND_DOWN, Decimal

from fakebroker.control_messages import BookExecution, BookOrder, Books
from harness.downtime.acts import CorrectFill, FillOrder, ManualTrade, OrderChoice
from harness.downtime.time_acts import PriceMoves
from harness.errors import HarnessError
from harness.history.records import fillable, leg_of

WHOLE, ONE, TWO = Decimal(1), Decimal(1), Decimal(2)


class UnfitError(HarnessError):
    """An act of a downtime does not fit the books."""


def choose(choice: OrderChoice, books: Books) -> BookOrder:
    """The one working order that fits a choice.

    Raises:
        UnfitError: none fits, or more than one.
    """
    fitting = [order for order in books.orders if order.working and fits(choice, order)]
    if len(fitting) != 1:
        there = ", ".join(
            f"{order.action} {order.order_type} {order.symbol} {order.order_ref}".strip()
            for order in books.orders
            if order.working
        )
        raise UnfitError(
            f"{choice.describe()} was to be found at the broker, and {len(fitting)} orders fit; "
            f"working there: {there or 'nothing'}"
        )
    return fitting[0]


def fits(choice: OrderChoice, order: BookOrder) -> bool:
    """Whether an order is one that a choice means."""
    return (
        order.symbol == choice.symbol
        and choice.order_type in {None, order.order_type}
        and choice.action in {None, order.action}
        and choice.leg in {None, leg_of(order.order_ref)}
    )


def shares_of(act: FillOrder, order: BookOrder, books: Books) -> Decimal:
    """How many shares of an order are filled; a child has what its parent has filled.

    Raises:
        UnfitError: it was to be filled in part, and one share is all that it has left.
    """
    left = fillable(order, {each.perm_id: each for each in books.orders})
    if act.part is None:
        return left if act.shares is None else act.shares
    if left <= ONE:
        raise UnfitError(f"{act.order.describe()} has {left} left and cannot fill partly")
    return rounded(left * act.part)


def price_of(act: FillOrder, order: BookOrder, books: Books) -> Decimal:
    """At what an order is filled, in US dollars.

    Raises:
        UnfitError: neither the order nor the market has a price.
    """
    own = act.price or order.limit_price or order.aux_price
    if own is None and order.symbol not in books.last_prices:
        raise UnfitError(f"{act.order.describe()} has no price, and {order.symbol} has no market")
    return books.last_prices[order.symbol] if own is None else own


def signed_shares(act: ManualTrade, books: Books) -> Decimal:
    """What somebody trades by hand, positive to buy.

    Raises:
        UnfitError: nothing is held, or one share was to become less and not none.
    """
    held = sum((row.quantity for row in books.positions if row.symbol == act.symbol), Decimal(0))
    if not held:
        raise UnfitError(f"{act.describe()}: no {act.symbol} is held")
    part = rounded(abs(held) * act.part) * (ONE if held > 0 else -ONE)
    match act.change:
        case "close":
            return -held
        case "flip":
            return -TWO * held
        case "add":
            return part
        case "reduce":
            if abs(held) <= ONE:
                raise UnfitError(f"{act.describe()}: only {held} {act.symbol} is held")
            return -part


def execution_of(act: CorrectFill, books: Books) -> BookExecution:
    """The day's last execution that an act means.

    Raises:
        UnfitError: there is none.
    """
    found = [
        row
        for row in books.executions
        if row.symbol == act.symbol and act.leg in {None, leg_of(row.order_ref)}
    ]
    if not found:
        raise UnfitError(f"{act.describe()}: there was no such execution today")
    return found[-1]


def goal_of(act: PriceMoves, books: Books) -> Decimal:
    """Where a price goes, in US dollars.

    Raises:
        UnfitError: the order that it goes beyond is not there, is no stop, or is too near to zero.
    """
    if act.to is not None:
        return act.to
    assert act.beyond is not None, "a move has a price or an order to go beyond"
    order = choose(act.beyond, books)
    if order.aux_price is None:
        raise UnfitError(f"{act.beyond.describe()} is a {order.order_type} and has no stop price")
    goal = order.aux_price - act.by if order.action == "SELL" else order.aux_price + act.by
    if goal <= 0:
        raise UnfitError(f"{act.describe()}: there is no price {goal}")
    return goal


def rounded(shares: Decimal) -> Decimal:
    """Whole shares, at least one."""
    return max(shares.quantize(WHOLE, rounding=ROUND_DOWN), ONE)
