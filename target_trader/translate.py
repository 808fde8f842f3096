"""ib_insync's objects to values and back: the only place where its floats are seen."""

from datetime import datetime
from decimal import Decimal

from target_trader.clock import NEW_YORK
from target_trader.library import (
    BarData,
    CommissionReport,
    Contract,
    Fill,
    Order,
    RealTimeBar,
    Stock,
    Trade,
)
from target_trader.names import decimal_of
from target_trader.picture import BrokerExecution, BrokerOrder
from target_trader.state.checkpoint import BarRecord, ContractRecord, Intent

# ib_insync writes the largest double where the wire has an empty price.
UNSET_ABOVE = 1e300
STOP_TYPES = frozenset({"STP", "STP LMT", "TRAIL"})
LIMIT_TYPES = frozenset({"LMT", "STP LMT"})


def price_of(number: float) -> Decimal | None:
    """Take a price; the unset mark and 0 (TWS echoes 0.0 for none) are no price."""
    return None if number == 0 or number > UNSET_ABOVE else decimal_of(number)


def order_of(trade: Trade) -> BrokerOrder:
    """Take what the broker said about an order."""
    order, status = trade.order, trade.orderStatus
    filled = order.filledQuantity if order.filledQuantity < UNSET_ABOVE else status.filled
    return BrokerOrder(
        order_id=order.orderId,
        client_id=order.clientId,
        perm_id=order.permId or status.permId,
        order_ref=order.orderRef,
        symbol=trade.contract.symbol,
        action=order.action,
        order_type=order.orderType,
        quantity=decimal_of(order.totalQuantity),
        filled=decimal_of(filled),
        limit_price=price_of(order.lmtPrice) if order.orderType in LIMIT_TYPES else None,
        stop_price=price_of(order.auxPrice) if order.orderType in STOP_TYPES else None,
        status=status.status,
        oca_group=order.ocaGroup,
        parent_id=order.parentId,
    )


def execution_of(fill: Fill, report: CommissionReport | None) -> BrokerExecution:
    """Take a fill, with the commission report that belongs to it when it has come."""
    execution = fill.execution
    commission = realized = None
    if report is not None and report.execId:
        commission = decimal_of(report.commission)
        # ib_insync turns the unset realised P&L of an opening fill into 0.0.
        realized = decimal_of(report.realizedPNL) if report.realizedPNL else None
    return BrokerExecution(
        exec_id=execution.execId,
        time=execution.time.astimezone(NEW_YORK),
        symbol=fill.contract.symbol,
        side=execution.side,
        shares=decimal_of(execution.shares),
        price=decimal_of(execution.price),
        order_id=execution.orderId,
        client_id=execution.clientId,
        perm_id=execution.permId,
        order_ref=execution.orderRef,
        commission=commission,
        realized_pnl=realized,
    )


def bar_of(bar: RealTimeBar) -> BarRecord:
    """Take a five-second bar."""
    return BarRecord(
        time=bar.time.astimezone(NEW_YORK),
        open=decimal_of(bar.open_),
        high=decimal_of(bar.high),
        low=decimal_of(bar.low),
        close=decimal_of(bar.close),
        volume=decimal_of(bar.volume),
    )


def past_bar_of(bar: BarData) -> BarRecord:
    """Take a five-second bar of the past; asked for with times in seconds since 1970."""
    # The library has a plain date there for bars of days.
    assert isinstance(bar.date, datetime)
    return BarRecord(
        time=bar.date.astimezone(NEW_YORK),
        open=decimal_of(bar.open),
        high=decimal_of(bar.high),
        low=decimal_of(bar.low),
        close=decimal_of(bar.close),
        volume=decimal_of(bar.volume),
    )


def contract_of(record: ContractRecord) -> Contract:
    """Make the contract that an order or a subscription names."""
    stock = Stock(record.symbol, record.exchange, record.currency)
    stock.conId = record.con_id
    return stock


def ib_order(intent: Intent, *, transmit: bool) -> Order:
    """Make the order that an intent asks for, whole: also for a change of a live order."""
    order = Order(
        orderId=intent.order_id,
        action=intent.action,
        orderType=intent.order_type,
        totalQuantity=float(intent.quantity),
        tif=intent.tif,
        orderRef=intent.order_ref,
        parentId=intent.parent_id,
        transmit=transmit,
        outsideRth=False,
    )
    if intent.oca_group:
        order.ocaGroup = intent.oca_group
        order.ocaType = 2
    if intent.limit_price is not None:
        order.lmtPrice = float(intent.limit_price)
    if intent.stop_price is not None:
        order.auxPrice = float(intent.stop_price)
    return order
