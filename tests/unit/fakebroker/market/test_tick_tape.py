"""Tapes of trades as they come from a file."""

from decimal import Decimal

import pytest
from ib_insync.objects import HistoricalTickLast

from fakebroker.market.tape import TapeError
from fakebroker.market.tick_tape import parse_ticks, read_tape

HEADER = "time,symbol,price,size\n"
LINE = "2025-10-06T10:00:01-04:00,TSLA,100.5,20\n"


def test_the_header_says_whether_a_tape_is_of_trades_or_of_bars() -> None:
    assert len(read_tape(HEADER + LINE, name="t").ticks) == 1
    bars = "time,symbol,open,high,low,close,volume\n2025-10-06T10:00:00-04:00,TSLA,1,1,1,1,1\n"
    assert read_tape(bars, name="t").ticks == ()


def test_a_tape_of_trades_begins_before_its_first_trade() -> None:
    tape = read_tape(HEADER + LINE.replace("00:01", "00:00"), name="t")
    assert tape.start < tape.ticks[0].time


def test_what_ib_insync_writes_of_trades_loads() -> None:
    # As pandas writes a frame of them: an unnamed index, the fields, a time with a blank.
    header = ",".join(("", *HistoricalTickLast._fields))
    line = '0,2025-10-06 14:00:01+00:00,"TickAttribLast(pastLimit=False)",100.5,20,ISLAND,'
    tape = parse_ticks(f"{header}\n{line}\n", name="t", symbol="TSLA")
    assert (tape.ticks[0].price, tape.ticks[0].size) == (Decimal("100.5"), Decimal(20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "t line 1: there is no trade after the header line"),
        (HEADER + LINE.replace("100.5", "0"), "t line 2: price 0 is not above zero"),
        (HEADER + LINE.replace("20\n", "-1\n"), "t line 2: size -1 is negative"),
        (HEADER + LINE.replace("TSLA", ""), "t line 2: symbol is empty"),
        (HEADER + LINE + LINE.replace("00:01", "00:00"), "t line 3: 2025-10-06T10:00:00"),
        (HEADER + "2025-10-06T10:00:01-04:00,TSLA,1\n", "t line 2: 3 fields"),
        ("time,symbol,price,mass\n" + LINE, "unknown column 'mass'"),
        ("time,price,size\n", "no column symbol"),
        ("time,symbol,price\n", "no column size"),
        ("time,symbol,price,size,size\n", "column 'size' is there a second time"),
    ],
)
def test_a_broken_tape_of_trades_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(TapeError) as caught:
        read_tape(text, name="t")
    assert words in str(caught.value)
