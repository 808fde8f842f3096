"""The reset at the open: what it clears, what it never touches, and what it must not lose."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.clock import NEW_YORK
from target_trader.day import closing, open_day, opening
from target_trader.names import SMA, Side, trade_id
from target_trader.settings import Hours, Rules
from target_trader.state.checkpoint import (
    BarRecord,
    BookedExecution,
    Breakout,
    BreakoutKind,
    BreakoutMemory,
    Checkpoint,
    LastSignal,
    new_checkpoint,
)
from tests.support.pictures import planned

DAY = date(2025, 10, 6)
EARLY = datetime(2025, 10, 6, 8, 0, tzinfo=NEW_YORK)
OPEN = datetime(2025, 10, 6, 9, 30, tzinfo=NEW_YORK)
RULES = Rules()


def premarket() -> Checkpoint:
    """Return a day that began at eight o'clock and has something of everything."""
    day = new_checkpoint(DAY, now=EARLY)
    day.attempts = {"TSLA|LONG|444.77": 2}
    day.session.filter_blocks = {"hours": 3}
    day.session.entry_paths = {"STRONG": 1}
    day.session.daily_pnl, day.session.trades_today = Decimal(-300), 4
    day.breakouts["TSLA"] = BreakoutMemory(
        bars_seen=100,
        last_bar=EARLY,
        armed_long=True,
        pending=Side.LONG,
        breakout=Breakout(
            side=Side.LONG,
            bar=90,
            bar_time=EARLY,
            price=Decimal("445.25"),
            kind=BreakoutKind.WEAK,
            volume_ratio=None,
            candle_close=Decimal("445.25"),
        ),
        volume_sum=Decimal(20000),
        volume_bars=20,
    )
    day.bars["TSLA"] = [
        BarRecord(
            time=EARLY,
            open=Decimal(1),
            high=Decimal(1),
            low=Decimal(1),
            close=Decimal(1),
            volume=Decimal(1),
        )
    ]
    day.circuit_breaker.failures = 4
    day.halt("attempts unknown", now=EARLY)
    day.last_signals["AAPL:10:30"] = LastSignal(
        signal="BUY", bar_time=EARLY, price=Decimal("175.02")
    )
    return day


def test_the_open_clears_the_counters_and_the_breaks() -> None:
    day = premarket()
    assert open_day(day, now=OPEN, rules=RULES)
    session = day.session
    assert (session.daily_pnl, session.trades_today) == (Decimal(0), 0)
    assert (session.filter_blocks, session.entry_paths, day.attempts) == ({}, {}, {})
    memory = day.breakouts["TSLA"]
    assert (memory.armed_long, memory.pending, memory.breakout) == (False, None, None)


def test_the_open_never_touches_breaker_halts_last_signals_bars_and_the_warm_up() -> None:
    day, before = premarket(), premarket()
    open_day(day, now=OPEN, rules=RULES)
    assert day.circuit_breaker == before.circuit_breaker
    assert day.halts == before.halts
    assert day.last_signals == before.last_signals
    assert day.bars == before.bars
    memory = day.breakouts["TSLA"]
    assert (memory.bars_seen, memory.last_bar) == (100, EARLY)
    assert (memory.volume_sum, memory.volume_bars) == (Decimal(20000), 20)


@pytest.mark.parametrize(
    ("moment", "cleared"), [(OPEN - timedelta(microseconds=1), False), (OPEN, True)]
)
def test_it_is_done_at_half_past_nine_and_not_before(moment: datetime, cleared: bool) -> None:
    day = premarket()
    assert open_day(day, now=moment, rules=RULES) is cleared
    assert (day.attempts == {}) is cleared


def test_it_is_done_once_a_day_also_over_a_restart() -> None:
    day = premarket()
    open_day(day, now=OPEN, rules=RULES)
    day.attempts = {"TSLA|LONG|444.77": 1}
    reborn = Checkpoint.model_validate_json(day.model_dump_json())
    assert not open_day(reborn, now=OPEN + timedelta(hours=1), rules=RULES)
    assert reborn.attempts == {"TSLA|LONG|444.77": 1}


def test_a_bot_that_was_dead_at_the_open_resets_when_it_comes_back() -> None:
    day = premarket()
    assert open_day(day, now=OPEN + timedelta(hours=2), rules=RULES)
    assert day.attempts == {}
    assert day.session.reset_at == OPEN


def test_a_state_begun_after_the_open_keeps_what_the_broker_has_told_of_today() -> None:
    """A lost state: before the first bar the attempts were raised to those of the broker."""
    day = new_checkpoint(DAY, now=OPEN + timedelta(minutes=40))
    day.attempts = {"TSLA|LONG|444.77": 2}
    assert not open_day(day, now=OPEN + timedelta(minutes=41), rules=RULES)
    assert day.attempts == {"TSLA|LONG|444.77": 2}
    assert day.session.reset_at == OPEN


def test_without_regular_hours_the_day_turns_at_midnight_and_the_open_is_nothing() -> None:
    day = premarket()
    assert not open_day(day, now=OPEN, rules=Rules(hours=Hours.ANY))
    assert (day.attempts, day.session.reset_at) == ({"TSLA|LONG|444.77": 2}, None)


def booked(number: int, moment: datetime, *, name: str, pnl: str) -> BookedExecution:
    """Return an opening fill with the broker's own realised P&L."""
    return BookedExecution(
        exec_id=f"0000e0d5.67fe667b.{number:02}.01",
        time=moment,
        symbol="TSLA",
        side="BOT",
        shares=Decimal(100),
        price=Decimal("445.25"),
        order_id=number,
        client_id=2001,
        perm_id=number,
        order_ref=f"{name}|entry",
        trade_id=name,
        realized_pnl=Decimal(pnl),
    )


def with_trades(*trades: tuple[int, datetime, str, str]) -> Checkpoint:
    """Return the day with trades: attempt, time of the entry, its P&L, strategy."""
    day = premarket()
    for attempt, moment, pnl, strategy in trades:
        name = trade_id("TSLA", Side.LONG, day=DAY, attempt=attempt, strategy=strategy)
        day.positions[name] = planned(name, at=moment)
        day.positions[name].entry_time, day.positions[name].strategy = moment, strategy
        if strategy == SMA:
            day.positions[name].pivot = None
        execution = booked(attempt, moment, name=name, pnl=pnl)
        day.executions[f"{strategy}{attempt}"] = execution
    return day


def test_a_late_reset_keeps_what_has_happened_since_the_open() -> None:
    """The newest state is lost; an older one of before the open meets trades from after it."""
    day = with_trades(
        (1, EARLY, "-300", "PS60"),
        (2, OPEN + timedelta(minutes=5), "-50", "PS60"),
        (1, OPEN + timedelta(minutes=6), "-7", SMA),
    )
    assert open_day(day, now=OPEN + timedelta(minutes=10), rules=RULES)
    assert day.attempts == {"TSLA|LONG|444.77": 2, "SMA:TSLA|LONG": 1}
    assert (day.session.daily_pnl, day.session.trades_today) == (Decimal(-57), 2)


@pytest.mark.parametrize(
    ("day", "utc"), [("2025-10-06", 13), ("2025-03-10", 13), ("2025-11-03", 14), ("2025-12-24", 14)]
)
def test_the_session_begins_at_new_york_time_whatever_the_season(day: str, utc: int) -> None:
    start = opening(date.fromisoformat(day))
    assert start == datetime.fromisoformat(f"{day}T{utc}:30:00+00:00")
    assert closing(date.fromisoformat(day)) - start == timedelta(hours=6, minutes=30)
