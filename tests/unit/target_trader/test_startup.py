"""Which stored state is let into a session, in the order in which it is judged, and how loudly."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.books import Books
from target_trader.clock import NEW_YORK, MarketClock
from target_trader.picture import Picture
from target_trader.reconcile import next_day, reconcile
from target_trader.report import StateOrigin
from target_trader.settings import Rules, StoreKind, TraderOptions, Watchlist
from target_trader.startup import announce, begin
from target_trader.state.checkpoint import (
    Checkpoint,
    CircuitBreaker,
    HaltKind,
    LastSignal,
    new_checkpoint,
)
from target_trader.state.json_store import JsonStore
from target_trader.state.store import Loaded, Source
from tests.support.pictures import (
    CONTEXT,
    DAY,
    EARLIER,
    ENTRY_FILL,
    KEY,
    NOW,
    held,
    quantity,
    setup,
    state,
    states,
)

WATCHLIST = Watchlist(date=DAY, setups=(setup("TSLA"), setup("NVDA")))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Catch what the bot logs."""
    caplog.set_level(logging.INFO, logger="target_trader")
    return caplog


def options_of(folder: Path, *, watchlist: Watchlist = WATCHLIST) -> TraderOptions:
    """Return the options of a bot with a watchlist of two symbols."""
    return TraderOptions(
        host="127.0.0.1",
        port=7497,
        client_id=2001,
        state_dir=folder,
        store=StoreKind.JSON,
        watchlist=watchlist,
        watchlist_name="scanner_results_20251006.json",
    )


def start(
    folder: Path,
    stored: Checkpoint | None,
    *,
    source: Source = Source.MAIN,
    problems: tuple[str, ...] = (),
    now: datetime = NOW,
    watchlist: Watchlist = WATCHLIST,
) -> tuple[Checkpoint, StateOrigin]:
    """Begin a session with a stored state; return the books in force and where they came from."""
    clock = MarketClock()
    clock.advance(now)
    store = JsonStore(folder)
    books = Books(new_checkpoint(DAY, now=now), store, clock=clock, rules=Rules())
    loaded = Loaded(stored, source if stored is not None else Source.NONE, problems)
    origin = begin(books, loaded, options=options_of(folder, watchlist=watchlist))
    store.close()
    return books.checkpoint, origin


def lines(log: pytest.LogCaptureFixture, *, level: int = logging.INFO) -> list[str]:
    """Return the lines of the log from a level on."""
    return [record.getMessage() for record in log.records if record.levelno >= level]


