"""Bars of the past, as reqHistoricalData asks for them (tws-protocol.md sections 2.1 and 2.3).

Durations, bar sizes and times are TWS's own texts. Bars begin at whole multiples of their size
from midnight in New York, as TWS's do; with regular hours only, none begins before 09:30. A
duration in days counts days that were traded. A refusal carries the code and the reason for it.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakebroker.market.aggregate import bars_of_ticks, merge_bars
from fakebroker.market.tape import Bar
from fakebroker.marketdata.record import EXCHANGE_ZONE, Record
from fakebroker.protocol.errors import ErrorCode
from fakebroker.protocol.market_replies import HistoricalBar
from fakebroker.protocol.requests import ReqHistoricalData, ReqHistoricalTicks

# `20251006 10:05:45`, one or two blanks, an optional zone; `20251006-14:05:45` is UTC.
TIME = re.compile(r"(\d{8})(-| {1,2})(\d{2}:\d{2}:\d{2})(?: (\S.*))?")
DURATION = re.compile(r"([1-9]\d{0,5}) ([SDWMY])")
NO_DATA = "HMDS query returned no data"
OPENING, CLOSING = time(9, 30), time(16)
SATURDAY = 5

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
INTRADAY = {
    "1 secs": SECOND,
    "1 sec": SECOND,
    **{f"{n} secs": n * SECOND for n in (5, 10, 15, 30)},
    "1 min": MINUTE,
    **{f"{n} mins": n * MINUTE for n in (1, 2, 3, 5, 10, 15, 20, 30)},
    "1 hour": HOUR,
    **{f"{n} hours": n * HOUR for n in (1, 2, 3, 4, 8)},
}


def _day(day: date) -> date:
    return day


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)


# The day that a bar of days is stamped with [A: TWS stamps weeks and months with their last one].
DAYS: dict[str, Callable[[date], date]] = {
    **dict.fromkeys(("1 day", "1D"), _day),
    **dict.fromkeys(("1 week", "1W"), _week),
    **dict.fromkeys(("1 month", "1M"), _month),
}
DAYS_A_UNIT = {"W": 7, "M": 31, "Y": 366}
AS_TRADED = ("TRADES", "ADJUSTED_LAST")
QUOTED = ("MIDPOINT", "BID", "ASK", "BID_ASK")
UNKNOWN = Decimal(-1)
"""What TWS writes for the volume of bars that are not made of trades."""


class HistoryError(Exception):
    """A question about the past cannot be answered; `code` is TWS's, the text is the reason."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """What reqHistoricalData asks, understood. `bid` and `ask` are distances from the trade."""

    symbol: str
    bar_size: str
    use_rth: bool
    what_to_show: str
    bid: Decimal
    ask: Decimal


def parse_time(text: str) -> datetime | None:
    """Return a time of a request, None for an empty one; without a zone it is New York's.

    Raises:
        HistoryError: It is no time.
    """
    if not text:
        return None
    match = TIME.fullmatch(text)
    if match is None:
        raise HistoryError(
            ErrorCode.REQUEST_INVALID,
            f"time {text!r} is not 'yyyymmdd hh:mm:ss zone' or 'yyyymmdd-hh:mm:ss'",
        )
    day, separator, clock, zone = match.groups()
    try:
        moment = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - zone below
        where = UTC if separator == "-" else ZoneInfo(zone) if zone else EXCHANGE_ZONE
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise HistoryError(ErrorCode.REQUEST_INVALID, f"time {text!r}: {error}") from error
    return moment.replace(tzinfo=where)


def end_time(request: ReqHistoricalData, now: datetime) -> datetime:
    """Return when the time ends that is asked for; never later than now.

    Raises:
        HistoryError: It is no time, or there is one where updates are wanted.
    """
    end = parse_time(request.end_time)
    if request.keep_up_to_date and end is not None:
        raise HistoryError(
            ErrorCode.REQUEST_INVALID, "end time and keepUpToDate cannot be used together"
        )
    return now if end is None else min(end, now)


def tick_span(request: ReqHistoricalTicks) -> tuple[datetime | None, datetime | None]:
    """Return start and end of historical ticks, of which exactly one is given.

    Raises:
        HistoryError: They are no such times, or something else than trades is asked for.
    """
    start, end = parse_time(request.start), parse_time(request.end)
    if (start is None) == (end is None):
        raise HistoryError(ErrorCode.REQUEST_INVALID, "give either a start or an end time")
    if request.what_to_show.upper() != "TRADES":
        raise HistoryError(
            ErrorCode.REQUEST_INVALID,
            f"whatToShow {request.what_to_show!r}: fakebroker keeps TRADES only",
        )
    return start, end


def check_question(question: HistoryQuestion) -> None:
    """Look at the texts of a question.

    Raises:
        HistoryError: A bar size or a kind of data that TWS does not have, or no such data here.
    """
    if question.bar_size not in INTRADAY and question.bar_size not in DAYS:
        legal = ", ".join((*INTRADAY, *DAYS))
        raise HistoryError(
            ErrorCode.REQUEST_INVALID,
            f"bar size {question.bar_size!r} is invalid; legal ones are: {legal}",
        )
    if question.what_to_show not in (*AS_TRADED, *QUOTED):
        raise HistoryError(
            ErrorCode.HISTORICAL_DATA, f"{NO_DATA}: no {question.what_to_show} of a tape"
        )


