"""Tapes: what is read, what is refused, and with which words."""

from datetime import timedelta
from decimal import Decimal

import pytest
from ib_insync.objects import BarData, RealTimeBar

from fakebroker.market.tape import Bar, Tape, TapeError, format_tape, parse_tape

HEADER = "time,symbol,open,high,low,close,volume"
FIRST = "2025-10-06T10:00:00-04:00,TSLA,444.1,445,444,444.5,1200"
SECOND = "2025-10-06T10:00:05-04:00,TSLA,444.5,446,444.5,445,900"


def parse(*lines: str, symbol: str | None = None) -> Tape:
    return parse_tape("\n".join(lines) + "\n", name="day.csv", symbol=symbol)


def refusal(*lines: str, symbol: str | None = None) -> str:
    with pytest.raises(TapeError) as caught:
        parse(*lines, symbol=symbol)
    return str(caught.value)


def test_a_tape_is_read_exactly() -> None:
    tape = parse(HEADER, FIRST, SECOND)
    bar = tape.bars[0]
    assert (bar.symbol, bar.open, bar.high) == ("TSLA", Decimal("444.1"), Decimal(445))
    assert (bar.low, bar.close, bar.volume) == (Decimal(444), Decimal("444.5"), Decimal(1200))
    assert bar.time.isoformat() == "2025-10-06T10:00:00-04:00"
    assert (bar.wap, bar.count) == (None, None)
    assert tape.period == timedelta(seconds=5)


def test_the_columns_may_stand_in_any_order_and_have_ib_insyncs_names() -> None:
    tape = parse(
        ",close,date,low,high,open,volume,average,barCount",
        "0,444.5,2025-10-06 10:00:00-04:00,444,445,444.1,1200,444.44,17",
        symbol="TSLA",
    )
    (bar,) = tape.bars
    assert (bar.open, bar.wap, bar.count) == (Decimal("444.1"), Decimal("444.44"), 17)


def test_the_text_of_a_saved_historical_tape_loads() -> None:
    """What `util.df(ib.reqHistoricalData(...)).to_csv()` writes, fields taken from ib_insync."""
    row = BarData(open=1.1, high=2.0, low=1.0, close=1.5, volume=10.0, average=1.4, barCount=3)
    fields = ["date", "open", "high", "low", "close", "volume", "average", "barCount"]
    values = ["2025-10-06 10:00:00-04:00", *(str(getattr(row, name)) for name in fields[1:])]
    text = f",{','.join(fields)}\n0,{','.join(values)}\n"
    (bar,) = parse_tape(text, name="day.csv", symbol="TSLA").bars
    assert (bar.close, bar.volume, bar.count) == (Decimal("1.5"), Decimal(10), 3)


def test_the_text_of_saved_real_time_bars_loads() -> None:
    """The field that ib_insync calls open_ is the open."""
    fields = list(RealTimeBar.__dataclass_fields__)
    assert fields == ["time", "endTime", "open_", "high", "low", "close", "volume", "wap", "count"]
    text = f",{','.join(fields)}\n0,2025-10-06 14:00:00+00:00,-1,1.1,2,1,1.5,10.0,1.4,3\n"
    (bar,) = parse_tape(text, name="day.csv", symbol="TSLA").bars
    assert (bar.open, bar.wap) == (Decimal("1.1"), Decimal("1.4"))


def test_two_stocks_may_share_an_instant_and_one_may_not() -> None:
    other = FIRST.replace("TSLA", "AMD")
    assert len(parse(HEADER, FIRST, other, SECOND).bars) == 3
    assert refusal(HEADER, FIRST, other, FIRST) == (
        "day.csv line 4: a second bar of TSLA at 2025-10-06T10:00:00-04:00; remove one"
    )


def test_the_period_is_the_shortest_distance_of_two_bars_of_one_stock() -> None:
    third = SECOND.replace("10:00:05", "10:00:02").replace("TSLA", "AMD")
    late = SECOND.replace("10:00:05", "10:01:00")
    assert parse(HEADER, FIRST, third, SECOND).period == timedelta(seconds=5)
    assert parse(HEADER, FIRST, late).period == timedelta(minutes=1)