def test_a_recovery_begins_with_the_desks_own_lines(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    stored = state()
    stored.saved_at = NOW.replace(hour=10, minute=5, second=47)
    stored.session.daily_pnl = Decimal("756.19")
    announce(options_of(tmp_path), now=NOW)
    start(tmp_path, stored)
    assert lines(log)[:11] == [
        "PS60 LIVE TRADER - PAPER TRADING SESSION",
        "Date: 2025-10-06 Monday",
        "Time: 10:16:32 AM ET",
        "=" * 80,
        "✓ Connected to IBKR (Paper: Port 7497, Client ID: 2001)",
        "✓ Loaded 2 setups from scanner_results_20251006.json",
        "🔄 RECOVERING STATE from previous session...",
        "🔄 STATE RECOVERED from 10:05:47 AM ET (11 minutes ago)",
        "   Positions: 1",
        "   Daily P&L: $756.19",
        "🔄 VALIDATING WITH IBKR PORTFOLIO...",
    ]


def test_a_first_start_is_told_in_the_desks_own_lines(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    announce(options_of(tmp_path), now=NOW)
    checkpoint, origin = start(tmp_path, None)
    assert lines(log)[4:] == [
        "✓ Connected to IBKR (Paper: Port 7497, Client ID: 2001)",
        "ℹ️  No previous state found (clean start)",  # noqa: RUF001 - as the desk writes it
        "✓ Loaded 2 setups from scanner_results_20251006.json",
    ]
    assert checkpoint.halts == []
    assert (origin.source, origin.rejected) == ("none", None)


def test_a_state_of_which_nothing_can_be_believed_halts_entries_and_goes_on_with_the_broker(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checkpoint, origin = start(tmp_path, None, problems=("main is torn", "backup is torn"))
    assert [each.kind for each in checkpoint.halts] == [HaltKind.ENTRIES]
    loud = lines(log, level=logging.ERROR)
    assert loud[:2] == ["DAMAGED STATE: main is torn", "DAMAGED STATE: backup is torn"]
    assert "going on with what IBKR says alone" in loud[2]
    assert origin.problems == ["main is torn", "backup is torn"]


def test_the_state_of_another_day_is_rejected_with_the_reason(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    yesterday = state()
    yesterday.day = DAY - timedelta(days=1)
    yesterday.saved_at = NOW - timedelta(days=1)
    checkpoint, origin = start(tmp_path, yesterday)
    words = "State file is from 2025-10-05, today is 2025-10-06"
    assert f"{words} - ignoring" in lines(log, level=logging.WARNING)
    assert origin.rejected == words
    assert (checkpoint.day, checkpoint.positions, checkpoint.attempts) == (DAY, {}, {})
    assert checkpoint.halts == []


def test_halts_breaker_and_last_signals_outlive_a_state_that_is_rejected(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    yesterday = new_checkpoint(DAY - timedelta(days=1), now=NOW - timedelta(days=1))
    yesterday.halt("IBKR rejects every stop", now=yesterday.saved_at, kind=HaltKind.ENGINE)
    yesterday.circuit_breaker = CircuitBreaker(failures=5, tripped_at=yesterday.saved_at)
    signal = LastSignal(signal="BUY", bar_time=yesterday.saved_at, price=Decimal(175))
    yesterday.last_signals["AAPL:10:30"] = signal
    checkpoint, _ = start(tmp_path, yesterday)
    assert checkpoint.engine_halted
    assert checkpoint.circuit_breaker.failures == 5
    assert checkpoint.last_signals == {"AAPL:10:30": signal}
    loud = "\n".join(lines(log, level=logging.CRITICAL))
    assert "HALTED, no orders at all, until the command resume: IBKR rejects every stop" in loud
    assert "after 5 failures: no new entries until the command reset-breaker" in loud


def test_a_state_from_the_future_is_rejected_and_entries_are_halted(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    ahead = state()
    ahead.saved_at = NOW + timedelta(minutes=61)
    checkpoint, origin = start(tmp_path, ahead)
    assert checkpoint.positions == {}
    assert [each.kind for each in checkpoint.halts] == [HaltKind.ENTRIES]
    assert origin.rejected is not None
    assert "saved 2025-10-06 11:17:32-04:00, now 2025-10-06 10:16:32-04:00" in origin.rejected
    assert any("from the future" in line for line in lines(log, level=logging.WARNING))


def test_a_state_of_tomorrow_halts_entries_as_well(tmp_path: Path) -> None:
    checkpoint, _ = start(tmp_path, new_checkpoint(DAY + timedelta(days=1), now=NOW))
    assert "from the future" in (checkpoint.halted or "")


def test_clocks_that_differ_by_less_than_the_tolerance_are_no_future(tmp_path: Path) -> None:
    near = state()
    near.saved_at = NOW + Rules().future_tolerance
    checkpoint, origin = start(tmp_path, near)
    assert (checkpoint.attempts, origin.rejected) == ({KEY: 1}, None)
    assert checkpoint.halts == []


def test_a_backup_of_another_day_halts_because_todays_state_may_be_what_is_lost(
    tmp_path: Path,
) -> None:
    yesterday = new_checkpoint(DAY - timedelta(days=1), now=NOW - timedelta(days=1))
    checkpoint, _ = start(tmp_path, yesterday, source=Source.BACKUP, problems=("main is torn",))
    assert checkpoint.halted == "the newest state is lost, the attempts of today are unknown"


@pytest.mark.parametrize(("minutes", "told"), [(59, False), (61, True)])
def test_a_state_older_than_an_hour_is_used_with_a_warning(
    tmp_path: Path, log: pytest.LogCaptureFixture, minutes: int, told: bool
) -> None:
    stored = state()
    stored.saved_at = NOW - timedelta(minutes=minutes)
    checkpoint, _ = start(tmp_path, stored)
    assert checkpoint.attempts == {KEY: 1}
    warned = [line for line in lines(log, level=logging.WARNING) if "State is old" in line]
    assert bool(warned) is told


def test_a_backup_is_used_loudly_and_its_age_is_told(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checkpoint, origin = start(tmp_path, state(), source=Source.BACKUP, problems=("main: torn",))
    assert checkpoint.attempts == {KEY: 1}
    assert "using the backup, one save older" in "\n".join(lines(log, level=logging.ERROR))
    assert (origin.source, origin.age_seconds) == ("backup", (NOW - EARLIER).total_seconds())


def test_after_a_backup_nothing_is_entered_until_the_broker_was_asked_after_the_grace(
    tmp_path: Path,
) -> None:
    """The bracket of attempt 2 was saved and sent, and the save is lost: it is on its way."""
    checkpoint, _ = start(tmp_path, state(entered=0), source=Source.BACKUP)
    first = reconcile(checkpoint, Picture(), context=CONTEXT)
    assert first.checkpoint.session.doubted_since == NOW
    assert first.ask_again
    later = replace(CONTEXT, now=NOW + CONTEXT.rules.grace)
    arrived = replace(ENTRY_FILL, order_ref="PS60|TSLA|L|20251006|2|entry", order_id=20, perm_id=7)
    second = reconcile(first.checkpoint, Picture((held(100),), (), (), (arrived,)), context=later)
    assert second.checkpoint.session.doubted_since is None
    assert not second.ask_again
    assert (quantity(second), second.checkpoint.attempts[KEY]) == (Decimal(100), 2)


def test_a_doubt_outlives_a_second_crash_within_the_grace_period(tmp_path: Path) -> None:
    doubted, _ = start(tmp_path, state(), source=Source.BACKUP)
    soon = NOW + timedelta(seconds=3)
    checkpoint, _ = start(tmp_path, doubted, now=soon)
    assert checkpoint.session.doubted_since == NOW


def test_the_watchlist_of_the_day_is_noted_at_its_first_start(tmp_path: Path) -> None:
    checkpoint, _ = start(tmp_path, None)
    noted = {each.symbol: each.resistance for each in checkpoint.session.watchlist}
    assert noted == {"TSLA": Decimal("444.77"), "NVDA": Decimal("444.77")}


def test_another_watchlist_on_the_same_day_is_told_by_what_changed(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checkpoint, _ = start(tmp_path, None)
    moved = setup("TSLA").model_copy(update={"resistance": Decimal(446)})
    other = Watchlist(date=DAY, setups=(moved, setup("AMD")))
    again, _ = start(tmp_path, checkpoint, watchlist=other)
    told = [line.partition(": ")[2] for line in lines(log) if "the day began with" in line]
    assert told == ["AMD is new", "NVDA is gone", "TSLA resistance was 444.77, is 446"]
    assert [each.symbol for each in again.session.watchlist] == ["TSLA", "NVDA"]


def test_the_same_watchlist_again_is_no_news(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    checkpoint, _ = start(tmp_path, None)
    start(tmp_path, checkpoint)
    assert lines(log, level=logging.WARNING) == []


def test_a_watchlist_of_another_day_is_warned_about(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    old = Watchlist(date=DAY - timedelta(days=3), setups=WATCHLIST.setups)
    start(tmp_path, None, watchlist=old)
    assert "The watchlist is for 2025-10-03, today is 2025-10-06" in lines(log)


def test_a_live_port_is_announced_as_live(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    announce(replace(options_of(tmp_path), port=7496), now=NOW)
    assert "PS60 LIVE TRADER - LIVE TRADING SESSION" in lines(log)


def test_the_turn_of_the_day_keeps_what_outlives_it_and_frees_the_counters() -> None:
    books = reconcile(
        state(), Picture((held(100),), (), (), (ENTRY_FILL,)), context=CONTEXT
    ).checkpoint
    books.frozen["NVDA"] = "the books hold 0 shares, IBKR 5"
    books.cash = Decimal(25000)
    books.halt("rejects", now=NOW)
    books.memory("TSLA").bars_seen, books.memory("TSLA").armed_long = 40, True
    tomorrow = next_day(books, DAY + timedelta(days=1), now=NOW + timedelta(days=1))
    assert (tomorrow.attempts, tomorrow.order_audit, tomorrow.equity_curve) == ({}, [], [])
    assert (tomorrow.session.daily_pnl, tomorrow.session.trades_today) == (Decimal(0), 0)
    assert (tomorrow.frozen, tomorrow.cash) == (books.frozen, books.cash)
    assert tomorrow.halted == "rejects"
    assert tomorrow.positions == books.positions
    assert (tomorrow.memory("TSLA").bars_seen, tomorrow.memory("TSLA").armed_long) == (40, False)
    assert list(tomorrow.executions.values()) == list(books.executions.values())


def test_an_entry_that_still_works_at_midnight_keeps_its_trade() -> None:
    tomorrow = next_day(state(entered=0), DAY + timedelta(days=1), now=NOW + timedelta(days=1))
    (position,) = tomorrow.positions.values()
    assert position.pivot == Decimal("444.77")
    assert len(tomorrow.intents) == 3


def test_an_entry_of_yesterday_that_is_lost_gives_nothing_back_to_today() -> None:
    tomorrow = next_day(state(entered=0), DAY + timedelta(days=1), now=NOW + timedelta(days=1))
    tomorrow.attempts[KEY] = 1
    late = replace(CONTEXT, now=NOW + timedelta(days=1), withdrawn=frozenset({10, 11, 12}))
    outcome = reconcile(tomorrow, Picture(), context=late)
    assert set(states(outcome).values()) == {"lost"}
    assert outcome.checkpoint.attempts == {KEY: 1}
    assert outcome.checkpoint.memory("TSLA").pending is None


@pytest.mark.parametrize("turn", ["2025-11-02", "2026-03-08"])
def test_the_day_turns_at_new_yorks_midnight_also_when_the_clocks_change(turn: str) -> None:
    midnight = datetime.fromisoformat(turn).replace(tzinfo=NEW_YORK)
    before = new_checkpoint(midnight.date() - timedelta(days=1), now=midnight)
    fresh = next_day(before, midnight.date(), now=midnight)
    early = replace(
        ENTRY_FILL, time=midnight + timedelta(hours=1), realized_pnl=Decimal(-1), order_ref=""
    )
    late = replace(early, exec_id="0000e0d5.late.01.01", time=midnight.replace(hour=23, minute=59))
    next_early = replace(early, exec_id="0000e0d5.next.01.01", time=midnight + timedelta(days=1))
    end = replace(CONTEXT, now=midnight + timedelta(days=1))
    outcome = reconcile(fresh, Picture(executions=(early, late, next_early)), context=end)
    assert outcome.checkpoint.session.daily_pnl == -2
