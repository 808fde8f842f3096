"""Starts processes that cannot outlive the harness, and ends them for certain.

Each one leads a process group of its own, so a kill reaches whatever it has started, and is tied
to the harness by `tether.py`. Waiting is done on the process itself (a pidfd on Linux), always
with a deadline.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.clock import Deadline
from harness.errors import HarnessError

TETHER = Path(__file__).with_name("tether.py")
END_SECONDS = 10.0
LAST_LINES = 12
OURS_ALONE = frozenset({"FAILPOINTS", "REDIS_URL"})
"""Variables that a run sets itself or not at all."""


class Child:
    """A process that we started, with its log; ends with `end()`, at the latest with us."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.pid = popen.pid
        self.log = log
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid) if sys.platform == "linux" else None

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def exits_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long; also the harness's way to pause between looks."""
        if self._pidfd is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        elif self._popen.poll() is None:
            select.select([self._pidfd], [], [], seconds)
        return self._popen.poll() is not None

    def kill(self) -> int:
        """SIGKILL to the whole group; the exit code of the process.

        Raises:
            HarnessError: it is still there after 10 s, which a SIGKILL does not allow.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if not self.exits_within(END_SECONDS):
            raise HarnessError(f"process {self.pid} outlived SIGKILL by {END_SECONDS:g} s")
        return self._popen.returncode

    def end(self) -> None:
        """Make sure that nothing of it is left, and let go of it."""
        self.kill()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def last_lines(self) -> list[str]:
        """The last lines of its log that are not empty."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]


def launch(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a program, stdout and stderr appended to `log`.

    Args:
        command: program and arguments; no shell.
        log: file that its output is appended to.
        environment: variables on top of `base_environment()`.
        pass_fds: descriptors that it inherits.
    """
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=base_environment() | dict(environment or {}),
            pass_fds=tuple(pass_fds),
            process_group=0,
        )
    return Child(popen, log)


def base_environment() -> dict[str, str]:
    """Our environment without what would make two runs differ (crash-model.md, traps 3 and 6)."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
    return kept | {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def run_to_end(
    command: Sequence[str], *, seconds: float, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a short program and return its exit code, stdout and stderr.

    Args:
        command: program and arguments; no shell.
        seconds: how long it may take.
        environment: variables on top of `base_environment()`.

    Raises:
        HarnessError: it does not end in time; it is killed then.
    """
    deadline = Deadline(seconds)
    popen = subprocess.Popen(
        [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=base_environment() | dict(environment or {}),
        process_group=0,
    )
    try:
        out, err = popen.communicate(timeout=deadline.left)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.communicate()
        shown = " ".join(command)
        raise HarnessError(f"{shown} did not end within {seconds:g} s and was killed") from error
    return popen.returncode, out.decode(errors="replace"), err.decode(errors="replace")
