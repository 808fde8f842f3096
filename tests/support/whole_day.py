"""A whole day of five stocks, 09:30 to 16:00 New York, traded by the real bot at the real broker.

The market is made of the synthetic day's shapes, one a stock, so that everything the bot does
happens: both sides, stops, partials, targets, a blocked third attempt, crossovers. Each run is
three processes, or four with Redis, in lockstep; a run is a function of its tape and its bot, so
that runs can be compared trade by trade.
"""

import contextlib
import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fakebroker.control_messages import Books
from fakebroker.market.synthetic import Shape, SyntheticSpec, synthetic_tape
from fakebroker.market.tape import Bar
from harness.broker_process import BrokerProcess, running_broker
from harness.case import Case
from harness.redis_process import RedisProcess, running_redis
from harness.targets.process import Child, launch, run_to_end
from harness.targets.quiet import Quieted, Watch
from harness.targets.sockets import LoopbackQueues
from target_trader.settings import Library, StoreKind
from tests.support.client_environments import locked
from tests.support.trader_days import interpreter, library_environment

SEED = 7
SHAPES = {
    "AAA": Shape.BREAKOUT,
    "BBB": Shape.FAKEOUT,
    "CCC": Shape.GAP_THROUGH_STOP,
    "DDD": Shape.CHOP,
    "EEE": Shape.HALT,
}
CONFIG = """
[trade]
strategies = ["ps60", "sma"]
[risk]
max_daily_loss = 5000
[sma]
shorts = true
"""
OPENING_BARS = 180
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Variant:
    """Which bot trades: under which library, with which store."""

    library: Library
    store: StoreKind

    @property
    def name(self) -> str:
        """What it is called in test ids and folders."""
        return f"{self.library.value}-{self.store.value}"


class Outcome(BaseModel):
    """What a day has come to: the broker's books, the bot's belief, and the bot's log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    books: Books
    belief: dict[str, Any]
    log: str

    def trades(self) -> list[tuple[str, str, str, Decimal, Decimal, datetime]]:
        """Every execution in its order: orderRef, symbol, side, shares, price, time."""
        return [
            (each.order_ref, each.symbol, each.side, each.shares, each.price, each.time)
            for each in self.books.executions
        ]

    def filled(self, leg: str, *, strategy: str = "PS60", side: str = "[LS]") -> list[str]:
        """The orderRefs of a leg with at least one execution, in order."""
        pattern = re.compile(rf"{strategy}\|\w+\|{side}\|\d+\|\d+\|{leg}")
        refs = dict.fromkeys(each.order_ref for each in self.books.executions)
        return [ref for ref in refs if pattern.fullmatch(ref)]


def the_market(seed: int = SEED) -> tuple[Bar, ...]:
    """Return the day's bars of all five stocks, in the order of their times."""
    bars = [
        bar
        for symbol, shape in SHAPES.items()
        for bar in synthetic_tape(SyntheticSpec(shape, (symbol,)), seed).bars
    ]
    return tuple(sorted(bars, key=lambda bar: bar.time))


def watchlist_of(market: tuple[Bar, ...]) -> dict[str, Any]:
    """Return each stock's levels: the ends of its opening range, targets a range or two beyond.

    The stock that never leaves its range has its levels inside it.
    """
    setups = []
    for symbol, shape in SHAPES.items():
        opening = [bar for bar in market if bar.symbol == symbol][:OPENING_BARS]
        high, low = max(bar.high for bar in opening), min(bar.low for bar in opening)
        width = high - low
        if shape is Shape.CHOP:
            high, low = high - width / 4, low + width / 4
        levels = {
            "resistance": high,
            "support": low,
            "target1": high + 3 * width,
            "target2": high + 6 * width,
            "short_target1": low - 3 * width,
            "short_target2": low - 6 * width,
        }
        cent = Decimal("0.01")
        setups.append(
            {"symbol": symbol, **{name: str(p.quantize(cent)) for name, p in levels.items()}}
        )
    return {"date": market[0].time.date().isoformat(), "setups": setups}


@contextlib.contextmanager
def redis_of(variant: Variant, folder: Path) -> Iterator[RedisProcess | None]:
    """Run a Redis if the variant keeps its state in one."""
    if variant.store is not StoreKind.REDIS:
        yield None
        return
    with running_redis(folder) as server:
        yield server


