"""The books in TWS's words: one small function a message, no decisions.

Where a field's value is IB's habit, the section of tws-protocol.md stands beside it.
"""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from fakebroker.exchange.account import PositionRecord, WhatIf
from fakebroker.exchange.book import BookedExecution
from fakebroker.exchange.catalog import ContractDetails
from fakebroker.exchange.events import ExecutionRecord
from fakebroker.exchange.instruments import multiplier_of
from fakebroker.exchange.orders import OrderView
from fakebroker.market.tape import Bar
from fakebroker.protocol import replies
from fakebroker.protocol.market_replies import RealtimeBar
from fakebroker.protocol.requests import PlaceOrder
from fakebroker.session import Session
from fakebroker.values import OrderStatus

EXECUTION_VENUE = "ISLAND"
"""execDetails carries the venue and not SMART (section 2.5)."""


def open_order(
    session: Session, order: OrderView, commission: Decimal | None = None
) -> replies.OpenOrder:
    """Tell an order; `commission` in US dollars once a fill has cost it (section 3.5)."""
    return replies.OpenOrder(
        order_id=session.shown_order_id(order),
        contract=order.contract,
        terms=order.terms,
        client_id=order.client_id,
        perm_id=order.perm_id,
        status=order.status,
        commission=commission,
    )


def order_status(session: Session, order: OrderView) -> replies.OrderStatusReport:
    """Tell how far an order has come."""
    return replies.OrderStatusReport(
        order_id=session.shown_order_id(order),
        status=order.status,
        filled=order.filled,
        remaining=order.remaining,
        avg_fill_price=order.avg_fill_price,
        perm_id=order.perm_id,
        parent_id=order.terms.parent_id,
        last_fill_price=order.last_fill_price,
        client_id=order.client_id,
        why_held=order.why_held,
    )


def completed_order(order: OrderView) -> replies.CompletedOrder:
    """Tell an order that is done; it has neither order id nor client id (section 2.7)."""
    assert order.done_time is not None, "a completed order has ended"
    if order.status is OrderStatus.FILLED:
        words = f"Filled Size: {order.filled}"
    else:
        words = order.done_reason or f"{order.status.value} by Trader"
    return replies.CompletedOrder(
        contract=order.contract,
        terms=order.terms,
        perm_id=order.perm_id,
        status=order.status,
        filled_quantity=order.filled,
        completed_time=order.done_time,
        completed_status=words,
        parent_perm_id=order.parent_perm_id,
    )


def exec_details(req_id: int, order_id: int, record: ExecutionRecord) -> replies.ExecDetails:
    """Tell an execution: live under `req_id` -1, asked for under the request's id."""
    return replies.ExecDetails(
        req_id=req_id,
        order_id=order_id,
        contract=record.contract,
        execution=replies.Execution(
            exec_id=record.exec_id,
            time=record.time,
            account=record.account,
            exchange=EXECUTION_VENUE,
            side=record.side,
            shares=record.shares,
            price=record.price,
            perm_id=record.perm_id,
            client_id=record.client_id,
            cum_qty=record.cum_qty,
            avg_price=record.avg_price,
            order_ref=record.order_ref,
        ),
    )


def commission_report(booked: BookedExecution) -> replies.CommissionReport:
    """Tell what an execution cost and, where it closed something, what it realised."""
    return replies.CommissionReport(
        exec_id=booked.execution.exec_id,
        commission=booked.commission,
        currency=booked.currency,
        realized_pnl=booked.realized_pnl,
    )


def told_as(
    booked: BookedExecution, corrections: Literal["replacement", "delta"]
) -> tuple[BookedExecution, ...]:
    """Return an execution as clients are told of it, the live news of it last.

    With `delta` each correction is the difference to what was told before, so that whoever adds
    everything up is right (section 3.5: undocumented, so this is assumed).
    """
    if corrections == "replacement" or not booked.earlier:
        return (booked,)
    versions = (*booked.earlier, booked)
    return (versions[0], *(difference(old, new) for old, new in pairwise(versions)))


def difference(old: BookedExecution, new: BookedExecution) -> BookedExecution:
    """Return what a correction has added; what it has taken away is negative."""
    realized = new.realized_pnl
    if realized is not None and old.realized_pnl is not None:
        realized -= old.realized_pnl
    shares = new.execution.shares - old.execution.shares
    return replace(
        new,
        execution=replace(new.execution, shares=shares),
        commission=new.commission - old.commission,
        realized_pnl=realized,
        earlier=(),
    )


def position(record: PositionRecord) -> replies.Position:
    """Tell a position; quantity 0 says that it was closed."""
    return replies.Position(record.account, record.contract, record.quantity, record.average_cost)


def portfolio_value(record: PositionRecord) -> replies.PortfolioValue:
    """Tell a position with its market value, which is its cost while nobody has traded it."""
    multiplier = multiplier_of(record.contract)
    price = record.average_cost if record.market_price is None else record.market_price
    price = price / multiplier if record.market_price is None and multiplier != 1 else price
    value = price * record.quantity * multiplier
    return replies.PortfolioValue(
        contract=record.contract,
        position=record.quantity,
        market_price=price,
        market_value=value,
        average_cost=record.average_cost,
        unrealized_pnl=value - record.average_cost * record.quantity,
        realized_pnl=record.realized_pnl,
        account=record.account,
    )


def realtime_bar(req_id: int, bar: Bar) -> RealtimeBar:
    """Tell a bar, stamped with its start (section 3.11)."""
    return RealtimeBar(
        req_id=req_id,
        time=bar.time,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        wap=bar.close if bar.wap is None else bar.wap,
        count=1 if bar.count is None else bar.count,
    )


def contract_details(req_id: int, found: ContractDetails) -> replies.ContractDetails:
    """Tell everything about a contract."""
    return replies.ContractDetails(
        req_id=req_id,
        contract=found.contract,
        market_name=found.market_name,
        min_tick=found.min_tick,
        order_types=found.order_types,
        valid_exchanges=found.valid_exchanges,
        price_magnifier=found.price_magnifier,
        under_con_id=found.under_con_id,
        long_name=found.long_name,
        contract_month=found.contract_month,
        industry=found.industry,
        category=found.category,
        subcategory=found.subcategory,
        time_zone_id=found.time_zone_id,
        trading_hours=found.trading_hours,
        liquid_hours=found.liquid_hours,
        agg_group=found.agg_group,
        market_rule_ids=found.market_rule_ids,
        stock_type=found.stock_type,
        min_size=found.min_size,
        size_increment=found.size_increment,
        suggested_size_increment=found.suggested_size_increment,
    )


def what_if_answer(session: Session, request: PlaceOrder, answer: WhatIf) -> replies.OpenOrder:
    """Tell what an order would do to the account: one openOrder, no live order (section 2.6)."""
    assert session.client_id is not None
    return replies.OpenOrder(
        order_id=request.order_id,
        contract=request.contract,
        terms=request.terms,
        client_id=session.client_id,
        perm_id=0,
        status=OrderStatus.PRE_SUBMITTED,
        margins=replies.Margins(
            init_before=answer.init_margin_before,
            maint_before=answer.maint_margin_before,
            equity_before=answer.equity_with_loan_before,
            init_change=answer.init_margin_change,
            maint_change=answer.maint_margin_change,
            equity_change=answer.equity_with_loan_change,
            init_after=answer.init_margin_after,
            maint_after=answer.maint_margin_after,
            equity_after=answer.equity_with_loan_after,
            commission=answer.commission,
            currency=answer.currency,
        ),
    )
