"""What a client hears of its account again and again: profit and loss, positions, the summary.

Each feed remembers what it told and tells only what changed. Day's profit and loss is what was
realised today and what is unrealised: positions from earlier days count from their cost [A].
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from fakebroker.exchange.account import AccountValue, PositionRecord
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.instruments import multiplier_of
from fakebroker.protocol import replies
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import ErrorMessage, PnL, PnLSingle, Reply
from fakebroker.protocol.requests import (
    CancelAccountSummary,
    CancelPnL,
    CancelPnLSingle,
    CancelPositionsMulti,
    ReqAccountSummary,
    ReqPnL,
    ReqPnLSingle,
    ReqPositionsMulti,
)
from fakebroker.settings import BrokerSettings

DUPLICATE = "-Duplicate ticker id"
ZERO = Decimal(0)

FeedRequest = (
    ReqPnL
    | CancelPnL
    | ReqPnLSingle
    | CancelPnLSingle
    | ReqPositionsMulti
    | CancelPositionsMulti
    | ReqAccountSummary
    | CancelAccountSummary
)


@dataclass(slots=True)
class SummaryFeed:
    """A reqAccountSummary; `told` are the values by account and tag."""

    request: ReqAccountSummary
    told_at: datetime
    told: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class AccountFeeds:
    """All of one client, by request id, each with what it told last."""

    pnl: dict[int, tuple[ReqPnL, PnL]] = field(default_factory=dict)
    pnl_single: dict[int, tuple[ReqPnLSingle, PnLSingle]] = field(default_factory=dict)
    positions: dict[int, ReqPositionsMulti] = field(default_factory=dict)
    summaries: dict[int, SummaryFeed] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many requests go on until they are cancelled."""
        return len(self.pnl) + len(self.pnl_single) + len(self.positions) + len(self.summaries)


