"""Bars that the bot has missed: killed and started again at once, it ends as if it had never died.

EVERY_PASSAGE=all kills at every passage of every failpoint, which takes half an hour. Without it a
day of breaks with the JSON store is killed at every passage of a failpoint that is no store's; of
those of the stores, which are passed with each save, and of the other days a sample is taken.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

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
    taken = passages if EVERY else [*own, *saves[::7]][::sample]
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
        trading_day, BREAKS, SHORT, store=store, part=part, sample=1 if store == "json" else 3
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_passage_and_started_again_a_day_of_crosses_ends_as_without_it(
    trading_day: Days, part: int
) -> None:
    check_kills(trading_day, TURNS, CROSSES, store="json", part=part, sample=2)