def test_a_column_says_the_period_where_the_bars_do_not() -> None:
    tape = Tape(parse(HEADER, FIRST).bars, timedelta(seconds=30))
    text = format_tape(tape)
    assert text.splitlines()[0].endswith(",period")
    assert parse_tape(text, name="day.csv") == tape
    assert "period" not in format_tape(parse(HEADER, FIRST, SECOND))


def test_a_blank_line_and_a_byte_order_mark_do_no_harm() -> None:
    assert len(parse("\ufeff" + HEADER, "", FIRST, "", SECOND, "").bars) == 2


def test_a_written_tape_reads_back_the_same() -> None:
    known = parse(HEADER, FIRST, SECOND)
    full = Bar(
        "AMD",
        known.bars[1].time,
        Decimal("1E+2"),
        Decimal(120),
        Decimal(90),
        Decimal("99.90"),
        volume=Decimal(5),
        wap=Decimal("99.1234"),
        count=-1,
    )
    tape = Tape((*known.bars, full))
    assert parse_tape(format_tape(tape), name="day.csv") == tape


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([""], "day.csv line 1: the tape is empty"),
        ([HEADER], "day.csv line 1: there is no bar after the header line"),
        (["time,symbol,open", FIRST], "line 1: no column high, low, close, volume"),
        ([HEADER + ",color", FIRST], "line 1: unknown column 'color'"),
        ([HEADER + ",date", FIRST], "line 1: column 'date' gives time a second time"),
        ([HEADER.replace("symbol,", ""), FIRST], "no column symbol; add one, or .* --symbol"),
        ([HEADER, FIRST + ",9"], "line 2: 8 fields, the header has 7 columns"),
        ([HEADER, FIRST.replace("TSLA", " ")], "line 2: symbol is empty"),
        ([HEADER, FIRST.replace("-04:00", "")], "line 2: time '2025-10-06T10:00:00' has no offset"),
        ([HEADER, FIRST.replace("2025", "noon")], "line 2: time 'noon-.*' is not ISO 8601"),
        ([HEADER, FIRST.replace("2025", "0001")], "line 2: .* the year is 1"),
        ([HEADER, FIRST, SECOND.replace("444.5,446", "abc,446")], "line 3: open 'abc' is not a"),
        ([HEADER, FIRST.replace("444.5", "NaN")], "line 2: close 'NaN' is no number of a market"),
        ([HEADER, FIRST.replace("444.5", "-inf")], "line 2: close '-inf' is no number of a market"),
        ([HEADER, FIRST.replace("1200", "1E99")], "line 2: volume '1E99' is too large"),
        ([HEADER, FIRST.replace("444.5", "0")], "line 2: close 0 is not above zero"),
        ([HEADER, FIRST.replace("445", "440")], "line 2: high 440 is below low 444"),
        ([HEADER, FIRST.replace("444.1", "443")], "line 2: open 443 is not between low 444"),
        ([HEADER, FIRST.replace("444.5", "446")], "line 2: close 446 is not between low 444"),
        ([HEADER, FIRST.replace("1200", "-1")], "line 2: volume -1 is negative"),
        ([HEADER, SECOND, FIRST], "line 3: 2025-10-06T10:00:00-04:00 is before the line above"),
        ([HEADER + ",count", FIRST + ",1.5"], "line 2: count '1.5' is not a whole number"),
        ([HEADER + ",period", FIRST + ",0"], "line 2: period '0' is not a time in seconds"),
        (
            [HEADER + ",period", FIRST + ",5", SECOND + ",6"],
            "line 3: period 6 differs from 5.0 above",
        ),
        ([HEADER, FIRST, '"2025'], "day.csv line 3: not CSV: unexpected end of data"),
    ],
)
def test_a_wrong_tape_is_refused_with_its_line_and_value(lines: list[str], words: str) -> None:
    with pytest.raises(TapeError, match=words):
        parse(*lines)


def test_the_line_is_that_of_the_file_also_after_blank_lines() -> None:
    assert refusal(HEADER, "", FIRST.replace("444.5", "x")).startswith("day.csv line 3: close 'x'")
