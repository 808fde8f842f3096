"""Bars that the bot has missed: killed and started again at once, it ends as if it had never died.

EVERY_PASSAGE=all kills at every passage of every failpoint, which takes half an hour. Without it a
day of breaks with the JSON store is killed at every passage of a failpoint that is no store's; of
those of the stores, which are passed with each save, and of the other days a sample is taken.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakebroker.faults.wire import (
    ConnectivityLost,
    CutAtMessage,
    CutConnections,
    Drop,
    RefuseConnections,
    Reject,
)
from harness.targets.quiet import Gone
from target_trader.failpoints import FAILPOINTS
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.choice import read_state

Day = Any
"""A `TradingDay` of conftest.py, which cannot be imported from a test."""
Days = Callable[..., Day]

OPENING = datetime(2025, 10, 6, 14, tzinfo=UTC)
PARTS = 6
EVERY = os.environ.get("EVERY_PASSAGE") == "all"
STORE_PREFIXES = ("state.", "sqlite.")
SHORT = """
[ps60]
warmup_bars = 3
"""
CROSSES = """
[trade]
strategies = ["sma"]
[ps60]
warmup_bars = 3
[sma]
fast = 2
slow = 3
timeframe_seconds = 15
trend_timeframe_seconds = 15
"""
# After each event the price stands still for longer than the grace period: what was lost with the
# bot and is sent again has the same price. Two attempts, the second to its target, a third break.
BREAKS = [
    *("444.50", "444.50", "444.50", "444.50"),
    *("445.25", "445.25", "445.25", "445.25", "445.25"),
    *("443.00", "444.00"),
    *("445.25", "445.25", "445.25", "445.25", "445.25"),
    *("447.50", "447.50", "447.50", "447.50", "447.50"),
    *("460.50", "444.00", "446.00", "446.00"),
]
# Candles of three bars: down, up (a long is entered), down (it is closed at market).
TURNS = [
    *("444.50", "444.50", "444.50", "444.00", "444.00", "444.00", "443.50", "443.50", "443.50"),
    *("443.00", "443.00", "443.00", "444.50", "444.50", "444.50", "444.50", "444.50", "444.50"),
    *("444.50", "444.50", "444.50", "442.00", "442.00", "442.00", "442.00", "442.00", "442.00"),
]


def begin(trading_day: Days, closes: list[str], config: str, *, store: str = "json") -> Day:
    """Return a day of these closes for a bot of this configuration."""
    day = trading_day.of_runs([(OPENING, closes)], store=store)  # type: ignore[attr-defined]
    path = day.folder / "bot.toml"
    path.write_text(config)
    day.options = ("--config", str(path))
    return day


def live(day: Day, failpoints: str = "") -> bool:
    """Let a bot live until the day ends, or until it dies; tell whether it died."""
    day.start_bot(failpoints)
    if isinstance(day.settle(ready=True), Gone):
        return True
    return day.play() is not None


def end_of(day: Day) -> tuple[object, ...]:
    """Return how the day ended: in the broker's books, and what the bot remembers of its bars."""
    assert day.stop() == 0
    day.check_agreement()
    books = day.books()
    state = stored(day)
    return (
        [(each.order_ref, each.side, each.shares, each.price) for each in books.executions],
        sorted(
            f"{each.order_ref} {each.action} {each.order_type} {each.filled} of {each.quantity} "
            f"limit {each.limit_price} stop {each.aux_price} working {each.working}"
            for each in books.orders
            if each.working or each.filled
        ),
        [(each.symbol, each.quantity, each.realized_pnl) for each in books.positions],
        state.attempts,
        state.bars,
        {symbol: each.model_dump(exclude={"breakout"}) for symbol, each in state.breakouts.items()},
        state.sma,
        {key: each.signal for key, each in state.last_signals.items()},
    )


def stored(day: Day) -> Checkpoint:
    """Return the stored state."""
    found = read_state(StoreKind(day.store), day.folder / "state").checkpoint
    assert found is not None
    return found


