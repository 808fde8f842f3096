"""A program under the faked clock: nothing goes on unless the hand moves it, then in order."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.bot_clock import BotClock
from harness.clock import Deadline
from harness.clock_hand import FakedHand, preparation
from harness.targets.launcher import ForkLauncher
from harness.targets.process import EXEC, Launcher
from harness.targets.threads import Onlooker

SECONDS = 20.0
NOT_SECONDS = 0.2
BEGINS = datetime(2025, 10, 6, 14, 0, tzinfo=UTC)
TELL = """
import asyncio, datetime, json, queue, select, socket, threading, time
from time import monotonic, sleep  # By name: what was taken before the first line is ours, too.
def tell(*words):
    print(json.dumps([round(monotonic() - 1000, 9), *words]), flush=True)
"""


class Market:
    """A market in which nothing is ever due."""

    now = BEGINS
    next_due: datetime | None = None

    def advance(self, to: datetime) -> None:
        self.now = to


class Run:
    """A program under a hand."""

    def __init__(self, launcher: Launcher, folder: Path, text: str) -> None:
        self.market = Market()
        self.hand = FakedHand(cast("ControlClient", self.market), BEGINS, idle=timedelta(days=1))
        path, self.log = folder / "program.py", folder / "log"
        path.write_text(TELL + text)
        self.child = launcher.launch(
            [sys.executable, str(path)],
            self.log,
            environment=self.hand.variables,
            pass_fds=self.hand.descriptors,
        )
        self.onlooker = Onlooker(self.child.pid)

    def await_quiet(self) -> None:
        """Wait until the program waits, or has ended."""
        deadline = Deadline(SECONDS)
        before = self.onlooker.look()
        while not self.child.exits_within(0.001):
            look = self.onlooker.look()
            if look.waiting and before.waiting and look.switches == before.switches:
                return
            assert not deadline.passed, look.doing
            before = look

    def turn(self) -> None:
        """Let the next timer fire."""
        self.await_quiet()
        self.hand.turn(cast("Status", self.market))

    def to_end(self) -> list[list[object]]:
        """Fire timer after timer until the program ends; what it has told."""
        deadline = Deadline(SECONDS)
        while self.child.exit_code() is None and not deadline.passed:
            self.turn()
        assert self.child.exit_code() == 0, self.log.read_text()
        return self.told()

    def told(self) -> list[list[object]]:
        """What it has told so far; the first word is its monotonic time."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close(self) -> None:
        self.child.end()
        self.onlooker.close()
        self.hand.close()


class Stage:
    """Starts programs, each in a folder of its own."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        self.launcher, self.folder = launcher, folder
        self.runs: list[Run] = []

    def __call__(self, text: str) -> Run:
        place = self.folder / f"run-{len(self.runs)}"
        place.mkdir()
        self.runs.append(Run(self.launcher, place, text))
        return self.runs[-1]


@pytest.fixture(params=["exec", "fork"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """Each way to start a program."""
    if request.param == "exec":
        yield EXEC
        return
    with ForkLauncher() as forks:
        yield forks


@pytest.fixture
def run(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(launcher, tmp_path)
    yield stage
    for each in stage.runs:
        each.close()


def test_nothing_fires_unless_the_hand_moves_the_clock(run: Stage) -> None:
    program = run("tell(1)\nsleep(0.001)\ntell(2)\n")
    program.await_quiet()
    assert not program.child.exits_within(NOT_SECONDS)
    assert program.told() == [[0.0, 1]]
    assert program.to_end() == [[0.0, 1], [0.001, 2]]


def test_time_stands_still_while_the_program_works(run: Stage) -> None:
    text = "begun = time.perf_counter_ns()\nsum(range(300_000))\n"
    told = run(text + "tell(time.perf_counter_ns() - begun, time.time_ns())\n").to_end()
    assert told == [[0.0, 0, int(BEGINS.timestamp()) * 10**9]]


def test_timers_of_a_loop_fire_one_by_one_in_their_order(run: Stage) -> None:
    program = run("""
async def main():
    loop = asyncio.get_running_loop()
    for seconds in (30, 10, 20):
        loop.call_later(seconds, tell, seconds)
    await asyncio.sleep(40)
asyncio.run(main())
""")
    for count in (0, 1, 2, 3):
        program.await_quiet()
        assert [words[1] for words in program.told()] == [10, 20, 30][:count]
        program.turn()
    assert program.to_end() == [[10.0, 10], [20.0, 20], [30.0, 30]]


def test_what_comes_over_a_socket_wakes_before_the_timer_and_takes_no_time(run: Stage) -> None:
    told = run("""
async def main():
    ours, theirs = socket.socketpair()
    reader, _ = await asyncio.open_connection(sock=ours)
    asyncio.get_running_loop().call_later(5, theirs.send, b"!")
    tell((await asyncio.wait_for(reader.read(1), 9)).decode())
    try:
        await asyncio.wait_for(reader.read(1), 9)
    except asyncio.TimeoutError:
        tell("timed out")
    tell(select.select([theirs], [theirs], [], 3)[1] == [theirs])
    tell(select.select([theirs], [], [], 3)[0])
