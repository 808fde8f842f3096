"""Trades and quotes one by one: reqTickByTickData and reqHistoricalTicks."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from fakebroker.market.tape import Tick
from fakebroker.marketdata.quotes import Quote
from fakebroker.protocol.market_replies import (
    HistoricalTickLast,
    MarketReply,
    TickByTickBidAsk,
    TickByTickLast,
    TickByTickMidPoint,
)
from fakebroker.protocol.requests import ReqTickByTickData

VENUE = "ISLAND"
TICK_TYPES = ("Last", "AllLast", "BidAsk", "MidPoint")
HISTORICAL_TICKS_MAX = 1000
"""So many are given at most, as by TWS."""

Spread = Callable[[Decimal], tuple[Decimal, Decimal]]


def trade_ticks(request: ReqTickByTickData, trades: Sequence[Tick]) -> Iterator[MarketReply]:
    """Yield trades to a subscriber of Last or AllLast; nothing to others."""
    if request.tick_type not in ("Last", "AllLast"):
        return
    kind: Literal[1, 2] = 1 if request.tick_type == "Last" else 2
    for trade in trades:
        yield TickByTickLast(
            request.req_id, kind, trade.time, trade.price, trade.size, exchange=VENUE
        )


def quote_tick(
    request: ReqTickByTickData, quote: Quote, told: Quote, *, now: datetime
) -> Iterator[MarketReply]:
    """Yield a changed quote to a subscriber of BidAsk or MidPoint; nothing to others."""
    if quote.bid is None or quote.ask is None or quote.mid is None:
        return
    if request.tick_type == "BidAsk":
        if (quote.bid, quote.ask) != (told.bid, told.ask) or sizes_differ(request, quote, told):
            yield TickByTickBidAsk(
                request.req_id, now, quote.bid, quote.ask, quote.bid_size, quote.ask_size
            )
    elif request.tick_type == "MidPoint" and quote.mid != told.mid:
        yield TickByTickMidPoint(request.req_id, now, quote.mid)


def sizes_differ(request: ReqTickByTickData, quote: Quote, told: Quote) -> bool:
    """Say whether only sizes changed and the subscriber wants to hear of those."""
    sizes = (quote.bid_size, quote.ask_size), (told.bid_size, told.ask_size)
    return not request.ignore_size and sizes[0] != sizes[1]


def historical_ticks(
    trades: Sequence[Tick], *, start: datetime | None, end: datetime | None, count: int
) -> tuple[HistoricalTickLast, ...]:
    """Return the first trades from `start` on, or without a start the last ones before `end`."""
    wanted = [
        trade
        for trade in trades
        if (start is None or trade.time >= start) and (end is None or trade.time < end)
    ]
    count = min(count, HISTORICAL_TICKS_MAX)
    chosen = wanted[:count] if start is not None else wanted[-count:]
    return tuple(HistoricalTickLast(trade.time, trade.price, trade.size, VENUE) for trade in chosen)
