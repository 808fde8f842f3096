"""How long the reference bot takes from a SIGKILL back to trading, for each store.

The real bot trades a morning of five stocks against the fake broker until it holds three of them
and has booked more than 200 executions; then it is killed. Its state, with a whole day's equity
curve added, is put into each store, and the bot is started and killed again and again. What is
measured comes from outside: the arrival of the lines that the bot logs, and the broker's count of
subscriptions. The baseline of loading is reading and parsing the same bytes without any check.

`python -m benchmarks.recovery [REPEATS]`, or `make bench-recovery`. Targets, from the documents:
the state in under a second, trading again in under five.
"""

import contextlib
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from benchmarks.broker import machine
from fakebroker.control import ControlClient
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from harness.broker_process import BrokerProcess, running_broker
from harness.case import Case
from harness.clock import Deadline
from harness.redis_process import running_redis
from harness.targets.process import base_environment, launch
from harness.targets.quiet import Gone, Watch
from harness.targets.sockets import LoopbackQueues
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, EquityPoint, canonical
from target_trader.state.choice import open_store, read_state

REPEATS = 7
MORNING_LOG = "bot.log"
LOADS = 20
DEADLINE_SECONDS = 60.0
OPENING = datetime(2025, 10, 6, 10, 0, tzinfo=ZoneInfo("America/New_York"))
BAR = timedelta(seconds=5)
PIECES = 29
"""In so many executions a market order of 100 shares is filled."""
HELD = ("AAA", "BBB", "CCC")
STOPPED = ("DDD", "EEE")
EXECUTIONS = (len(HELD) + 2 * len(STOPPED)) * PIECES + len(HELD)
LOAD_TARGET_SECONDS = 1.0
TRADING_TARGET_SECONDS = 5.0
RECOVERED = "STATE RECOVERED"
COMPLETE = "State recovery complete"


# The morning


def closes(symbol: str) -> list[str]:
    """Return the closes of a morning: warm-up, break of 100.50, then a partial or a stop-out."""
    path = ["100.20"] * 22 + ["100.60"] * 3
    path += ["102.50"] * 4 + ["101.80"] * 4 if symbol in HELD else ["98.90"] * 4 + ["99.90"] * 4
    return path + [path[-1]] * (62 - len(path))


def tape() -> tuple[Bar, ...]:
    """Return the morning of all five stocks as five-second bars."""
    bars: list[Bar] = []
    for symbol in (*HELD, *STOPPED):
        before = Decimal("100.20")
        for number, text in enumerate(closes(symbol)):
            close = Decimal(text)
            bars.append(
                Bar(
                    symbol=symbol,
                    time=OPENING + number * BAR,
                    open=before,
                    high=max(before, close),
                    low=min(before, close),
                    close=close,
                    volume=Decimal(1_000),
                )
            )
            before = close
    return tuple(sorted(bars, key=lambda bar: bar.time))


def morning() -> Case:
    """Return the market, the watchlist and a broker that fills in many pieces."""
    levels = {"resistance": "100.50", "support": "90", "target1": "110", "target2": "120"}
    setups: list[JsonValue] = [{"symbol": symbol, **levels} for symbol in (*HELD, *STOPPED)]
    return Case(
        scenario="bench-recovery",
        store="json",
        tape=tape(),
        watchlist={"date": OPENING.date().isoformat(), "setups": setups},
        broker=BrokerSettings(fill_split=tuple(Decimal(3) for _ in range(PIECES - 1))),
    )


def command(broker: BrokerProcess, folder: Path, kind: StoreKind) -> list[str]:
    """Return the bot's command line for one store."""
    return [
        *(sys.executable, "-m", "target_trader", "trade", "--port", str(broker.port)),
        *("--state-dir", str(folder / kind), "--store", kind.value),
        *("--watchlist", str(folder / "watchlist.json")),
    ]


def trade_the_morning(broker: BrokerProcess, folder: Path) -> Checkpoint:
    """Let the bot trade the whole tape, SIGKILL it and return what it had made durable."""
    bot = launch(command(broker, folder, StoreKind.JSON), folder / MORNING_LOG)
    queues = LoopbackQueues()
    try:
        watch = Watch(bot, broker.control, queues=queues)
        while broker.control.status().subscriptions < len(HELD + STOPPED):
            quiet(watch, bot.last_lines)
        while broker.control.step().kind != "end":
            quiet(watch, bot.last_lines)
    finally:
        queues.close()
        bot.end()
    checkpoint = read_state(StoreKind.JSON, folder / StoreKind.JSON).checkpoint
    assert checkpoint is not None, bot.last_lines()
    held = sorted(each.symbol for each in checkpoint.open_positions())
    assert held == sorted(HELD), f"the morning went otherwise: {held} {bot.last_lines()}"
    return checkpoint


def quiet(watch: Watch, last_lines: Callable[[], list[str]]) -> None:
    """Wait until the bot has digested everything."""
    settled = watch.settle(seconds=DEADLINE_SECONDS)
    if isinstance(settled, Gone):
        sys.exit(f"the bot ended by itself: {' / '.join(last_lines())}")


def with_a_day_of_equity(checkpoint: Checkpoint) -> Checkpoint:
    """Add the account's value at each of the 390 minutes of a session."""
    full = checkpoint.model_copy(deep=True)
    start = OPENING.replace(hour=9, minute=30)
    full.equity_curve = [
        EquityPoint(
            time=start + timedelta(minutes=minute),
            equity=Decimal("100000.00") + minute,
            daily_pnl=Decimal(minute),
        )
        for minute in range(390)
    ]
    return full


# One life of the bot


@dataclass(frozen=True, slots=True)
class Life:
    """Seconds from the start of the process: first word, state recovered, trading again."""

    alive: float
    recovered: float
    trading: float


