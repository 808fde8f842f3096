"""Quiet is never declared too early, and does not wait for what has arrived."""

import json
import os
import random
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from fakebroker.control import ControlClient
from fakebroker.control_messages import SessionStatus, Status
from harness.clock import Deadline
from harness.errors import QuietTimeoutError
from harness.targets.process import Child, launch
from harness.targets.quiet import Gone, Quieted, Sight, Watch, agree
from harness.targets.sockets import LoopbackQueues, lookup
from harness.targets.threads import Look, Onlooker
from tests.unit.harness.sockets_for_tests import connection

SECONDS = 20.0
NOON = datetime(2025, 10, 6, 16, tzinfo=UTC)

# Each line tells it what to do before it answers, and in how many pieces to answer.
BOT = """
import asyncio, json, os, queue, sys, tempfile, threading
pieces = tempfile.TemporaryFile()
there, back = queue.SimpleQueue(), queue.SimpleQueue()
def echo():
    while True:
        back.put(there.get())
threading.Thread(target=echo, daemon=True).start()
def work(turns):
    return sum(range(turns))
async def main(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while line := await reader.readline():
        for act, much in json.loads(line):
            if act == "compute":
                work(much * 1000)
            elif act == "thread":
                await asyncio.get_running_loop().run_in_executor(None, work, much * 1000)
            elif act == "disk":
                pieces.write(b"x" * much)
                pieces.flush()
                os.fsync(pieces.fileno())
            elif act == "turn":
                await asyncio.sleep(0)
            elif act == "process":
                process = await asyncio.create_subprocess_exec(
                    "/bin/sh", "-c", "echo hello", stdout=asyncio.subprocess.PIPE)
                await process.communicate()
            elif act == "hand over":  # One of two threads waits at any time, and mostly both.
                for _ in range(much * 10):
                    there.put(1)
                    back.get()
            elif act == "ask":
                writer.write(b"ask\\n" * much)
            elif act == "answer":
                writer.write(b"answer\\n" * much)
            elif act == "die":
                os._exit(much)
asyncio.run(main(int(sys.argv[1])))
"""


class Market:
    """A broker and its control client in one: whatever has come is counted when it is asked."""

    def __init__(self, listening: socket.socket) -> None:
        self.port: int = listening.getsockname()[1]
        self.client, (_, self.peer) = listening.accept()
        self.client.setblocking(False)
        self.sent = self.received = self.asked = 0
        self.latest: Status | None = None
        self.reads = True
        self._lock = threading.Lock()
        self._ended, self._end = os.pipe()
        self._reader = threading.Thread(target=self._read_on)
        self._reader.start()

    def close(self) -> None:
        """Read no more."""
        os.close(self._end)
        self._reader.join()
        os.close(self._ended)
        self.client.close()

    def _read_on(self) -> None:
        ends = [self.client.fileno(), self._ended]
        while self._ended not in select.select(ends, [], [])[0]:
            with self._lock:
                if not self.reads:
                    return
                self._read()

    def _read(self) -> None:
        try:
            while piece := self.client.recv(65536):
                self.received += piece.count(b"\n")
                for _ in range(piece.count(b"ask")):
                    sum(range(20_000))  # It takes a while from the question to the answer.
                    self.send([("compute", 5), ("answer", 1)])
        except (BlockingIOError, ConnectionResetError):
            pass

    def send(self, acts: list[tuple[str, int]]) -> None:
        """Tell the bot what to do."""
        self.sent += 1
        self.client.sendall(json.dumps(acts).encode() + b"\n")

    def status(self) -> Status:
        """Read everything, then tell."""
        self.asked += 1
        with self._lock:
            if self.reads:
                self._read()
        session = SessionStatus(session=1, client_id=1, ready=True, peer_port=self.peer)
        self.latest = Status(
            now=NOON,
            port=self.port,
            frames_received=self.received,
            frames_sent=self.sent,
            bars_played=0,
            bars_left=0,
            next_due=None,
            sessions=(session,),
            subscriptions=1,
            halted=None,
        )
        return self.latest


