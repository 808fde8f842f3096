"""Which missed bars are asked for, and which of the answer are taken; the broker is a table."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from target_trader.books import Books
from target_trader.clock import MarketClock
from target_trader.errors import NotConnectedError
from target_trader.gateway import Gateway
from target_trader.library import Contract, Stock
from target_trader.missed import MissedBars, heard_until
from target_trader.settings import Rules, SmaRules, Strategy
from target_trader.state.checkpoint import (
    BarRecord,
    BreakoutMemory,
    Checkpoint,
    SmaMemory,
    WatchedRecord,
    new_checkpoint,
)
from target_trader.state.json_store import JsonStore
from target_trader.strategy.signal import BAR
from tests.support.pictures import DAY, NOW

START = NOW - timedelta(hours=3)
LAST = NOW.replace(second=0)
BOTH = Rules(strategies=(Strategy.PS60, Strategy.SMA), sma=SmaRules(fast=2, slow=3))
MINUTE = timedelta(minutes=1)


@dataclass
class Table:
    """A gateway that has these bars and this time."""

    bars: Mapping[str, list[datetime]] = field(default_factory=dict)
    time: datetime | None = NOW
    connected: bool = True
    silent: frozenset[str] = frozenset()
    asked: list[tuple[str, timedelta]] = field(default_factory=list)

    def ask_time(self) -> "asyncio.Future[datetime]":
        """Tell the time at once, or never."""
        future: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()
        if self.time is not None:
            future.set_result(self.time)
        return future

    async def past_bars(self, contract: Contract, span: timedelta) -> list[BarRecord]:
        """Tell the bars, whatever the span."""
        self.asked.append((contract.symbol, span))
        if contract.symbol in self.silent:
            raise NotConnectedError("no answer")
        return [bar(each) for each in self.bars.get(contract.symbol, [])]


def bar(time: datetime) -> BarRecord:
    """Return the bar that begins then."""
    price = Decimal(10)
    return BarRecord(time=time, open=price, high=price, low=price, close=price, volume=Decimal(1))


def books_of(symbols: Mapping[str, datetime | None]) -> Checkpoint:
    """Return a day that began with these symbols and last heard a bar of each at these times."""
    day = new_checkpoint(DAY, now=START)
    for symbol, last in symbols.items():
        day.session.watchlist.append(
            WatchedRecord(
                symbol=symbol,
                resistance=Decimal(12),
                support=Decimal(8),
                target1=Decimal(13),
                target2=Decimal(14),
            )
        )
        if last is not None:
            day.breakouts[symbol] = BreakoutMemory(last_bar=last)
    return day


def ask(
    table: Table, day: Checkpoint, *symbols: str, now: datetime = NOW, rules: Rules | None = None
) -> list[tuple[str, datetime]]:
    """Ask for what these symbols have missed; return symbol and time of each bar."""
    clock = MarketClock()
    clock.advance(now)
    used = rules or Rules()
    books = Books(day, cast("JsonStore", None), clock=clock, rules=used)
    missed = MissedBars(cast("Gateway", table), books, rules=used)
    contracts = {each: Stock(each, "SMART", "USD") for each in symbols}

    async def act() -> list[tuple[str, BarRecord]]:
        return await missed.ask(contracts)

    return [(symbol, each.time) for symbol, each in asyncio.run(act())]


def test_what_was_heard_already_and_what_has_not_ended_is_left_out() -> None:
    times = [LAST + BAR * number for number in range(-3, 8)]
    # At 10:16:32 the bar of 10:16:30 is still being made.
    found = ask(Table({"TSLA": times}), books_of({"TSLA": LAST}), "TSLA")
    assert found == [("TSLA", LAST + BAR * number) for number in range(1, 6)]


def test_the_broker_tells_until_when_its_bars_have_ended_and_without_that_the_clock_does() -> None:
    times = [LAST + BAR * number for number in range(1, 4)]
    day = books_of({"TSLA": LAST})
    early = LAST + BAR * 2
    for told, taken in ((LAST + BAR * 4, 3), (LAST + BAR * 3, 2), (None, 1)):
        table = Table({"TSLA": times}, time=told)
        assert len(ask(table, day.model_copy(deep=True), "TSLA", now=early)) == taken


def test_the_bars_of_all_symbols_are_taken_in_the_order_of_time() -> None:
    day = books_of({"AMD": LAST, "TSLA": LAST - BAR})
    times = [LAST, LAST + BAR, LAST + BAR * 2]
    found = ask(Table({"AMD": times[1:], "TSLA": times}), day, "TSLA", "AMD")
    assert found == [
        ("TSLA", times[0]),
        ("AMD", times[1]),
        ("TSLA", times[1]),
        ("AMD", times[2]),
        ("TSLA", times[2]),
    ]


@pytest.mark.parametrize(
    ("late", "span"),
    [
        (timedelta(0), MINUTE),
        (timedelta(seconds=1), 2 * MINUTE),
        (MINUTE, 2 * MINUTE),
        (MINUTE + timedelta(seconds=1), 3 * MINUTE),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(hours=1, seconds=1), None),
    ],
    ids=str,
)
def test_as_much_is_asked_for_as_is_missing_and_nothing_after_an_hour(
    late: timedelta, span: timedelta | None
) -> None:
    table = Table()
    ask(table, books_of({"TSLA": NOW - late - BAR}), "TSLA")
    assert table.asked == ([] if span is None else [("TSLA", span)])


def test_a_symbol_without_a_bar_is_watched_since_the_day_began_and_a_new_one_is_not() -> None:
    day = books_of({"TSLA": None})
    day.session.start_time = LAST
    table = Table({"TSLA": [LAST - BAR, LAST, LAST + BAR], "AMD": [LAST]})
    found = ask(table, day, "AMD", "TSLA", now=LAST + BAR * 2)
    assert found == [("TSLA", LAST), ("TSLA", LAST + BAR)]
    assert [symbol for symbol, _ in table.asked] == ["TSLA"]


def test_a_day_that_begins_now_has_missed_nothing() -> None:
    table = Table({"TSLA": [NOW - BAR * number for number in range(9, 0, -1)]})
    day = books_of({"TSLA": None})
    day.session.start_time = NOW
    assert ask(table, day, "TSLA") == []


def test_of_two_memories_the_one_that_lags_decides() -> None:
    day = books_of({"TSLA": LAST})
    day.sma["TSLA:2:3:60"] = SmaMemory(last_bar=LAST - BAR)
    day.sma["TSLA:2:3:300"] = SmaMemory(last_bar=LAST)
    day.sma["AMD:2:3:60"] = SmaMemory(last_bar=LAST - 9 * BAR)
    assert heard_until(day, "TSLA", rules=BOTH) == LAST
    # A memory that is not stepped any more would be asked for without end.
    assert heard_until(day, "TSLA", rules=replace(BOTH, strategies=(Strategy.PS60,))) == LAST + BAR


def test_a_memory_of_other_periods_is_not_waited_for() -> None:
    day = books_of({"TSLA": LAST})
    day.sma["TSLA:5:9:60"] = SmaMemory(last_bar=LAST - 9 * BAR)
    assert heard_until(day, "TSLA", rules=BOTH) == LAST + BAR


def test_a_symbol_that_is_not_told_is_said_and_the_others_are_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    day = books_of({"AMD": LAST, "TSLA": LAST})
    table = Table({"TSLA": [LAST + BAR]}, silent=frozenset({"AMD"}))
    assert ask(table, day, "AMD", "TSLA") == [("TSLA", LAST + BAR)]
    assert "AMD: IBKR does not tell the bars since 10:16:05: on without them" in caplog.text


def test_an_answer_without_bars_is_no_surprise_where_none_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    day = books_of({"TSLA": NOW.replace(second=25)})
    assert ask(Table(), day, "TSLA") == []
    assert "does not tell" not in caplog.text


def test_a_connection_that_is_lost_meanwhile_is_said_and_no_bar_is_taken() -> None:
    table = Table({"TSLA": [LAST + BAR]}, connected=False)
    with pytest.raises(NotConnectedError, match="while missed bars were asked for"):
        ask(table, books_of({"TSLA": LAST}), "TSLA")
