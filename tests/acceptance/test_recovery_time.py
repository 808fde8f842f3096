"""The bot's recovery keeps the times and sizes of the documents (`make bench-recovery`).

Times are the best of several: a busy machine makes them longer, and nothing makes them shorter.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest

from benchmarks.recovery import (
    EXECUTIONS,
    HELD,
    LOAD_TARGET_SECONDS,
    MORNING_LOG,
    STOPPED,
    TRADING_TARGET_SECONDS,
    Measured,
    measure,
)
from target_trader.history import History, tell_history
from target_trader.settings import StoreKind
from target_trader.state.choice import read_state
from target_trader.state.json_store import main_path

REPEATS = 2
TRIES = 10
INITIAL_LOAD_SECONDS = 0.050
SLOWEST = 2
"""How many times slower than the machine of the measurement another one may be."""
EVENT_BYTES = 1_024
TRADE_BYTES = 2_048
LOCAL = (StoreKind.JSON, StoreKind.SQLITE)


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured and where the states lie."""

    folder: Path
    results: dict[StoreKind, Measured]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Run the benchmark once, shortly."""
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, {each.store: each for each in measure(folder, repeats=REPEATS)})


@pytest.mark.parametrize("kind", list(StoreKind))
def test_the_benchmark_of_recovery_keeps_the_documents_targets(
    bench: Bench, kind: StoreKind
) -> None:
    measured = bench.results[kind]
    assert len(measured.lives) == REPEATS
    assert LOAD_TARGET_SECONDS == 1
    assert min(measured.loads) < LOAD_TARGET_SECONDS
    assert TRADING_TARGET_SECONDS == 5
    assert min(life.trading for life in measured.lives) < TRADING_TARGET_SECONDS
    for life in measured.lives:
        assert 0 < life.alive <= life.recovered < life.trading


@pytest.mark.parametrize("kind", LOCAL)
def test_loading_the_state_takes_less_than_fifty_milliseconds(
    bench: Bench, kind: StoreKind
) -> None:
    assert computed(lambda: read_state(kind, bench.folder / kind)) < SLOWEST * INITIAL_LOAD_SECONDS


@pytest.mark.parametrize("kind", LOCAL)
def test_history_is_told_from_the_store_in_less_than_fifty_milliseconds(
    bench: Bench, kind: StoreKind
) -> None:
    told: list[History] = []

    def look() -> None:
        told.append(tell_history(read_state(kind, bench.folder / kind).checkpoint))

    assert computed(look) < SLOWEST * INITIAL_LOAD_SECONDS
    assert told[0].event_count >= EXECUTIONS


def computed(act: Callable[[], object]) -> float:
    """Seconds of processor time of an act: what it would take on a machine that is not busy."""
    times = []
    for _ in range(TRIES):
        start = process_time()
        act()
        times.append(process_time() - start)
    return min(times)


def test_five_symbols_are_traded_at_once_and_a_clean_morning_logs_no_error(bench: Bench) -> None:
    lines = (bench.folder / MORNING_LOG).read_text(encoding="utf-8").splitlines()
    entered = {line.split()[4] for line in lines if " ENTER LONG 100 " in line}
    assert entered == {*HELD, *STOPPED}
    assert [line for line in lines if "ERROR:" in line or "CRITICAL:" in line] == []


def test_an_event_takes_at_most_a_kilobyte_and_a_trade_two_in_the_state_file(bench: Bench) -> None:
    loaded = read_state(StoreKind.JSON, bench.folder / StoreKind.JSON)
    assert loaded.checkpoint is not None
    text = main_path(bench.folder / StoreKind.JSON, loaded.checkpoint.day).read_text()
    tree = json.loads(text)["checkpoint"]
    executions, trades = tree["executions"], tree["positions"]
    assert len(executions) == EXECUTIONS
    assert all(Decimal(each["shares"]) > 0 for each in executions.values())
    assert size_of(executions) / len(executions) < EVENT_BYTES
    assert size_of(trades) / len(trades) < TRADE_BYTES


def size_of(part: object) -> int:
    """Bytes of a part of the state file, written as the file is."""
    return len(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
