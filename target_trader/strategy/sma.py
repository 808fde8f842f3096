"""The SMA crossover on two timeframes: a cross on the one, agreed to by the trend on the other.

Candles are built from five-second bars and averaged by running sums, so that a bar costs the same
whatever the periods: `SmaMemory` is all that is remembered, from bar to bar and over a restart.
Pure; what is done about a cross is decided in `signals.py`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from target_trader.clock import exchange_day
from target_trader.names import SMA, Side
from target_trader.settings import SmaRules
from target_trader.state.checkpoint import BarRecord, Checkpoint, LastSignal, SmaMemory
from target_trader.strategy.signal import BAR, Signal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def signal_key(symbol: str, rules: SmaRules) -> str:
    """Name the last signal of a symbol and a pair of periods: `AAPL:10:30`."""
    return f"{symbol}:{rules.fast}:{rules.slow}"


def memory_key(symbol: str, rules: SmaRules, *, timeframe: timedelta) -> str:
    """Name a memory; other periods are another memory, because its sums are made for them."""
    return f"{signal_key(symbol, rules)}:{int(timeframe.total_seconds())}"


def memories(checkpoint: Checkpoint, symbol: str, *, rules: SmaRules) -> list[SmaMemory]:
    """Return what is remembered of a symbol for these rules: on no, one or two timeframes."""
    frames = (rules.timeframe, rules.trend_timeframe)
    keys = {memory_key(symbol, rules, timeframe=each) for each in frames}
    return [checkpoint.sma[key] for key in sorted(keys & set(checkpoint.sma))]


def symbol_of(key: str) -> str:
    """Return the symbol that a memory is of; it may hold a colon itself."""
    return key.rsplit(":", 3)[0]


def signal_word(side: Side) -> str:
    """Return the word of a crossover's direction, BUY or SELL."""
    return side.entry_action


def take_bar(
    checkpoint: Checkpoint, symbol: str, *, bar: BarRecord, rules: SmaRules
) -> Side | None:
    """Take one bar into both timeframes; return the side of a cross that the trend agrees with.

    The trend is stepped first, so that a candle of it that ends with this bar counts.
    """
    trend_key = memory_key(symbol, rules, timeframe=rules.trend_timeframe)
    key = memory_key(symbol, rules, timeframe=rules.timeframe)
    trend = checkpoint.sma.setdefault(trend_key, SmaMemory())
    memory = checkpoint.sma.setdefault(key, SmaMemory())
    before = memory.above
    if trend is not memory:
        step(trend, bar, rules=rules, timeframe=rules.trend_timeframe)
    step(memory, bar, rules=rules, timeframe=rules.timeframe)
    if before is None or memory.above is before or trend.above is not memory.above:
        return None
    return Side.LONG if memory.above else Side.SHORT


def step(memory: SmaMemory, bar: BarRecord, *, rules: SmaRules, timeframe: timedelta) -> None:
    """Take one bar into a candle; close the candle that it ends, and one that a gap has ended."""
    if memory.last_bar is not None and bar.time <= memory.last_bar:
        return
    memory.last_bar = bar.time
    start = candle_start(bar.time, timeframe)
    if memory.candle_start is not None and start > memory.candle_start:
        close_candle(memory, rules)
    memory.candle_start, memory.candle_close = start, bar.close
    if bar.time + BAR >= start + timeframe:
        close_candle(memory, rules)


def candle_start(moment: datetime, timeframe: timedelta) -> datetime:
    """Return the start of the candle that a moment lies in; candles begin at full multiples.

    Counted in absolute time, so that no candle is longer or shorter when the clocks are changed.
    """
    return moment - (moment.astimezone(UTC) - EPOCH) % timeframe


