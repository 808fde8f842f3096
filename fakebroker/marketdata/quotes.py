"""The top of the book and the ticks that tell it (tws-protocol.md section 3.11).

There is no book behind it: bid and ask stand around the last price as the settings say. A tick is
told when its value differs from what the subscriber was told before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fakebroker.marketdata.record import StockRecord
from fakebroker.protocol.market_replies import (
    MarketReply,
    TickGeneric,
    TickPrice,
    TickSize,
    TickString,
)
from fakebroker.settings import BrokerSettings

LAST_TIME, HALTED, MARK = 45, 49, 37
DELAYED_LAST_TIME, DELAYED_HALTED = 88, 90
DELAYED_FROM = 3
"""Market data types 3 and 4 are delayed ones."""
CAN_AUTO_EXECUTE = 1


@dataclass(frozen=True, slots=True)
class TickTypes:
    """The numbers of the price and size ticks, live or delayed."""

    bid: int
    ask: int
    last: int
    bid_size: int
    ask_size: int
    last_size: int
    high: int
    low: int
    volume: int
    close: int
    open: int


LIVE = TickTypes(1, 2, 4, 0, 3, 5, 6, 7, 8, 9, 14)
DELAYED = TickTypes(66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a subscriber can know of one contract; None is not known. Sizes are shares."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal = Decimal(0)
    ask_size: Decimal = Decimal(0)
    last: Decimal | None = None
    last_size: Decimal | None = None
    last_time: datetime | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    open: Decimal | None = None
    close: Decimal | None = None
    volume: Decimal | None = None
    halted: bool = False

    @property
    def mid(self) -> Decimal | None:
        """The middle between bid and ask, in US dollars."""
        return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2


def spread_around(
    last: Decimal, settings: BrokerSettings, min_tick: Decimal
) -> tuple[Decimal, Decimal]:
    """Return bid and ask around a price: an odd tick of the spread is the ask's."""
    below = settings.quote_spread_ticks // 2
    above = settings.quote_spread_ticks - below
    return max(last - below * min_tick, min_tick), last + above * min_tick


def quote_of(record: StockRecord, settings: BrokerSettings, min_tick: Decimal) -> Quote:
    """Return the quote at the end of a record.

    The close of the day before is the day's open where no day before was played [A].
    """
    day = record.day
    if day is None:
        last = settings.price_without_tape
        if last is None:
            return Quote(halted=record.halted)
        bid, ask = spread_around(last, settings, min_tick)
        size = settings.quote_size
        return Quote(bid, ask, size, size, last=last, close=last, halted=record.halted)
    bid, ask = spread_around(day.last, settings, min_tick)
    size = Decimal(0) if record.halted else settings.quote_size
    return Quote(
        bid=None if record.halted else bid,
        ask=None if record.halted else ask,
        bid_size=size,
        ask_size=size,
        last=day.last,
        last_size=day.last_size,
        last_time=day.last_time,
        high=day.high,
        low=day.low,
        open=day.open,
        close=day.open if day.previous_close is None else day.previous_close,
        volume=day.volume,
        halted=record.halted,
    )


def quote_ticks(
    req_id: int, quote: Quote, told: Quote | None, *, delayed: bool
) -> Iterator[MarketReply]:
    """Yield the ticks of a quote that a subscriber does not know; `told` None tells everything."""
    types = DELAYED if delayed else LIVE
    before = Quote() if told is None else told
    known = told is not None
    for kind, size_kind, price, size, old_price, old_size in (
        (types.bid, types.bid_size, quote.bid, quote.bid_size, before.bid, before.bid_size),
        (types.ask, types.ask_size, quote.ask, quote.ask_size, before.ask, before.ask_size),
    ):
        if price != old_price or (known and size != old_size):
            yield TickPrice(req_id, kind, price, size, CAN_AUTO_EXECUTE)
            yield TickSize(req_id, size_kind, size)
    if quote.last is not None and (
        quote.last != before.last or quote.last_time != before.last_time
    ):
        size = Decimal(0) if quote.last_size is None else quote.last_size
        yield TickPrice(req_id, types.last, quote.last, size)
        yield TickSize(req_id, types.last_size, size)
    if quote.last_time is not None and quote.last_time != before.last_time:
        kind = DELAYED_LAST_TIME if delayed else LAST_TIME
        yield TickString(req_id, kind, str(int(quote.last_time.timestamp())))
    if quote.volume is not None and quote.volume != before.volume:
        yield TickSize(req_id, types.volume, quote.volume)
    for kind, price, old_price in (
        (types.high, quote.high, before.high),
        (types.low, quote.low, before.low),
        (types.close, quote.close, before.close),
        (types.open, quote.open, before.open),
    ):
        if price is not None and price != old_price:
            yield TickPrice(req_id, kind, price)
    if quote.last is not None and quote.last != before.last and not delayed:
        # The price that positions are valued with; there is no delayed one.
        yield TickPrice(req_id, MARK, quote.last)
    if not known or quote.halted != before.halted:
        kind = DELAYED_HALTED if delayed else HALTED
        yield TickGeneric(req_id, kind, Decimal(int(quote.halted)))
