"""Launches a bot under a filter of its system calls, and takes the filter's listener.

The listener must be ours before the bot's first reported call, and nothing may be reported between
the installation and the hand-over (crash-model.md, traps): the bot's process closes a pipe when
its filter is in place, and waits on another until we have the listener.
"""

import os
import select
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.points.syscall import Call
from harness.supervisor.calls import names_of
from harness.supervisor.kernel import take_listener
from harness.supervisor.numbers import ONLY
from harness.targets.process import Child, Launcher

INSTALL_SECONDS = 30.0


def launch_watched(
    launcher: Launcher,
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    kinds: Collection[Call] | None = None,
    imports: Sequence[str] = (),
) -> tuple[Child, int]:
    """Start a program whose system calls wait for us.

    Args:
        launcher: how it is started.
        command: program and arguments; no shell.
        log: file that its output is appended to.
        environment: variables on top of the base environment.
        pass_fds: descriptors that it inherits.
        kinds: the calls that are to wait; None: all. Each takes a tenth of a millisecond.
        imports: see `Launcher.start`.

    Returns:
        the process, and the listener of its filter, which the caller closes.

    Raises:
        HarnessError: this machine or its sandbox does not allow it.
    """
    wanted = {} if kinds is None else {ONLY: " ".join(names_of(kinds))}
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    try:
        try:
            child = launcher.launch(
                command,
                log,
                environment={**environment, **wanted},
                pass_fds=pass_fds,
                reports=(ready_write, go_read),
                imports=imports,
            )
        finally:
            os.close(ready_write)
            os.close(go_read)
        try:
            return child, await_filter(child.pid, ready_read, go_write)
        except HarnessError:
            child.end()
            raise
    finally:
        os.close(ready_read)
        os.close(go_write)


def await_filter(pid: int, ready: int, go: int) -> int:
    """Wait until a process has installed its filter, take the listener, and let it go on.

    Args:
        pid: the process.
        ready: the reading end of the pipe that it closes; `install.py` has the other.
        go: the writing end of the pipe that it waits on.

    Raises:
        HarnessError: it could not install the filter; the message has its words.
    """
    readable, _, _ = select.select([ready], [], [], INSTALL_SECONDS)
    words = os.read(ready, 4096).decode(errors="replace") if readable else "it took too long"
    if words:
        raise HarnessError(
            f"the bot's system calls cannot be watched here: {words}. Exact system calls need "
            f"Linux 5.5 or later and a sandbox that allows seccomp; other points work without"
        )
    listener = take_listener(pid)
    os.write(go, b"!")
    return listener