def close_candle(memory: SmaMemory, rules: SmaRules) -> None:
    """Take the close of the finished candle into the averages; equal averages are no cross."""
    close, memory.candle_start, memory.candle_close = memory.candle_close, None, None
    if close is None:
        return
    if len(memory.closes) >= rules.fast:
        memory.fast_sum -= memory.closes[-rules.fast]
    if len(memory.closes) >= rules.slow:
        memory.slow_sum -= memory.closes.pop(0)
    memory.closes.append(close)
    memory.fast_sum += close
    memory.slow_sum += close
    if len(memory.closes) < rules.slow:
        return
    # Multiplied out, because a division would round.
    difference = memory.fast_sum * rules.slow - memory.slow_sum * rules.fast
    if difference != 0:
        memory.above = difference > 0


def averages(memory: SmaMemory, rules: SmaRules) -> tuple[Decimal, Decimal] | None:
    """Return the fast and the slow average in dollars; None while there are too few candles."""
    if len(memory.closes) < rules.slow:
        return None
    return memory.fast_sum / rules.fast, memory.slow_sum / rules.slow


def signals(
    checkpoint: Checkpoint, symbol: str, *, bar: BarRecord, rules: SmaRules
) -> list[Signal]:
    """Take one bar; return the cross that it gives, or the entry that an older one still wants.

    A bar that was taken already gives none: what it asked for was asked then.
    """
    memory = checkpoint.sma.get(memory_key(symbol, rules, timeframe=rules.timeframe))
    if memory is not None and memory.last_bar is not None and bar.time <= memory.last_bar:
        return []
    side = take_bar(checkpoint, symbol, bar=bar, rules=rules)
    if side is not None:
        word = "above" if side is Side.LONG else "below"
        reason = f"{SMA} {rules.fast} crossed {word} {rules.slow} at {bar.close}"
        return [signal_of(symbol, side, bar=bar, reason=reason)]
    waiting = pending_side(checkpoint, symbol, bar=bar, rules=rules)
    if waiting is None:
        return []
    last = checkpoint.last_signals[signal_key(symbol, rules)]
    reason = f"{SMA} {last.signal} of {last.bar_time:%H:%M:%S} still to be entered"
    return [signal_of(symbol, waiting, bar=bar, reason=reason, resumed=True)]


def signal_of(
    symbol: str, side: Side, *, bar: BarRecord, reason: str, resumed: bool = False
) -> Signal:
    """Ask for a position of this side at the close of this bar."""
    return Signal(
        symbol=symbol,
        side=side,
        pivot=None,
        price=bar.close,
        bar_time=bar.time,
        kind=None,
        reason=reason,
        strategy=SMA,
        resumed=resumed,
    )


def pending_side(
    checkpoint: Checkpoint, symbol: str, *, bar: BarRecord, rules: SmaRules
) -> Side | None:
    """Return the side that is still to be entered once the symbol is flat.

    Only while the averages are still on that side and on the day of the cross; otherwise the wish
    is dropped for good.
    """
    last = checkpoint.last_signals.get(signal_key(symbol, rules))
    if last is None or last.pending is None:
        return None
    memory = checkpoint.sma.get(memory_key(symbol, rules, timeframe=rules.timeframe))
    above = last.pending is Side.LONG
    holds = memory is not None and memory.above is above
    if not holds or exchange_day(last.bar_time) != exchange_day(bar.time):
        last.pending = None
        return None
    free = checkpoint.position_of(symbol) is None and not checkpoint.live_intents(symbol)
    return last.pending if free else None


def note_signal(
    checkpoint: Checkpoint, signal: Signal, *, rules: SmaRules, pending: Side | None
) -> None:
    """Remember that a cross has been acted on; durable with the next save, the orders' own."""
    key = signal_key(signal.symbol, rules)
    last = checkpoint.last_signals.get(key)
    if signal.resumed and last is not None:
        last.pending = pending
        return
    checkpoint.last_signals[key] = LastSignal(
        signal=signal_word(signal.side),
        bar_time=signal.bar_time,
        price=signal.price,
        pending=pending,
    )


def give_back(checkpoint: Checkpoint, symbol: str, side: Side) -> None:
    """Let the entry of a cross be taken again: its order never reached the broker.

    The last signal stays, so that the cross itself is not acted on a second time.
    """
    for key, last in checkpoint.last_signals.items():
        if key.rsplit(":", 2)[0] == symbol and last.signal == signal_word(side):
            last.pending = side
