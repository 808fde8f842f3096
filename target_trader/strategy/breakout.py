"""The PS60 breakout: a bar closes beyond a level that the bar before it had not passed.

One step per bar, from what is remembered and the bar, without looking back: `BreakoutMemory`
carries the break from bar to bar and over a restart. Knows no orders and no limits; whether a
signal may be traded is decided in `risk.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from target_trader.names import Side
from target_trader.settings import Rules, Setup
from target_trader.state.checkpoint import BarRecord, Breakout, BreakoutKind, BreakoutMemory


@dataclass(frozen=True, slots=True)
class Signal:
    """A break that asks for an entry. Prices in dollars."""

    symbol: str
    side: Side
    pivot: Decimal
    price: Decimal
    bar_time: datetime
    kind: BreakoutKind
    reason: str


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

    A side arms when a bar closes at or inside its level while the symbol is flat, and fires
    once when a later bar closes beyond it. So a stopped-out break fires again only after
    another close at or inside the level.

    Args:
        memory: what is remembered of the symbol; changed in place.
        bar: the bar that has just ended.
        setup: the levels of the symbol.
        rules: the numbers of the strategy.
        mean_volume: mean volume of the bars before this one; 0 when there are none.
        flat: no position and no entry that may become one.
    """
    if memory.last_bar is not None and bar.time <= memory.last_bar:
        return None
    memory.last_bar = bar.time
    memory.bars_seen += 1
    signal = None
    for side in (Side.LONG, Side.SHORT):
        beyond = is_beyond(bar.close, side, setup.pivot(side))
        hold_breakout(memory, side, beyond=beyond)
        if not flat:
            continue
        if not beyond:
            set_armed(memory, side, armed=True)
            if memory.pending is side:
                memory.pending = None
            continue
        if memory.pending is side or is_armed(memory, side):
            ratio = bar.volume / mean_volume if mean_volume else None
            memory.breakout = breakout_of(bar, side, ratio=ratio, rules=rules)
            set_armed(memory, side, armed=False)
            memory.pending = None
            signal = signal_of(memory.breakout, setup)
    return signal


def is_beyond(close: Decimal, side: Side, pivot: Decimal) -> bool:
    """Tell whether a close lies strictly beyond the level of a side."""
    return (close - pivot) * side.sign > 0


def is_armed(memory: BreakoutMemory, side: Side) -> bool:
    """Tell whether the next close beyond the level is a break."""
    return memory.armed_long if side is Side.LONG else memory.armed_short


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


def breakout_of(bar: BarRecord, side: Side, *, ratio: Decimal | None, rules: Rules) -> Breakout:
    """Describe a break: strong when its volume stands out from the bars before it."""
    strong = ratio is not None and ratio >= rules.strong_volume_ratio
    return Breakout(
        side=side,
        bar_time=bar.time,
        price=bar.close,
        kind=BreakoutKind.STRONG if strong else BreakoutKind.WEAK,
        volume_ratio=None if ratio is None else ratio.quantize(Decimal("0.01")),
        candle_close=bar.close,
    )


def signal_of(breakout: Breakout, setup: Setup) -> Signal:
    """Ask for the entry that a break stands for."""
    pivot = setup.pivot(breakout.side)
    level = "resistance" if breakout.side is Side.LONG else "support"
    return Signal(
        symbol=setup.symbol,
        side=breakout.side,
        pivot=pivot,
        price=breakout.price,
        bar_time=breakout.bar_time,
        kind=breakout.kind,
        reason=f"{breakout.kind} break of {level} {pivot} at {breakout.price}",
    )


def mean_volume(bars: list[BarRecord], *, window: int) -> Decimal:
    """Return the mean volume of the last `window` bars in shares, 0 when there are none."""
    recent = bars[-window:]
    if not recent:
        return Decimal(0)
    return sum((bar.volume for bar in recent), Decimal(0)) / len(recent)