def live_once(broker: BrokerProcess, folder: Path, kind: StoreKind, url: str) -> Life:
    """Start the bot, take the times of its lines, and SIGKILL it once it trades."""
    wait_for(broker.control, sessions=0)
    heard: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
    begin = perf_counter()
    with subprocess.Popen(
        command(broker, folder, kind),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=base_environment() | {"REDIS_URL": url},
        text=True,
    ) as bot:

        def listen() -> None:
            assert bot.stderr is not None
            for line in bot.stderr:
                heard.put((perf_counter() - begin, line))
            heard.put((perf_counter() - begin, ""))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            return times_of(heard, broker.control)
        finally:
            bot.kill()
            listener.join(DEADLINE_SECONDS)


def times_of(heard: "queue.SimpleQueue[tuple[float, str]]", control: ControlClient) -> Life:
    """Follow the bot's words until it has asked for the bars of every stock."""
    words: list[str] = []
    alive = recovered = 0.0
    while True:
        try:
            moment, line = heard.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            sys.exit(f"no word of the bot for {DEADLINE_SECONDS:g} s after: {''.join(words)}")
        words.append(line)
        alive = alive or moment
        if not line:
            sys.exit(f"the bot ended by itself: {''.join(words)}")
        if RECOVERED in line:
            recovered = moment
        if COMPLETE in line:
            wait_for(control, subscriptions=len(HELD + STOPPED))
            return Life(alive, recovered, moment)


def wait_for(
    control: ControlClient, *, subscriptions: int | None = None, sessions: int | None = None
) -> None:
    """Wait until the broker has so many subscriptions or sessions."""
    deadline = Deadline(DEADLINE_SECONDS)
    while deadline.left > 0:
        status = control.status()
        if subscriptions in {None, status.subscriptions} and sessions in {
            None,
            len(status.sessions),
        }:
            return
    sys.exit(f"the broker has not come to {subscriptions} subscriptions, {sessions} sessions")


# What is measured


@dataclass(frozen=True, slots=True)
class Measured:
    """One store: seconds of each load and of each life, and of the baseline."""

    store: StoreKind
    size: int
    raw: list[float]
    loads: list[float]
    lives: list[Life]


def seconds_of(act: Callable[[], object]) -> float:
    """Return how long an act takes."""
    start = perf_counter()
    act()
    return perf_counter() - start


def measure_store(
    broker: BrokerProcess,
    folder: Path,
    kind: StoreKind,
    *,
    full: Checkpoint,
    url: str,
    repeats: int,
) -> Measured:
    """Put the state into a store, load it often, live on it `repeats` times."""
    place = folder / kind
    store = open_store(kind, place, redis_url=url or None)
    store.save(full)
    store.close()
    raw = folder / "raw.json"
    raw.write_text(canonical(full), encoding="utf-8")

    def load() -> None:
        loaded = read_state(kind, place, redis_url=url or None)
        assert loaded.checkpoint == full, loaded.problems

    def parse() -> None:
        json.loads(raw.read_bytes())

    return Measured(
        store=kind,
        size=raw.stat().st_size,
        raw=[seconds_of(parse) for _ in range(LOADS)],
        loads=[seconds_of(load) for _ in range(LOADS)],
        lives=[live_once(broker, folder, kind, url) for _ in range(repeats)],
    )


@contextlib.contextmanager
def redis_url(folder: Path) -> Iterator[str]:
    """Yield REDIS_URL if the environment names a server, else run the embedded one."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with running_redis(folder) as server:
        yield f"{server.url}/{folder.name}"


def measure(folder: Path, *, repeats: int = REPEATS) -> list[Measured]:
    """Make the state and measure every store."""
    case = morning()
    (folder / "watchlist.json").write_text(json.dumps(case.watchlist), encoding="utf-8")
    with running_broker(case, folder) as broker, redis_url(folder) as redis:
        full = with_a_day_of_equity(trade_the_morning(broker, folder))
        assert len(full.executions) == EXECUTIONS, len(full.executions)
        urls = {StoreKind.JSON: "", StoreKind.SQLITE: "", StoreKind.REDIS: redis}
        return [
            measure_store(broker, folder, kind, full=full, url=url, repeats=repeats)
            for kind, url in urls.items()
        ]


# What is told


def rows_of(measured: Measured) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows of a store: what, median, worst, target, times the baseline."""
    raw = statistics.median(measured.raw)
    lives = measured.lives
    parts = {
        "load and check the state": (measured.loads, f"{LOAD_TARGET_SECONDS:g} s"),
        "start to first word": ([life.alive for life in lives], ""),
        "start to state recovered": ([life.recovered for life in lives], ""),
        "start to trading": ([life.trading for life in lives], f"{TRADING_TARGET_SECONDS:g} s"),
    }
    for name, (values, target) in parts.items():
        middle = statistics.median(values)
        ratio = f"{middle / raw:,.1f}" if values is measured.loads else ""
        yield measured.store.value, name, f"{middle:.3f}", f"{max(values):.3f}", target, ratio


def main() -> None:
    """Measure and print."""
    repeats = int(sys.argv[1]) if sys.argv[1:] else REPEATS
    console = Console(width=110)
    console.print(machine(), highlight=False)
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        results = measure(Path(name), repeats=repeats)
    table = Table("store", "measured", "median s", "worst s", "target", "times raw parsing")
    for measured in results:
        for row in rows_of(measured):
            table.add_row(*row)
    console.print(table)
    first = results[0]
    console.print(
        f"{EXECUTIONS} executions, {len(HELD)} open positions, {first.size / 1024:.0f} KiB; "
        f"reading and parsing them raw takes {statistics.median(first.raw) * 1000:.1f} ms",
        highlight=False,
    )


if __name__ == "__main__":
    main()
