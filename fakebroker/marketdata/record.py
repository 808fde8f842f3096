"""What has been played of the market so far: bars, trades, the day's extremes, halts.

It only ever looks back. Whatever is asked of it is answered from here and never from the tape, so
that no client can see what is still to come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from fakebroker.market.aggregate import bar_of_tick, ticks_of_bar
from fakebroker.market.source import MarketEvent
from fakebroker.market.tape import DEFAULT_PERIOD, Bar, Halt, Tick

EXCHANGE_ZONE = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Day:
    """One stock's day so far; prices in US dollars, sizes in shares."""

    date: date
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    last: Decimal
    last_size: Decimal
    last_time: datetime
    previous_close: Decimal | None = None
    """Where the day before ended, None on the first day that was played."""


@dataclass(slots=True)
class StockRecord:
    """Everything played of one stock, in order."""

    bars: list[Bar] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    """Trades of a tape of trades; of bars they are made when asked for."""
    day: Day | None = None
    halted: bool = False


class Record:
    """The past of all stocks."""

    def __init__(self, period: timedelta = DEFAULT_PERIOD, *, by_tick: bool = False) -> None:
        self.period = period
        self.by_tick = by_tick
        self._stocks: dict[str, StockRecord] = {}

    def copy(self) -> "Record":
        """Return a record that goes its own way from here."""
        other = Record(self.period, by_tick=self.by_tick)
        other._stocks = {
            symbol: replace(row, bars=list(row.bars), ticks=list(row.ticks))
            for symbol, row in self._stocks.items()
        }
        return other

    def note(self, event: MarketEvent) -> None:
        """Take down what the market did."""
        row = self._stocks.setdefault(event.symbol, StockRecord())
        match event:
            case Bar():
                row.bars.append(event)
                if not self.by_tick:
                    trades = ticks_of_bar(event, self.period)
                    size = trades[-1].size if trades else Decimal(0)
                    row.day = advanced(row.day, event, size, event.time + self.period)
            case Tick():
                row.ticks.append(event)
                row.day = advanced(row.day, bar_of_tick(event), event.size, event.time)
            case Halt(halted=halted):
                row.halted = halted

    def stock(self, symbol: str) -> StockRecord:
        """Return the past of one stock; an empty one where nothing was played."""
        return self._stocks.get(symbol, StockRecord())

    def trades(self, symbol: str) -> Sequence[Tick]:
        """Return all trades of a stock; those of bars are a choice (see `ticks_of_bar`)."""
        row = self.stock(symbol)
        if self.by_tick:
            return row.ticks
        return [tick for bar in row.bars for tick in ticks_of_bar(bar, self.period)]

    def new_trades(self, event: MarketEvent) -> tuple[Tick, ...]:
        """Return the trades that an event brings."""
        match event:
            case Tick():
                return (event,)
            case Bar():
                return () if self.by_tick else ticks_of_bar(event, self.period)
            case Halt():
                return ()


def advanced(day: Day | None, bar: Bar, size: Decimal, time: datetime) -> Day:
    """Return the day after a bar whose last trade has this size and time."""
    today = bar.time.astimezone(EXCHANGE_ZONE).date()
    if day is None or day.date != today:
        return Day(
            date=today,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            volume=bar.volume,
            last=bar.close,
            last_size=size,
            last_time=time,
            previous_close=None if day is None else day.last,
        )
    return replace(
        day,
        high=max(day.high, bar.high),
        low=min(day.low, bar.low),
        volume=day.volume + bar.volume,
        last=bar.close,
        last_size=size,
        last_time=time,
    )
