"""Starts processes that cannot outlive the harness, and ends them for certain.

Each one leads a process group of its own, so a kill reaches whatever it has started, and is tied
to the harness. There is more than one way to start a program (`Launcher`): here it is executed, by
way of `tether.py`; `launcher.py` forks Python programs that have done their imports. Waiting is
done on the process itself (a pidfd on Linux), always with a deadline.
"""

import contextlib
import os
import select
import selectors
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from harness.clock import Deadline
from harness.errors import HarnessError
from harness.janitor import OWNER, owner

TETHER = Path(__file__).with_name("tether.py")
END_SECONDS = 10.0
LAST_LINES = 12
PIECE_BYTES = 65536
OURS_ALONE = frozenset({"FAILPOINTS", "REDIS_URL"})
"""Variables that a run sets itself or not at all."""


class Started(Protocol):
    """A process that has been started and is not reaped before we say so.

    Until then its number is not given to another process, so that a kill cannot go astray.
    """

    @property
    def pid(self) -> int:
        """Its process id."""

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def reap(self) -> int:
        """Let go of it after its end; the exit code."""


class Child:
    """A process that we started, with its log; ends with `end()`, at the latest with us."""

    def __init__(self, process: Started, log: Path) -> None:
        self.pid = process.pid
        self.log = log
        self._process = process
        self._code: int | None = None
        self._reaped = False
        self._pidfd: int | None = None
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(process.pid)
            self._ending = select.poll()
            self._ending.register(self._pidfd, select.POLLIN)

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None and (self._pidfd is None or self._ending.poll(0)):
            self._code = self._process.code()
        return self._code

    def exits_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long; also the harness's way to pause between looks."""
        if self._code is None and self._pidfd is not None:
            select.select([self._pidfd], [], [], seconds)
        elif self._code is None:
            deadline = Deadline(seconds)
            while self.exit_code() is None and not deadline.passed:
                select.select([], [], [], min(0.01, deadline.left))
        return self.exit_code() is not None

    def kill(self) -> int:
        """SIGKILL to the whole group; the exit code of the process.

        Raises:
            HarnessError: it is still there after 10 s, which a SIGKILL does not allow.
        """
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        if not self.exits_within(END_SECONDS):
            raise HarnessError(f"process {self.pid} outlived SIGKILL by {END_SECONDS:g} s")
        assert self._code is not None, "a process that has ended has an exit code"
        return self._code

    def end(self) -> None:
        """Make sure that nothing of it is left, and let go of it."""
        self.kill()
        if not self._reaped:
            self._process.reap()
            self._reaped = True
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def last_lines(self) -> list[str]:
        """The last lines of its log that are not empty."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]


class Launcher(ABC):
    """A way to start programs; a context manager that may hold processes of its own."""

    @abstractmethod
    def start(
        self,
        command: Sequence[str],
        *,
        outputs: tuple[int, int],
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        reports: tuple[int, int] | None = None,
        imports: Sequence[str] = (),
    ) -> Started:
        """Start a program that leads a process group and dies with us.

        Args:
            command: program and arguments; no shell.
            outputs: descriptors for its stdout and stderr; its stdin is empty.
            environment: all of its variables.
            pass_fds: descriptors that it inherits, under the same numbers.
            reports: `ready` and `go` of `harness/supervisor/install.py`, when the calls of the
                program are to wait for a supervisor; they are inherited, too.
            imports: modules that whoever forks the program may import before; see `BotSpec`.
        """

    def launch(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        reports: tuple[int, int] | None = None,
        imports: Sequence[str] = (),
    ) -> Child:
        """Start a program, stdout and stderr appended to `log`.

        Args:
            command: program and arguments; no shell.
            log: file that its output is appended to.
            environment: variables on top of `base_environment()`.
            pass_fds: descriptors that it inherits.
            reports: see `start`.
            imports: see `start`.
        """
        with log.open("ab") as output:
            process = self.start(
                command,
                outputs=(output.fileno(), output.fileno()),
                environment=base_environment() | dict(environment or {}),
                pass_fds=pass_fds,
                reports=reports,
                imports=imports,
            )
        return Child(process, log)

    def run_to_end(
        self,
        command: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        imports: Sequence[str] = (),
    ) -> tuple[int, str, str]:
        """Run a short program and return its exit code, stdout and stderr.

        Args:
            command: program and arguments; no shell.
            seconds: how long it may take.
            environment: variables on top of `base_environment()`.
            imports: see `start`.

        Raises:
            HarnessError: it does not end in time; it is killed then.
        """
        deadline = Deadline(seconds)
        (out, says), (err, complains) = os.pipe(), os.pipe()
        try:
            try:
                process = self.start(
                    command,
                    outputs=(says, complains),
                    environment=base_environment() | dict(environment or {}),
                    imports=imports,
                )
            finally:
                os.close(says)
                os.close(complains)
            child = Child(process, Path(os.devnull))
            try:
                told = read_to_end((out, err), deadline)
                if told is None or not child.exits_within(deadline.left):
                    shown = " ".join(command)
                    raise HarnessError(f"{shown} did not end within {seconds:g} s and was killed")
                return child.kill(), *told
            finally:
                child.end()
        finally:
            os.close(out)
            os.close(err)

    def close(self) -> None:  # noqa: B027 - most ways hold nothing
        """Let go of what it holds; what it has started ends at the latest now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Executed:
    """A process of `subprocess`."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.pid = popen.pid
        self._popen = popen

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if sys.platform != "linux":
            return self._popen.poll()
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def reap(self) -> int:
        """Let go of it after its end; the exit code."""
        return self._popen.wait()


class ExecLauncher(Launcher):
    """Executes programs by way of `tether.py`."""

    def start(
        self,
        command: Sequence[str],
        *,
        outputs: tuple[int, int],
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        reports: tuple[int, int] | None = None,
        imports: Sequence[str] = (),  # noqa: ARG002 - it imports for itself
    ) -> Executed:
        """Start a program; see `Launcher.start`."""
        told = () if reports is None else ("--filter", *map(str, reports))
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *told, *command],
            stdin=subprocess.DEVNULL,
            stdout=outputs[0],
            stderr=outputs[1],
            env=dict(environment),
            pass_fds=(*pass_fds, *(reports or ())),
            process_group=0,
        )
        return Executed(popen)


EXEC = ExecLauncher()
launch = EXEC.launch
run_to_end = EXEC.run_to_end


def read_to_end(ends: tuple[int, int], deadline: Deadline) -> tuple[str, str] | None:
    """Read two pipes until both are closed at the other end; None when the deadline passes."""
    told: dict[int, list[bytes]] = {end: [] for end in ends}
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            events = selector.select(deadline.left)
            if not events and deadline.passed:
                return None
            for key, _ in events:
                piece = os.read(key.fd, PIECE_BYTES)
                told[key.fd].append(piece)
                if not piece:
                    selector.unregister(key.fd)
    first, second = (b"".join(told[end]).decode(errors="replace") for end in ends)
    return first, second


def base_environment() -> dict[str, str]:
    """Our environment without what would make two runs differ (crash-model.md, traps 3 and 6)."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
    return kept | {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        OWNER: owner(),
    }
