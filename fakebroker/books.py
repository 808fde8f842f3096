"""The books as the control socket tells them: the exchange's own truth, in one value."""

from datetime import datetime

from fakebroker.control_messages import BookExecution, BookOrder, BookPosition, Books
from fakebroker.exchange.book import BookedExecution
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderView


def read_books(exchange: Exchange, now: datetime) -> Books:
    """Return orders, executions, positions, cash and last prices at exchange time `now`."""
    return Books(
        now=now,
        cash=exchange.cash,
        positions=tuple(
            BookPosition(
                account=record.account,
                symbol=record.contract.symbol,
                con_id=record.contract.con_id,
                quantity=record.quantity,
                average_cost=record.average_cost,
                realized_pnl=record.realized_pnl,
            )
            for record in exchange.positions()
        ),
        orders=tuple(_order(order) for order in exchange.orders()),
        executions=tuple(_execution(record) for record in exchange.executions()),
        last_prices=dict(exchange.last_prices()),
    )


def _order(order: OrderView) -> BookOrder:
    terms = order.terms
    return BookOrder(
        perm_id=order.perm_id,
        order_id=order.order_id,
        client_id=order.client_id,
        order_ref=terms.order_ref,
        symbol=order.contract.symbol,
        action=terms.action.value,
        order_type=terms.order_type,
        quantity=terms.quantity,
        filled=order.filled,
        remaining=order.remaining,
        limit_price=terms.limit_price,
        aux_price=terms.aux_price,
        status=order.status.value,
        parent_perm_id=order.parent_perm_id,
        oca_group=terms.oca_group,
        transmitted=order.transmitted,
        working=order.working,
    )


def _execution(record: BookedExecution) -> BookExecution:
    execution = record.execution
    return BookExecution(
        exec_id=execution.exec_id,
        perm_id=execution.perm_id,
        order_id=execution.order_id,
        client_id=execution.client_id,
        order_ref=execution.order_ref,
        symbol=execution.contract.symbol,
        side=execution.side,
        shares=execution.shares,
        price=execution.price,
        time=execution.time,
        commission=record.commission,
        realized_pnl=record.realized_pnl,
    )
