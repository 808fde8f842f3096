"""Runs the fake broker as a process of its own, in lockstep, and hands out its control client.

Its files lie in the run's folder. The control socket has no name in any folder: the broker inherits
one end of a pair, so that nothing of it is left however the harness ends.
"""

import contextlib
import json
import os
import select
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakebroker.control import ControlClient
from fakebroker.market.tape import Tape, format_tape
from harness.case import Case
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.targets.process import EXEC, Child, Launcher

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """A broker that listens.

    Attributes:
        child: the process.
        control: the client of its control socket.
        port: its TCP port on 127.0.0.1.
        journal: the file that it writes its journal to.
    """

    child: Child
    control: ControlClient
    port: int
    journal: Path


@contextlib.contextmanager
def running_broker(
    case: Case, folder: Path, *, launcher: Launcher = EXEC
) -> Iterator[BrokerProcess]:
    """Start a broker for a case; it is gone when the context is left.

    Args:
        case: gives the tape and the settings.
        folder: where tape, settings, journal and log are written; must exist.
        launcher: how the process is started.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """
    tape, settings = folder / "tape.csv", folder / "broker.json"
    tape.write_text(format_tape(Tape(case.tape)), encoding="utf-8")
    settings.write_text(case.broker.model_dump_json(), encoding="utf-8")
    journal = folder / "journal.jsonl"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ready_read, ready_write = os.pipe()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(os.close, ready_read)
        control = cleanup.enter_context(ControlClient(ours))
        try:
            ends = (theirs.fileno(), ready_write)
            files = ["--tape", str(tape), "--settings", str(settings), "--journal", str(journal)]
            side = ["--control-fd", str(ends[0]), "--ready-fd", str(ends[1])]
            where = ["--clock", "lockstep", "--port", "0"]
            command = [sys.executable, "-m", "fakebroker", *where, *files, *side]
            child = launcher.launch(command, folder / "broker.log", pass_fds=ends)
        finally:
            os.close(ready_write)
            theirs.close()
        cleanup.callback(child.end)
        port = await_port(child, ready_read)
        yield BrokerProcess(child=child, control=control, port=port, journal=journal)


def await_port(child: Child, ready: int, *, what: str = "the broker") -> int:
    """Wait for a server's one line on the ready pipe and return its port.

    Raises:
        HarnessError: see `await_line`.
    """
    return int(json.loads(await_line(child, ready, what=what))["port"])


def await_line(child: Child, ready: int, *, what: str) -> str:
    """Wait for the one line in which a program says that it is ready.

    Args:
        child: its process.
        ready: the end of the pipe to read.
        what: what messages call it.

    Raises:
        HarnessError: it ended, or was not ready in time.
    """
    deadline = Deadline(START_SECONDS)
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([ready], [], [], deadline.left)
        piece = os.read(ready, 4096) if readable else b""
        if not piece:
            # The pipe closes when the server dies; its log says why.
            ended = child.exits_within(1.0)
            how = f"ended with exit code {child.exit_code()}" if ended else "does not listen"
            raise HarnessError(f"{what} {how}: {' / '.join(child.last_lines()) or 'no words'}")
        line += piece
    return line.decode()
