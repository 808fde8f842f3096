"""Serves every request about the market from what was played, and tells subscribers what comes.

A refused request is an error on its id, in TWS's words: 200 for what does not exist, 322 for an
id that is in use, 300 (366 for bars) for one that is not, 162 where there are no data.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.instruments import market_key, tick_of
from fakebroker.market.source import Market, MarketEvent
from fakebroker.market.tape import Bar, Tick
from fakebroker.marketdata import history, search, ticks
from fakebroker.marketdata.history import HistoryError, HistoryQuestion
from fakebroker.marketdata.quotes import (
    DELAYED_FROM,
    Quote,
    quote_of,
    quote_ticks,
    spread_around,
)
from fakebroker.marketdata.record import EXCHANGE_ZONE, Record
from fakebroker.marketdata.subscriptions import LIVE_DATA, QuoteFeed, Subscriptions, TickFeed
from fakebroker.protocol import market_replies as told
from fakebroker.protocol import requests
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import SYSTEM_ID, ErrorMessage, Reply
from fakebroker.settings import BrokerSettings
from fakebroker.values import Contract

StreamRequest = (
    requests.ReqMktData
    | requests.CancelMktData
    | requests.ReqMarketDataType
    | requests.ReqTickByTickData
    | requests.CancelTickByTickData
)
PastRequest = (
    requests.ReqHistoricalData
    | requests.CancelHistoricalData
    | requests.ReqHeadTimeStamp
    | requests.CancelHeadTimeStamp
    | requests.ReqHistoricalTicks
)
SearchRequest = requests.ReqMatchingSymbols | requests.ReqMarketRule | requests.ReqSecDefOptParams
MarketRequest = StreamRequest | PastRequest | SearchRequest

Replies = tuple[Reply, ...]
DUPLICATE = "-Duplicate ticker id"
BBO_EXCHANGE = "9c0001"
SNAPSHOT_PERMISSIONS = 3
REGULAR_STOCK_HOURS = ("STK", "OPT")


class MarketDesk:
    """What the API can know of the market of one broker."""

    def __init__(self, settings: BrokerSettings, market: Market) -> None:
        self._settings = settings
        self._catalog = Catalog()
        self._record = Record(market.tape.period, by_tick=market.by_tick)

    def note(self, event: MarketEvent) -> None:
        """Take down what the market did, before anyone is told."""
        self._record.note(event)

    def answer(self, request: MarketRequest, wants: Subscriptions, now: datetime) -> Replies:  # noqa: PLR0912 - an arm a message
        """Serve a request of a client that `wants` these subscriptions."""
        match request:
            case requests.ReqMarketDataType(market_data_type=data_type):
                wants.data_type = data_type
                return ()
            case requests.ReqMktData():
                return self._market_data(request, wants)
            case requests.CancelMktData(req_id=req_id):
                return cancelled(req_id, wants.quotes)
            case requests.ReqTickByTickData():
                return self._tick_by_tick(request, wants, now)
            case requests.CancelTickByTickData(req_id=req_id):
                wants.idle.discard(req_id)
                return cancelled(req_id, wants.ticks)
            case requests.ReqHistoricalData():
                return self._history(request, wants, now)
            case requests.CancelHistoricalData(req_id=req_id):
                wants.idle.discard(req_id)
                if wants.histories.pop(req_id, None) is not None:
                    return ()
                return (failure(req_id, ErrorCode.NO_HISTORICAL_QUERY, req_id=req_id),)
            case requests.ReqHeadTimeStamp():
                return self._head(request)
            case requests.CancelHeadTimeStamp():
                # Clients send it after the answer, which has ended the request already.
                return ()
            case requests.ReqHistoricalTicks():
                return self._historical_ticks(request)
            case requests.ReqMatchingSymbols(req_id=req_id, pattern=pattern):
                return (told.SymbolSamples(req_id, search.samples(pattern, self._catalog)),)
            case requests.ReqMarketRule(market_rule_id=rule_id):
                return self._market_rule(rule_id)
            case requests.ReqSecDefOptParams():
                return self._chain(request, now)
            case _:
                assert_never(request)

    def news(self, event: MarketEvent, wants: Subscriptions, now: datetime) -> Iterator[Reply]:
        """Yield what a client is told of an event that was noted."""
        yield from self._quote_news(event, wants)
        yield from self._tick_news(event, wants, now)
        if isinstance(event, Bar):
            for req_id, request in wants.histories.items():
                if market_key(request.contract) == event.symbol and wants.told(req_id):
                    bar = history.latest_bar(self._question(request), self._record)
                    if bar is not None:
                        yield told.HistoricalDataUpdate(req_id, bar, request.format_date)

    def _quote_news(self, event: MarketEvent, wants: Subscriptions) -> Iterator[Reply]:
        if isinstance(event, Bar) and self._record.by_tick:
            return  # Its trades have told it.
        for req_id, feed in wants.quotes.items():
            if market_key(feed.request.contract) == event.symbol:
                quote = self._quote(feed.request.contract)
                yield from quote_ticks(req_id, quote, feed.told, delayed=feed.delayed)
                feed.told = quote

    def _tick_news(
        self, event: MarketEvent, wants: Subscriptions, now: datetime
    ) -> Iterator[Reply]:
        trades = self._record.new_trades(event)
        for req_id, feed in wants.ticks.items():
            contract = feed.request.contract
            if market_key(contract) != event.symbol or not wants.told(req_id):
                continue
            yield from ticks.trade_ticks(feed.request, trades)
            for trade in trades:
                yield from self._requote(feed, trade)
            quote = self._quote(contract)
            yield from ticks.quote_tick(feed.request, quote, feed.told, now=now)
            feed.told = quote

    def _requote(self, feed: TickFeed, trade: Tick) -> Iterator[Reply]:
        """Yield the quote around a trade, if it is another one than before."""
        bid, ask = self._spread(feed.request.contract, trade.price)
        size = self._settings.quote_size
        quote = Quote(bid, ask, size, size)
        yield from ticks.quote_tick(feed.request, quote, feed.told, now=trade.time)
        feed.told = quote

    # Streams

    def _market_data(self, request: requests.ReqMktData, wants: Subscriptions) -> Replies:
        req_id = request.req_id
        delayed = wants.delay_next or wants.data_type >= DELAYED_FROM
        wants.delay_next = False
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return (failure(req_id, ErrorCode.NO_SECURITY),)
        if req_id in wants.quotes:
            return (failure(req_id, ErrorCode.REQUEST_FAILED, reason=DUPLICATE),)
        quote = self._quote(contract)
        kind = DELAYED_FROM if delayed else LIVE_DATA
        found: list[Reply] = [
            told.TickReqParams(req_id, tick_of(contract), BBO_EXCHANGE, SNAPSHOT_PERMISSIONS),
            told.MarketDataType(req_id, kind),
            *quote_ticks(req_id, quote, None, delayed=delayed),
        ]
        if request.snapshot or request.regulatory_snapshot:
            found.append(told.TickSnapshotEnd(req_id))
        else:
            wants.quotes[req_id] = QuoteFeed(replace(request, contract=contract), delayed, quote)
        return tuple(found)

    def _tick_by_tick(
        self, request: requests.ReqTickByTickData, wants: Subscriptions, now: datetime
    ) -> Replies:
        """Subscribe; first come so many ticks of the past as were asked for."""
        req_id = request.req_id
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return (failure(req_id, ErrorCode.NO_SECURITY),)
        if request.tick_type not in ticks.TICK_TYPES:
            reason = f"-'{request.MESSAGE}' : tick type {request.tick_type!r} is none of "
            reason += ", ".join(ticks.TICK_TYPES)
            return (failure(req_id, ErrorCode.REQUEST_INVALID, reason=reason),)
        if wants.taken(req_id, wants.ticks):
            return (failure(req_id, ErrorCode.REQUEST_FAILED, reason=DUPLICATE),)
        feed = TickFeed(replace(request, contract=contract), Quote())
        wants.ticks[req_id] = feed
        found: list[Reply] = []
        if request.count > 0:
            past = self._record.trades(market_key(contract))[-request.count :]
            found += ticks.trade_ticks(feed.request, past)
            for trade in past:
                found += self._requote(feed, trade)
        quote = self._quote(contract)
        found += ticks.quote_tick(feed.request, quote, feed.told, now=now)
        feed.told = quote
        return tuple(found)

    # The past

    def _history(
        self, request: requests.ReqHistoricalData, wants: Subscriptions, now: datetime
    ) -> Replies:
        req_id = request.req_id
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return (failure(req_id, ErrorCode.NO_SECURITY),)
        if wants.taken(req_id, wants.histories):
            return (failure(req_id, ErrorCode.REQUEST_FAILED, reason=DUPLICATE),)
        request = replace(request, contract=contract)
        question = self._question(request)
        try:
            end = history.end_time(request, now)
            start, bars = history.history(
                question, self._record, end=end, duration=request.duration
            )
        except HistoryError as problem:
            return (refused(request, problem),)
        if request.keep_up_to_date:
            wants.histories[req_id] = request
        return (told.HistoricalData(req_id, start, end, bars, request.format_date),)

    def _head(self, request: requests.ReqHeadTimeStamp) -> Replies:
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return (failure(request.req_id, ErrorCode.NO_SECURITY),)
        bars = self._record.stock(market_key(contract)).bars
        if not bars:
            problem = HistoryError(ErrorCode.HISTORICAL_DATA, "No head time stamp")
            return (refused(request, problem),)
        return (told.HeadTimestamp(request.req_id, bars[0].time, request.format_date),)

    def _historical_ticks(self, request: requests.ReqHistoricalTicks) -> Replies:
        contract = self._catalog.resolve(request.contract)
        if contract is None:
            return (failure(request.req_id, ErrorCode.NO_SECURITY),)
        try:
            start, end = history.tick_span(request)
        except HistoryError as problem:
            return (refused(request, problem),)
        trades = self._record.trades(market_key(contract))
        found = ticks.historical_ticks(trades, start=start, end=end, count=request.count)
        return (told.HistoricalTicksLast(request.req_id, found, done=True),)

    # What can be traded

    def _market_rule(self, rule_id: int) -> Replies:
        steps = search.MARKET_RULES.get(rule_id)
        if steps is None:
            reason = f"-'reqMarketRule' : there is no market rule {rule_id}"
            return (failure(SYSTEM_ID, ErrorCode.REQUEST_INVALID, reason=reason),)
        return (told.MarketRule(rule_id, steps),)

    def _chain(self, request: requests.ReqSecDefOptParams, now: datetime) -> Replies:
        today = now.astimezone(EXCHANGE_ZONE).date()
        found = tuple(search.chain(request, self._catalog, today))
        return (*found, told.SecDefOptParamsEnd(request.req_id))

    # What things are worth

    def _quote(self, contract: Contract) -> Quote:
        record = self._record.stock(market_key(contract))
        return quote_of(record, self._settings, tick_of(contract))

    def _spread(self, contract: Contract, price: Decimal) -> tuple[Decimal, Decimal]:
        return spread_around(price, self._settings, tick_of(contract))

    def _question(self, request: requests.ReqHistoricalData) -> HistoryQuestion:
        tick = tick_of(request.contract)
        below = self._settings.quote_spread_ticks // 2
        return HistoryQuestion(
            symbol=market_key(request.contract),
            bar_size=request.bar_size,
            use_rth=request.use_rth and request.contract.sec_type in REGULAR_STOCK_HOURS,
            what_to_show=request.what_to_show,
            bid=-below * tick,
            ask=(self._settings.quote_spread_ticks - below) * tick,
        )


def cancelled(req_id: int, feeds: dict[int, QuoteFeed] | dict[int, TickFeed]) -> Replies:
    """End a subscription; error 300 if there is none."""
    if feeds.pop(req_id, None) is not None:
        return ()
    return (failure(req_id, ErrorCode.NO_SUCH_REQUEST, req_id=req_id),)


def refused(
    request: requests.ReqHistoricalData | requests.ReqHeadTimeStamp | requests.ReqHistoricalTicks,
    problem: HistoryError,
) -> ErrorMessage:
    """Say why a question about the past is not answered."""
    reason = str(problem)
    if problem.code is ErrorCode.REQUEST_INVALID:
        reason = f"-'{request.MESSAGE}' : cause - {reason}"
    return failure(request.req_id, problem.code, reason=reason)


def failure(request_id: int, code: ErrorCode, **values: object) -> ErrorMessage:
    """Say an error about a request in TWS's words."""
    return ErrorMessage(request_id, code.value, text(code, **values))
