"""Bars of the past: durations, bar sizes, regular hours, what is shown."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from fakebroker.market.tape import Bar
from fakebroker.marketdata.history import (
    HistoryError,
    HistoryQuestion,
    history,
    latest_bar,
    parse_time,
)
from fakebroker.marketdata.record import Record
from fakebroker.protocol.errors import ErrorCode

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
MONDAY = datetime(2025, 10, 6, 9, 0, tzinfo=NEW_YORK)


def question(bar_size: str, *, use_rth: bool = False, what: str = "TRADES") -> HistoryQuestion:
    return HistoryQuestion("TSLA", bar_size, use_rth, what, Decimal(0), Decimal("0.01"))


def bar(start: datetime, close: int) -> Bar:
    price = Decimal(close)
    return Bar("TSLA", start, price, price + 1, price - 1, price, Decimal(100))


@pytest.fixture
def record() -> Record:
    """An hour of minutes on Friday and one on Monday, both from 09:00, closing at 1, 2, 3 ..."""
    played = Record(MINUTE)
    for day in (MONDAY - timedelta(days=3), MONDAY):
        for place in range(60):
            played.note(bar(day + place * MINUTE, 10 + place))
    return played


END = MONDAY + timedelta(hours=1)


def test_bars_begin_at_whole_multiples_of_their_size(record: Record) -> None:
    _, bars = history(question("30 mins"), record, end=END, duration="1 D")
    assert [row.time for row in bars] == [MONDAY, MONDAY + 30 * MINUTE]
    assert [row.volume for row in bars] == [3000, 3000]
    assert [f"{row.open} {row.close}" for row in bars] == ["10 39", "40 69"]


def test_regular_hours_begin_at_half_past_nine(record: Record) -> None:
    _, bars = history(question("1 hour", use_rth=True), record, end=END, duration="1 D")
    [row] = bars
    assert row.time == MONDAY + 30 * MINUTE
    assert row.open == 40


def test_days_of_a_duration_are_days_that_were_traded(record: Record) -> None:
    _, bars = history(question("1 day"), record, end=END, duration="2 D")
    assert [row.time for row in bars] == [date(2025, 10, 3), date(2025, 10, 6)]
    _, bars = history(question("1 week"), record, end=END, duration="2 W")
    assert [row.time for row in bars] == [date(2025, 9, 29), date(2025, 10, 6)]
    _, bars = history(question("1 month"), record, end=END, duration="1 M")
    assert [row.time for row in bars] == [date(2025, 10, 1)]
    assert bars[0].volume == 12_000


def test_seconds_of_a_duration_count_back_from_the_end(record: Record) -> None:
    start, bars = history(question("1 min"), record, end=END, duration="120 S")
    assert start == END - 2 * MINUTE
    assert [row.close for row in bars] == [68, 69]


def test_an_earlier_end_hides_what_came_after(record: Record) -> None:
    end = MONDAY + 5 * MINUTE
    _, bars = history(question("1 min"), record, end=end, duration="1 D")
    assert [row.close for row in bars] == [10, 11, 12, 13, 14]


def test_quotes_are_shown_around_the_trades_without_volume(record: Record) -> None:
    _, [row, *_] = history(question("1 min", what="ASK"), record, end=END, duration="1 D")
    assert (row.close, row.volume, row.count) == (Decimal("10.01"), Decimal(-1), -1)
    _, [row, *_] = history(question("1 min", what="BID_ASK"), record, end=END, duration="1 D")
    assert (row.low, row.high) == (Decimal(9), Decimal("11.01"))


def test_the_bar_in_progress_is_the_last_of_the_answer() -> None:
    played = Record(MINUTE)
    for place in range(17):
        played.note(bar(MONDAY + place * MINUTE, 10 + place))
        now = MONDAY + (place + 1) * MINUTE
        for size in ("1 min", "5 mins", "1 day"):
            _, bars = history(question(size), played, end=now, duration="1 D")
            assert latest_bar(question(size), played) == bars[-1]
    assert latest_bar(question("1 min"), Record()) is None


def test_bars_are_in_order_and_never_overlap(record: Record) -> None:
    for size in ("2 mins", "3 mins", "10 mins", "15 mins", "20 mins"):
        _, bars = history(question(size), record, end=END, duration="2 D")
        times = [row.time for row in bars if isinstance(row.time, datetime)]
        assert len(times) == len(bars)
        assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize(
    ("bar_size", "duration", "what", "code"),
    [
        ("7 mins", "1 D", "TRADES", ErrorCode.REQUEST_INVALID),
        ("1 min", "1D", "TRADES", ErrorCode.REQUEST_INVALID),
        ("1 min", "0 D", "TRADES", ErrorCode.REQUEST_INVALID),
        ("5 secs", "1 D", "TRADES", ErrorCode.HISTORICAL_DATA),
        ("1 min", "1 D", "OPTION_IMPLIED_VOLATILITY", ErrorCode.HISTORICAL_DATA),
    ],
)
def test_what_cannot_be_had_is_refused(
    record: Record, bar_size: str, duration: str, what: str, code: ErrorCode
) -> None:
    with pytest.raises(HistoryError) as caught:
        history(question(bar_size, what=what), record, end=END, duration=duration)
    assert caught.value.code is code


def test_a_duration_of_many_years_is_not_an_error(record: Record) -> None:
    _, bars = history(question("1 day"), record, end=END, duration="999999 Y")
    assert len(bars) == 2


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("", None),
        ("20251006 10:00:00", datetime(2025, 10, 6, 10, tzinfo=NEW_YORK)),
        ("20251006  10:00:00", datetime(2025, 10, 6, 10, tzinfo=NEW_YORK)),
        ("20251006 10:00:00 Europe/Berlin", datetime(2025, 10, 6, 8, tzinfo=UTC)),
        ("20251006-10:00:00", datetime(2025, 10, 6, 10, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_ib_writes_them(text: str, time: datetime | None) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("text", ["noon", "20251306 10:00:00", "20251006 10:00:00 Mars/Crater"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(HistoryError) as caught:
        parse_time(text)
    assert caught.value.code is ErrorCode.REQUEST_INVALID
