"""When a break is entered in HYBRID, and the bars of the document's example: 100, 101, 102, 200."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.names import Side
from target_trader.settings import BreakEntry, Rules, Setup
from target_trader.state.checkpoint import BarRecord, Breakout, BreakoutKind, BreakoutMemory
from target_trader.strategy.breakout import add_volume, mean_volume, step
from target_trader.strategy.signal import Signal

OPENING = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
PIVOT = Decimal("175.00")
SETUP = Setup(
    symbol="AAPL",
    resistance=PIVOT,
    support=Decimal("170.00"),
    target1=Decimal("180.00"),
    target2=Decimal("185.00"),
)
HYBRID = Rules(break_entry=BreakEntry.HYBRID, momentum_bars=3, hold_bars=5)


def bar(number: int, close: str, *, low: str | None = None, volume: int = 1000) -> BarRecord:
    """Make the bar that starts so many times five seconds after ten o'clock."""
    price = Decimal(close)
    return BarRecord(
        time=OPENING + timedelta(seconds=5 * number),
        open=price,
        high=max(price, Decimal(low or close)),
        low=min(price, Decimal(low or close)),
        close=price,
        volume=Decimal(volume),
    )


def play(
    memory: BreakoutMemory, bars: Iterable[BarRecord], *, rules: Rules = HYBRID, flat: bool = True
) -> list[Signal]:
    """Step a memory through bars with a mean volume of 1000 shares; return the signals."""
    found = (
        step(memory, each, setup=SETUP, rules=rules, mean_volume=Decimal(1000), flat=flat)
        for each in bars
    )
    return [signal for signal in found if signal is not None]


def breakout_of(memory: BreakoutMemory) -> Breakout:
    """Return the break that is remembered."""
    assert memory.breakout is not None
    return memory.breakout


def test_the_flow_of_the_document_bar_100_breaks_101_waits_102_enters_and_200_fails() -> None:
    memory = BreakoutMemory(bars_seen=98)
    assert play(memory, [bar(99, "174.90")]) == []
    assert play(memory, [bar(100, "175.02", volume=2000)]) == []
    broken = breakout_of(memory)
    assert (broken.bar, broken.price, broken.kind) == (
        100,
        Decimal("175.02"),
        BreakoutKind.STRONG,
    )
    assert play(memory, [bar(101, "175.10")]) == []
    assert breakout_of(memory).candle_close_bar is None
    signals = play(memory, [bar(102, "175.20")])
    assert [(each.side, each.price, each.bar_time) for each in signals] == [
        (Side.LONG, Decimal("175.20"), bar(102, "175.20").time)
    ]
    broken = breakout_of(memory)
    assert (broken.candle_close_bar, broken.candle_close) == (102, Decimal("175.20"))
    assert broken.entry_reason == signals[0].reason
    assert signals[0].reason == (
        "STRONG break of resistance 175.00 at 175.02, its candle closed at 175.2"
    )
    assert play(memory, (bar(each, "175.50") for each in range(103, 200)), flat=False) == []
    assert breakout_of(memory).bars_held == 99
    play(memory, [bar(200, "174.80")], flat=False)
    assert memory.breakout is None


def test_a_strong_break_that_fails_before_its_candle_closes_is_not_entered() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.9"), bar(1, "175.5", volume=2000), bar(2, "174.9"), bar(3, "174.8")]
    assert play(memory, bars) == []
    assert memory.breakout is None


def test_a_weak_break_is_entered_when_it_has_held_five_bars_and_only_once() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), *(bar(each, "175.10") for each in range(1, 20))]
    signals = play(memory, bars)
    assert [each.bar_time for each in signals] == [bar(6, "175.10").time]
    assert signals[0].reason == "WEAK break of resistance 175.00 at 175.10, held 5 bars"


def test_a_break_that_was_entered_for_holding_is_not_entered_again_as_a_pullback() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), *(bar(each, "175.50") for each in range(1, 7))]
    assert len(play(memory, bars)) == 1
    assert play(memory, [bar(7, "175.10"), bar(8, "175.50")]) == []
    assert breakout_of(memory).kind is BreakoutKind.WEAK


