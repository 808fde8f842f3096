"""What the broker answers to each request, and what the request does to the books.

One arm of one `match` for each request of tws-protocol.md section 2.1. A request that is known
but not served is answered with an error that names it, never with silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from fakebroker.account_feeds import FeedDesk
from fakebroker.exchange.admission import Refusal
from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.events import ExchangeEvent
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderView
from fakebroker.execution_filter import FilterError, passes
from fakebroker.journal import EXCHANGE_ZONE
from fakebroker.marketdata.desk import MarketDesk, failure
from fakebroker.messages import (
    commission_report,
    completed_order,
    contract_details,
    exec_details,
    open_order,
    order_status,
    portfolio_value,
    position,
    told_as,
    what_if_answer,
)
from fakebroker.protocol import replies, requests
from fakebroker.protocol.connection import UnknownRequest
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import ErrorMessage, Reply
from fakebroker.protocol.requests import Request
from fakebroker.session import ACCOUNT_UPDATES, TWS_CLIENT_ID, Session
from fakebroker.settings import BrokerSettings

SYSTEM_REQ_ID = -1
"""The id of an error that belongs to no request (section 2.3)."""
FARM_NOTICES = (
    (ErrorCode.MARKET_FARM_OK, "usfarm"),
    (ErrorCode.HISTORICAL_FARM_OK, "ushmds"),
    (ErrorCode.SECDEF_FARM_OK, "secdefil"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Replies to the asking client, then what happened at the exchange."""

    replies: tuple[Reply, ...] = ()
    events: tuple[ExchangeEvent, ...] = ()