class WholeDay:
    """One run: a broker that plays the day, and a bot that trades it."""

    def __init__(
        self, variant: Variant, folder: Path, *, broker: BrokerProcess, redis: RedisProcess | None
    ) -> None:
        self.variant, self.folder = variant, folder
        self.broker, self.redis = broker, redis
        self.queues = LoopbackQueues()
        (folder / "bot.toml").write_text(CONFIG, encoding="utf-8")
        self.bot = self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Where the bot finds its library and its Redis."""
        place = {"REDIS_URL": self.redis.url} if self.redis is not None else {}
        return place | library_environment(self.variant.library)

    def command(self, *words: str) -> list[str]:
        """A command of the bot, for this run's state."""
        return [
            *(interpreter(self.variant.library), "-m", "target_trader", *words),
            *("--state-dir", str(self.folder / "state"), "--store", self.variant.store.value),
        ]

    def start(self) -> Child:
        """Start the bot and wait until it trades."""
        bot = launch(
            [
                *self.command("trade", "--port", str(self.broker.port)),
                *("--watchlist", str(self.folder / "watchlist.json")),
                *("--config", str(self.folder / "bot.toml")),
            ],
            self.folder / "bot.log",
            environment=self.environment,
        )
        self.watch = Watch(bot, self.broker.control, queues=self.queues, neighbour=self.redis)
        self.bot = bot
        while self.settle().status.subscriptions < len(SHAPES):
            pass
        return bot

    def settle(self) -> Quieted:
        """Wait until the bot has digested everything.

        Raises:
            AssertionError: it has ended; the words are its last.
        """
        settled = self.watch.settle(seconds=DEADLINE_SECONDS)
        assert isinstance(settled, Quieted), f"{settled}: {self.bot.last_lines()}"
        return settled

    def play(self, market: tuple[Bar, ...]) -> None:
        """Play the day, one instant of all stocks after the other, each when the bot is quiet."""
        instants = Counter(bar.time for bar in market)
        for bars in instants.values():
            played = 0
            while played < bars:
                if self.broker.control.step().kind == "bar":
                    played += 1
                else:
                    self.settle()
            self.settle()

    def stop(self) -> None:
        """Stop the bot as a person does."""
        os.kill(self.bot.pid, signal.SIGTERM)
        assert self.bot.exits_within(DEADLINE_SECONDS), self.bot.last_lines()
        assert self.bot.exit_code() == 0, self.bot.last_lines()

    def outcome(self) -> Outcome:
        """Gather what the day has come to."""
        code, out, err = run_to_end(
            self.command("state"), seconds=DEADLINE_SECONDS, environment=self.environment
        )
        assert code == 0, err
        log = (self.folder / "bot.log").read_text(encoding="utf-8")
        return Outcome(books=self.broker.control.books(), belief=json.loads(out), log=log)

    def close(self) -> None:
        """Leave nothing behind."""
        self.bot.end()
        self.queues.close()


def trade_the_day(variant: Variant, folder: Path) -> Outcome:
    """Trade the whole day and stop.

    Args:
        variant: which bot.
        folder: where files are written; must exist and be empty.
    """
    market = the_market()
    watchlist = watchlist_of(market)
    (folder / "watchlist.json").write_text(json.dumps(watchlist), encoding="utf-8")
    case = Case(scenario="whole-day", store="json", tape=market, watchlist=watchlist)
    with running_broker(case, folder) as broker, redis_of(variant, folder) as redis:
        day = WholeDay(variant, folder, broker=broker, redis=redis)
        try:
            day.play(market)
            day.stop()
            return day.outcome()
        finally:
            day.close()


def outcome_of(variant: Variant, shared: Path) -> Outcome:
    """Trade the day unless somebody has; others who ask meanwhile, in any process, wait.

    Args:
        variant: which bot.
        shared: a folder that is the same for all who compare.
    """
    folder, result = shared / variant.name, shared / f"{variant.name}.json"
    with locked(shared / f"{variant.name}.lock"):
        if not result.exists():
            # What an attempt that failed has left would be traded on.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            result.write_text(trade_the_day(variant, folder).model_dump_json(), encoding="utf-8")
    return Outcome.model_validate_json(result.read_text(encoding="utf-8"))
