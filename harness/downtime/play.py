"""Carries out a downtime at the broker: first what people do, then the market's time."""

from collections.abc import Callable
from typing import assert_never

from fakebroker.control import ControlClient
from fakebroker.control_messages import BookOrder, Books
from harness.downtime import Act, Downtime
from harness.downtime.acts import CancelOrder, FillOrder, ManualOrder, OrderChoice
from harness.errors import HarnessError
from harness.history.records import leg_of


def play_downtime(
    downtime: Downtime, control: ControlClient, *, stepped: Callable[[], None]
) -> None:
    """Let the broker live through a downtime.

    Args:
        downtime: what happens.
        control: the broker.
        stepped: called after each thing that happened.

    Raises:
        HarnessError: an act does not fit the books ("no working STP order of TSLA").
    """
    for act in downtime.acts:
        carry_out(act, control)
        stepped()
    if downtime.until is None:
        return
    while (due := control.status().next_due) is not None and due <= downtime.until:
        control.step()
        stepped()


def carry_out(act: Act, control: ControlClient) -> None:
    """Do one thing at the broker."""
    match act:
        case FillOrder():
            order = choose(act.order, control.books())
            shares = order.remaining if act.shares is None else act.shares
            control.fill(order.perm_id, shares=shares, price=act.price)
        case CancelOrder():
            control.cancel(choose(act.order, control.books()).perm_id)
        case ManualOrder():
            control.manual_order(act.symbol, act.action, quantity=act.quantity)
        case _:
            assert_never(act)


def choose(choice: OrderChoice, books: Books) -> BookOrder:
    """The one working order that fits a choice.

    Raises:
        HarnessError: none fits, or more than one.
    """
    fitting = [order for order in books.orders if order.working and fits(choice, order)]
    if len(fitting) != 1:
        there = ", ".join(
            f"{order.action} {order.order_type} {order.symbol} {order.order_ref}".strip()
            for order in books.orders
            if order.working
        )
        raise HarnessError(
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
