"""The main loop's decisions that need no broker: time, the open, doubts, errors of handlers."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.clock import NEW_YORK, MarketClock
from target_trader.errors import NotConnectedError
from target_trader.library import RealTimeBar, RealTimeBarList, Stock
from target_trader.names import Leg
from target_trader.picture import Picture
from target_trader.questions import Wake
from target_trader.reconcile import reconcile
from target_trader.settings import ClockKind, Rules, StoreKind, TraderOptions, Watchlist
from target_trader.state.checkpoint import new_checkpoint
from target_trader.state.json_store import JsonStore
from target_trader.state.store import Loaded, Source
from target_trader.trader import Trader
from tests.support.pictures import DAY, KEY, NOW, order, setup, state

OPEN = datetime(2025, 10, 6, 9, 30, tzinfo=NEW_YORK)


def with_bot(
    folder: Path,
    act: Callable[[Trader], Awaitable[None]],
    *,
    clock: ClockKind = ClockKind.MARKET,
    now: datetime | None = NOW,
) -> None:
    """Do something with a bot that has no connection."""

    async def begin() -> None:
        store = JsonStore(folder)
        options = TraderOptions(
            host="127.0.0.1",
            port=7497,
            client_id=2001,
            state_dir=folder,
            store=StoreKind.JSON,
            watchlist=Watchlist(date=DAY, setups=(setup("TSLA"),)),
            watchlist_name="watchlist.json",
            rules=Rules(),
            clock=clock,
        )
        market = MarketClock()
        if now is not None:
            market.advance(now)
        trader = Trader(options, store, clock=market)
        try:
            await act(trader)
        finally:
            trader.broken.cancel()
            store.close()

    asyncio.run(begin())


def test_an_attempt_since_the_open_that_only_an_order_shows_outlives_a_start_after_the_open(
    tmp_path: Path,
) -> None:
    """The state is of before the open, the entry was sent after it and has not filled."""

    async def act(trader: Trader) -> None:
        stored = new_checkpoint(DAY, now=OPEN - timedelta(hours=1))
        stored.saved_at = OPEN - timedelta(minutes=1)
        stored.attempts = {"TSLA|SHORT|432.50": 2}
        trader.recovery.loaded = Loaded(stored, Source.MAIN, ())
        trader.recovery.open_books()
        assert trader.books.checkpoint.attempts == {}
        picture = Picture(open_orders=(order("entry", 100, status="PreSubmitted"),))
        outcome = reconcile(trader.books.checkpoint, picture, context=trader.context())
        trader.recovery.take(outcome)
        trader.turn_day()
        assert trader.books.checkpoint.attempts == {KEY: 1}

    with_bot(tmp_path, act)


def test_the_state_is_not_judged_by_the_machines_clock_where_the_brokers_counts(
    tmp_path: Path,
) -> None:
    async def act(trader: Trader) -> None:
        with pytest.raises(NotConnectedError, match="not known which day it is"):
            trader.recovery.take_time(None)
        trader.recovery.take_time(NOW)
        assert trader.clock.now() == NOW
        trader.recovery.opened = True
        trader.recovery.take_time(None)
        assert trader.clock.now() == NOW

    with_bot(tmp_path, act, now=None)


def test_with_the_machines_clock_a_broker_without_a_time_is_no_trouble(tmp_path: Path) -> None:
    async def act(trader: Trader) -> None:
        trader.recovery.take_time(None)
        trader.recovery.loaded = Loaded(None, Source.NONE, ())
        trader.recovery.open_books()
        assert trader.recovery.opened

    with_bot(tmp_path, act, clock=ClockKind.SYSTEM)


def test_nobody_can_be_asked_for_the_time_without_a_connection(tmp_path: Path) -> None:
    async def act(trader: Trader) -> None:
        with pytest.raises(ConnectionError):
            await trader.gateway.current_time()
        assert trader.gateway.account() is None

    with_bot(tmp_path, act)


def test_an_error_of_a_handler_ends_the_bot_and_nothing_is_handled_after_it(
    tmp_path: Path,
) -> None:
    async def act(trader: Trader) -> None:
        handled: list[int] = []

        def handler(number: int) -> None:
            handled.append(number)
            raise ValueError(f"cannot book {number}")

        guarded = trader.guarded(handler)
        guarded(1)
        assert handled == []  # The books are not open yet.
        trader.recovery.listening = True
        guarded(2)
        guarded(3)
        assert handled == [2]
        with pytest.raises(ValueError, match="cannot book 2"):
            await trader.run()
        assert not trader.recovery.listening

    with_bot(tmp_path, act)


def test_a_broker_that_goes_away_under_a_handler_is_no_error_of_ours(tmp_path: Path) -> None:
    async def act(trader: Trader) -> None:
        def handler() -> None:
            raise ConnectionError("Not connected")

        trader.recovery.listening = True
        trader.guarded(handler)()
        assert not trader.broken.done()

    with_bot(tmp_path, act)


def bars_of(close: float) -> RealTimeBarList:
    """A subscription with one new bar."""
    bars = RealTimeBarList()
    bars.contract = Stock("TSLA", "SMART", "USD")
    bars.append(RealTimeBar(NOW, -1, close, close, close, close, 100.0, close, 1))
    return bars


def test_bars_wait_while_a_question_is_open_and_those_of_an_old_subscription_are_dropped(
    tmp_path: Path,
) -> None:
    async def act(trader: Trader) -> None:
        bars = bars_of(445.0)
        trader.questions.asking = True
        trader.on_bars(bars, False)
        assert len(bars) == 1
        trader.on_bars(bars, True)
        assert trader.backlog == []  # It is not the subscription of TSLA any more.
        current = bars_of(446.0)
        trader.gateway.bars["TSLA"] = current
        trader.on_bars(current, True)
        assert [(symbol, bar.close) for symbol, bar in trader.backlog] == [("TSLA", Decimal(446))]
        assert trader.books.checkpoint.memory("TSLA").bars_seen == 0
        trader.questions.asking = False
        trader.resume()
        assert trader.backlog == []
        assert trader.books.checkpoint.memory("TSLA").bars_seen == 1

    with_bot(tmp_path, act)


def test_in_a_frozen_symbol_no_exit_is_sent_and_no_order_is_taken_back(tmp_path: Path) -> None:
    async def act(trader: Trader) -> None:
        books = trader.books.checkpoint = state()
        trader.recovery.online = True
        stop = next(each for each in books.intents if each.leg is Leg.STOP)
        stop.quantity = Decimal(60)
        books.frozen["TSLA"] = "the books hold 100 shares, IBKR 60"
        trader.manage_all()
        assert trader.orders.changing == {}
        del books.frozen["TSLA"]
        with pytest.raises(ConnectionError):  # Now it would have been sent.
            trader.manage_all()

    with_bot(tmp_path, act)


def test_what_was_wished_for_before_the_connection_was_lost_is_not_done_after_it(
    tmp_path: Path,
) -> None:
    async def act(trader: Trader) -> None:
        for wake in (Wake.ASK, Wake.PROBE):
            await trader.recovery.answer(wake)
        assert not trader.recovery.trading

    with_bot(tmp_path, act)


def test_a_connection_is_lost_once(tmp_path: Path) -> None:
    async def act(trader: Trader) -> None:
        trader.recovery.online = True
        for _ in range(2):
            trader.recovery.lose_connection()
        assert trader.questions.wakes.qsize() == 1
        assert await trader.recovery.next_wake() is Wake.RECOVER

    with_bot(tmp_path, act)


@pytest.mark.parametrize("bars", [False, True], ids=["silence", "bars"])
def test_a_silent_broker_is_probed_and_one_that_sends_bars_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bars: bool
) -> None:
    async def act(trader: Trader) -> None:
        monkeypatch.setattr("target_trader.recovery.SILENCE_SECONDS", 0.05)
        trader.recovery.online = True
        waiting = asyncio.ensure_future(trader.recovery.next_wake())
        if bars:
            # One bar within the first interval: only the second one is silent.
            await asyncio.wait([waiting], timeout=0)
            trader.recovery.hear_bar()
        assert await asyncio.wait_for(waiting, 60) is Wake.PROBE
        assert trader.recovery.last_bar_at == (NOW if bars else None)

    with_bot(tmp_path, act)


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (OPEN - timedelta(minutes=1), False),
        (OPEN + timedelta(seconds=59), False),
        (OPEN + timedelta(seconds=61), True),
        (OPEN.replace(hour=16), False),
        (OPEN.replace(day=11, hour=12), False),
    ],
    ids=["before-the-open", "just-opened", "late", "after-the-close", "saturday"],
)
def test_bars_are_late_only_in_the_regular_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, now: datetime, late: bool
) -> None:
    async def act(trader: Trader) -> None:
        trader.recovery.look_at_silence()  # No connection was ever made: nothing to miss.
        trader.recovery.last_bar_at = OPEN - timedelta(hours=1)
        trader.recovery.look_at_silence()
        trader.recovery.look_at_silence()
        said = [each for each in caplog.messages if each.startswith("No bars since")]
        assert len(said) == int(late)

    with_bot(tmp_path, act, now=now)


def test_while_the_line_is_down_late_bars_are_said_and_not_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(trader: Trader) -> None:
        trader.questions.link_lost_at = NOW
        trader.recovery.last_bar_at = OPEN
        trader.recovery.look_at_silence()
        assert "No bars since 09:30:00: no entries" in caplog.text
        assert "subscribing again" not in caplog.text

    with_bot(tmp_path, act)