def passages_of(day: Day) -> list[tuple[str, int]]:
    """Live the day without a crash; return every passage of every failpoint."""
    assert not live(day, ";".join(f"{name}=print" for name in FAILPOINTS)), day.log()
    counts = Counter(re.findall(r"failpoint (\S+): print", day.log()))
    return [(name, number) for name in FAILPOINTS for number in range(1, counts[name] + 1)]


def chosen(passages: list[tuple[str, int]], *, part: int, sample: int) -> list[tuple[str, int]]:
    """Return the passages of one part of the test; of some days every `sample`-th is enough."""
    own = [each for each in passages if not each[0].startswith(STORE_PREFIXES)]
    saves = [each for each in passages if each[0].startswith(STORE_PREFIXES)]
    taken = passages if EVERY else [*own, *saves[::15]][::sample]
    return taken[part::PARTS]


def check_kills(
    trading_day: Days, closes: list[str], config: str, *, store: str, part: int, sample: int = 1
) -> None:
    """Kill at each passage of a part, and compare each end with the one without a kill."""
    clean = begin(trading_day, closes, config, store=store)
    passages = passages_of(clean)
    wanted = end_of(clean)
    for name, number in chosen(passages, part=part, sample=sample):
        day = begin(trading_day, closes, config, store=store)
        assert live(day, f"{name}={number - 1}*off->1*kill"), (name, number)
        day.kill()
        assert not live(day), (name, number, day.log())
        assert end_of(day) == wanted, (name, number)
        assert "Traceback" not in day.log()
        trading_day.end(day)  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("store", ["json", "sqlite"])
