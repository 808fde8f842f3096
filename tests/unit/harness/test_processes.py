"""Real, tiny processes: they are seen, they are ended, and they do not outlive us."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.errors import HarnessError
from harness.targets.process import Child, launch, run_to_end
from harness.targets.sockets import LoopbackQueues, from_proc
from harness.targets.threads import look_at
from tests.unit.harness.sockets_for_tests import connection

SECONDS = 20.0


@contextmanager
def python(code: str, folder: Path) -> Iterator[Child]:
    """A process that runs some Python and says when it has come to its waiting place."""
    ready, says = os.pipe()
    source = f"import os, sys\ndef here(): os.write({says}, b'.')\n{code}"
    child = launch([sys.executable, "-c", source], folder / "log", pass_fds=[says])
    os.close(says)
    try:
        readable, _, _ = select.select([ready], [], [], SECONDS)
        assert readable, f"the process did not start: {child.last_lines()}"
        assert os.read(ready, 1) == b".", f"the process died: {child.last_lines()}"
        yield child
    finally:
        os.close(ready)
        child.end()


def becomes_waiting(child: Child, *, seconds: float) -> bool:
    """Whether two looks in a row show it waiting, without having run in between."""
    deadline = Deadline(seconds)
    before = look_at(child.pid)
    while not deadline.passed:
        child.exits_within(0.002)
        now = look_at(child.pid)
        if before.waiting and now.waiting and before.switches == now.switches:
            return True
        before = now
    return False


def test_a_process_that_sleeps_in_select_is_seen_waiting(tmp_path: Path) -> None:
    code = "import select\nr, w = os.pipe()\nhere()\nselect.select([r], [], [])"
    with python(code, tmp_path) as child:
        assert becomes_waiting(child, seconds=SECONDS)
        assert look_at(child.pid).doing in {"in select", "in pselect6"}


def test_an_asyncio_program_that_waits_is_seen_waiting(tmp_path: Path) -> None:
    code = (
        "import asyncio\nasync def f():\n here()\n await asyncio.Event().wait()\nasyncio.run(f())"
    )
    with python(code, tmp_path) as child:
        assert becomes_waiting(child, seconds=SECONDS)


def test_a_busy_loop_is_never_seen_waiting(tmp_path: Path) -> None:
    with python("here()\nwhile True: pass", tmp_path) as child:
        assert not becomes_waiting(child, seconds=0.5)
        assert "running" in look_at(child.pid).doing


def test_one_thread_that_computes_is_enough_not_to_wait(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "def work():\n x = 0\n while True: x += 1\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "here()\nr, w = os.pipe()\nimport select\nselect.select([r], [], [])"
    )
    with python(code, tmp_path) as child:
        assert not becomes_waiting(child, seconds=0.5)


def test_a_process_that_writes_to_the_disk_in_a_loop_is_not_seen_waiting(tmp_path: Path) -> None:
    code = (
        f"f = open({str(tmp_path / 'data')!r}, 'wb', buffering=0)\nhere()\n"
        "while True:\n f.seek(0)\n f.write(b'x' * 4096)\n os.fsync(f.fileno())"
    )
    with python(code, tmp_path) as child:
        assert not becomes_waiting(child, seconds=0.5)


def test_a_child_that_computes_keeps_its_waiting_parent_from_being_quiet(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "here()\nchild.wait()"
    )
    with python(code, tmp_path) as child:
        assert not becomes_waiting(child, seconds=0.5)


def test_killing_takes_along_what_the_process_has_started(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(child.pid, flush=True)\nhere()\nchild.wait()"
    )
    with python(code, tmp_path) as child:
        grandchild = int(child.last_lines()[0])
        watched = os.pidfd_open(grandchild)
        assert child.kill() == -signal.SIGKILL
        readable, _, _ = select.select([watched], [], [], SECONDS)
        os.close(watched)
        assert readable, "the grandchild lives on"


def test_a_process_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
from harness.targets.process import launch
from pathlib import Path
import signal, sys
log = Path({str(tmp_path / "log")!r})
code = "import signal; print('here', flush=True); signal.pause()"
child = launch([sys.executable, "-c", code], log)
while not child.last_lines() and not child.exits_within(0.01):
    pass
print(child.pid, flush=True)
signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    watched = os.pidfd_open(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    readable, _, _ = select.select([watched], [], [], SECONDS)
    os.close(watched)
    assert readable, "the process outlived its parent"


def test_a_program_that_is_not_there_ends_with_words_in_the_log(tmp_path: Path) -> None:
    child = launch(["/no/such/program"], tmp_path / "log")
    assert child.exits_within(SECONDS)
    assert child.exit_code() == 127
    assert child.last_lines() == ["cannot start /no/such/program: No such file or directory"]
    child.end()


def test_processes_get_the_same_environment_in_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPOINTS", "left.over=kill")
    code = "print(os.environ.get('FAILPOINTS'), os.environ['PYTHONHASHSEED'])\nhere()"
    with python(code, tmp_path) as child:
        child.exits_within(SECONDS)
        assert child.last_lines() == ["None 0"]


def test_a_short_program_that_hangs_is_killed_and_said() -> None:
    with pytest.raises(HarnessError, match=r"did not end within 0.3 s and was killed"):
        run_to_end([sys.executable, "-c", "import signal; signal.pause()"], seconds=0.3)


def test_bytes_that_nobody_has_read_are_under_way() -> None:
    with connection() as (client, server, client_port, server_port):
        queues = LoopbackQueues()
        assert queues.bytes_between(client_port, server_port) == 0
        client.send(b"12345")
        server.send(b"123")
        assert queues.bytes_between(client_port, server_port) == 8
        assert from_proc(client_port, server_port) == 8
        assert (len(client.recv(9)), len(server.recv(9))) == (3, 5)
        assert queues.bytes_between(client_port, server_port) == 0
        queues.close()


def test_a_connection_that_does_not_exist_has_nothing_under_way() -> None:
    queues = LoopbackQueues()
    assert queues.bytes_between(1, 2) == 0
    queues.close()