class Answers:
    """Serves requests from the books of one exchange."""

    def __init__(
        self, exchange: Exchange, settings: BrokerSettings, market: MarketDesk, feeds: FeedDesk
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._market = market
        self._feeds = feeds
        self._catalog = Catalog()

    def client_id_in_use(self) -> Answer:
        """Say 326; the caller closes the socket (section 1)."""
        return Answer((error(SYSTEM_REQ_ID, ErrorCode.CLIENT_ID_IN_USE),))

    def welcome(self, session: Session) -> Answer:
        """Say what TWS says unasked after startApi (section 1)."""
        assert session.client_id is not None
        parts: list[Reply] = [
            replies.ManagedAccounts(self._exchange.managed_accounts()),
            replies.NextValidId(self._exchange.next_order_id(session.client_id)),
        ]
        if self._settings.push_open_orders_on_connect:
            parts += self._bind(session)
            parts += self._open_orders(session, own_only=True)
        parts += [error(SYSTEM_REQ_ID, code, farm=farm) for code, farm in FARM_NOTICES]
        return Answer(tuple(parts))

    def replay(self, session: Session) -> Answer:
        """Tell a client its open orders, as after a connectivity loss (section 3.9)."""
        return Answer(tuple(self._open_orders(session, own_only=True)))

    def unknown(self, event: UnknownRequest) -> Answer:
        """Say which message id was not understood."""
        reason = f"-fakebroker does not know message id {event.message_id}"
        return Answer((error(SYSTEM_REQ_ID, ErrorCode.REQUEST_INVALID, reason=reason),))

    def answer(self, request: Request, session: Session, now: datetime) -> Answer:  # noqa: C901, PLR0912
        """Serve one request of a session that has started.

        The `match` is as long as the protocol: an arm a message, each one expression.
        """
        assert session.client_id is not None
        exchange = self._exchange
        match request:
            case requests.PlaceOrder():
                return self._place(request, session, now)
            case requests.CancelOrder(order_id=order_id):
                return Answer(events=exchange.cancel(session.client_id, order_id, now=now))
            case requests.ReqGlobalCancel():
                return Answer(events=exchange.global_cancel(now=now))
            case requests.ReqOpenOrders():
                bound = self._bind(session)
                orders = self._open_orders(session, own_only=True)
                return Answer((*bound, *orders, replies.OpenOrderEnd()))
            case requests.ReqAllOpenOrders():
                orders = self._open_orders(session, own_only=False)
                return Answer((*orders, replies.OpenOrderEnd()))
            case requests.ReqCompletedOrders():
                done = tuple(completed_order(order) for order in exchange.completed_orders())
                return Answer((*done, replies.CompletedOrdersEnd()))
            case requests.ReqExecutions():
                return self._executions_page(request)
            case requests.ReqIds():
                return Answer((replies.NextValidId(exchange.next_order_id(session.client_id)),))
            case requests.ReqManagedAccts():
                return Answer((replies.ManagedAccounts(self._exchange.managed_accounts()),))
            case requests.ReqCurrentTime():
                return Answer((replies.CurrentTime(now),))
            case requests.ReqContractDetails():
                return self._contract_details(request, now)
            case requests.ReqRealTimeBars():
                return self._subscribe_bars(request, session)
            case requests.CancelRealTimeBars(req_id=req_id):
                session.market.idle.discard(req_id)
                if session.bars.pop(req_id, None) is None:
                    return Answer((failure(req_id, ErrorCode.NO_SUCH_REQUEST, req_id=req_id),))
                return Answer()
            case requests.ReqPositions():
                session.positions = True
                held = (position(record) for record in exchange.positions() if record.quantity)
                return Answer((*held, replies.PositionEnd()))
            case requests.CancelPositions():
                session.positions = False
                return Answer()
            case requests.ReqAccountUpdates():
                return Answer(tuple(self._account_updates(request, session, now)))
            case requests.ReqAccountUpdatesMulti(req_id=req_id):
                session.accounts_multi[req_id] = request
                values = self._account_values(request, session)
                return Answer((*values, replies.AccountUpdateMultiEnd(req_id)))
            case requests.CancelAccountUpdatesMulti(req_id=req_id):
                session.accounts_multi.pop(req_id, None)
                return Answer()
            case requests.ReqAutoOpenOrders(auto_bind=auto_bind):
                return self._auto_bind(session, bind=auto_bind)
            case (
                requests.ReqAccountSummary()
                | requests.CancelAccountSummary()
                | requests.ReqPnL()
                | requests.CancelPnL()
                | requests.ReqPnLSingle()
                | requests.CancelPnLSingle()
                | requests.ReqPositionsMulti()
                | requests.CancelPositionsMulti()
            ):
                return Answer(self._feeds.answer(request, session.feeds, now))
            case requests.SetServerLogLevel():
                # Nothing to answer: TWS is silent on it, too.
                return Answer()
            case requests.StartApi():
                return self._started_twice()
            case _:
                return Answer(self._market.answer(request, session.market, now))

    def _place(self, request: requests.PlaceOrder, session: Session, now: datetime) -> Answer:
        assert session.client_id is not None
        if request.terms.what_if:
            answer = self._exchange.what_if(request.contract, request.terms)
            if isinstance(answer, Refusal):
                return Answer((ErrorMessage(request.order_id, answer.code, answer.text),))
            return Answer((what_if_answer(session, request, answer),))
        events = self._exchange.place(
            session.client_id, request.order_id, request.contract, request.terms, now=now
        )
        return Answer(events=events)

    def _open_orders(self, session: Session, *, own_only: bool) -> list[Reply]:
        """Each live order as openOrder and orderStatus (section 3.3)."""
        found: list[Reply] = []
        for order in self._exchange.live_orders():
            if own_only and not session.owns(order):
                continue
            if self._listed(order):
                found += [open_order(session, order), order_status(session, order)]
        return found

    def _listed(self, order: OrderView) -> bool:
        """Orders that wait for transmit=1 live in TWS only (section 3.3)."""
        return order.transmitted or self._settings.list_untransmitted

    def _executions_page(self, request: requests.ReqExecutions) -> Answer:
        zero = request.filter.client_id == 0
        if zero and self._settings.exec_filter_client_zero == "no_answer":
            return Answer()
        try:
            return Answer(tuple(self._executions(request)))
        except FilterError as problem:
            reason = f"-'{request.MESSAGE}' : {problem}"
            return Answer((error(request.req_id, ErrorCode.REQUEST_INVALID, reason=reason),))

    def _executions(self, request: requests.ReqExecutions) -> Iterator[Reply]:
        """Each execution that passes the filter with its commission, then the end (section 3.6)."""
        wanted = request.filter
        everyone = self._settings.exec_filter_client_zero == "all_clients"
        any_client = wanted.client_id == 0 and everyone
        for booked in self._exchange.executions():
            execution = booked.execution
            if not any_client and execution.client_id != wanted.client_id:
                continue
            if not passes(wanted, execution):
                continue
            for told in told_as(booked, self._settings.corrections):
                yield exec_details(request.req_id, execution.order_id, told.execution)
                yield commission_report(told)
        yield replies.ExecDetailsEnd(request.req_id)

    def _contract_details(self, request: requests.ReqContractDetails, now: datetime) -> Answer:
        """Matching contracts and the end; for none error 200 and no end (section 2.4)."""
        found = self._catalog.find(request.contract, today=now.astimezone(EXCHANGE_ZONE).date())
        if not found:
            return Answer((error(request.req_id, ErrorCode.NO_SECURITY),))
        details = (contract_details(request.req_id, entry) for entry in found)
        return Answer((*details, replies.ContractDetailsEnd(request.req_id)))

    def _subscribe_bars(self, request: requests.ReqRealTimeBars, session: Session) -> Answer:
        """Real-time bars of a stock from the next one on; error 200 for what does not exist."""
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return Answer((error(request.req_id, ErrorCode.NO_SECURITY),))
        if session.market.taken(request.req_id, session.bars):
            reason = "-Duplicate ticker id"
            return Answer((error(request.req_id, ErrorCode.REQUEST_FAILED, reason=reason),))
        session.bars[request.req_id] = replace(request, contract=contract)
        return Answer()

    def _account_updates(
        self, request: requests.ReqAccountUpdates, session: Session, now: datetime
    ) -> Iterator[Reply]:
        """TWS tells a client of one account at a time: a second one ends the first with 2100."""
        account, before = request.account or self._settings.account, session.account_updates
        session.account_updates = account if request.subscribe else None
        if request.subscribe:
            if before not in (None, account):
                yield error(SYSTEM_REQ_ID, ErrorCode.ACCOUNT_SUBSCRIPTION_TAKEN)
            session.forget_values(ACCOUNT_UPDATES)
            yield from self._account_page(account, session, now)

    def _account_page(self, account: str, session: Session, now: datetime) -> Iterator[Reply]:
        """TWS's account window: values, portfolio, time, end."""
        values = self._exchange.account_values(account)
        for value in session.news(ACCOUNT_UPDATES, account, values):
            yield replies.AccountValue(value.key, value.value, value.currency, account)
        for record in self._exchange.positions():
            if record.account == account:
                yield portfolio_value(record)
        yield replies.AccountUpdateTime(now)
        yield replies.AccountDownloadEnd(account)

    def _account_values(
        self, request: requests.ReqAccountUpdatesMulti, session: Session
    ) -> Iterator[Reply]:
        account = request.account or self._settings.account
        session.forget_values(request.req_id)
        values = self._exchange.account_values(account)
        for value in session.news(request.req_id, account, values):
            yield replies.AccountUpdateMulti(
                request.req_id, account, "", value.key, value.value, value.currency
            )

    def _bind(self, session: Session) -> tuple[Reply, ...]:
        """Bind the manual orders to client 0, who is told of its open orders (section 3.3)."""
        if session.client_id != TWS_CLIENT_ID:
            return ()
        bound = self._exchange.bind_manual_orders()
        return tuple(
            replies.OrderBound(order.perm_id, order.client_id, order.order_id) for order in bound
        )

    def _auto_bind(self, session: Session, *, bind: bool) -> Answer:
        """Bind manual orders to come, of which client 0 alone can hear (section 3.3)."""
        if session.client_id != TWS_CLIENT_ID:
            reason = "-Only the default client (i.e 0) can auto bind orders."
            return Answer((error(SYSTEM_REQ_ID, ErrorCode.REQUEST_INVALID, reason=reason),))
        session.auto_bind = bind
        return Answer()

    def _started_twice(self) -> Answer:
        reason = "-'startApi' : this connection has started already"
        return Answer((error(SYSTEM_REQ_ID, ErrorCode.REQUEST_INVALID, reason=reason),))


def error(req_id: int, code: ErrorCode, **values: object) -> ErrorMessage:
    """Say an error in TWS's words."""
    return ErrorMessage(req_id, code.value, text(code, **values))
