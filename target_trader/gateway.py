"""The connection to TWS or IB Gateway: connect, ask, subscribe.

Every wait has a deadline, and not getting an answer is a `NotConnectedError`; a line that is known
to be dead before anything is asked is the library's own `ConnectionError`. What the answers mean
is decided in `reconcile.py`, when to ask in `recovery.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from target_trader.equity import AccountFigures, figures_of
from target_trader.errors import NotConnectedError
from target_trader.library import IB, Contract, Fill, IbPosition, RealTimeBarList, Trade
from target_trader.log import tell
from target_trader.names import decimal_of
from target_trader.picture import BrokerOrder, BrokerPosition, Picture
from target_trader.state.checkpoint import BarRecord, ContractRecord
from target_trader.translate import contract_of, execution_of, order_of, past_bar_of

ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 4.0
# Shorter than the grace period: the live bars wait meanwhile.
HISTORY_SECONDS = 5.0
BAR_SECONDS = 5
CLIENT_ID_IN_USE = 326

T = TypeVar("T")


class Gateway:
    """One client id's connection.

    Args:
        ib: the client library's object; its events are the caller's business.
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
        self.bars: dict[str, RealTimeBarList] = {}
        self.refused = asyncio.Event()
        self.ib.errorEvent += self.note_refusal

    @property
    def connected(self) -> bool:
        """The broker can be asked."""
        return bool(self.ib.isConnected())

    def note_refusal(self, _request: int, code: int, _text: str, _contract: object) -> None:
        """Hear that the client id is taken: the libraries only wait for their time-out then."""
        if code == CLIENT_ID_IN_USE:
            self.refused.set()

    async def connect(self) -> None:
        """Connect, and let the library synchronise.

        Raises:
            NotConnectedError: refused, no answer in time, or the client id is still taken (326).
        """
        self.refused.clear()
        self.bury_dead_transport()
        connecting = asyncio.ensure_future(
            self.ib.connectAsync(
                self.host, self.port, clientId=self.client_id, timeout=CONNECT_SECONDS
            )
        )
        refusal = asyncio.ensure_future(self.refused.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {connecting, refusal}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self.refused.is_set():
                # Another id could not touch the orders of this one (tws-protocol.md section 3.3).
                raise NotConnectedError(
                    f"{self.host}:{self.port}: client id {self.client_id} is still in use (326); "
                    "no other id is tried, it could not manage this bot's orders"
                )
            await connecting
        except (TimeoutError, OSError) as error:
            reason = str(error) or "no answer in time"
            raise NotConnectedError(f"{self.host}:{self.port}: {reason}") from error
        finally:
            connecting.cancel()
            refusal.cancel()
            await asyncio.gather(connecting, refusal, return_exceptions=True)

    def bury_dead_transport(self) -> None:
        """End what is left of a connection whose other side no longer reads.

        The library waits for it to flush before it connects again, and that may be for ever.
        """
        transport = self.ib.client.conn.transport
        if transport is not None:
            transport.abort()

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
            if not self.connected:
                raise
            tell("no_broker_time", "IBKR does not tell its time", level=logging.WARNING)
            return None

    async def contracts(self, symbols: Iterable[str]) -> dict[str, Contract]:
        """Complete the contracts of some stocks; one that the broker does not know is left out."""
        wanted = [contract_of(ContractRecord(symbol=symbol)) for symbol in symbols]
        known = await self.answer(self.ib.qualifyContractsAsync(*wanted))
        # ib_async puts None where the other library leaves a contract out.
        return {contract.symbol: contract for contract in filter(None, known)}

    async def ask(self) -> Picture:
        """Ask for everything: positions, orders of all clients, completed orders, executions.

        Executions come last, so that a fill between two answers is in the executions and the
        older answers can only lag, which `reconcile.py` allows for.
        """
        positions = await self.answer(self.ib.reqPositionsAsync())
        open_trades = await self.answer(self.ib.reqAllOpenOrdersAsync())
        completed = await self.answer(self.ib.reqCompletedOrdersAsync(apiOnly=False))
        fills = await self.answer(self.executions())
        return self.picture_of(positions, open_trades, completed=completed, fills=fills)

    def executions(self) -> Awaitable[Sequence[Fill]]:
        """Ask for the executions since midnight, those of all clients and of hand-made orders."""
        return self.ib.reqExecutionsAsync()

    def ask_time(self) -> "asyncio.Future[datetime]":
        """Ask for the broker's time beside another question; nobody needs to wait for it."""
        return asyncio.ensure_future(self.ib.reqCurrentTimeAsync())

    async def past_bars(self, contract: Contract, span: timedelta) -> list[BarRecord]:
        """Ask for the five-second bars of the last `span`, made as the live ones are.

        The last one may be unfinished.
        A refusal (no permission, no data, too many questions) is heard as an error like any other
        and leaves the answer empty, as does a broker that takes too long.

        Raises:
            NotConnectedError: no answer at all.
        """
        bars = await self.answer(
            self.ib.reqHistoricalDataAsync(
                contract,
                "",
                f"{int(span.total_seconds())} S",
                f"{BAR_SECONDS} secs",
                "TRADES",
                useRTH=False,
                formatDate=2,
                timeout=HISTORY_SECONDS,
            )
        )
        return [past_bar_of(bar) for bar in bars]

    def picture_of(
        self,
        positions: Sequence[IbPosition],
        open_trades: Sequence[Trade],
        *,
        completed: Sequence[Trade],
        fills: Sequence[Fill],
    ) -> Picture:
        """Make one picture of the answers, the last word on each position and order."""
        held = {position.contract.conId: position_of(position) for position in positions}
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

    def account(self) -> AccountFigures | None:
        """Return cash and worth of the account, as last told; None when they were not."""
        if not self.connected:
            return None
        accounts = self.ib.managedAccounts()
        values = self.ib.accountValues(accounts[0]) if accounts else []
        return figures_of(
            (each.tag, each.value) for each in values if each.currency not in {"", "BASE"}
        )

    def subscribe(self, contracts: Iterable[Contract]) -> None:
        """Ask for five-second bars of trades, also outside regular hours; once a symbol."""
        for contract in contracts:
            if contract.symbol not in self.bars:
                self.bars[contract.symbol] = self.ib.reqRealTimeBars(
                    contract, BAR_SECONDS, "TRADES", useRTH=False
                )

    def subscribe_anew(self) -> None:
        """Give up the subscriptions and ask again; what comes under the old ids is dropped."""
        old, self.bars = self.bars, {}
        for bars in old.values():
            self.ib.cancelRealTimeBars(bars)
        self.subscribe(bars.contract for bars in old.values())

    def is_current(self, bars: RealTimeBarList) -> bool:
        """Tell whether bars belong to the present subscription of their symbol."""
        return self.bars.get(bars.contract.symbol) is bars

    def raise_order_ids(self, floor: int) -> None:
        """Never use an order id below `floor`: the broker's counter may roll back (section 3.1)."""
        self.ib.client.updateReqId(floor)

    def withdraw(self, order_id: int) -> None:
        """Cancel an order that may not exist; 10147 (not found) is the expected answer."""
        self.ib.client.cancelOrder(order_id, "")

    def disconnect(self) -> None:
        """Leave, and forget what the connection was told.

        The library forgets by itself only when the other side has closed. Request ids begin again
        with the next connection, and an old subscription must not get its messages.
        """
        self.bars = {}
        self.ib.disconnect()
        self.ib.wrapper.reset()


def position_of(position: IbPosition) -> BrokerPosition:
    """Take a position; anything but a stock goes by the name of its contract."""
    contract = position.contract
    return BrokerPosition(
        symbol=contract.symbol if contract.secType == "STK" else contract.localSymbol,
        quantity=decimal_of(position.position),
        average_cost=decimal_of(position.avgCost),
        con_id=contract.conId,
    )
