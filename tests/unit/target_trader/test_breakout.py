"""The PS60 breakout with the desk's own numbers: TSLA, resistance 444.77, bar at 445.25."""

from datetime import datetime, timedelta
from decimal import Decimal

from target_trader.clock import NEW_YORK
from target_trader.names import Side
from target_trader.settings import Rules, Setup
from target_trader.state.checkpoint import BarRecord, BreakoutKind, BreakoutMemory
from target_trader.strategy.breakout import step
from target_trader.strategy.signal import Signal

OPENING = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
RULES = Rules()
SETUP = Setup(
    symbol="TSLA",
    resistance=Decimal("444.77"),
    support=Decimal("432.50"),
    target1=Decimal("460.25"),
    target2=Decimal("470.50"),
)


def bar(number: int, close: str, volume: int = 1000) -> BarRecord:
    """Make the bar that starts so many bars after ten o'clock."""
    price = Decimal(close)
    return BarRecord(
        time=OPENING + timedelta(seconds=5 * number),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(volume),
    )


def play(
    memory: BreakoutMemory, closes: list[str], *, first: int = 0, flat: bool = True
) -> list[Signal | None]:
    """Step a memory through closes."""
    return [
        step(
            memory,
            bar(first + number, close),
            setup=SETUP,
            rules=RULES,
            mean_volume=Decimal(1000),
            flat=flat,
        )
        for number, close in enumerate(closes)
    ]


def fires(signals: list[Signal | None]) -> list[int]:
    """List the bars that gave a signal."""
    return [number for number, signal in enumerate(signals) if signal is not None]


def test_a_close_above_resistance_after_one_below_is_a_long_signal_at_the_close() -> None:
    signals = play(BreakoutMemory(), ["444.50", "445.25"])
    assert fires(signals) == [1]
    signal = signals[1]
    assert signal is not None
    assert (signal.side, signal.pivot, signal.price) == (
        Side.LONG,
        Decimal("444.77"),
        Decimal("445.25"),
    )


def test_a_close_below_support_after_one_above_is_a_short_signal() -> None:
    signals = play(BreakoutMemory(), ["433.00", "432.49"])
    assert fires(signals) == [1]
    assert signals[1] is not None
    assert signals[1].side is Side.SHORT


def test_a_close_at_the_level_is_no_break_and_arms() -> None:
    assert fires(play(BreakoutMemory(), ["444.77", "444.77", "444.78"])) == [2]


def test_a_day_that_opens_above_resistance_gives_no_signal() -> None:
    assert fires(play(BreakoutMemory(), ["446.00", "447.00", "448.00"])) == []


def test_a_break_fires_once_while_price_stays_beyond_the_level() -> None:
    assert fires(play(BreakoutMemory(), ["444.50", "445.25", "446.00", "447.00"])) == [1]


def test_a_stop_out_arms_again_only_after_a_close_at_or_below_the_level() -> None:
    memory = BreakoutMemory()
    play(memory, ["444.50", "445.25"])
    play(memory, ["444.00", "443.00"], first=2, flat=False)
    assert fires(play(memory, ["445.00", "446.00", "444.70", "445.10"], first=4)) == [3]


def test_a_lost_entry_is_taken_again_at_the_next_bar_that_is_still_beyond() -> None:
    memory = BreakoutMemory()
    play(memory, ["444.50", "445.25"])
    memory.pending = Side.LONG
    assert fires(play(memory, ["445.00", "446.00"], first=2)) == [0]
    assert memory.pending is None


def test_a_lost_entry_is_dropped_when_price_has_come_back_but_the_side_is_armed() -> None:
    memory = BreakoutMemory(pending=Side.LONG)
    assert fires(play(memory, ["444.00", "445.00"])) == [1]
    assert memory.pending is None


def test_a_bar_that_has_been_seen_changes_nothing() -> None:
    memory = BreakoutMemory()
    play(memory, ["444.50"])
    before = memory.model_copy(deep=True)
    assert fires(play(memory, ["445.25"])) == []
    assert memory == before


def test_volume_makes_a_break_strong_from_one_and_a_half_times_the_mean() -> None:
    kinds = []
    for volume in (1499, 1500):
        memory = BreakoutMemory(armed_long=True)
        signal = step(
            memory,
            bar(0, "445.25", volume),
            setup=SETUP,
            rules=RULES,
            mean_volume=Decimal(1000),
            flat=True,
        )
        assert signal is not None
        kinds.append(signal.kind)
    assert kinds == [BreakoutKind.WEAK, BreakoutKind.STRONG]


def test_a_break_is_remembered_while_it_holds_and_forgotten_when_it_fails() -> None:
    memory = BreakoutMemory()
    play(memory, ["444.50", "445.25"])
    play(memory, ["445.50", "445.60"], first=2, flat=False)
    assert memory.breakout is not None
    assert (memory.breakout.price, memory.breakout.bars_held) == (Decimal("445.25"), 2)
    play(memory, ["444.00"], first=4, flat=False)
    assert memory.breakout is None


def test_a_break_remembers_bar_price_strength_and_why_it_was_entered() -> None:
    memory = BreakoutMemory()
    play(memory, ["444.50", "444.60", "445.25"])
    assert memory.breakout is not None
    assert memory.breakout.model_dump(exclude={"bar_time", "retest"}) == {
        "side": Side.LONG,
        "bar": 3,
        "price": Decimal("445.25"),
        "kind": BreakoutKind.WEAK,
        "volume_ratio": Decimal("1.00"),
        "candle_close": Decimal("445.25"),
        "candle_close_bar": 3,
        "bars_held": 0,
        "entry_reason": "WEAK break of resistance 444.77 at 445.25",
    }
