"""A made-up day whose shape can be asked for: `synthetic:breakout:TSLA,AMD:60min:2025-10-06`.

A pure function of seed, shape, symbols and date: the same words give the same tape for ever. The
day opens at 09:30 New York and moves in cents. Its first quarter (15 minutes at most) is the
opening range, whose high is the level and whose low is the stop that a shape is about.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from random import Random
from typing import assert_never
from zoneinfo import ZoneInfo

from fakebroker.market.tape import DEFAULT_PERIOD, Bar, Halt, Tape, TapeError

PREFIX = "synthetic:"
EXCHANGE_ZONE = ZoneInfo("America/New_York")
OPENING = time(9, 30)
DEFAULT_DAY = date(2025, 10, 6)
DEFAULT_SYMBOLS: tuple[str, ...] = ("TSLA",)
SYMBOL = re.compile(r"[A-Z][A-Z.]{0,5}")
MINUTES = re.compile(r"(\d{1,4})min")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
MINUTES_MIN, MINUTES_MAX = 5, 390
BARS_A_MINUTE = 12
OPENING_BARS_MAX = 15 * BARS_A_MINUTE
SATURDAY = 5
CENT = Decimal("0.01")
# A swing of a chop: so many bars towards one end of the range, then as many back.
SWING_BARS = 20
WICK_CENTS = 2


class Shape(StrEnum):
    """What happens after the opening range."""

    BREAKOUT = "breakout"
    """It closes above the level and stays above it."""
    FAKEOUT = "fakeout"
    """It closes above the level, comes back and stays below it."""
    GAP_THROUGH_STOP = "gap-through-stop"
    """A breakout, and then a jump over the stop without a trade in between."""
    CHOP = "chop"
    """It swings through the opening range and never leaves it."""
    HALT = "halt"
    """Trading stops for a while and goes on elsewhere."""


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """Which day is wanted."""

    shape: Shape
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    minutes: int = MINUTES_MAX
    day: date = DEFAULT_DAY

    @property
    def bars(self) -> int:
        """How many periods of 5 s the day has."""
        return self.minutes * BARS_A_MINUTE

    @property
    def opening_bars(self) -> int:
        """How many of them are the opening range."""
        return min(self.bars // 4, OPENING_BARS_MAX)


@dataclass(frozen=True, slots=True)
class _Step:
    """One bar to be: where it closes and which prices it must not leave, in cents."""

    close: int
    low: int = 1
    high: int = 10**9
    gap: int | None = None
    """Where it opens, if not where the bar before closed."""


def parse_spec(text: str) -> SyntheticSpec:
    """Read `synthetic:SHAPE` with, in any order, `:SYMBOL,SYMBOL`, `:60min` and `:2025-10-06`.

    Raises:
        TapeError: It cannot be read; the message says which part and what is possible.
    """
    shape_text, *parts = text.removeprefix(PREFIX).split(":")
    try:
        shape = Shape(shape_text)
    except ValueError:
        shapes = ", ".join(shape.value for shape in Shape)
        raise TapeError(
            f"{text}: there is no synthetic day {shape_text!r}; the shapes are {shapes}"
        ) from None
    symbols, minutes, day = DEFAULT_SYMBOLS, MINUTES_MAX, DEFAULT_DAY
    for part in parts:
        if match := MINUTES.fullmatch(part):
            minutes = int(match[1])
        elif DAY.fullmatch(part):
            day = _parse_day(part, text)
        else:
            symbols = _parse_symbols(part, text)
    if not MINUTES_MIN <= minutes <= MINUTES_MAX:
        raise TapeError(f"{text}: {minutes} minutes; a day has {MINUTES_MIN} to {MINUTES_MAX}")
    return SyntheticSpec(shape, symbols, minutes, day)


def synthetic_tape(spec: SyntheticSpec, seed: int) -> Tape:
    """Return the day, the same one for the same arguments."""
    start = datetime.combine(spec.day, OPENING, EXCHANGE_ZONE)
    rows: dict[str, list[Bar | None]] = {}
    for symbol in spec.symbols:
        rng = Random(f"{seed}/{spec.shape.value}/{symbol}/{spec.day.isoformat()}")
        rows[symbol] = list(_bars(symbol, start, _plan(spec, rng), rng))
    bars = [bar for row in zip(*rows.values(), strict=True) for bar in row if bar is not None]
    return Tape(tuple(bars), DEFAULT_PERIOD, halts=tuple(_halts(start, rows)))


def _parse_day(part: str, text: str) -> date:
    try:
        day = date.fromisoformat(part)
    except ValueError:
        raise TapeError(f"{text}: {part!r} is no date; write it like {DEFAULT_DAY}") from None
    if day.weekday() >= SATURDAY:
        raise TapeError(f"{text}: {part} is a {day:%A}; the market is closed, take a weekday")
    return day


def _parse_symbols(part: str, text: str) -> tuple[str, ...]:
    symbols = tuple(part.split(","))
    for symbol in symbols:
        if not SYMBOL.fullmatch(symbol):
            raise TapeError(
                f"{text}: {symbol!r} is neither a symbol (one to six capital letters) nor a "
                "length like 60min nor a date like 2025-10-06"
            )
    if len(set(symbols)) < len(symbols):
        raise TapeError(f"{text}: a symbol is named twice; name each once")
    return symbols


def _plan(spec: SyntheticSpec, rng: Random) -> list[_Step | None]:
    """Return the day of one stock; None is a period without a trade."""
    middle = rng.randrange(4_000, 40_000)
    width = middle // 200
    low, high = middle - width, middle + width
    steps: list[_Step | None] = list(_opening(spec.opening_bars, rng, low=low, high=high))
    left = spec.bars - len(steps)
    quiet = left // 8 + rng.randrange(left // 8)
    left -= quiet
    steps += _swings(quiet, rng, low=low, high=high)
    match spec.shape:
        case Shape.BREAKOUT:
            steps += _walk(left, rng, high + 3, low=high + 3, high=high + 20 * width)
        case Shape.FAKEOUT:
            above = max(left // 20, 2)
            steps += _walk(above, rng, high + 3, low=high + 3, high=high + width)
            steps += _walk(left - above, rng, high - 3, low=low - width, high=high - 3)
        case Shape.GAP_THROUGH_STOP:
            above = max(left // 4, 2)
            steps += _walk(above, rng, high + 3, low=high + 3, high=high + 2 * width)
            landing = low - 2 * width - rng.randrange(width)
            below = _walk(left - above, rng, landing, low=low - 6 * width, high=low - width)
            steps += _gap(below, landing)
        case Shape.CHOP:
            steps += _swings(left, rng, low=low, high=high)
        case Shape.HALT:
            still = max(left // 6, 2)
            steps += [None] * still
            landing = middle + rng.choice((-3, 3)) * width
            after = _walk(left - still, rng, landing, low=landing - width, high=landing + width)
            steps += _gap(after, landing)
        case _:
            assert_never(spec.shape)
    return steps


def _opening(count: int, rng: Random, *, low: int, high: int) -> Iterator[_Step]:
    """Yield an opening range that touches both of its ends."""
    steps = _swings(count, rng, low=low, high=high)
    steps[count // 3] = _Step(high, low, high)
    steps[2 * count // 3] = _Step(low, low, high)
    yield from steps


def _swings(count: int, rng: Random, *, low: int, high: int) -> list[_Step]:
    """Return closes that go to and fro between the lower and the upper third of a range."""
    third = (high - low) // 3
    steps = []
    for place in range(count):
        upper = (place // SWING_BARS) % 2 == 1
        bottom, top = (high - third, high) if upper else (low, low + third)
        steps.append(_Step(rng.randrange(bottom, top + 1), low, high))
    return steps


def _walk(count: int, rng: Random, start: int, *, low: int, high: int) -> list[_Step]:
    """Return a random walk that begins at `start` and whose closes stay between two prices."""
    pace = max((high - low) // 40, 2)
    close, steps = start, []
    for _ in range(count):
        steps.append(_Step(close))
        close = min(max(close + rng.randint(-pace, pace), low), high)
    return steps


def _gap(steps: list[_Step], landing: int) -> list[_Step]:
    """Return steps of which the first opens where it lands."""
    first = _Step(steps[0].close, gap=landing)
    return [first, *steps[1:]]


def _bars(
    symbol: str, start: datetime, steps: list[_Step | None], rng: Random
) -> Iterator[Bar | None]:
    first = next(step for step in steps if step is not None)
    before = first.close
    for place, step in enumerate(steps):
        if step is None:
            yield None
            continue
        opened = before if step.gap is None else step.gap
        top = max(opened, step.close) + rng.randint(0, WICK_CENTS)
        bottom = min(opened, step.close) - rng.randint(0, WICK_CENTS)
        trades = rng.randint(1, 50)
        high, low = min(top, step.high), max(bottom, step.low)
        yield Bar(
            symbol=symbol,
            time=start + place * DEFAULT_PERIOD,
            open=opened * CENT,
            high=high * CENT,
            low=low * CENT,
            close=step.close * CENT,
            volume=Decimal(100 * trades),
            wap=(opened + high + low + step.close) * CENT / 4,
            count=trades,
        )
        before = step.close


def _halts(start: datetime, rows: dict[str, list[Bar | None]]) -> Iterator[Halt]:
    """Yield where trading stops and goes on, in order of time."""
    found = [
        (place + 1, symbol, later is None)
        for symbol, row in rows.items()
        for place, (bar, later) in enumerate(pairwise(row))
        if (bar is None) != (later is None)
    ]
    for place, symbol, halted in sorted(found):
        yield Halt(symbol, start + timedelta(seconds=5) * place, halted)