def test_a_weak_break_that_comes_back_and_leaves_again_is_a_pullback() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.50"), bar(2, "175.10"), bar(3, "175.30")]
    signals = play(memory, bars)
    assert [(each.kind, each.bar_time) for each in signals] == [
        (BreakoutKind.PULLBACK, bar(3, "175.30").time)
    ]
    assert breakout_of(memory).kind is BreakoutKind.PULLBACK
    assert signals[0].reason == "PULLBACK to resistance 175.00, left again at 175.3"


def test_one_bar_may_touch_the_level_and_leave_it_again() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.50"), bar(2, "175.40", low="175.20")]
    assert [each.kind for each in play(memory, bars)] == [BreakoutKind.PULLBACK]


def test_a_break_that_has_never_left_the_level_cannot_come_back_to_it() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.10"), bar(2, "175.15"), bar(3, "175.50", low="175.10")]
    assert play(memory, bars) == []


def test_a_return_that_stays_away_from_the_level_is_no_pullback() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.90"), bar(2, "175.80", low="175.21"), bar(3, "175.90")]
    assert play(memory, bars) == []


def test_a_close_back_inside_during_the_pullback_resets_the_break() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.50"), bar(2, "175.00"), bar(3, "175.50")]
    assert play(memory, bars) == []
    assert (breakout_of(memory).bar, breakout_of(memory).kind) == (4, BreakoutKind.WEAK)


def test_a_moment_that_passed_while_another_position_was_held_does_not_come_again() -> None:
    memory = BreakoutMemory()
    play(memory, [bar(0, "174.90"), bar(1, "175.50", volume=2000)])
    assert play(memory, [bar(2, "175.60"), bar(3, "175.60")], flat=False) == []
    assert play(memory, (bar(each, "175.70") for each in range(4, 30))) == []


def test_a_pullback_that_passed_while_another_position_was_held_does_not_come_again() -> None:
    memory = BreakoutMemory()
    play(memory, [bar(0, "174.90"), bar(1, "175.50")])
    assert play(memory, [bar(2, "175.10"), bar(3, "175.50")], flat=False) == []
    assert breakout_of(memory).kind is BreakoutKind.PULLBACK
    assert play(memory, (bar(each, "175.50") for each in range(4, 30))) == []


def test_a_lost_entry_of_a_judged_break_is_taken_again_at_once() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "174.90"), bar(1, "175.50", volume=2000), bar(2, "175.60"), bar(3, "175.70")]
    (first,) = play(memory, bars)
    memory.pending = Side.LONG
    (again,) = play(memory, [bar(4, "175.80")])
    assert (again.kind, again.reason) == (first.kind, first.reason)
    assert again.price == Decimal("175.80")


def test_a_strong_break_with_a_candle_of_one_bar_is_entered_on_that_bar() -> None:
    rules = Rules(break_entry=BreakEntry.HYBRID, momentum_bars=1)
    bars = [bar(0, "174.90"), bar(1, "175.02", volume=2000)]
    assert len(play(BreakoutMemory(), bars, rules=rules)) == 1


def test_a_weak_short_break_is_measured_downwards_with_the_highs() -> None:
    memory = BreakoutMemory()
    bars = [bar(0, "170.10"), bar(1, "169.50"), bar(2, "169.60", low="169.85"), bar(3, "169.5")]
    signals = play(memory, bars)
    assert [(each.side, each.kind) for each in signals] == [(Side.SHORT, BreakoutKind.PULLBACK)]
    assert signals[0].bar_time == bar(2, "0").time


def test_the_memory_may_die_after_any_bar_and_the_next_life_sees_the_same_signals() -> None:
    closes = [
        "174.9",
        "175.5",
        "175.1",
        "175.3",
        "174.8",
        "175.1",
        "175.1",
        "175.2",
        *["175.1"] * 9,
    ]
    bars = [bar(number, close) for number, close in enumerate(closes)]
    alive = BreakoutMemory()
    expected = play(alive, bars)
    assert len(expected) == 2
    for death in range(len(bars)):
        memory = BreakoutMemory()
        signals = play(memory, bars[:death])
        reborn = BreakoutMemory.model_validate_json(memory.model_dump_json())
        assert signals + play(reborn, bars[death:]) == expected
        assert reborn == alive


