"""How a synthetic day is asked for."""

from datetime import date, time

import pytest

from fakebroker.market.synthetic import Shape, SyntheticSpec, parse_spec, synthetic_tape
from fakebroker.market.tape import TapeError


def test_a_shape_alone_is_a_regular_day() -> None:
    spec = parse_spec("synthetic:chop")
    assert spec == SyntheticSpec(Shape.CHOP)
    tape = synthetic_tape(spec, seed=0)
    assert len(tape.bars) == 4680
    assert tape.bars[0].time.time() == time(9, 30)
    assert (tape.bars[-1].time + tape.period).time() == time(16)


def test_symbols_length_and_date_come_in_any_order() -> None:
    wanted = SyntheticSpec(Shape.HALT, ("TSLA", "AMD"), 60, date(2025, 10, 7))
    assert parse_spec("synthetic:halt:TSLA,AMD:60min:2025-10-07") == wanted
    assert parse_spec("synthetic:halt:2025-10-07:60min:TSLA,AMD") == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("synthetic:crash", "there is no synthetic day 'crash'; the shapes are breakout, fakeout"),
        ("synthetic:", "there is no synthetic day ''"),
        ("synthetic:chop:tesla", "'tesla' is neither a symbol"),
        ("synthetic:chop:TSLA,TSLA", "named twice"),
        ("synthetic:chop:4min", "4 minutes; a day has 5 to 390"),
        ("synthetic:chop:391min", "391 minutes"),
        ("synthetic:chop:2025-10-05", "2025-10-05 is a Sunday"),
        ("synthetic:chop:2025-13-05", "'2025-13-05' is no date"),
    ],
)
def test_a_day_that_cannot_be_made_is_named(text: str, words: str) -> None:
    with pytest.raises(TapeError) as caught:
        parse_spec(text)
    assert words in str(caught.value)
