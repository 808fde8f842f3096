"""The connection to TWS or IB Gateway: connect, ask, subscribe.

Every wait has a deadline, and every way of not getting an answer is a `NotConnectedError`. What the
answers mean is decided in `reconcile.py`.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import TypeVar

from target_trader.errors import NotConnectedError
from target_trader.library import IB, Contract, RealTimeBarList
from target_trader.log import LOG
from target_trader.names import decimal_of
from target_trader.picture import BrokerOrder, BrokerPosition, Picture
from target_trader.state.checkpoint import ContractRecord
from target_trader.translate import contract_of, execution_of, order_of

ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 4.0
BAR_SECONDS = 5

T = TypeVar("T")


class Gateway:
    """One client id's connection.

    Args:
        ib: the ib_insync client; its events are the caller's business.
        host: where TWS or the gateway listens.
        port: its port, 7497 for paper trading.
        client_id: the same one in every life of the bot, or it loses sight of its orders
            (tws-protocol.md section 3.3).
    """

    def __init__(self, ib: IB, host: str, *, port: int, client_id: int) -> None:
        self.ib = ib
        # Times without a zone are New York's (server versions below 174).
        self.ib.TimezoneTWS = "America/New_York"
        self.host = host
        self.port = port
        self.client_id = client_id

    async def connect(self) -> None:
        """Connect, and let ib_insync synchronise.

        Raises:
            NotConnectedError: refused, no answer in time, or the client id is still taken (326).
        """
        try:
            await self.ib.connectAsync(
                self.host, self.port, clientId=self.client_id, timeout=CONNECT_SECONDS
            )
        except (TimeoutError, OSError) as error:
            reason = str(error) or "no answer in time, or the client id is still in use"
            raise NotConnectedError(f"{self.host}:{self.port}: {reason}") from error

    async def answer(self, question: Awaitable[T]) -> T:
        """Wait for one answer, with a deadline."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question
        except (TimeoutError, OSError) as error:
            raise NotConnectedError(f"the broker does not answer: {error!r}") from error

    async def current_time(self) -> datetime | None:
        """Ask for the broker's time; None when it does not tell.

        A gateway may ignore the question within a second of the last one, which is no reason to
        give up.
        """
        try:
            return await self.answer(self.ib.reqCurrentTimeAsync())
        except NotConnectedError:
            if not self.ib.isConnected():
                raise
            LOG.warning("IBKR does not tell its time")
            return None

    async def contracts(self, symbols: Iterable[str]) -> dict[str, Contract]:
        """Complete the contracts of some stocks; one that the broker does not know is left out."""
        wanted = [contract_of(ContractRecord(symbol=symbol)) for symbol in symbols]
        known = await self.answer(self.ib.qualifyContractsAsync(*wanted))
        return {contract.symbol: contract for contract in known}

    async def ask(self) -> Picture:
        """Ask for everything: positions, orders of all clients, completed orders, executions.

        Executions come last, so that a fill between two answers is in the executions and the
        older answers can only lag, which `reconcile.py` allows for.
        """
        positions = await self.answer(self.ib.reqPositionsAsync())
        open_trades = await self.answer(self.ib.reqAllOpenOrdersAsync())
        completed = await self.answer(self.ib.reqCompletedOrdersAsync(apiOnly=False))
        fills = await self.answer(self.ib.reqExecutionsAsync())
        held = {
            position.contract.conId: BrokerPosition(
                symbol=position.contract.symbol
                if position.contract.secType == "STK"
                else position.contract.localSymbol,
                quantity=decimal_of(position.position),
                average_cost=decimal_of(position.avgCost),
                con_id=position.contract.conId,
            )
            for position in positions
        }
        # The answer to a repeated question has no commissions in it; the first telling has.
        reports = {each.execution.execId: each.commissionReport for each in self.ib.fills()}
        working: dict[int, BrokerOrder] = {}
        for trade in open_trades:
            order = order_of(trade)
            working[order.perm_id or -order.order_id] = order
        return Picture(
            positions=tuple(each for each in held.values() if each.quantity != 0),
            open_orders=tuple(working.values()),
            completed_orders=tuple(order_of(trade) for trade in completed),
            executions=tuple(
                execution_of(fill, reports.get(fill.execution.execId)) for fill in fills
            ),
        )

    def subscribe(self, contracts: Iterable[Contract]) -> list[RealTimeBarList]:
        """Ask for five-second bars of trades, also outside regular hours."""
        return [
            self.ib.reqRealTimeBars(contract, BAR_SECONDS, "TRADES", useRTH=False)
            for contract in contracts
        ]

    def raise_order_ids(self, floor: int) -> None:
        """Never use an order id below `floor`: the broker's counter may roll back (section 3.1)."""
        self.ib.client.updateReqId(floor)

    def withdraw(self, order_id: int) -> None:
        """Cancel an order that may not exist; 10147 (not found) is the expected answer."""
        self.ib.client.cancelOrder(order_id, "")

    def disconnect(self) -> None:
        """Leave."""
        self.ib.disconnect()
