"""Bots that have timers of their own, on the real libraries, by each clock.

Under the faked clock two runs are the same, to the last byte of what the bot prints about its own
time, and a minute of waiting takes none of ours.
"""

import json
import re
import shlex
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from fakebroker.faults.wire import RefuseConnections
from fakebroker.market.tape import Bar
from harness.bot_life import Limits
from harness.case import Case, Crash
from harness.downtime import BrokerFault, Downtime
from harness.history import History
from harness.points import Quiet
from harness.runner import run_case
from harness.targets import BotSpec
from harness.targets.launcher import ForkLauncher
from harness.targets.process import EXEC
from tests.support.client_environments import python_of
from tests.unit.harness.stories import OPEN

LIBRARIES = ["ib_insync", "ib_async"]
LIMITS = Limits(ready=30.0, quiet=30.0, patience=0.3)
BOT = """
import asyncio, datetime, importlib, sys
asyncio.set_event_loop(asyncio.new_event_loop())
library = importlib.import_module(sys.argv[2])
ib, loop = library.IB(), asyncio.get_event_loop_policy().get_event_loop()
begun = loop.time()
def tell(*words):
    print(round(loop.time() - begun, 6), *words, flush=True)
    if sys.argv[3] == "date":
        print(datetime.datetime.now(datetime.timezone.utc).isoformat(), flush=True)
pause, tries = 1, 0
while not ib.isConnected():
    try:
        tries += 1
        ib.connect("127.0.0.1", int(sys.argv[1]), clientId=7, timeout=4)
    except OSError:
        tell("try", tries)
        ib.sleep(pause)
        pause *= 2
tell("connected")
[stock] = ib.qualifyContracts(library.Stock("TSLA", "SMART", "USD"))
sent = []
def act(bars, fresh):
    if not sent and not ib.openTrades():
        sent.append(ib.placeOrder(stock, library.LimitOrder("BUY", 10, 400)))
        loop.call_later(20, cancel)
        tell("sent")
def cancel():
    tell("cancel")
    ib.cancelOrder(sent[0].order)
ib.reqRealTimeBars(stock, 5, "TRADES", False).updateEvent += act
async def wait_in_vain():
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 7)
    except asyncio.TimeoutError:
        tell("waited in vain")
ib.run(wait_in_vain())
ib.run()
"""


def bot_of(library: str, folder: Path, *, clock: str, date: str = "date") -> BotSpec:
    path = folder / "timers.py"
    path.write_text(BOT)
    python = sys.executable if library == "ib_insync" else str(python_of("ib_async"))
    words = [python, str(path), "{port}", library, date]
    return BotSpec.choose(command=shlex.join(words), clock=clock)


def case(*crashes: Crash) -> Case:
    price = Decimal("445.00")
    bars = (
        Bar("TSLA", OPEN + timedelta(seconds=5 * number), price, price, price, price, Decimal(1000))
        for number in range(10)
    )
    return Case(
        scenario="timers", store="json", tape=tuple(bars), watchlist={"setups": []}, crashes=crashes
    )


def seconds_between(history: History, *messages: str) -> float:
    """Market time from the first message of a kind to the first of another."""
    first, last = (
        next(each.time for each in history.messages if each.message == message)
        for message in messages
    )
    return (last - first).total_seconds()


def log_of(history: Path) -> str:
    """What the bot has printed; a library's own words have the broker's port in them."""
    lines = (history.parent / "bot.log").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line[0].isdigit())