asyncio.run(main())
""").to_end()
    assert told == [[5.0, "!"], [14.0, "timed out"], [14.0, True], [17.0, []]]


def test_threads_that_wait_with_a_time_out_go_by_the_clock(run: Stage) -> None:
    told = run("""
happened, words = threading.Event(), queue.Queue()
tell(happened.wait(10))
try:
    words.get(timeout=0.2)
except queue.Empty:
    tell("empty")
threading.Timer(3, happened.set).start()
tell(happened.wait(10))
def nap(seconds):
    sleep(seconds)
    words.put(seconds)
for seconds in (3, 1, 2):
    threading.Thread(target=nap, args=(seconds,)).start()
for _ in range(3):
    tell(words.get(timeout=60))
""").to_end()
    assert told == [[10.0, False], [10.2, "empty"], [13.2, True], [14.2, 1], [15.2, 2], [16.2, 3]]


def test_every_clock_and_calendar_shows_the_same_time(run: Stage) -> None:
    [told] = run("""
sleep(90)
utc = datetime.timezone.utc
class Mine(datetime.datetime): pass
tell(datetime.datetime.now(utc).isoformat(), Mine.now(utc).isoformat(), type(Mine.now()).__name__,
     datetime.datetime.fromtimestamp(time.time(), utc).isoformat(),
     time.strftime("%H:%M:%S", time.gmtime()), time.clock_gettime(time.CLOCK_REALTIME),
     str(datetime.date.today()), datetime.datetime.now() == datetime.datetime.today())
""").to_end()
    shown = "2025-10-06T14:01:30+00:00"
    seconds = BEGINS.timestamp() + 90
    assert told == [90.0, shown, shown, "Mine", shown, "14:01:30", seconds, "2025-10-06", True]


def test_a_method_that_was_looked_up_before_is_not_remembered(run: Stage) -> None:
    [told] = run("""
import types
from harness.targets import faked_clock
class Mine(datetime.datetime): pass
def years():
    return [[kind.now().year for _ in range(50)][-1] for kind in (Mine, datetime.datetime)]
before = years()
faked_clock.SLEEPERS.page = types.SimpleNamespace(numbers=[1_900_000_000 * 10**9])
faked_clock.replace_datetime()
tell(before, years())
""").to_end()
    assert told == [0.0, [2025, 2025], [2030, 2030]]


def test_a_child_process_has_the_machines_clock(run: Stage) -> None:
    [told] = run("""
import os, subprocess, sys
words = [sys.executable, "-c", "import time; time.sleep(0.001); print(time.time())"]
def shown(**how):
    return float(subprocess.run(words, stdout=subprocess.PIPE, **how).stdout) > time.time() + 86400
closed = shown()
page, wake = map(int, os.environ["CRASHGATE_CLOCK"].split(","))
os.dup2(os.open("/dev/null", os.O_RDWR), page)
tell(closed, shown(pass_fds=[page, wake]))
""").to_end()
    assert told == [0.0, True, True]


def test_a_fork_of_the_program_has_the_machines_clock(run: Stage) -> None:
    [told] = run("""
import os
child = os.fork()
if child == 0:
    sleep(0.001)
    os._exit(0 if time.time() > 1_760_000_000 else 1)
tell(os.waitpid(child, 0)[1])
""").to_end()
    assert told == [0.0, 0]


def test_a_program_that_begins_again_in_its_process_keeps_the_clock(run: Stage) -> None:
    [told] = run("""
import os, sys
if len(sys.argv) == 1:
    sleep(5)
    os.execv(sys.executable, [sys.executable, sys.argv[0], "again"])
sleep(2)
tell(sys.argv[1])
""").to_end()
    assert told == [7.0, "again"]


def test_who_waits_for_time_to_pass_by_asking_for_it_does_not_wait_for_ever(run: Stage) -> None:
    [told] = run("""
begun = monotonic()
while monotonic() - begun < 0.001:
    pass
tell()
""").to_end()
    assert told[0] == pytest.approx(0.001, abs=1e-5)


def test_a_program_is_forked_with_its_clock(tmp_path: Path) -> None:
    with ForkLauncher() as forks:
        program = Stage(forks, tmp_path)("import os\ntell(os.getppid())\n")
        [told] = program.to_end()
        program.close()
        [server] = forks.servers.values()
        assert told == [0.0, server.pid]


def test_a_program_without_a_page_has_the_machines_clock(
    launcher: Launcher, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text("import time\ntime.sleep(0.001)\nprint(time.time())\n")
    prepared = preparation(BotClock(kind="faked"))
    for environment in ({}, prepared):
        told = launcher.run_to_end(
            [sys.executable, str(path)], seconds=SECONDS, environment=environment
        )
        assert told[0] == 0, told[2]
        assert float(told[1]) > BEGINS.timestamp() + 86400


def test_a_site_of_the_programs_own_is_run_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.own_site = True\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stage = Stage(EXEC, tmp_path)
    program = stage("import sys\ntell(sys.own_site, [p for p in sys.path if 'clocked' in p])\n")
    try:
        assert program.to_end() == [[0.0, True, []]]
    finally:
        program.close()
