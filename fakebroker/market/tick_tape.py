"""A tape of trades: CSV with a line a trade, and the bars that sum them up.

Its columns are `time`, `symbol`, `price`, `size`; what `ib_insync.util.df(ticks).to_csv()` writes
of historical trades loads, too. As with bars, a line that cannot be right is named in the error.
"""

import csv
import io

from fakebroker.market.aggregate import bars_of_ticks
from fakebroker.market.tape import (
    DEFAULT_PERIOD,
    Tape,
    TapeError,
    Tick,
    numbered_rows,
    parse_number,
    parse_price,
    parse_tape,
    parse_time,
)

COLUMNS = ("time", "symbol", "price", "size")
# What a HistoricalTickLast of ib_insync carries beside them.
IGNORED_COLUMNS = ("", "index", "tickAttribLast", "exchange", "specialConditions")
TELLING_COLUMN = "price"
"""Trades have it and bars have not."""


def read_tape(text: str, *, name: str, symbol: str | None = None) -> Tape:
    """Read a tape of bars or of trades, whichever its header line says.

    Raises:
        TapeError: Anything is wrong; the message has the line.
    """
    _, header = next(numbered_rows(text, name), (1, []))
    if TELLING_COLUMN in (field.strip() for field in header):
        return parse_ticks(text, name=name, symbol=symbol)
    return parse_tape(text, name=name, symbol=symbol)


def parse_ticks(text: str, *, name: str, symbol: str | None = None) -> Tape:
    """Read a tape of trades.

    Args:
        text: CSV with a header line. Columns `time` (ISO 8601 with offset), `price`, `size`
            (shares, 0 is allowed) and `symbol`; lines in order of time.
        name: What the tape is called in messages.
        symbol: The stock of a tape that has no `symbol` column.

    Returns:
        The trades with their 5-second bars.

    Raises:
        TapeError: Anything is wrong; the message has the line.
    """
    rows = numbered_rows(text, name)
    header_line, header = next(rows, (1, []))
    places = _places(header, f"{name} line {header_line}", symbol)
    ticks: list[Tick] = []
    for line, row in rows:
        where = f"{name} line {line}"
        if len(row) != len(header):
            raise TapeError(
                f"{where}: {len(row)} fields, the header has {len(header)} columns; "
                "every line needs one field a column"
            )
        fields = {key: row[place].strip() for key, place in places.items()}
        tick = _parse_tick(fields, where, symbol)
        if ticks and tick.time < ticks[-1].time:
            raise TapeError(
                f"{where}: {tick.time.isoformat()} is before the line above it "
                f"({ticks[-1].time.isoformat()}); sort the trades by time"
            )
        ticks.append(tick)
    if not ticks:
        raise TapeError(f"{name} line {header_line}: there is no trade after the header line")
    return Tape(bars_of_ticks(ticks), DEFAULT_PERIOD, ticks=tuple(ticks))


def format_ticks(tape: Tape) -> str:
    """Write the trades of a tape as CSV that `parse_ticks` reads back as the same tape."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for tick in tape.ticks:
        price, size = format(tick.price, "f"), format(tick.size, "f")
        writer.writerow([tick.time.isoformat(), tick.symbol, price, size])
    return out.getvalue()


def _places(header: list[str], where: str, symbol: str | None) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, title in enumerate(field.strip() for field in header):
        if title in IGNORED_COLUMNS:
            continue
        if title not in COLUMNS:
            known = ", ".join(COLUMNS)
            raise TapeError(f"{where}: unknown column {title!r} in a tape of trades; use {known}")
        if title in places:
            raise TapeError(f"{where}: column {title!r} is there a second time; keep one")
        places[title] = place
    missing = [key for key in COLUMNS if key not in places and key != "symbol"]
    if missing:
        raise TapeError(f"{where}: no column {', '.join(missing)}; the first line names columns")
    if "symbol" not in places and symbol is None:
        raise TapeError(
            f"{where}: no column symbol; add one, or say which stock it is (option --symbol)"
        )
    return places


def _parse_tick(fields: dict[str, str], where: str, symbol: str | None) -> Tick:
    stock = fields.get("symbol", symbol) or ""
    if not stock:
        raise TapeError(f"{where}: symbol is empty; every trade belongs to a stock")
    size = parse_number(fields["size"], "size", where)
    if size < 0:
        raise TapeError(f"{where}: size {size} is negative; shares traded cannot be")
    return Tick(
        symbol=stock,
        time=parse_time(fields["time"], where),
        price=parse_price(fields["price"], "price", where),
        size=size,
    )
