"""A small program under the supervisor: started, answered, killed where a test says."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.clock import Deadline
from harness.faults.calls import CallFault
from harness.points.syscall import SystemCall
from harness.supervisor.launching import await_filter
from harness.supervisor.supervisor import Supervisor, Target

INSTALL = Path(__file__).parents[2] / "harness" / "supervisor" / "install.py"
NOON = datetime(2025, 10, 6, 16, tzinfo=UTC)
NEVER = SystemCall(call="unlink", role="state file", occurrence=99, time=NOON)
"""A point that no program here comes to."""
BEGIN = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("install", {str(INSTALL)!r})
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)
install.install(int(sys.argv[1]), int(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a program did: its exit code, the supervisor that saw it, and what was on disk.

    `looks` holds the files of the folder at each of the stops of a program that went on.
    """

    code: int
    supervisor: Supervisor
    looks: tuple[dict[str, bytes], ...] = ()


def supervise(
    program: str,
    folder: Path,
    *,
    target: Target | None = None,
    faults: Sequence[CallFault] = (),
    servers: dict[int, str] | None = None,
    then: Sequence[Target] = (),
    tells: bool = False,
    complaints: Path | None = None,
) -> Run:
    """Run a Python program in `folder` under the supervisor until it ends or is held.

    With `then` it goes on from its target to each of these points in turn, and to its end. With
    `complaints` its standard error is that file.
    """
    stderr = None if complaints is None else os.open(complaints, os.O_WRONLY | os.O_CREAT)
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program, str(ready_write), str(go_read)],
        cwd=folder,
        pass_fds=(ready_write, go_read),
        stderr=stderr,
    )
    if stderr is not None:
        os.close(stderr)
    os.close(ready_write)
    os.close(go_read)
    listener = await_filter(process.pid, ready_read, go_write)
    os.close(ready_read)
    os.close(go_write)
    supervisor = Supervisor(
        listener,
        folder=str(folder),
        servers=servers or {},
        now=lambda: NOON,
        target=target,
        goes_on=bool(then),
        faults=faults,
        tells=tells,
    )
    deadline = Deadline(20)
    looks: list[dict[str, bytes]] = []
    further = [*then, NEVER] if then else []
    while process.poll() is None and (further or not supervisor.held):
        assert not deadline.passed, "the program neither ended nor came to its point"
        if supervisor.held:
            looks.append({each.name: each.read_bytes() for each in sorted(folder.iterdir())})
            supervisor.go_on(further.pop(0))
        supervisor.wait(0.05)
        supervisor.serve()
    if supervisor.held:
        process.send_signal(signal.SIGKILL)
    code = process.wait(10)
    supervisor.close()
    return Run(code, supervisor, tuple(looks))