@contextmanager
def trading(folder: Path) -> Iterator[tuple[Market, Child, Watch]]:
    """A bot that is connected to a market, and the watch over it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        child = launch([sys.executable, "-c", BOT, str(port)], folder / "log")
        queues = LoopbackQueues()
        market = Market(listening)
        try:
            yield market, child, Watch(child, cast("ControlClient", market), queues=queues)
        finally:
            child.end()
            market.close()
            queues.close()


ACTS = ("compute", "thread", "disk", "turn", "answer", "process", "hand over", "ask")


def test_quiet_is_never_declared_before_the_bot_is_done(tmp_path: Path) -> None:
    rng = random.Random(5)
    answers = 0
    with trading(tmp_path) as (market, _, watch):
        for _ in range(250):
            acts = [(rng.choice(ACTS), rng.randrange(1, 20)) for _ in range(rng.randrange(5))]
            answers += sum(much for act, much in acts if act == "answer")
            answers += sum(2 * much for act, much in acts if act == "ask")
            market.send(acts)
            settled = watch.settle(seconds=SECONDS)
            assert isinstance(settled, Quieted)
            assert market.received == answers
            assert settled.status.frames_received == answers


def test_a_bot_that_does_nothing_costs_one_question(tmp_path: Path) -> None:
    with trading(tmp_path) as (market, _, watch):
        watch.settle(seconds=SECONDS)
        before = market.asked
        market.send([])
        market.latest = None  # As after a step: the status is known, here by asking for it.
        market.status()
        watch.settle(seconds=SECONDS)
        assert market.asked == before + 2


def test_a_bot_that_has_ended_is_gone(tmp_path: Path) -> None:
    with trading(tmp_path) as (market, _, watch):
        market.send([("die", 7)])
        assert watch.settle(seconds=SECONDS) == Gone(7)


def test_a_bot_that_does_not_go_quiet_is_said_with_what_it_does(tmp_path: Path) -> None:
    with trading(tmp_path) as (market, _, watch):
        market.send([("compute", 10**9)])
        with pytest.raises(QuietTimeoutError, match="its threads are running"):
            watch.settle(seconds=0.5)


def test_a_question_that_the_broker_has_not_read_is_waited_for(tmp_path: Path) -> None:
    with trading(tmp_path) as (market, child, watch):
        watch.settle(seconds=SECONDS)
        market.reads = False
        market.send([("answer", 3)])
        with pytest.raises(QuietTimeoutError, match="21 bytes under way"):
            watch.settle(seconds=0.5)
        assert child.exit_code() is None


def test_a_bot_that_has_run_between_two_looks_is_not_quiet() -> None:
    waits = Look(waiting=True, switches=((1, 5),), doing="in poll")
    ran = Look(waiting=True, switches=((1, 6),), doing="in poll")
    runs = Look(waiting=False, switches=((1, 5),), doing="running")

    def sight(look: Look, under_way: int = 0) -> Sight:
        return Sight(look=look, under_way=under_way, beside=None)

    assert agree(sight(waits), sight(waits))
    assert agree(sight(waits, 5), sight(waits)), "the wires were read before the first look"
    assert not agree(sight(waits), sight(waits, 5))
    assert not agree(sight(waits), sight(ran))
    assert not agree(sight(waits), sight(runs))
    assert not agree(sight(runs), sight(waits))


def test_a_bot_is_not_quiet_while_a_broker_that_is_looked_at_runs() -> None:
    waits = Look(waiting=True, switches=((1, 5),), doing="in poll")
    ran = Look(waiting=True, switches=((1, 6),), doing="in poll")
    runs = Look(waiting=False, switches=((1, 5),), doing="running")

    def sight(broker: Look) -> Sight:
        return Sight(look=waits, under_way=0, beside=None, broker=broker)

    assert agree(sight(waits), sight(waits))
    assert not agree(sight(waits), sight(ran))
    assert not agree(sight(waits), sight(runs))
    assert not sight(runs).waiting


def test_bytes_that_were_read_are_not_under_way_although_nobody_has_acknowledged_them() -> None:
    with connection() as (client, server, client_port, server_port):
        queues = LoopbackQueues()
        for _ in range(
            50
        ):  # The kernel takes its time to acknowledge where questions are answered.
            client.send(b"question")
            server.recv(8)
            server.send(b"answer")
            client.recv(6)
        client.send(b"question")
        assert queues.bytes_between(client_port, server_port) == 8
        server.recv(8)
        assert queues.bytes_between(client_port, server_port) == 0
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
            end = lookup(netlink, client_port, server_port)
        queues.close()
        assert end is not None
        assert end.sent == 51 * 8
        assert end.received == 50 * 6


def test_bytes_that_do_not_fit_are_under_way_in_full() -> None:
    with connection() as (client, _, client_port, server_port):
        client.setblocking(False)
        sent = 0
        try:
            while True:
                sent += client.send(b"x" * 65536)
        except BlockingIOError:
            pass
        queues = LoopbackQueues()
        assert queues.bytes_between(client_port, server_port) == sent
        assert queues.unread_by_server(client_port, server_port) == sent
        queues.close()


def test_a_port_that_listens_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        queues = LoopbackQueues()
        assert queues.bytes_between(1, port) == 0
        queues.close()


def settled(onlooker: Onlooker) -> None:
    """Wait until two looks agree."""
    deadline = Deadline(SECONDS)
    before = onlooker.look()
    while True:
        assert not deadline.passed, before.doing
        now = onlooker.look()
        if before.waiting and now.waiting and before.switches == now.switches:
            return
        before = now


def test_a_process_that_was_woken_and_has_not_run_yet_does_not_wait(tmp_path: Path) -> None:
    read, write = os.pipe()
    place = {min(os.sched_getaffinity(0))}
    # Where somebody else always wants to run, the one who is only to run when idle is kept waiting.
    modest = "import os, sys\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
    reads = f"{modest}print('here')\nwhile os.read({read}, 1): pass\n"
    child = launch([sys.executable, "-c", reads], tmp_path / "log", pass_fds=[read])
    os.close(read)
    while not child.last_lines():
        assert not child.exits_within(0.01)
    onlooker = Onlooker(child.pid)
    settled(onlooker)
    busy = launch([sys.executable, "-c", "while True: pass"], tmp_path / "busy")
    os.sched_setaffinity(child.pid, place)
    os.sched_setaffinity(busy.pid, place)
    same = 0
    for _ in range(20):
        settled(onlooker)
        before = onlooker.look()
        os.write(write, b".")
        now = onlooker.look()
        assert not (now.waiting and now.switches == before.switches)
        same += now.switches == before.switches
    assert same, "it always ran at once: nothing was tested"
    for process in (busy, child):
        process.end()
    onlooker.close()
    os.close(write)


def test_an_onlooker_sees_threads_and_processes_come_and_go(tmp_path: Path) -> None:
    code = """
