"""A tape: bars of prices, read from CSV and written to it. Pure text in, values out.

`parse_tape` believes nothing: a line that cannot be right ends in a `TapeError` that names the
line and the value. It loads what `format_tape` writes and what
`ib_insync.util.df(bars).to_csv()` writes, for historical and for real-time bars.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

DEFAULT_PERIOD = timedelta(seconds=5)

# The first name is ours, the others are what ib_insync calls the same column.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "time": ("time", "date"),
    "symbol": ("symbol",),
    "open": ("open", "open_"),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
    "wap": ("wap", "average"),
    "count": ("count", "barCount"),
    "period": ("period",),
}
# An unnamed index, and what RealTimeBar carries beside its prices (endTime is always -1).
IGNORED_COLUMNS = ("", "index", "endTime")
REQUIRED_COLUMNS = ("time", "open", "high", "low", "close", "volume")
PLACES_MAX = 20
DIGITS_MAX = 16
YEARS = range(1900, 2200)
PERIOD_SECONDS_MAX = 7 * 24 * 3600


class TapeError(Exception):
    """A tape is wrong; the message names the tape, the line and the value, and says what to do."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices of one stock over one period.

    `time` is aware and the START of the period. Prices are US dollars, `volume` is shares,
    `wap` the volume-weighted average price and `count` the number of trades, where known.
    """

    symbol: str
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    wap: Decimal | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade: `time` is aware, `price` US dollars, `size` shares (0 is an odd lot)."""

    symbol: str
    time: datetime
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Halt:
    """Trading of one stock stops at `time` or, with `halted` False, goes on."""

    symbol: str
    time: datetime
    halted: bool


@dataclass(frozen=True, slots=True)
class Tape:
    """Bars in order of time; several stocks may share an instant, one stock may not.

    Where there are `ticks` (in order of time), they make the prices and the bars only sum them
    up. `halts` are in order of time, too; CSV cannot hold them.
    """

    bars: tuple[Bar, ...]
    period: timedelta = DEFAULT_PERIOD
    ticks: tuple[Tick, ...] = ()
    halts: tuple[Halt, ...] = ()

    @property
    def start(self) -> datetime:
        """When a market begins that plays this tape, before anything of it is due."""
        return self.bars[0].time - self.period if self.ticks else self.bars[0].time


def parse_tape(text: str, *, name: str, symbol: str | None = None) -> Tape:
    """Read a tape.

    Args:
        text: CSV with a header line. Columns `time` (or `date`; ISO 8601 with offset), `open`,
            `high`, `low`, `close`, `volume`; optional `symbol`, `wap` (or `average`) and `count`
            (or `barCount`) and `period` (seconds a bar lasts, the same in every line). An unnamed
            index column is ignored.
        name: What the tape is called in messages.
        symbol: The stock of a tape that has no `symbol` column.

    Returns:
        The tape. Without a column `period`, a bar lasts as long as the shortest distance of two
        bars of one stock, and 5 s if there is none.

    Raises:
        TapeError: Anything is wrong; the message has the line.
    """
    rows = numbered_rows(text, name)
    header_line, header = next(rows, (1, []))
    if not header:
        raise TapeError(f"{name} line 1: the tape is empty; it needs a header line and bars")
    places = column_places(header, f"{name} line {header_line}", symbol)
    bars: list[Bar] = []
    latest: dict[str, datetime] = {}
    period: timedelta | None = None
    for line, row in rows:
        where = f"{name} line {line}"
        if len(row) != len(header):
            raise TapeError(
                f"{where}: {len(row)} fields, the header has {len(header)} columns; "
                "every line needs one field a column"
            )
        fields = {key: row[place].strip() for key, place in places.items()}
        bar = parse_bar(fields, where, symbol)
        period = parse_period(fields, period, where)
        check_order(bar, bars, latest, where)
        bars.append(bar)
        latest[bar.symbol] = bar.time
    if not bars:
        raise TapeError(f"{name} line {header_line}: there is no bar after the header line")
    return Tape(tuple(bars), period or shortest_distance(bars))


def format_tape(tape: Tape) -> str:
    """Write a tape as CSV that `parse_tape` reads back as the same tape."""
    # The column is written only where the bars themselves would give another period.
    with_period = bool(tape.bars) and shortest_distance(tape.bars) != tape.period
    period = [format(Decimal(str(tape.period.total_seconds())), "f")] if with_period else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name in COLUMNS if with_period or name != "period"])
    for bar in tape.bars:
        wap = "" if bar.wap is None else format(bar.wap, "f")
        count = "" if bar.count is None else str(bar.count)
        prices = [format(price, "f") for price in (bar.open, bar.high, bar.low, bar.close)]
        volume = format(bar.volume, "f")
        time = bar.time.isoformat()
        writer.writerow([time, bar.symbol, *prices, volume, wap, count, *period])
    return out.getvalue()


def numbered_rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not blank, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TapeError(f"{name} line {reader.line_num}: not CSV: {error}") from error
        if any(field.strip() for field in row):
            yield reader.line_num, row


