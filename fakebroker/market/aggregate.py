"""From trades to bars, from bars to longer bars, and from a bar back to trades that make it.

Nothing is lost on the way: volume adds up, and the highest and the lowest price stay. A bar does
not say in which order its prices came, so the trades that are made of one are a choice [A].
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from fakebroker.market.tape import DEFAULT_PERIOD, Bar, Tick

MILLIONTH = Decimal("0.000001")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_time(time: datetime, period: timedelta) -> datetime:
    """Return the start of the period that holds an aware time, counted from 1970 in UTC."""
    return time - (time - EPOCH) % period


def merge_bars(bars: Sequence[Bar], start: datetime) -> Bar:
    """Return one bar for consecutive ones of the same stock, beginning at `start`.

    Args:
        bars: At least one, in order of time.
        start: What the long bar is stamped with, aware.
    """
    volume = sum((bar.volume for bar in bars), Decimal(0))
    low, high = min(bar.low for bar in bars), max(bar.high for bar in bars)
    wap: Decimal | None = None
    if volume and any(bar.wap is not None for bar in bars):
        value = sum((bar.volume * _wap(bar) for bar in bars), Decimal(0))
        wap = min(max((value / volume).quantize(MILLIONTH), low), high)
    known = [bar.count for bar in bars if bar.count is not None and bar.count >= 0]
    return Bar(
        symbol=bars[0].symbol,
        time=start,
        open=bars[0].open,
        high=high,
        low=low,
        close=bars[-1].close,
        volume=volume,
        wap=wap,
        count=sum(known) if known else None,
    )


def bars_of_ticks(ticks: Iterable[Tick], period: timedelta = DEFAULT_PERIOD) -> tuple[Bar, ...]:
    """Return the bars of so many trades, by time and then by the first trade of each stock."""
    rows: dict[tuple[datetime, str], list[Bar]] = {}
    for tick in ticks:
        rows.setdefault((floor_time(tick.time, period), tick.symbol), []).append(bar_of_tick(tick))
    merged = [merge_bars(row, start) for (start, _), row in rows.items()]
    return tuple(sorted(merged, key=lambda bar: bar.time))


def bar_of_tick(tick: Tick) -> Bar:
    """Return the bar of a single trade."""
    price = tick.price
    return Bar(
        symbol=tick.symbol,
        time=tick.time,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=tick.size,
        wap=price,
        count=1,
    )


def ticks_of_bar(bar: Bar, period: timedelta) -> tuple[Tick, ...]:
    """Return trades that make a bar: its open, its extremes and its close, evenly in time.

    A rising bar goes low first. The volume is shared out in whole shares, the rest to the last
    trade; a bar without volume has no trades.
    """
    if not bar.volume:
        return ()
    extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    path = [bar.open]
    path += [
        price
        for before, price in zip((bar.open, *extremes), (*extremes, bar.close), strict=True)
        if price != before
    ]
    each = (bar.volume / len(path)).to_integral_value(ROUND_DOWN)
    sizes = [each] * (len(path) - 1)
    sizes.append(bar.volume - each * len(sizes))
    return tuple(
        Tick(bar.symbol, bar.time + period * place / len(path), price, size)
        for place, (price, size) in enumerate(zip(path, sizes, strict=True))
    )


def _wap(bar: Bar) -> Decimal:
    return bar.close if bar.wap is None else bar.wap