def source_bars(question: HistoryQuestion, record: Record) -> Sequence[Bar]:
    """Return the played bars that the answer is made of.

    Raises:
        HistoryError: The tape's bars are longer than those that are asked for.
    """
    stock = record.stock(question.symbol)
    size = INTRADAY.get(question.bar_size)
    if size is None or size >= record.period:
        return stock.bars
    if record.by_tick:
        return bars_of_ticks(stock.ticks, size)
    raise HistoryError(
        ErrorCode.HISTORICAL_DATA,
        f"{NO_DATA}: the tape's bars of {record.period.total_seconds():g} s are longer",
    )


def history(
    question: HistoryQuestion, record: Record, *, end: datetime, duration: str
) -> tuple[datetime, tuple[HistoricalBar, ...]]:
    """Return where the time that is asked for begins, and its bars.

    Args:
        question: Which bars.
        record: What was played.
        end: Until when, aware.
        duration: For how long, in TWS's words such as `1 D` or `3600 S`.

    Raises:
        HistoryError: The question makes no sense, or there are no such bars.
    """
    check_question(question)
    bars = source_bars(question, record)
    bars = [bar for bar in bars if bar.time < end and (not question.use_rth or is_regular(bar))]
    start = _start(duration, end, bars)
    bars = bars[bisect_left(bars, start, key=lambda bar: bar.time) :]
    if not bars:
        what = question.what_to_show.title()
        raise HistoryError(ErrorCode.HISTORICAL_DATA, f"{NO_DATA}: {question.symbol}@SMART {what}")
    return start, tuple(long_bars(question, bars))


def latest_bar(question: HistoryQuestion, record: Record) -> HistoricalBar | None:
    """Return the bar in progress, for a request that is kept up to date; None before any."""
    bars = source_bars(question, record)
    found: list[Bar] = []
    for bar in reversed(bars):
        if question.use_rth and not is_regular(bar):
            break
        if found and bar_start(question, bar) != bar_start(question, found[-1]):
            break
        found.append(bar)
    return next(long_bars(question, found[::-1]), None)


def long_bars(question: HistoryQuestion, bars: Sequence[Bar]) -> Iterator[HistoricalBar]:
    """Yield bars of the size that is asked for."""
    for start, group in groupby(bars, key=lambda bar: bar_start(question, bar)):
        row = list(group)
        yield shown(question, merge_bars(row, row[0].time), start)


def bar_start(question: HistoryQuestion, bar: Bar) -> datetime | date:
    """Return the start, or the day, of the long bar that a bar belongs to."""
    local = bar.time.astimezone(EXCHANGE_ZONE)
    if question.bar_size in DAYS:
        return DAYS[question.bar_size](local.date())
    size = INTRADAY[question.bar_size]
    midnight = datetime.combine(local.date(), time(0))
    start = midnight + (local.replace(tzinfo=None) - midnight) // size * size
    if question.use_rth:
        start = max(start, datetime.combine(local.date(), OPENING))
    return start.replace(tzinfo=EXCHANGE_ZONE, fold=local.fold)


def shown(question: HistoryQuestion, bar: Bar, start: datetime | date) -> HistoricalBar:
    """Return a bar of what is to be shown; only trades have a volume."""
    found = HistoricalBar(
        time=start,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        wap=bar.close if bar.wap is None else bar.wap,
        count=1 if bar.count is None else bar.count,
    )
    if question.what_to_show in AS_TRADED:
        return found
    found = replace(found, volume=UNKNOWN, wap=UNKNOWN, count=-1)
    if question.what_to_show == "BID_ASK":
        # TWS puts averages into open and close, the highest ask and the lowest bid between them.
        return replace(
            found,
            open=bar.open + question.bid,
            high=bar.high + question.ask,
            low=bar.low + question.bid,
            close=bar.close + question.ask,
        )
    middle = (question.bid + question.ask) / 2
    shift = {"BID": question.bid, "ASK": question.ask}.get(question.what_to_show, middle)
    return replace(
        found,
        open=bar.open + shift,
        high=bar.high + shift,
        low=bar.low + shift,
        close=bar.close + shift,
    )


def is_regular(bar: Bar) -> bool:
    """Say whether a bar begins in regular hours of US stocks; holidays are not known here."""
    local = bar.time.astimezone(EXCHANGE_ZONE)
    return local.weekday() < SATURDAY and OPENING <= local.time() < CLOSING


def _start(duration: str, end: datetime, bars: Sequence[Bar]) -> datetime:
    match = DURATION.fullmatch(duration)
    if match is None:
        raise HistoryError(
            ErrorCode.REQUEST_INVALID,
            f"duration {duration!r} is invalid; write an integer, a blank and one of S, D, W, M, Y",
        )
    count, unit = int(match[1]), match[2]
    if unit == "S":
        return end - timedelta(seconds=count)
    local = end.astimezone(EXCHANGE_ZONE)
    if unit == "D":
        days = sorted({bar.time.astimezone(EXCHANGE_ZONE).date() for bar in bars})
        day = days[-min(count, len(days))] if days else local.date()
    else:
        span = min(count * DAYS_A_UNIT[unit], local.date().toordinal() - 1)
        day = local.date() - timedelta(days=span)
    return datetime.combine(day, time(0), EXCHANGE_ZONE)
