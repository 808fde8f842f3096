"""The PS60 breakout: a bar closes beyond a level that the bar before it had not passed.

One step per bar, from what is remembered and the bar, without looking back: `BreakoutMemory`
carries the break from bar to bar and over a restart. `rules.break_entry` says when a break is
entered: CLOSE takes every one at the close of its bar; HYBRID waits until a strong break's momentum
candle has closed beyond the level, and until a weak one has held or has come back to the level and
left it again. Knows no orders and no limits; what forbids a trade is in `risk.py`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

from target_trader.names import Side, plain
from target_trader.settings import BreakEntry, Rules, Setup
from target_trader.state.checkpoint import (
    BarRecord,
    Breakout,
    BreakoutKind,
    BreakoutMemory,
    Retest,
)
from target_trader.strategy.signal import Signal

CENT = Decimal("0.01")


def step(
    memory: BreakoutMemory,
    bar: BarRecord,
    *,
    setup: Setup,
    rules: Rules,
    mean_volume: Decimal,
    flat: bool,
) -> Signal | None:
    """Take one bar into `memory` and return the signal that it gives, if any.

    A side arms when a bar closes at or inside its level while the symbol may be entered, and breaks
    once when a later bar closes beyond it. So a stopped-out break comes again only after another
    close at or inside the level. A close back inside ends a break, whatever it was waiting for.

    Args:
        memory: what is remembered of the symbol; changed in place.
        bar: the bar that has just ended.
        setup: the levels of the symbol.
        rules: the numbers of the strategy.
        mean_volume: mean volume of the bars before this one; 0 when there are none.
        flat: a position may be opened: there is none, and no entry that may become one.
    """
    if memory.last_bar is not None and bar.time <= memory.last_bar:
        return None
    memory.last_bar = bar.time
    memory.bars_seen += 1
    ratio = bar.volume / mean_volume if mean_volume else None
    signal = None
    for side in (Side.LONG, Side.SHORT):
        pivot = setup.pivot(side)
        beyond = is_beyond(bar.close, side, pivot)
        hold_breakout(memory, side, beyond=beyond)
        reason = ripen(memory, bar, pivot=pivot, rules=rules) if is_held(memory, side) else None
        if not flat:
            continue
        if not beyond:
            set_armed(memory, side, armed=True)
            if memory.pending is side:
                memory.pending = None
            continue
        if memory.pending is side or is_armed(memory, side):
            reason = take_break(memory, bar, side, pivot=pivot, ratio=ratio, rules=rules)
        if reason is not None and memory.breakout is not None:
            memory.breakout.entry_reason = reason
            signal = signal_of(memory.breakout, bar, setup=setup)
    return signal


def is_beyond(close: Decimal, side: Side, pivot: Decimal) -> bool:
    """Tell whether a close lies strictly beyond the level of a side."""
    return (close - pivot) * side.sign > 0


def is_armed(memory: BreakoutMemory, side: Side) -> bool:
    """Tell whether the next close beyond the level is a break."""
    return memory.armed_long if side is Side.LONG else memory.armed_short


def is_held(memory: BreakoutMemory, side: Side) -> bool:
    """Tell whether the level of a side is broken and the break has not failed."""
    return memory.breakout is not None and memory.breakout.side is side


def set_armed(memory: BreakoutMemory, side: Side, *, armed: bool) -> None:
    """Arm or disarm a side."""
    if side is Side.LONG:
        memory.armed_long = armed
    else:
        memory.armed_short = armed


def hold_breakout(memory: BreakoutMemory, side: Side, *, beyond: bool) -> None:
    """Count the bars that a break has held, or forget it when it has failed."""
    if memory.breakout is None or memory.breakout.side is not side:
        return
    if beyond:
        memory.breakout.bars_held += 1
    else:
        memory.breakout = None


def take_break(
    memory: BreakoutMemory,
    bar: BarRecord,
    side: Side,
    *,
    pivot: Decimal,
    ratio: Decimal | None,
    rules: Rules,
) -> str | None:
    """Remember a new break, or take a lost entry's again; return why it is entered now, if it is.

    A break whose entry was lost on the way has been judged already and is not judged again.
    """
    again = memory.pending is side
    set_armed(memory, side, armed=False)
    memory.pending = None
    kept = memory.breakout
    if again and rules.break_entry is BreakEntry.HYBRID and kept is not None and kept.side is side:
        return kept.entry_reason or break_words(kept, pivot)
    breakout = breakout_of(bar, side, number=memory.bars_seen, ratio=ratio, rules=rules)
    memory.breakout = breakout
    match rules.break_entry:
        case BreakEntry.CLOSE:
            breakout.candle_close_bar = memory.bars_seen
            return break_words(breakout, pivot)
        case BreakEntry.HYBRID:
            if is_away(bar.close, side, pivot=pivot, rules=rules):
                breakout.retest = Retest.AWAY
            close_candle(breakout, bar, number=memory.bars_seen, rules=rules)
            closed = breakout.candle_close_bar is not None
            strong = breakout.kind is BreakoutKind.STRONG
            return break_words(breakout, pivot) if again or (closed and strong) else None
        case _:
            assert_never(rules.break_entry)


def ripen(memory: BreakoutMemory, bar: BarRecord, *, pivot: Decimal, rules: Rules) -> str | None:
    """Follow a break by one bar that closed beyond; return why it is to be entered on this bar.

    It follows the break also while nothing may be entered: a moment that has passed does not come
    again, so a position that ends later does not set off an old break.
    """
    breakout = memory.breakout
    if breakout is None or rules.break_entry is BreakEntry.CLOSE:
        return None
    close_candle(breakout, bar, number=memory.bars_seen, rules=rules)
    closed = breakout.candle_close_bar == memory.bars_seen
    back = comes_back(breakout, bar, pivot=pivot, rules=rules)
    if breakout.entry_reason is not None:
        return None
    match breakout.kind:
        case BreakoutKind.STRONG:
            words = f"{break_words(breakout, pivot)}, its candle closed at {plain(bar.close)}"
            return words if closed else None
        case BreakoutKind.WEAK if back:
            breakout.kind = BreakoutKind.PULLBACK
            level = level_words(breakout.side)
            return f"{breakout.kind} to {level} {pivot}, left again at {plain(bar.close)}"
        case BreakoutKind.WEAK:
            words = f"{break_words(breakout, pivot)}, held {breakout.bars_held} bars"
            return words if breakout.bars_held == rules.hold_bars else None
        case BreakoutKind.PULLBACK:
            return None
        case _:
            assert_never(breakout.kind)


def close_candle(breakout: Breakout, bar: BarRecord, *, number: int, rules: Rules) -> None:
    """Follow the momentum candle, which begins with the bar of the break, until it closes."""
    if breakout.candle_close_bar is not None:
        return
    breakout.candle_close = bar.close
    if number - breakout.bar + 1 >= rules.momentum_bars:
        breakout.candle_close_bar = number


def comes_back(breakout: Breakout, bar: BarRecord, *, pivot: Decimal, rules: Rules) -> bool:
    """Follow a break away from its level and back to it; True when it leaves it once more."""
    sign = breakout.side.sign
    nearest = bar.low if breakout.side is Side.LONG else bar.high
    away = is_away(bar.close, breakout.side, pivot=pivot, rules=rules)
    if breakout.retest is Retest.NONE:
        breakout.retest = Retest.AWAY if away else Retest.NONE
        return False
    if (nearest - pivot) * sign <= rules.pullback_distance:
        breakout.retest = Retest.BACK
    return breakout.retest is Retest.BACK and away


def is_away(close: Decimal, side: Side, *, pivot: Decimal, rules: Rules) -> bool:
    """Tell whether a close lies farther beyond the level than a pullback reaches."""
    return (close - pivot) * side.sign > rules.pullback_distance


def breakout_of(
    bar: BarRecord, side: Side, *, number: int, ratio: Decimal | None, rules: Rules
) -> Breakout:
    """Describe a break: strong when its volume stands out from the bars before it."""
    strong = ratio is not None and ratio >= rules.strong_volume_ratio
    return Breakout(
        side=side,
        bar=number,
        bar_time=bar.time,
        price=bar.close,
        kind=BreakoutKind.STRONG if strong else BreakoutKind.WEAK,
        volume_ratio=None if ratio is None else ratio.quantize(CENT),
        candle_close=bar.close,
    )


def signal_of(breakout: Breakout, bar: BarRecord, *, setup: Setup) -> Signal:
    """Ask for the entry that a break stands for, at the close of this bar."""
    return Signal(
        symbol=setup.symbol,
        side=breakout.side,
        pivot=setup.pivot(breakout.side),
        price=bar.close,
        bar_time=bar.time,
        kind=breakout.kind,
        reason=breakout.entry_reason or "",
    )


def break_words(breakout: Breakout, pivot: Decimal) -> str:
    """Describe a break: `STRONG break of resistance 444.77 at 445.25`."""
    return f"{breakout.kind} break of {level_words(breakout.side)} {pivot} at {breakout.price}"


def level_words(side: Side) -> str:
    """Name the level of a side."""
    return "resistance" if side is Side.LONG else "support"


def mean_volume(memory: BreakoutMemory) -> Decimal:
    """Return the mean volume of the bars that `add_volume` has summed, 0 when there are none."""
    return memory.volume_sum / memory.volume_bars if memory.volume_bars else Decimal(0)


def add_volume(
    memory: BreakoutMemory, bar: BarRecord, *, before: Sequence[BarRecord], window: int
) -> None:
    """Take a bar into the running sum of the last `window` volumes.

    Args:
        memory: holds the sum; changed in place.
        bar: the newest bar.
        before: the bars before it, newest last; of these only the one that leaves is read.
        window: over how many bars the sum runs, at least 1.
    """
    if memory.volume_bars > min(window, len(before)):
        # Another window or a shorter buffer than the sum was made with: it begins again.
        memory.volume_sum, memory.volume_bars = Decimal(0), 0
    if memory.volume_bars == window:
        memory.volume_sum -= before[-window].volume
        memory.volume_bars -= 1
    memory.volume_sum += bar.volume
    memory.volume_bars += 1