PRICES = st.integers(min_value=-40, max_value=40).map(lambda cents: PIVOT + Decimal(cents) / 100)
SERIES = st.lists(st.tuples(PRICES, st.booleans()), max_size=40)


def looked_back(series: list[tuple[Decimal, bool]]) -> list[int]:
    """Find the entries of CLOSE by looking back over all bars: the first close beyond the level.

    It counts when the symbol was free, and between it and the last entry there was a bar that
    closed inside while the symbol was free.
    """
    entries: list[int] = []
    for number, (close, free) in enumerate(series):
        start = entries[-1] + 1 if entries else 0
        armed = any(price <= PIVOT and flat for price, flat in series[start:number])
        if close > PIVOT and free and armed:
            entries.append(number)
    return entries


@given(SERIES)
def test_the_entries_at_the_close_are_those_of_a_look_back_over_all_bars(
    series: list[tuple[Decimal, bool]],
) -> None:
    memory = BreakoutMemory()
    rules = Rules()
    found = [
        number
        for number, (close, free) in enumerate(series)
        if play(memory, [bar(number, str(close))], rules=rules, flat=free)
    ]
    assert found == looked_back(series)


def waited(closes: list[Decimal], strong: list[bool]) -> list[int]:
    """Find the entries of HYBRID by looking back over all bars, always free."""
    entries: list[int] = []
    for number in range(1, len(closes)):
        inside = [each for each in range(number) if closes[each] <= PIVOT]
        if closes[number] <= PIVOT or not inside:
            continue
        start = inside[-1] + 1
        run = [each - PIVOT for each in closes[start : number + 1]]
        earlier = entries and entries[-1] >= start
        if earlier:
            continue
        if strong[start]:
            due = len(run) == HYBRID.momentum_bars
        else:
            distance = HYBRID.pullback_distance
            away = next((each for each, beyond in enumerate(run) if beyond > distance), len(run))
            back = any(beyond <= distance for beyond in run[away:])
            due = len(run) - 1 == HYBRID.hold_bars or (back and run[-1] > distance)
        # The moment of holding passes once; a pullback may come later.
        if due:
            entries.append(number)
    return entries


@given(st.lists(st.tuples(PRICES, st.booleans()), max_size=60))
def test_the_entries_of_hybrid_are_those_of_a_look_back_over_all_bars(
    series: list[tuple[Decimal, bool]],
) -> None:
    memory = BreakoutMemory()
    found = [
        number
        for number, (close, strong) in enumerate(series)
        if play(memory, [bar(number, str(close), volume=1500 if strong else 1000)])
    ]
    closes, strong = [close for close, _ in series], [each for _, each in series]
    assert found == waited(closes, strong)


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=60), st.integers(1, 25))
def test_the_running_volume_is_the_mean_of_the_last_bars(volumes: list[int], window: int) -> None:
    memory, before = BreakoutMemory(), list[BarRecord]()
    for number, volume in enumerate(volumes):
        newest = bar(number, "174", volume=volume)
        add_volume(memory, newest, before=before, window=window)
        before.append(newest)
        recent = [each.volume for each in before[-window:]]
        assert mean_volume(memory) == sum(recent, Decimal(0)) / len(recent)


def test_the_mean_volume_of_no_bars_is_nothing() -> None:
    assert mean_volume(BreakoutMemory()) == 0


def test_a_smaller_window_than_that_of_the_last_life_begins_its_sum_again() -> None:
    memory, before = BreakoutMemory(), list[BarRecord]()
    for number in range(20):
        add_volume(memory, bar(number, "174", volume=9000), before=before, window=20)
        before.append(bar(number, "174", volume=9000))
    add_volume(memory, bar(20, "174", volume=100), before=before[-2:], window=2)
    assert mean_volume(memory) == 100
