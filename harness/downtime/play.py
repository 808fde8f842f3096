"""Carries out a downtime at the broker: first its acts in order, then the market's time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

from fakebroker.control import ControlClient, ControlError
from fakebroker.control_messages import Status
from fakebroker.faults.base import Now
from fakebroker.faults.field import BustExecution, CorrectExecution
from harness.downtime import Act, Downtime
from harness.downtime.acts import (
    CancelOrder,
    CorrectFill,
    ExpireOrder,
    FillOrder,
    ManualOrder,
    ManualTrade,
    RejectOrder,
)
from harness.downtime.choosing import (
    UnfitError,
    choose,
    execution_of,
    goal_of,
    price_of,
    shares_of,
    signed_shares,
)
from harness.downtime.dates import days_until
from harness.downtime.time_acts import (
    BrokerFault,
    DaysPass,
    MarketGoesOn,
    PriceMoves,
    TimePasses,
)

Reach = Callable[[Status, datetime], bool]


def unheard(_act: str, _reason: str) -> None:
    """Nobody wants to know what was skipped."""


def play_downtime(
    downtime: Downtime,
    control: ControlClient,
    *,
    stepped: Callable[[], None],
    skipped: Callable[[str, str], None] = unheard,
) -> None:
    """Let the broker live through a downtime.

    Args:
        downtime: what happens.
        control: the broker.
        stepped: called after each thing that happened.
        skipped: called with an optional act, in words, that did not fit, and why.

    Raises:
        UnfitError: an act that is not optional does not fit the books ("no working STP order").
        ControlError: the broker refuses it, or is gone.
    """
    for act in downtime.acts:
        try:
            carry_out(act, control, stepped)
        except (UnfitError, ControlError) as error:
            # A broker that is gone refuses the next question, too, and that is not swallowed.
            if not act.optional:
                raise
            skipped(act.describe(), str(error))
        stepped()
    if downtime.until is not None:
        end = downtime.until
        play_tape(control, stepped, lambda status, due: due - status.postponed <= end)


def play_tape(control: ControlClient, stepped: Callable[[], None], within: Reach) -> None:
    """Step while what is due next is within reach."""
    while (status := control.status()).next_due is not None and within(status, status.next_due):
        control.step()
        stepped()


def carry_out(act: Act, control: ControlClient, stepped: Callable[[], None]) -> None:
    """Do one thing at the broker."""
    match act:
        case FillOrder() | CancelOrder() | ExpireOrder() | RejectOrder():
            touch_order(act, control)
        case ManualOrder():
            control.manual_order(act.symbol, act.action, quantity=act.quantity)
        case ManualTrade():
            shares = signed_shares(act, control.books())
            control.manual_order(act.symbol, "BUY" if shares > 0 else "SELL", quantity=abs(shares))
        case CorrectFill():
            correct(act, control)
        case PriceMoves():
            control.price(act.symbol, goal_of(act, control.books()), jumps=act.jumps)
        case MarketGoesOn():
            end = control.status().now + timedelta(seconds=act.seconds)
            play_tape(control, stepped, lambda _, due: due <= end)
        case TimePasses():
            control.pass_time(timedelta(seconds=act.seconds))
        case DaysPass():
            control.pass_time(days_until(act.to, control.status().now))
        case BrokerFault():
            control.fault(act.fault)
        case _:
            assert_never(act)


def touch_order(
    act: FillOrder | CancelOrder | ExpireOrder | RejectOrder, control: ControlClient
) -> None:
    """Do something to one working order."""
    books = control.books()
    order = choose(act.order, books)
    match act:
        case FillOrder():
            price = price_of(act, order, books)
            control.fill(order.perm_id, shares=shares_of(act, order, books), price=price)
        case CancelOrder():
            control.cancel(order.perm_id, by_hand=act.by_hand)
        case ExpireOrder():
            control.expire(order.perm_id)
        case RejectOrder():
            control.reject(order.perm_id)


def correct(act: CorrectFill, control: ControlClient) -> None:
    """Correct an execution, or take it back.

    Raises:
        UnfitError: there is no such execution, or the exchange cannot correct it so.
    """
    old = execution_of(act, control.books())
    if act.busted:
        control.fault(BustExecution(when=Now(), exec_id=old.exec_id))
        return
    shares, price = old.shares + act.shares_by, old.price + act.price_by
    if shares <= 0 or price <= 0:
        raise UnfitError(f"{act.describe()}: {shares} shares at {price} are left of it")
    control.fault(CorrectExecution(when=Now(), exec_id=old.exec_id, shares=shares, price=price))
    if old in control.books().executions:
        raise UnfitError(f"{act.describe()}: the exchange cannot; its journal says why")
