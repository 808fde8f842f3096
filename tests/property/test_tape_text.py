"""Tapes and text: what is written reads back, and garbage never gets in nor blows up."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from fakebroker.market.tape import Bar, Tape, TapeError, format_tape, parse_tape

zones = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
starts = st.datetimes(
    min_value=datetime(1950, 1, 1),  # noqa: DTZ001 hypothesis adds the zone
    max_value=datetime(2150, 1, 1),  # noqa: DTZ001 hypothesis adds the zone
    timezones=zones,
)
prices = st.decimals(Decimal("0.0001"), Decimal(999_999), allow_nan=False, places=4)
symbols = st.sampled_from(("AMD", "TSLA", "BRK B"))
numbers = st.decimals(Decimal(0), Decimal(10**9), allow_nan=False, places=2)


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    time = draw(starts)
    bars: list[Bar] = []
    for _ in range(draw(st.integers(1, 8))):
        for symbol in draw(st.lists(symbols, unique=True, min_size=1)):
            low, *between, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
            opened, close = draw(st.permutations(between))
            bars.append(
                Bar(
                    symbol,
                    time,
                    open=opened,
                    high=high,
                    low=low,
                    close=close,
                    volume=draw(numbers),
                    wap=draw(st.none() | numbers),
                    count=draw(st.none() | st.integers(-1, 10**9)),
                )
            )
        time += draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=3)))
    period = draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=7)))
    return Tape(tuple(bars), draw(st.sampled_from((timedelta(seconds=5), period))))


@given(tapes())
def test_what_is_written_reads_back_as_the_same_tape(tape: Tape) -> None:
    assert parse_tape(format_tape(tape), name="t") == tape


@given(st.text(), st.none() | st.just("TSLA"))
@example("\x00", None)
@example('a"b"\n', None)
def test_garbage_is_refused_with_a_line_number(text: str, symbol: str | None) -> None:
    check(text, symbol)


HEADER = "time,symbol,open,high,low,close,volume,wap,count,period"
fields = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ("NaN", "sNaN", "-Infinity", "1E999999999", "1E-999999999", "0E99", "-0", "1_0", "٣", "")
    ),
    st.sampled_from(("2025-10-06T10:00:00-04:00", "TSLA", "5", "100", "9" * 400, "20251006")),
)
rows = st.lists(fields, min_size=8, max_size=11).map(",".join)


@given(st.lists(rows, max_size=4))
@example(["9999-12-31T23:59:59-23:59,T,1,1,1,1,1,,,"])
@example(["0001-01-01T00:00:00+23:59,T,1,1,1,1,1,,,"])
@example(["2025-10-06T10:00:00-04:00,T,1,1,1,1,1,,,1E-7"])
def test_a_broken_line_is_refused_with_a_line_number(lines: list[str]) -> None:
    check("\n".join([HEADER, *lines]), None)


@given(tapes(), st.data())
def test_a_tape_with_one_character_changed_is_read_or_refused(
    tape: Tape, data: st.DataObject
) -> None:
    text = format_tape(tape)
    place = data.draw(st.integers(0, len(text) - 1))
    check(text[:place] + data.draw(st.characters()) + text[place + 1 :], None)


def check(text: str, symbol: str | None) -> None:
    """What is accepted is a sane tape; all else is a `TapeError` with the line."""
    result = parse_or_words(text, symbol)
    if isinstance(result, str):
        assert re.match(r"t line \d+: .", result)
        return
    for bar in result.bars:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.time.astimezone(UTC) + result.period > bar.time
    assert parse_tape(format_tape(result), name="t") == result


def parse_or_words(text: str, symbol: str | None) -> Tape | str:
    """Return the tape, or the words with which it was refused."""
    try:
        return parse_tape(text, name="t", symbol=symbol)
    except TapeError as error:
        return str(error)
