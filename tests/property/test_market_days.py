"""Synthetic days keep their promise, and aggregation loses neither volume nor extremes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fakebroker.market.aggregate import bars_of_ticks, merge_bars, ticks_of_bar
from fakebroker.market.source import Market
from fakebroker.market.synthetic import Shape, SyntheticSpec, synthetic_tape
from fakebroker.market.tape import Bar, Halt, Tape, Tick, format_tape, parse_tape
from fakebroker.market.tick_tape import format_ticks, parse_ticks

START = datetime(2025, 10, 6, 14, tzinfo=UTC)
seeds = st.integers(0, 10**6)
minutes = st.sampled_from((5, 6, 13, 30, 60, 90))
symbols = st.sampled_from((("TSLA",), ("TSLA", "AMD"), ("SPY", "A", "MSFT")))
days = st.dates(date(2020, 1, 1), date(2030, 1, 1)).filter(lambda day: day.weekday() < 5)
prices = st.decimals(Decimal("0.01"), Decimal(9999), places=2)
sizes = st.integers(0, 10_000).map(Decimal)


def specs(*shapes: Shape) -> st.SearchStrategy[SyntheticSpec]:
    return st.builds(SyntheticSpec, st.sampled_from(shapes), symbols, minutes, days)


@st.composite
def tick_rows(draw: st.DrawFn) -> list[Tick]:
    time, ticks = START, []
    for _ in range(draw(st.integers(1, 30))):
        time += timedelta(milliseconds=draw(st.integers(0, 9_000)))
        symbol = draw(st.sampled_from(("TSLA", "AMD")))
        ticks.append(Tick(symbol, time, draw(prices), draw(sizes)))
    return ticks


@st.composite
def single_bars(draw: st.DrawFn) -> Bar:
    low, a, b, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    opened, close = draw(st.permutations((a, b)))
    return Bar("TSLA", START, opened, high, low, close, draw(sizes))


def of(tape: Tape, symbol: str) -> list[Bar]:
    return [bar for bar in tape.bars if bar.symbol == symbol]


def split(spec: SyntheticSpec, seed: int) -> list[tuple[list[Bar], list[Bar]]]:
    """For each stock its opening range and the rest of its day."""
    tape = synthetic_tape(spec, seed)
    count = spec.opening_bars
    return [(of(tape, symbol)[:count], of(tape, symbol)[count:]) for symbol in spec.symbols]


def level_of(opening: list[Bar]) -> Decimal:
    return max(bar.high for bar in opening)


def stop_of(opening: list[Bar]) -> Decimal:
    return min(bar.low for bar in opening)


@given(tick_rows())
def test_bars_of_trades_conserve_volume_and_extremes(ticks: list[Tick]) -> None:
    bars = bars_of_ticks(ticks)
    for symbol in ("TSLA", "AMD"):
        own = [tick for tick in ticks if tick.symbol == symbol]
        rows = [bar for bar in bars if bar.symbol == symbol]
        assert sum(bar.volume for bar in rows) == sum(tick.size for tick in own)
        assert sum(bar.count or 0 for bar in rows) == len(own)
        if own:
            assert max(bar.high for bar in rows) == max(tick.price for tick in own)
            assert min(bar.low for bar in rows) == min(tick.price for tick in own)
            assert (rows[0].open, rows[-1].close) == (own[0].price, own[-1].price)


@given(tick_rows())
def test_a_tick_tape_reads_back_and_its_bars_are_a_tape(ticks: list[Tick]) -> None:
    tape = Tape(bars_of_ticks(ticks), ticks=tuple(ticks))
    assert parse_ticks(format_ticks(tape), name="t") == tape
    bars = Tape(tape.bars, tape.period)
    assert parse_tape(format_tape(bars), name="t") == bars


@given(single_bars())
def test_trades_of_a_bar_make_that_bar(bar: Bar) -> None:
    ticks = ticks_of_bar(bar, timedelta(seconds=5))
    assert bool(ticks) == bool(bar.volume)
    if ticks:
        [again] = bars_of_ticks(ticks)
        assert (again.open, again.high, again.low, again.close, again.volume) == (
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
        )


@given(st.lists(single_bars(), min_size=1, max_size=9))
def test_merged_bars_conserve_volume_and_extremes(bars: list[Bar]) -> None:
    merged = merge_bars(bars, START)
    assert merged.volume == sum(bar.volume for bar in bars)
    assert merged.high == max(bar.high for bar in bars)
    assert merged.low == min(bar.low for bar in bars)
    assert (merged.open, merged.close) == (bars[0].open, bars[-1].close)


@given(tick_rows())
def test_a_market_plays_everything_once_in_order_of_time(ticks: list[Tick]) -> None:
    halts = (Halt("AMD", START, True), Halt("AMD", START + timedelta(seconds=7), False))
    tape = Tape(bars_of_ticks(ticks), ticks=tuple(ticks), halts=halts)
    market, played, dues = Market(tape), [], []
    while (due := market.next_end()) is not None:
        dues.append(due)
        played.append(market.pop())
    assert dues == sorted(dues)
    assert tuple(event for event in played if isinstance(event, Bar)) == tape.bars
    assert tuple(event for event in played if isinstance(event, Tick)) == tape.ticks
    assert tuple(event for event in played if isinstance(event, Halt)) == tape.halts


@settings(deadline=None, max_examples=30)
@given(specs(*Shape), seeds)
def test_a_synthetic_day_is_a_valid_tape_and_always_the_same(
    spec: SyntheticSpec, seed: int
) -> None:
    tape = synthetic_tape(spec, seed)
    assert synthetic_tape(spec, seed) == tape
    bars = Tape(tape.bars, tape.period)
    read = parse_tape(format_tape(bars), name="day")
    assert read == bars
    for symbol in spec.symbols:
        times = [bar.time for bar in of(tape, symbol)]
        assert times[0].date() == spec.day
        assert times[-1] - times[0] == (spec.bars - 1) * tape.period


@given(specs(*Shape), seeds)
def test_another_seed_is_another_day(spec: SyntheticSpec, seed: int) -> None:
    assert synthetic_tape(spec, seed).bars != synthetic_tape(spec, seed + 1).bars


@given(specs(Shape.BREAKOUT), seeds)
def test_a_breakout_closes_above_the_level_and_stays(spec: SyntheticSpec, seed: int) -> None:
    for opening, rest in split(spec, seed):
        above = [bar.close > level_of(opening) for bar in rest]
        assert any(above)
        assert all(above[above.index(True) :])


@given(specs(Shape.FAKEOUT), seeds)
def test_a_fake_out_closes_above_the_level_and_comes_back(spec: SyntheticSpec, seed: int) -> None:
    for opening, rest in split(spec, seed):
        above = [bar.close > level_of(opening) for bar in rest]
        assert sum(above) >= 2
        back = len(above) - above[::-1].index(True)
        assert back < len(above)
        assert not any(above[back:])


@given(specs(Shape.GAP_THROUGH_STOP), seeds)
def test_a_gap_jumps_over_the_stop_without_a_trade_at_it(spec: SyntheticSpec, seed: int) -> None:
    for opening, rest in split(spec, seed):
        stop = stop_of(opening)
        assert any(bar.close > level_of(opening) for bar in rest)
        below = [bar.high < stop for bar in rest]
        gap = below.index(True)
        assert all(bar.low > stop for bar in rest[gap - 1 : gap])
        assert rest[gap - 1].close > level_of(opening)
        assert all(below[gap:])


@given(specs(Shape.CHOP), seeds)
def test_a_chop_never_leaves_the_opening_range_and_crosses_it(
    spec: SyntheticSpec, seed: int
) -> None:
    for opening, rest in split(spec, seed):
        low, high = stop_of(opening), level_of(opening)
        assert all(low <= bar.low and bar.high <= high for bar in rest)
        upper = [bar.close > (low + high) / 2 for bar in rest]
        crossings = sum(a != b for a, b in pairwise(upper))
        assert crossings >= len(rest) // 30


@given(specs(Shape.HALT), seeds)
def test_a_halt_is_a_time_without_a_trade_that_is_announced(spec: SyntheticSpec, seed: int) -> None:
    tape = synthetic_tape(spec, seed)
    for symbol in spec.symbols:
        stop, resume = (halt for halt in tape.halts if halt.symbol == symbol)
        assert (stop.halted, resume.halted) == (True, False)
        assert stop.time < resume.time
        bars = of(tape, symbol)
        [before] = [bar for bar in bars if bar.time + tape.period == stop.time]
        [after] = [bar for bar in bars if bar.time == resume.time]
        assert after.open != before.close
        assert not [bar for bar in bars if stop.time <= bar.time < resume.time]