import os, select, subprocess, sys, threading
ready, there = int(sys.argv[1]), int(sys.argv[2])
threads, processes = [], []
while act := os.read(ready, 1):
    if act == b"t":
        event = threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()
        threads.append((thread, event))
    if act == b"T":
        thread, event = threads.pop()
        event.set()
        thread.join()
    if act == b"p":
        processes.append(subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE))
    if act == b"P":
        processes.pop().communicate()
    os.write(there, b".")
"""
    (ready, tell), (hear, there) = os.pipe(), os.pipe()
    child = launch(
        [sys.executable, "-c", code, str(ready), str(there)],
        tmp_path / "log",
        pass_fds=[ready, there],
    )
    os.close(ready)
    os.close(there)
    onlooker = Onlooker(child.pid)
    seen = []
    for act in (b"-", b"t", b"t", b"T", b"p", b"P", b"T"):
        os.write(tell, act)
        assert os.read(hear, 1) == b".", child.last_lines()
        settled(onlooker)
        seen.append(len(onlooker.look().switches))
    assert seen == [1, 2, 3, 2, 3, 2, 1]
    assert onlooker.look() is onlooker.look(), "nothing has moved"
    before = onlooker.look()
    os.write(tell, b"-")
    assert os.read(hear, 1) == b"."
    settled(onlooker)
    assert onlooker.look().switches != before.switches
    onlooker.close()
    os.close(tell)
    os.close(hear)
    child.end()


SLEEPER = """
import os, socket, sys
wire = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
os.read(int(sys.argv[2]), 1)  # It sleeps on a clock that is not the machine's.
wire.recv(1000)
wire.recv(1000)
"""


def test_a_bot_that_sleeps_beside_unread_bytes_is_given_time(tmp_path: Path) -> None:
    ticks, ticking = os.pipe()
    told: list[Status] = []

    def wake(status: Status) -> bool:
        told.append(status)
        return bool(os.write(ticking, b"!"))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = [sys.executable, "-c", SLEEPER, str(port), str(ticks)]
        child = launch(command, tmp_path / "log", pass_fds=[ticks])
        market = Market(listening)
        queues = LoopbackQueues()
        try:
            control = cast("ControlClient", market)
            market.send([])
            watch = Watch(child, control, queues=queues)
            with pytest.raises(QuietTimeoutError, match="bytes under way"):
                watch.settle(seconds=0.5)
            refuses = Watch(child, control, queues=queues, wakes=lambda _status: False)
            assert isinstance(refuses.settle(seconds=SECONDS), Quieted)
            assert told == []
            watch = Watch(child, control, queues=queues, wakes=wake)
            assert isinstance(watch.settle(seconds=SECONDS), Quieted)
            assert len(told) == 1, "it has read what there was"
        finally:
            child.end()
            market.close()
            queues.close()
            os.close(ticks)
            os.close(ticking)
