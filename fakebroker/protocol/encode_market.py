"""Market data out: ticks, bars, what can be traded (tws-protocol.md sections 2.3 and 3.11).

As in `encode_replies`: an arm a message, fields in the order of the wire, its id first. Sizes and
volumes lose their decimals for clients that would stumble over them (section 0, version 163).
"""

from datetime import datetime
from typing import assert_never

from fakebroker.protocol import formats, market_replies, versions
from fakebroker.protocol.market_replies import EPOCH_DATES, HistoricalBar, MarketReply

BarReply = (
    market_replies.RealtimeBar
    | market_replies.HistoricalData
    | market_replies.HistoricalDataUpdate
    | market_replies.HeadTimestamp
    | market_replies.HistoricalTicksLast
    | market_replies.TickByTickLast
    | market_replies.TickByTickBidAsk
    | market_replies.TickByTickMidPoint
)

ChainReply = (
    market_replies.SecDefOptParams
    | market_replies.SecDefOptParamsEnd
    | market_replies.SymbolSamples
    | market_replies.MarketRule
)


def encode_market(reply: MarketReply, server_version: int) -> list[str]:
    """Return the fields of a message about the market."""
    match reply:
        case market_replies.TickPrice(req_id, tick_type, price, size, attributes):
            shown = "-1" if price is None else formats.number(price)
            shares = formats.size(size, server_version)
            return ["1", "6", str(req_id), str(tick_type), shown, shares, str(attributes)]
        case market_replies.TickSize(req_id, tick_type, size):
            return ["2", "6", str(req_id), str(tick_type), formats.size(size, server_version)]
        case market_replies.TickGeneric(req_id, tick_type, value):
            return ["45", "6", str(req_id), str(tick_type), formats.number(value)]
        case market_replies.TickString(req_id, tick_type, text):
            return ["46", "6", str(req_id), str(tick_type), text]
        case market_replies.TickReqParams(req_id, min_tick, exchange, permissions):
            return ["81", str(req_id), formats.number(min_tick), exchange, str(permissions)]
        case market_replies.TickSnapshotEnd(req_id):
            return ["57", "1", str(req_id)]
        case market_replies.MarketDataType(req_id, data_type):
            return ["58", "1", str(req_id), str(data_type)]
        case _:
            return encode_rest(reply, server_version)


def encode_rest(reply: BarReply | ChainReply, server_version: int) -> list[str]:
    """Return the fields of a message about bars, ticks in a row or what can be traded."""
    match reply:
        case market_replies.RealtimeBar():
            return realtime_bar(reply, server_version)
        case market_replies.HistoricalData():
            return historical_data(reply, server_version)
        case market_replies.HistoricalDataUpdate():
            return historical_data_update(reply, server_version)
        case market_replies.HeadTimestamp(req_id, time, format_date):
            is_epoch = format_date == EPOCH_DATES
            shown = formats.epoch(time) if is_epoch else formats.naive_time(time)
            return ["88", str(req_id), shown]
        case market_replies.HistoricalTicksLast():
            return historical_ticks_last(reply, server_version)
        case market_replies.TickByTickLast():
            return tick_by_tick_last(reply, server_version)
        case market_replies.TickByTickBidAsk():
            return tick_by_tick_bid_ask(reply, server_version)
        case market_replies.TickByTickMidPoint(req_id, time, mid_point):
            return ["99", str(req_id), "4", formats.epoch(time), formats.number(mid_point)]
        case _:
            return encode_chain(reply, server_version)


def encode_chain(reply: ChainReply, server_version: int) -> list[str]:
    """Return the fields of a message about what can be traded."""
    match reply:
        case market_replies.SecDefOptParams():
            return sec_def_opt_params(reply)
        case market_replies.SecDefOptParamsEnd(req_id):
            return ["76", str(req_id)]
        case market_replies.SymbolSamples(req_id, samples):
            rows = [text for sample in samples for text in symbol_sample(sample, server_version)]
            return ["79", str(req_id), str(len(samples)), *rows]
        case market_replies.MarketRule(rule_id, steps):
            texts = [formats.number(n) for step in steps for n in (step.low_edge, step.increment)]
            return ["93", str(rule_id), str(len(steps)), *texts]
        case _:
            assert_never(reply)


