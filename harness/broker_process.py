"""Runs the fake broker as a process of its own, in lockstep, and hands out its control client.

Its files lie in the run's folder; only the control socket lies elsewhere, in a private folder
with a short name, because the path of a unix socket may not exceed 107 bytes.
"""

import contextlib
import json
import os
import select
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakebroker.control import ControlClient
from fakebroker.market.tape import Tape, format_tape
from harness.case import Case
from harness.clock import Deadline
from harness.errors import HarnessError, UserError
from harness.targets.process import Child, launch

START_SECONDS = 30.0
SOCKET_PATH_LIMIT_BYTES = 107
SOCKET_NAME = "control"


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
def running_broker(case: Case, folder: Path) -> Iterator[BrokerProcess]:
    """Start a broker for a case; it is gone when the context is left.

    Args:
        case: gives the tape and the settings.
        folder: where tape, settings, journal and log are written; must exist.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """
    tape, settings = folder / "tape.csv", folder / "broker.json"
    tape.write_text(format_tape(Tape(case.tape)), encoding="utf-8")
    settings.write_text(case.broker.model_dump_json(), encoding="utf-8")
    journal = folder / "journal.jsonl"
    private = private_folder()
    ready_read, ready_write = os.pipe()
    try:
        socket_path = private / SOCKET_NAME
        files = ["--tape", str(tape), "--settings", str(settings), "--journal", str(journal)]
        side = ["--control", str(socket_path), "--ready-fd", str(ready_write)]
        where = ["--clock", "lockstep", "--port", "0"]
        child = launch(
            [sys.executable, "-m", "fakebroker", *where, *files, *side],
            folder / "broker.log",
            pass_fds=[ready_write],
        )
    finally:
        os.close(ready_write)
    try:
        port = await_port(child, ready_read)
        with ControlClient(socket_path) as control:
            yield BrokerProcess(child=child, control=control, port=port, journal=journal)
    finally:
        os.close(ready_read)
        child.end()
        shutil.rmtree(private)


def private_folder() -> Path:
    """A new folder that only we can enter, with a path short enough for a unix socket.

    Raises:
        UserError: TMPDIR is too long.
    """
    private = Path(tempfile.mkdtemp(prefix="cg-"))
    if len(os.fsencode(private / SOCKET_NAME)) > SOCKET_PATH_LIMIT_BYTES:
        private.rmdir()
        raise UserError(
            f"the temporary folder {private.parent} has too long a name for a unix socket "
            f"({SOCKET_PATH_LIMIT_BYTES} bytes at most): set TMPDIR to a shorter one"
        )
    return private


def await_port(child: Child, ready: int, *, what: str = "the broker") -> int:
    """Wait for a server's one line on the ready pipe and return its port.

    Args:
        child: its process.
        ready: the end of the pipe to read.
        what: what messages call it.

    Raises:
        HarnessError: it ended, or did not listen in time.
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
    return int(json.loads(line)["port"])
