"""Executions that are corrected or taken back after the fact, and the books after it.

A correction replaces: the new execution has the old one's id with the last part raised (`.02`,
tws-protocol.md section 3.5), and the old one is in the books no more. Cash, positions, average
cost and profit are those of a history in which it had always been so: the account is played again
from its first execution. The order keeps its status; what it has filled follows.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from fakebroker.exchange.account import Account
from fakebroker.exchange.book import Book, BookedExecution, day_of
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import (
    Commissioned,
    ExecutionRecord,
    Filled,
    OrderChanged,
    PositionChanged,
)
from fakebroker.exchange.instruments import commission_of, market_key
from fakebroker.exchange.orders import ZERO, Order, OrderEvent, Stage, Trigger, tidy
from fakebroker.settings import BrokerSettings

CorrectionEvents = tuple[Filled | OrderChanged | Commissioned | PositionChanged, ...]


def corrected_id(exec_id: str) -> str:
    """Return the id of the next correction: the last of its parts raised by one."""
    stem, _, last = exec_id.rpartition(".")
    return f"{stem}.{int(last) + 1:0{len(last)}d}"


def correct(
    book: Book, settings: BrokerSettings, exec_id: str, *, shares: Decimal, price: Decimal
) -> CorrectionEvents:
    """Replace an execution; its time, side and order stay.

    Raises:
        ExchangeError: There is no such execution, or the order cannot have so many shares.
    """
    booked = known(book, exec_id)
    old, order = booked.execution, book.orders[booked.execution.perm_id]
    check_correction(order, old, shares, price)
    order.filled += shares - old.shares
    order.value += shares * price - old.shares * old.price
    charged = max(
        commission_of(
            settings.commission, old.contract, shares=order.filled, price_sum=order.value
        ),
        order.commission - booked.commission,
    )
    commission = charged - (order.commission - booked.commission)
    order.commission = charged
    cum_qty, value = sums_until(book, old)
    cum_qty, value = cum_qty + shares, value + shares * price
    new = replace(
        old,
        exec_id=corrected_id(exec_id),
        shares=shares,
        price=price,
        cum_qty=cum_qty,
        avg_price=tidy(value / cum_qty),
    )
    book.executions = {
        new.exec_id if key == exec_id else key: (
            replace(row, execution=new, commission=commission, earlier=(*row.earlier, bare(row)))
            if key == exec_id
            else row
        )
        for key, row in book.executions.items()
    }
    replay(book, settings, old.account)
    finish_if_full(order, old.time)
    account = book.account_of(old.account)
    key = market_key(old.contract)
    realized = book.executions[new.exec_id].realized_pnl
    return (
        Filled(new, order.view(), account.quantity(key), corrects=exec_id),
        OrderChanged(order.view(), OrderEvent.FILLED, reason=f"corrects execution {exec_id}"),
        Commissioned(new.exec_id, order.perm_id, commission, booked.currency, realized),
        position_of(account, old),
    )


def bust(book: Book, settings: BrokerSettings, exec_id: str) -> CorrectionEvents:
    """Take an execution back, with its commission. A live order has its shares to fill again.

    Raises:
        ExchangeError: There is no such execution.
    """
    booked = known(book, exec_id)
    old, order = booked.execution, book.orders[booked.execution.perm_id]
    del book.executions[exec_id]
    order.filled -= old.shares
    order.value -= old.shares * old.price
    order.commission -= booked.commission
    replay(book, settings, old.account)
    reason = f"execution {exec_id} was busted"
    return (
        OrderChanged(order.view(), OrderEvent.BUSTED, reason=reason),
        position_of(book.account_of(old.account), old),
    )


def bare(row: BookedExecution) -> BookedExecution:
    """Return an execution without what it was before."""
    return replace(row, earlier=())


def known(book: Book, exec_id: str) -> BookedExecution:
    """Return an execution of any day.

    Raises:
        ExchangeError: There is none of this id.
    """
    booked = book.executions.get(exec_id)
    if booked is None:
        raise ExchangeError(f"no execution has id {exec_id}; books list those that exist")
    return booked


def check_correction(order: Order, old: ExecutionRecord, shares: Decimal, price: Decimal) -> None:
    """Refuse a correction that leaves an order with more than it asked for.

    Raises:
        ExchangeError: It says what would do.
    """
    if not shares.is_finite() or shares <= 0 or shares != shares.to_integral_value():
        raise ExchangeError(f"cannot correct to {shares} shares: use a whole number, or a bust")
    if not price.is_finite() or price <= 0:
        raise ExchangeError(f"cannot correct to {price}: use a price above zero")
    most = order.remaining + old.shares
    if order.stage in (Stage.CANCELLED, Stage.REJECTED):
        most -= 1
    if shares > most:
        raise ExchangeError(
            f"execution {old.exec_id} cannot be corrected to {shares} shares: "
            f"order {order.perm_id} can have {most} at most"
        )


def sums_until(book: Book, last: ExecutionRecord) -> tuple[Decimal, Decimal]:
    """Return shares and value of the order's executions before this one."""
    shares = value = ZERO
    for row in book.executions.values():
        if row.execution.exec_id == last.exec_id:
            break
        if row.execution.perm_id == last.perm_id:
            shares += row.execution.shares
            value += row.execution.shares * row.execution.price
    return shares, value


def finish_if_full(order: Order, time: datetime) -> None:
    """End a live order that a correction has filled."""
    if order.live and not order.remaining:
        order.move(Trigger.FILL_REST)
        order.done_time = time


def replay(book: Book, settings: BrokerSettings, code: str) -> None:
    """Play an account's executions again and note what each realises now."""
    cash = {row.account: row.cash for row in settings.accounts}.get(code, settings.cash)
    account = Account(code, cash)
    day = None
    for key, row in book.executions.items():
        execution = row.execution
        if execution.account != code:
            continue
        if day is not None and day_of(execution.time) > day:
            account.new_day()
        day = day_of(execution.time)
        sign = 1 if execution.side == "BOT" else -1
        realized = account.book(
            execution.contract,
            sign * execution.shares,
            price=execution.price,
            commission=row.commission,
        )
        book.executions[key] = replace(row, realized_pnl=realized)
    if day is not None and book.day is not None and book.day > day:
        account.new_day()
    # What a bust leaves nothing of is flat, and its subscribers hear so (section 3.5).
    for holding in book.account_of(code).holdings.values():
        account.keep_flat(holding.contract)
    if code in book.extra_accounts:
        book.extra_accounts[code] = account
    else:
        book.account = account


def position_of(account: Account, old: ExecutionRecord) -> PositionChanged:
    """Return the position after it."""
    key = market_key(old.contract)
    return PositionChanged(
        account.account, old.contract, account.quantity(key), account.average_cost(key)
    )