def column_places(header: list[str], where: str, symbol: str | None) -> dict[str, int]:
    """Return which column holds what."""
    names = {name: key for key, known in COLUMNS.items() for name in known}
    places: dict[str, int] = {}
    for place, title in enumerate(field.strip() for field in header):
        if title in IGNORED_COLUMNS:
            continue
        key = names.get(title)
        if key is None:
            raise TapeError(f"{where}: unknown column {title!r}; known are {', '.join(names)}")
        if key in places:
            raise TapeError(f"{where}: column {title!r} gives {key} a second time; keep one")
        places[key] = place
    missing = [key for key in REQUIRED_COLUMNS if key not in places]
    if missing:
        raise TapeError(f"{where}: no column {', '.join(missing)}; the first line names columns")
    if "symbol" not in places and symbol is None:
        raise TapeError(
            f"{where}: no column symbol; add one, or say which stock it is (option --symbol)"
        )
    return places


def parse_bar(fields: Mapping[str, str], where: str, symbol: str | None) -> Bar:
    """Read one line; `fields` are by our column names."""
    stock = fields.get("symbol", symbol) or ""
    if not stock:
        raise TapeError(f"{where}: symbol is empty; every bar belongs to a stock")
    wap, count = fields.get("wap", ""), fields.get("count", "")
    bar = Bar(
        symbol=stock,
        time=parse_time(fields["time"], where),
        open=parse_price(fields["open"], "open", where),
        high=parse_price(fields["high"], "high", where),
        low=parse_price(fields["low"], "low", where),
        close=parse_price(fields["close"], "close", where),
        volume=parse_number(fields["volume"], "volume", where),
        wap=parse_number(wap, "wap", where) if wap else None,
        count=parse_count(count, where) if count else None,
    )
    check_bar(bar, where)
    return bar


def parse_time(text: str, where: str) -> datetime:
    """Read an aware time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise TapeError(
            f"{where}: time {text!r} is not ISO 8601; write it like 2025-10-06T10:00:00-04:00"
        ) from None
    if time.year not in YEARS:
        raise TapeError(f"{where}: time {text!r} is no time of a market: the year is {time.year}")
    if time.utcoffset() is None:
        raise TapeError(
            f"{where}: time {text!r} has no offset, so it could be anywhere; "
            "write it like 2025-10-06T10:00:00-04:00"
        )
    return time


def parse_number(text: str, what: str, where: str) -> Decimal:
    """Read a plain finite number of a size that a market can have."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise TapeError(f"{where}: {what} {text!r} is not a number; write it like 444.77") from None
    exponent = value.as_tuple().exponent
    # The exponent of an infinity or a NaN is a letter.
    if not isinstance(exponent, int) or exponent < -PLACES_MAX:
        raise TapeError(f"{where}: {what} {text!r} is no number of a market; write it like 444.77")
    if max(value.adjusted(), exponent) >= DIGITS_MAX:
        raise TapeError(f"{where}: {what} {text!r} is too large for a market")
    return value


def parse_price(text: str, what: str, where: str) -> Decimal:
    """Read a price, which is above zero."""
    value = parse_number(text, what, where)
    if value <= 0:
        raise TapeError(f"{where}: {what} {text} is not above zero; a price must be")
    return value


def parse_count(text: str, where: str) -> int:
    """Read a number of trades; -1 is what ib_insync writes for unknown and is kept."""
    value = parse_number(text, "count", where)
    if value != value.to_integral_value():
        raise TapeError(f"{where}: count {text!r} is not a whole number of trades")
    return int(value)


def parse_period(
    fields: Mapping[str, str], period: timedelta | None, where: str
) -> timedelta | None:
    """Read how long the bars last; `period` is what the lines above said."""
    text = fields.get("period", "")
    if not text:
        return period
    seconds = parse_number(text, "period", where)
    if not 0 < seconds <= PERIOD_SECONDS_MAX or (seconds * 1_000_000) % 1 != 0:
        raise TapeError(f"{where}: period {text!r} is not a time in seconds that a bar can last")
    found = timedelta(microseconds=int(seconds * 1_000_000))
    if period is not None and found != period:
        raise TapeError(
            f"{where}: period {text} differs from {period.total_seconds()} above; "
            "all bars of a tape last equally long"
        )
    return found


def check_bar(bar: Bar, where: str) -> None:
    """Raise if the numbers of one bar contradict each other."""
    if bar.high < bar.low:
        raise TapeError(f"{where}: high {bar.high} is below low {bar.low}; are columns swapped?")
    for what, price in (("open", bar.open), ("close", bar.close)):
        if not bar.low <= price <= bar.high:
            raise TapeError(
                f"{where}: {what} {price} is not between low {bar.low} and high {bar.high}"
            )
    if bar.volume < 0:
        raise TapeError(f"{where}: volume {bar.volume} is negative; shares traded cannot be")


def check_order(bar: Bar, bars: list[Bar], latest: Mapping[str, datetime], where: str) -> None:
    """Raise if the bar does not follow those before it."""
    if latest.get(bar.symbol) == bar.time:
        raise TapeError(
            f"{where}: a second bar of {bar.symbol} at {bar.time.isoformat()}; remove one"
        )
    if bars and bar.time < bars[-1].time:
        raise TapeError(
            f"{where}: {bar.time.isoformat()} is before the line above it "
            f"({bars[-1].time.isoformat()}); sort the bars by time"
        )


def shortest_distance(bars: Sequence[Bar]) -> timedelta:
    """Return the shortest distance between two bars of one stock."""
    latest: dict[str, datetime] = {}
    shortest: timedelta | None = None
    for bar in bars:
        before = latest.get(bar.symbol)
        if before is not None and (shortest is None or bar.time - before < shortest):
            shortest = bar.time - before
        latest[bar.symbol] = bar.time
    return DEFAULT_PERIOD if shortest is None else shortest
