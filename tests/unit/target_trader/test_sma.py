"""The SMA crossover: candles from bars, running sums, crosses that the trend agrees with."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.names import Side
from target_trader.settings import SmaRules
from target_trader.state.checkpoint import BarRecord, Checkpoint, SmaMemory, new_checkpoint
from target_trader.strategy.signal import Signal
from target_trader.strategy.sma import (
    averages,
    candle_start,
    give_back,
    memory_key,
    note_signal,
    signal_key,
    signals,
    step,
    symbol_of,
    take_bar,
)

TEN = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
BAR = timedelta(seconds=5)
QUICK = SmaRules(fast=2, slow=3, timeframe=BAR, trend_timeframe=BAR)
"""Every bar is a candle, and the trend is the signal's own timeframe."""
MINUTE = timedelta(minutes=1)


def bar(moment: datetime, close: object) -> BarRecord:
    """Make a bar whose prices are all its close."""
    price = Decimal(str(close))
    return BarRecord(
        time=moment, open=price, high=price, low=price, close=price, volume=Decimal(1000)
    )


def bars(*closes: object, start: datetime = TEN) -> list[BarRecord]:
    """Make consecutive bars."""
    return [bar(start + BAR * number, close) for number, close in enumerate(closes)]


def new_day() -> Checkpoint:
    """Return a fresh day."""
    return new_checkpoint(date(2025, 10, 6), now=TEN)


def crosses(day: Checkpoint, path: list[BarRecord], *, rules: SmaRules) -> list[Side | None]:
    """Step a symbol through bars."""
    return [take_bar(day, "AAPL", bar=each, rules=rules) for each in path]


def test_the_fast_average_crossing_the_slow_one_upwards_is_a_buy_at_that_candle() -> None:
    path = bars(10, 9, 8, 7, 9, 10, 11)
    # Averages of two and three: 7.5/8 below, then 8/8 equal, then 9.5/8.67 above.
    assert crosses(new_day(), path, rules=QUICK) == [None] * 5 + [Side.LONG, None]


def test_crossing_downwards_is_a_sell() -> None:
    path = bars(10, 11, 12, 13, 11, 10)
    assert crosses(new_day(), path, rules=QUICK) == [None] * 5 + [Side.SHORT]


def test_averages_that_only_touch_do_not_cross() -> None:
    path = bars(10, 9, 8, 7, 9, 4)
    day = new_day()
    assert crosses(day, path, rules=QUICK) == [None] * 6
    assert day.sma["AAPL:2:3:5"].above is False


def test_the_first_averages_are_no_cross() -> None:
    assert crosses(new_day(), bars(1, 2, 3, 4), rules=QUICK) == [None] * 4


def test_a_cross_against_the_trend_is_none_and_with_it_is_one() -> None:
    rules = SmaRules(fast=1, slow=2, timeframe=BAR, trend_timeframe=BAR * 6)
    falling = bars(*[20] * 6, *[10] * 6, 10, 9, 11, start=TEN)
    assert crosses(new_day(), falling, rules=rules)[-1] is None
    rising = bars(*[10] * 6, *[20] * 6, 20, 19, 21, start=TEN)
    assert crosses(new_day(), rising, rules=rules)[-1] is Side.LONG


def test_a_trend_with_too_few_candles_agrees_with_nothing() -> None:
    rules = SmaRules(fast=1, slow=2, timeframe=BAR, trend_timeframe=MINUTE)
    path = bars(10, 9, 11, 9, 11, 9, 11)
    assert crosses(new_day(), path, rules=rules) == [None] * 7


def test_a_trend_candle_that_ends_with_the_same_bar_counts() -> None:
    rules = SmaRules(fast=1, slow=2, timeframe=BAR, trend_timeframe=BAR * 2)
    path = bars(10, 10, 10, 9, 9, 11)
    assert crosses(new_day(), path, rules=rules)[-1] is Side.LONG


def test_a_candle_closes_with_its_last_bar_and_not_a_bar_later() -> None:
    memory = SmaMemory()
    path = bars(*range(1, 13))
    for each in path[:-1]:
        step(memory, each, rules=QUICK, timeframe=MINUTE)
    assert memory.closes == []
    assert memory.candle_close == 11
    step(memory, path[-1], rules=QUICK, timeframe=MINUTE)
    assert memory.closes == [12]
    assert memory.candle_close is None


def test_a_gap_closes_the_old_candle_at_its_last_price_and_makes_none_for_the_time_between() -> (
    None
):
    memory = SmaMemory()
    step(memory, bar(TEN, 10), rules=QUICK, timeframe=MINUTE)
    step(memory, bar(TEN + MINUTE * 5, 12), rules=QUICK, timeframe=MINUTE)
    assert memory.closes == [10]
    assert memory.candle_start == TEN + MINUTE * 5


def test_one_bar_may_end_two_candles() -> None:
    memory = SmaMemory()
    step(memory, bar(TEN, 10), rules=QUICK, timeframe=MINUTE)
    step(memory, bar(TEN + timedelta(seconds=115), 12), rules=QUICK, timeframe=MINUTE)
    assert memory.closes == [10, 12]


def test_a_bar_that_comes_again_changes_nothing() -> None:
    day = new_day()
    path = bars(10, 9, 8, 7)
    crosses(day, path, rules=QUICK)
    before = day.model_copy(deep=True)
    assert crosses(day, path, rules=QUICK) == [None] * 4
    assert day == before