class FeedDesk:
    """Serves the requests of these feeds from the books."""

    def __init__(self, exchange: Exchange, settings: BrokerSettings) -> None:
        self._exchange = exchange
        self._settings = settings

    def answer(self, request: FeedRequest, feeds: AccountFeeds, now: datetime) -> tuple[Reply, ...]:
        """Serve a request: error 322 for an id in use, 300 for one that is not."""
        req_id = request.req_id
        if in_use(request, feeds):
            words = text(ErrorCode.REQUEST_FAILED, reason=DUPLICATE)
            return (ErrorMessage(req_id, ErrorCode.REQUEST_FAILED.value, words),)
        gone: object = True
        match request:
            case ReqPnL():
                row = self._pnl(request)
                feeds.pnl[req_id] = request, row
                return (row,)
            case ReqPnLSingle():
                single = self._pnl_single(request)
                feeds.pnl_single[req_id] = request, single
                return (single,)
            case ReqPositionsMulti():
                feeds.positions[req_id] = request
                held = [record for record in self._exchange.positions() if record.quantity]
                return (*positions_of(request, held), replies.PositionMultiEnd(req_id))
            case ReqAccountSummary():
                feed = feeds.summaries[req_id] = SummaryFeed(request, now)
                return (*self._changed(feed, now), replies.AccountSummaryEnd(req_id))
            case CancelPnL():
                gone = feeds.pnl.pop(req_id, None)
            case CancelPnLSingle():
                gone = feeds.pnl_single.pop(req_id, None)
            case CancelPositionsMulti():
                gone = feeds.positions.pop(req_id, None)
            case CancelAccountSummary():
                # TWS is silent on one that it does not know.
                feeds.summaries.pop(req_id, None)
        if gone is not None:
            return ()
        words = text(ErrorCode.NO_SUCH_REQUEST, req_id=req_id)
        return (ErrorMessage(req_id, ErrorCode.NO_SUCH_REQUEST.value, words),)

    def priced(self, feeds: AccountFeeds, now: datetime) -> Iterator[Reply]:
        """Yield what changed with the market: profit and loss, and a summary that is due."""
        yield from self._pnl_news(feeds)
        for feed in feeds.summaries.values():
            if now - feed.told_at >= self._settings.summary_interval:
                yield from self._changed(feed, now)

    def booked(self, feeds: AccountFeeds, con_id: int, now: datetime) -> Iterator[Reply]:
        """Yield what changed with a position."""
        rows = [row for row in self._exchange.positions() if row.contract.con_id == con_id]
        for request in feeds.positions.values():
            yield from positions_of(request, rows)
        yield from self._pnl_news(feeds)
        for feed in feeds.summaries.values():
            yield from self._changed(feed, now)

    def _pnl_news(self, feeds: AccountFeeds) -> Iterator[Reply]:
        for req_id, (request, told) in feeds.pnl.items():
            row = self._pnl(request)
            if row != told:
                feeds.pnl[req_id] = request, row
                yield row
        for req_id, (single_request, single_told) in feeds.pnl_single.items():
            single = self._pnl_single(single_request)
            if single != single_told:
                feeds.pnl_single[req_id] = single_request, single
                yield single

    def _pnl(self, request: ReqPnL) -> PnL:
        rows = [row for row in self._exchange.positions() if concerns(request.account, row)]
        realized = sum((row.realized_pnl for row in rows), ZERO)
        unrealized = sum((unrealized_pnl(row) for row in rows), ZERO)
        return PnL(request.req_id, realized + unrealized, unrealized, realized)

    def _pnl_single(self, request: ReqPnLSingle) -> PnLSingle:
        rows = [
            row
            for row in self._exchange.positions()
            if concerns(request.account, row) and row.contract.con_id == request.con_id
        ]
        realized = sum((row.realized_pnl for row in rows), ZERO)
        unrealized = sum((unrealized_pnl(row) for row in rows), ZERO)
        return PnLSingle(
            request.req_id,
            position=sum((row.quantity for row in rows), ZERO),
            daily=realized + unrealized,
            unrealized=unrealized,
            realized=realized,
            value=sum((market_value(row) for row in rows), ZERO),
        )

    def _changed(self, feed: SummaryFeed, now: datetime) -> Iterator[Reply]:
        """Yield the rows of a summary that are not what was told."""
        feed.told_at = now
        wanted = feed.request.tags.split(",")
        for account, value in self._values():
            if value.key not in wanted:
                continue
            if feed.told.get((account, value.key)) != value.value:
                feed.told[account, value.key] = value.value
                yield replies.AccountSummary(
                    feed.request.req_id, account, value.key, value.value, value.currency
                )

    def _values(self) -> Iterator[tuple[str, AccountValue]]:
        for account in self._exchange.managed_accounts():
            for value in self._exchange.account_values(account):
                yield account, value


def in_use(request: FeedRequest, feeds: AccountFeeds) -> bool:
    """Say whether a request wants an id that a feed of its kind has."""
    match request:
        case ReqPnL():
            return request.req_id in feeds.pnl
        case ReqPnLSingle():
            return request.req_id in feeds.pnl_single
        case ReqPositionsMulti():
            return request.req_id in feeds.positions
        case ReqAccountSummary():
            return request.req_id in feeds.summaries
        case _:
            return False


def positions_of(request: ReqPositionsMulti, rows: Iterable[PositionRecord]) -> Iterator[Reply]:
    """Yield the positions that a request is about."""
    for row in rows:
        if concerns(request.account, row):
            yield replies.PositionMulti(
                request.req_id,
                row.account,
                row.contract,
                row.quantity,
                row.average_cost,
                request.model_code,
            )


def concerns(account: str, row: PositionRecord) -> bool:
    """Say whether a position is in an account; no account is all of them."""
    return account in ("", "All", row.account)


def market_value(row: PositionRecord) -> Decimal:
    """Return what a position is worth in US dollars, its cost while nobody has traded it."""
    if row.market_price is None:
        return row.average_cost * row.quantity
    return row.market_price * multiplier_of(row.contract) * row.quantity


def unrealized_pnl(row: PositionRecord) -> Decimal:
    """Return what closing a position now would realise, in US dollars, without its commission."""
    return market_value(row) - row.average_cost * row.quantity