@pytest.mark.parametrize("library", LIBRARIES)
def test_two_runs_of_a_bot_with_timers_are_the_same_to_the_byte(
    library: str, tmp_path: Path
) -> None:
    bot = bot_of(library, tmp_path, clock="faked")
    paths = [run_case(case(), bot, tmp_path / name, limits=LIMITS) for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert log_of(paths[0]) == log_of(paths[1])
    history = History.read(paths[0])
    assert history.complete
    assert seconds_between(history, "placeOrder", "cancelOrder") == 20
    told = [line.split(" ", 1) for line in log_of(paths[0]).splitlines() if " " in line]
    assert [words for _, words in told] == ["connected", "sent", "waited in vain", "cancel"]
    times = {words: float(time) for time, words in told}
    assert times["cancel"] - times["sent"] == 20


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_bot_backs_off_in_the_markets_time_until_the_broker_is_back(
    library: str, tmp_path: Path
) -> None:
    gone = BrokerFault(fault=RefuseConnections(seconds=timedelta(seconds=10)))
    crash = Crash(
        point=Quiet(after_bar=OPEN + timedelta(seconds=10)), downtime=Downtime(acts=(gone,))
    )
    bot = bot_of(library, tmp_path, clock="faked")
    paths = [run_case(case(crash), bot, tmp_path / name, limits=LIMITS) for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert log_of(paths[0]) == log_of(paths[1])
    second_life = log_of(paths[0]).split("connected")[1]
    tries = re.findall(r"^(\S+) try", second_life, flags=re.MULTILINE)
    # ib.sleep doubles from 1 s on; the third try is at 3 s, the fourth would come at 7 s.
    assert tries == ["0.0", "1.0", "3.0", "7.0"]
    history = History.read(paths[0])
    assert history.complete
    assert history.lives[1].ready_seq is not None


def test_a_forked_bot_with_timers_has_the_history_of_an_executed_one(tmp_path: Path) -> None:
    path = tmp_path / "timers.py"
    path.write_text(BOT)
    bot = BotSpec(
        name="timers",
        trade=(sys.executable, str(path), "{port}", "ib_insync", "date"),
        state=None,
        clock=bot_of("ib_insync", tmp_path, clock="faked").clock,
    )
    executed = run_case(case(), bot, tmp_path / "executed", limits=LIMITS, launcher=EXEC)
    with ForkLauncher() as forks:
        forked = run_case(case(), bot, tmp_path / "forked", limits=LIMITS, launcher=forks)
        assert forks.servers
    assert executed.read_bytes() == forked.read_bytes()
    assert log_of(executed) == log_of(forked)


def test_in_real_time_the_timer_fires_when_its_time_has_come(tmp_path: Path) -> None:
    bot = bot_of("ib_insync", tmp_path, clock="real:4", date="no date")
    bot = bot.model_copy(update={"trade": (*bot.trade[:-1], "no date")})
    text = (tmp_path / "timers.py").read_text()
    (tmp_path / "timers.py").write_text(text.replace("call_later(20", "call_later(5"))
    history = History.read(run_case(case(), bot, tmp_path / "run", limits=LIMITS))
    assert history.complete
    # Five seconds of the bot are twenty of this market; a busy machine makes it later.
    assert 18 < seconds_between(history, "placeOrder", "cancelOrder") < 45


def test_in_lockstep_the_market_does_not_wait_for_a_timer(tmp_path: Path) -> None:
    bot = bot_of("ib_insync", tmp_path, clock="lockstep")
    history = History.read(run_case(case(), bot, tmp_path / "run", limits=LIMITS))
    assert history.complete
    assert "cancelOrder" not in [each.message for each in history.messages]
    shown = log_of(tmp_path / "run" / "x").splitlines()[1]
    assert datetime.fromisoformat(shown) > OPEN + timedelta(days=1)


def test_a_bot_that_cannot_take_the_clock_proves_nothing(tmp_path: Path) -> None:
    bot = bot_of("ib_insync", tmp_path, clock="faked")
    isolated = bot.model_copy(update={"trade": (bot.trade[0], "-E", *bot.trade[1:])})
    history = run_case(case(), isolated, tmp_path / "run", limits=LIMITS)
    [cut] = [json.loads(line) for line in history.read_text().splitlines() if '"cut_short"' in line]
    assert "not taken the faked clock" in cut["reason"]