def test_candles_begin_at_full_multiples_also_when_the_clocks_are_changed() -> None:
    five = timedelta(minutes=5)
    assert candle_start(TEN + timedelta(minutes=7, seconds=5), five) == TEN + five
    # 2025-11-02: one o'clock comes twice; absolute time goes on.
    before = datetime.fromisoformat("2025-11-02T01:57:30-04:00")
    after = datetime.fromisoformat("2025-11-02T01:02:30-05:00")
    starts = [candle_start(each.astimezone(NEW_YORK), five) for each in (before, after)]
    assert [each.astimezone(NEW_YORK).minute for each in starts] == [55, 0]
    assert after - before == five


def test_the_keys_are_the_documents_and_other_periods_are_another_memory() -> None:
    rules = SmaRules()
    assert signal_key("AAPL", rules) == "AAPL:10:30"
    key = memory_key("A:B", rules, timeframe=MINUTE)
    assert key == "A:B:10:30:60"
    assert symbol_of(key) == "A:B"


CLOSES = st.lists(
    st.decimals(min_value=1, max_value=900, places=2, allow_nan=False), min_size=1, max_size=60
)


@given(CLOSES, st.integers(1, 8), st.integers(1, 8))
def test_the_running_sums_are_the_averages_over_the_list(
    closes: list[Decimal], fast: int, more: int
) -> None:
    rules = SmaRules(fast=fast, slow=fast + more)
    memory = SmaMemory()
    for number, each in enumerate(bars(*closes)):
        step(memory, each, rules=rules, timeframe=BAR)
        seen = closes[: number + 1]
        found = averages(memory, rules)
        if len(seen) < rules.slow:
            assert found is None
            continue
        assert found == (
            sum(seen[-rules.fast :], Decimal(0)) / rules.fast,
            sum(seen[-rules.slow :], Decimal(0)) / rules.slow,
        )
    assert len(memory.closes) <= rules.slow


@given(CLOSES, st.lists(st.integers(1, 30), min_size=60, max_size=60))
def test_candles_with_gaps_close_where_a_look_back_over_the_bars_closes_them(
    closes: list[Decimal], steps: list[int]
) -> None:
    moments = [TEN]
    for gap in steps[: len(closes) - 1]:
        moments.append(moments[-1] + BAR * gap)
    path = [bar(moment, close) for moment, close in zip(moments, closes, strict=True)]
    rules = SmaRules(fast=1, slow=100)
    memory = SmaMemory()
    for each in path:
        step(memory, each, rules=rules, timeframe=MINUTE)
    expected = [
        one.close
        for one, two in pairwise(path)
        if one.time.replace(second=0) != two.time.replace(second=0)
    ]
    if path[-1].time.second == 55:
        expected.append(path[-1].close)
    assert memory.closes == expected


@given(CLOSES, st.integers(0, 60))
def test_the_memory_may_die_after_any_bar_and_the_next_life_sees_the_same_crosses(
    closes: list[Decimal], death: int
) -> None:
    path = bars(*closes)
    expected = crosses(new_day(), path, rules=QUICK)
    day = new_day()
    first = crosses(day, path[:death], rules=QUICK)
    reborn = Checkpoint.model_validate_json(day.model_dump_json())
    assert first + crosses(reborn, path[death:], rules=QUICK) == expected


def bought(day: Checkpoint) -> Signal:
    """Play a cross upwards and return its signal."""
    found = [each for one in bars(10, 9, 8, 7, 9, 10) for each in take(day, one)]
    assert len(found) == 1
    return found[0]


def take(day: Checkpoint, one: BarRecord) -> list[Signal]:
    """Take a bar and return its signals."""
    return signals(day, "AAPL", bar=one, rules=QUICK)


def test_a_cross_asks_for_its_side_at_the_close_of_its_bar() -> None:
    signal = bought(new_day())
    assert (signal.strategy, signal.side, signal.pivot) == ("SMA", Side.LONG, None)
    assert (signal.price, signal.bar_time) == (Decimal(10), TEN + BAR * 5)
    assert (signal.reason, signal.path) == ("SMA 2 crossed above 3 at 10", "SMA")


def test_a_lost_entry_is_asked_for_again_at_the_next_bar_and_the_signal_is_still_the_last() -> None:
    day = new_day()
    note_signal(day, bought(day), rules=QUICK, pending=None)
    assert take(day, bar(TEN + BAR * 6, 11)) == []
    give_back(day, "AAPL", Side.LONG)
    (again,) = take(day, bar(TEN + BAR * 7, 12))
    assert (again.resumed, again.side, again.price) == (True, Side.LONG, Decimal(12))
    assert again.reason == "SMA BUY of 10:00:25 still to be entered"
    note_signal(day, again, rules=QUICK, pending=None)
    assert day.last_signals["AAPL:2:3"].bar_time == TEN + BAR * 5
    assert take(day, bar(TEN + BAR * 8, 13)) == []


def test_giving_back_concerns_only_the_symbol_and_the_direction_of_the_last_signal() -> None:
    day = new_day()
    note_signal(day, bought(day), rules=QUICK, pending=None)
    give_back(day, "AAPL", Side.SHORT)
    give_back(day, "AAP", Side.LONG)
    assert day.last_signals["AAPL:2:3"].pending is None


def test_what_is_still_to_be_entered_is_dropped_when_the_averages_have_crossed_back() -> None:
    day = new_day()
    note_signal(day, bought(day), rules=QUICK, pending=Side.LONG)
    day.sma["AAPL:2:3:5"].above = False
    assert take(day, bar(TEN + BAR * 6, 5)) == []
    assert day.last_signals["AAPL:2:3"].pending is None


def test_what_is_still_to_be_entered_is_dropped_with_its_day() -> None:
    day = new_day()
    note_signal(day, bought(day), rules=QUICK, pending=Side.LONG)
    assert take(day, bar(TEN + timedelta(days=1), 11)) == []
    assert day.last_signals["AAPL:2:3"].pending is None
