"""Who is told what, and in which order, when something happens at the exchange.

The order of the messages of one fill is the recorded one: execDetails, openOrder, orderStatus,
openOrder again with the commission known, commissionReport (tws-protocol.md section 3.5). Clients
hear of the orders of their own client id only (section 3.3); positions and account values lag.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_never

from fakebroker.account_feeds import FeedDesk
from fakebroker.deferred import AccountNews, CommissionNews, DebtQueue
from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    ExecutionRecord,
    Filled,
    OrderChanged,
    PositionChanged,
    Refused,
)
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.instruments import market_key
from fakebroker.exchange.orders import OrderEvent, OrderView
from fakebroker.market.source import MarketEvent
from fakebroker.market.tape import Bar
from fakebroker.marketdata.desk import MarketDesk
from fakebroker.messages import (
    commission_report,
    exec_details,
    open_order,
    order_status,
    portfolio_value,
    position,
    realtime_bar,
    told_as,
)
from fakebroker.protocol.replies import (
    LIVE_EXECUTION_ID,
    AccountUpdateMulti,
    AccountUpdateTime,
    AccountValue,
    ErrorMessage,
    OrderBound,
    Reply,
)
from fakebroker.session import ACCOUNT_UPDATES, Session
from fakebroker.settings import BrokerSettings

News = Iterator[tuple[Session, Reply]]


class Routing:
    """Turns what happened into messages for the sessions that may hear of it."""

    def __init__(
        self,
        exchange: Exchange,
        settings: BrokerSettings,
        debts: DebtQueue,
        *,
        market: MarketDesk,
        feeds: FeedDesk,
    ) -> None:
        self._exchange = exchange
        self._market = market
        self._feeds = feeds
        self._settings = settings
        self._debts = debts

    def event(self, event: ExchangeEvent, sessions: Sequence[Session], now: datetime) -> News:
        """Yield the messages that an event causes at once; what comes later is owed."""
        match event:
            case OrderChanged():
                yield from self._order_changed(event, sessions)
            case Filled():
                yield from self._filled(event, sessions)
            case Commissioned(exec_id=exec_id):
                debt = CommissionNews(exec_id)
                if self._settings.commission_delay:
                    self._debts.owe(debt, now + self._settings.commission_delay)
                else:
                    yield from self.commission_news(debt, sessions)
            case PositionChanged(contract=contract):
                news = AccountNews(contract.con_id)
                if self._settings.position_delay:
                    self._debts.owe(news, now + self._settings.position_delay)
                else:
                    yield from self.account_news(news, sessions, now)
            case Refused():
                for session in sessions:
                    if session.ready and session.client_id == event.client_id:
                        yield session, ErrorMessage(event.order_id, event.code, event.text)
            case _:
                assert_never(event)

    def bar(self, bar: Bar, sessions: Sequence[Session]) -> News:
        """Yield a bar to those who asked for the bars of its stock."""
        for session in sessions:
            for req_id, request in session.bars.items():
                if market_key(request.contract) == bar.symbol and session.market.told(req_id):
                    yield session, realtime_bar(req_id, bar)

    def market_news(self, event: MarketEvent, sessions: Sequence[Session], now: datetime) -> News:
        """Yield what the market did, once it is noted, to those who subscribed."""
        if isinstance(event, Bar):
            yield from self.bar(event, sessions)
        for session in sessions:
            for reply in self._market.news(event, session.market, now):
                yield session, reply
            for reply in self._feeds.priced(session.feeds, now):
                yield session, reply

    def commission_news(self, debt: CommissionNews, sessions: Sequence[Session]) -> News:
        """Yield the commission of an execution to its client."""
        for booked in self._exchange.executions():
            if booked.execution.exec_id == debt.exec_id:
                for session in sessions:
                    if session.ready and session.client_id == booked.execution.client_id:
                        told = told_as(booked, self._settings.corrections)
                        yield session, commission_report(told[-1])

    def account_news(self, debt: AccountNews, sessions: Sequence[Session], now: datetime) -> News:
        """Yield position, portfolio and account values to those who subscribed."""
        for record in self._exchange.positions():
            if record.contract.con_id != debt.con_id:
                continue
            for session in sessions:
                if session.positions:
                    yield session, position(record)
                if session.account_updates == record.account:
                    yield session, portfolio_value(record)
        for session in sessions:
            yield from ((session, reply) for reply in self._account_values(session, now))
            for reply in self._feeds.booked(session.feeds, debt.con_id, now):
                yield session, reply

    def _account_values(self, session: Session, now: datetime) -> Iterator[Reply]:
        account = session.account_updates
        if account is not None:
            values = self._exchange.account_values(account)
            for value in session.news(ACCOUNT_UPDATES, account, values):
                yield AccountValue(value.key, value.value, value.currency, account)
            yield AccountUpdateTime(now)
        for req_id, request in session.accounts_multi.items():
            account = request.account or self._settings.account
            for value in session.news(req_id, account, self._exchange.account_values(account)):
                yield AccountUpdateMulti(
                    req_id, account, "", value.key, value.value, value.currency
                )

    def _order_changed(self, event: OrderChanged, sessions: Sequence[Session]) -> News:
        if event.event is OrderEvent.FILLED:
            return  # `Filled` tells it, in the recorded order.
        order = event.order
        if not order.transmitted and order.live and not self._settings.list_untransmitted:
            return  # It waits in TWS for its family (section 0b.16).
        for session in sessions:
            if not session.owns(order):
                continue
            if event.event is OrderEvent.ACCEPTED and order.order_id < 0:
                yield session, OrderBound(order.perm_id, order.client_id, order.order_id)
            if order.live:
                yield session, open_order(session, order)
            yield from self._status(session, order)
            if event.code is not None:
                yield session, ErrorMessage(session.shown_order_id(order), event.code, event.reason)

    def _filled(self, event: Filled, sessions: Sequence[Session]) -> News:
        order = event.order
        for session in sessions:
            if not session.owns(order):
                continue
            order_id = session.shown_order_id(order)
            yield session, exec_details(LIVE_EXECUTION_ID, order_id, self._told(event))
            yield session, open_order(session, order)
            if not (self._settings.drop_status and order.terms.order_type == "MKT"):
                yield from self._status(session, order)
            yield session, open_order(session, order)

    def _told(self, event: Filled) -> ExecutionRecord:
        """Return an execution as clients are told of it: a correction may be a difference."""
        booked = self._exchange.execution(event.execution.exec_id)
        if not event.corrects or booked is None:
            return event.execution
        return told_as(booked, self._settings.corrections)[-1].execution

    def _status(self, session: Session, order: OrderView) -> News:
        for _ in range(2 if self._settings.dup_status else 1):
            yield session, order_status(session, order)