def test_killed_at_any_passage_and_started_again_a_day_of_breaks_ends_as_without_it(
    trading_day: Days, store: str, part: int
) -> None:
    check_kills(
        trading_day, BREAKS, SHORT, store=store, part=part, sample=3 if store == "json" else 12
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_passage_and_started_again_a_day_of_crosses_ends_as_without_it(
    trading_day: Days, part: int
) -> None:
    check_kills(trading_day, TURNS, CROSSES, store="json", part=part, sample=9)


def bars_seen(day: Day) -> int:
    """Return how many bars of TSLA the bot remembers to have seen, and end it."""
    assert day.stop() == 0
    return stored(day).breakouts["TSLA"].bars_seen


def test_bars_before_the_first_save_of_a_day_are_not_lost_either(trading_day: Days) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.launch()
    day.play(1)
    day.kill()
    assert stored(day).breakouts == {}
    day.launch()
    assert "TSLA: 1 missed bars taken, 10:00:00 to 10:00:00" in day.log()
    assert bars_seen(day) == 1


def test_a_first_start_asks_for_no_bar_of_the_past(trading_day: Days) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.play(6)
    day.launch()
    assert day.sent("reqHistoricalData") == []
    day.play(1)
    assert bars_seen(day) == 1
    assert day.fills() == []


@pytest.mark.parametrize(("dead", "entered"), [(1, True), (2, True), (4, False)])
def test_a_break_of_the_downtime_is_entered_while_it_is_fresh_and_else_only_remembered(
    trading_day: Days, dead: int, *, entered: bool
) -> None:
    day = begin(trading_day, ["444.50"] * 4 + ["445.25"] * 9, SHORT)
    day.launch()
    day.play(4)
    day.kill()
    day.play(dead)
    day.launch()
    assert [each[0] for each in day.fills()] == (["1|entry"] if entered else [])
    assert ("the bar of 10:00:20 is old" in day.log()) is not entered
    day.play()
    assert len(day.sent("placeOrder")) == (3 if entered else 0)
    assert bars_seen(day) == 13
    day.check_agreement()


def test_the_bars_are_asked_for_after_the_exits_and_after_the_live_ones(trading_day: Days) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.launch()
    day.play(6)
    day.kill()
    stop = next(each for each in day.books().orders if each.order_ref.endswith("|stop"))
    day.control.cancel(stop.perm_id)
    day.play(1)
    day.launch()
    lines = (day.folder / "journal.jsonl").read_text().splitlines()
    traffic = [each.get("message") for each in map(json.loads, lines)]
    order = ("reqRealTimeBars", "placeOrder", "reqRealTimeBars", "reqHistoricalData")
    heard = [each for each in traffic if each in order]
    assert heard[-3:] == ["placeOrder", "reqRealTimeBars", "reqHistoricalData"]
    assert bars_seen(day) == 7


def test_a_bot_that_is_refused_the_past_goes_on_without_it(trading_day: Days) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.launch()
    day.play(3)
    day.kill()
    day.control.fault(Reject(message="reqHistoricalData", code=162, text="pacing violation"))
    day.launch()
    assert "IBKR says 162: pacing violation" in day.log()
    assert "TSLA: IBKR does not tell the bars since 10:00:10: on without them" in day.log()
    day.play(4)
    assert [each[0] for each in day.fills()] == ["1|entry"]
    assert bars_seen(day) == 6


def test_bars_that_come_while_the_past_is_waited_for_are_taken_after_it(trading_day: Days) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.launch()
    day.play(3)
    day.kill()
    day.control.fault(Drop(message="reqHistoricalData"))
    day.start_bot()
    day.settle(ready=True)
    day.play(2)
    assert day.fills() == []
    day.wait_for_log("does not tell the bars since 10:00:10")
    day.settle()
    # Five seconds late, which is within the grace period.
    assert [each[0] for each in day.fills()] == ["1|entry"]
    assert bars_seen(day) == 4
    assert len(day.sent("cancelHistoricalData")) == 1


def test_a_connection_that_is_lost_while_the_past_is_asked_for_is_made_again(
    trading_day: Days,
) -> None:
    day = begin(trading_day, BREAKS, SHORT)
    day.launch()
    day.play(3)
    day.kill()
    day.control.fault(CutAtMessage(message="reqHistoricalData"))
    day.start_bot()
    day.wait_for_log("1 missed bars taken")
    day.settle(ready=True)
    assert bars_seen(day) == 3
    assert "Traceback" not in day.log()


@pytest.mark.parametrize("restored", [1101, 1102])
def test_the_bars_of_a_line_that_was_down_are_taken_when_it_is_up(
    trading_day: Days, restored: int
) -> None:
    day = begin(trading_day, ["444.50"] * 20, SHORT)
    day.launch()
    day.play(3)
    fault = day.control.fault(ConnectivityLost(restored=restored))
    lost = day.control.fault(Drop(message="realtimeBar", times=None))
    day.play(5)
    day.control.heal(lost)
    day.control.heal(fault)
    day.settle()
    assert f"IBKR is connected again ({restored})" in day.log()
    assert "5 missed bars taken, 10:00:15 to 10:00:35" in day.log()
    day.play(2)
    assert bars_seen(day) == 10
    times = [each.time for each in stored(day).bars["TSLA"]]
    assert [(each - times[0]).total_seconds() for each in times] == [5 * n for n in range(10)]


def test_the_bars_of_a_lost_connection_are_taken_with_the_next_one(trading_day: Days) -> None:
    day = begin(trading_day, ["444.50"] * 20, SHORT)
    day.launch()
    day.play(3)
    fault = day.control.fault(RefuseConnections())
    day.control.fault(CutConnections())
    day.wait_for_log("No connection to IBKR (try 1)")
    bot, day.bot = day.bot, None
    day.play(5)
    day.bot = bot
    day.control.heal(fault)
    day.wait_for_log("5 missed bars taken, 10:00:15 to 10:00:35")
    day.settle(ready=True)
    day.play(2)
    assert bars_seen(day) == 10


def test_after_more_than_an_hour_the_warm_up_begins_again_and_no_bar_is_asked_for(
    trading_day: Days,
) -> None:
    late = OPENING + timedelta(hours=1, minutes=1)
    runs = [(OPENING, ["444.50"] * 5), (late, ["444.50"] * 5)]
    day = trading_day.of_runs(runs)  # type: ignore[attr-defined]
    day.launch()
    day.play(5)
    day.kill()
    day.play(2)
    day.launch()
    assert day.sent("reqHistoricalData") == []
    day.play(1)
    assert "TSLA: no bar since 2025-10-06 10:00:15, warming up again" in day.log()
    assert bars_seen(day) == 1