def realtime_bar(reply: market_replies.RealtimeBar, server_version: int) -> list[str]:
    """Return the fields of realtimeBar (50)."""
    prices = (reply.open, reply.high, reply.low, reply.close)
    return [
        "50",
        "3",
        str(reply.req_id),
        formats.epoch(reply.time),
        *map(formats.number, prices),
        formats.size(reply.volume, server_version),
        formats.number(reply.wap),
        str(reply.count),
    ]


def historical_data(reply: market_replies.HistoricalData, server_version: int) -> list[str]:
    """Return the fields of historicalData (17), which also ends the request."""
    fields = [
        "17",
        str(reply.req_id),
        formats.exchange_time(reply.start, server_version),
        formats.exchange_time(reply.end, server_version),
        str(len(reply.bars)),
    ]
    for bar in reply.bars:
        fields += [
            bar_time(bar, reply.format_date, server_version=server_version),
            *map(formats.number, (bar.open, bar.high, bar.low, bar.close)),
            formats.size(bar.volume, server_version),
            formats.number(bar.wap),
            str(bar.count),
        ]
    return fields


def historical_data_update(
    reply: market_replies.HistoricalDataUpdate, server_version: int
) -> list[str]:
    """Return the fields of historicalDataUpdate (90), whose order is not that of 17."""
    bar = reply.bar
    return [
        "90",
        str(reply.req_id),
        str(bar.count),
        bar_time(bar, reply.format_date, server_version=server_version),
        *map(formats.number, (bar.open, bar.close, bar.high, bar.low, bar.wap)),
        formats.size(bar.volume, server_version),
    ]


def bar_time(bar: HistoricalBar, format_date: int, *, server_version: int) -> str:
    """Return when a bar starts: a day for a daily one, else a time or epoch seconds."""
    if not isinstance(bar.time, datetime):
        return formats.day(bar.time)
    if format_date == EPOCH_DATES:
        return formats.epoch(bar.time)
    return formats.exchange_time(bar.time, server_version)


def historical_ticks_last(
    reply: market_replies.HistoricalTicksLast, server_version: int
) -> list[str]:
    """Return the fields of historicalTicksLast (98)."""
    fields = ["98", str(reply.req_id), str(len(reply.ticks))]
    for tick in reply.ticks:
        fields += [
            formats.epoch(tick.time),
            str(tick.attributes),
            formats.number(tick.price),
            formats.size(tick.size, server_version),
            tick.exchange,
            tick.conditions,
        ]
    return [*fields, formats.boolean(reply.done)]


def tick_by_tick_last(reply: market_replies.TickByTickLast, server_version: int) -> list[str]:
    """Return the fields of tickByTick (99) for a trade."""
    return [
        "99",
        str(reply.req_id),
        str(reply.kind),
        formats.epoch(reply.time),
        formats.number(reply.price),
        formats.size(reply.size, server_version),
        str(reply.attributes),
        reply.exchange,
        reply.conditions,
    ]


def tick_by_tick_bid_ask(reply: market_replies.TickByTickBidAsk, server_version: int) -> list[str]:
    """Return the fields of tickByTick (99) for a quote."""
    return [
        "99",
        str(reply.req_id),
        "3",
        formats.epoch(reply.time),
        formats.number(reply.bid),
        formats.number(reply.ask),
        formats.size(reply.bid_size, server_version),
        formats.size(reply.ask_size, server_version),
        str(reply.attributes),
    ]


def sec_def_opt_params(reply: market_replies.SecDefOptParams) -> list[str]:
    """Return the fields of secDefOptParams (75)."""
    return [
        "75",
        str(reply.req_id),
        reply.exchange,
        str(reply.underlying_con_id),
        reply.trading_class,
        reply.multiplier,
        str(len(reply.expirations)),
        *map(formats.day, reply.expirations),
        str(len(reply.strikes)),
        *map(formats.number, reply.strikes),
    ]


def symbol_sample(sample: market_replies.SymbolSample, server_version: int) -> list[str]:
    """Return one row of symbolSamples (79)."""
    fields = [
        str(sample.con_id),
        sample.symbol,
        sample.sec_type,
        sample.primary_exchange,
        sample.currency,
        str(len(sample.derivative_sec_types)),
        *sample.derivative_sec_types,
    ]
    if server_version >= versions.ISSUER_ID:
        fields += [sample.description, sample.issuer_id]
    return fields
