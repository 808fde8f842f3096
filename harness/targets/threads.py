"""What the threads of a process are doing, read from /proc, with no help from the process.

A thread waits when it sleeps in a call that waits for somebody else (poll, futex, a socket) and
not for the disk. `Look` is one sight of all threads of a process and of its descendants.
"""

import contextlib
import functools
import os
import platform
import weakref
from dataclasses import dataclass
from pathlib import Path

# System calls in which a thread waits for an event, by their numbers on each machine.
WAITING_X86_64 = {
    0: "read",
    7: "poll",
    23: "select",
    34: "pause",
    35: "nanosleep",
    43: "accept",
    45: "recvfrom",
    47: "recvmsg",
    61: "wait4",
    128: "rt_sigtimedwait",
    130: "rt_sigsuspend",
    202: "futex",
    219: "restart_syscall",
    230: "clock_nanosleep",
    232: "epoll_wait",
    247: "waitid",
    270: "pselect6",
    271: "ppoll",
    281: "epoll_pwait",
    288: "accept4",
    441: "epoll_pwait2",
    449: "futex_waitv",
}
WAITING_AARCH64 = {
    22: "epoll_pwait",
    63: "read",
    72: "pselect6",
    73: "ppoll",
    95: "waitid",
    98: "futex",
    101: "nanosleep",
    115: "clock_nanosleep",
    128: "restart_syscall",
    133: "rt_sigsuspend",
    137: "rt_sigtimedwait",
    202: "accept",
    207: "recvfrom",
    212: "recvmsg",
    242: "accept4",
    260: "wait4",
    441: "epoll_pwait2",
    449: "futex_waitv",
}
WAITING = {"x86_64": WAITING_X86_64, "aarch64": WAITING_AARCH64, "arm64": WAITING_AARCH64}
ZOMBIE_STATES = "ZX"
SLEEPS, RUNS = "S", "R"
FILE_BYTES = 4096
NOT_COUNTED = b"0 0 0"
"""What schedstat says of every thread where the kernel does not count how often it has run."""

Mark = int | bytes


@dataclass(frozen=True, slots=True)
class Look:
    """One sight of a process.

    Attributes:
        waiting: whether every thread waits.
        switches: (thread id, mark) of every thread; a thread has the same mark in two looks when
            it has not run in between.
        doing: what the threads were seen doing, for a person.
    """

    waiting: bool
    switches: tuple[tuple[int, Mark], ...]
    doing: str


def look_at(pid: int, *, machine: str = platform.machine()) -> Look:
    """Look at a process and its descendants once; a process that is gone has no threads."""
    onlooker = Onlooker(pid, machine=machine)
    look = onlooker.look()
    onlooker.close()
    return look


class Onlooker:
    """Looks at one process and its descendants again and again.

    The files of /proc stay open from look to look. Where no thread has run since the last look,
    only states and marks are read (0.01 ms a thread; a whole look takes three times that). While
    a thread that was seen running runs still, no more than its state is read.
    """

    def __init__(self, pid: int, *, machine: str = platform.machine()) -> None:
        self.pid = pid
        self._calls = WAITING.get(machine, {})
        self._threads: dict[tuple[int, int], Thread] = {}
        self._last: Look | None = None
        self._busy: Thread | None = None

    def look(self) -> Look:
        """Look once; who still runs is told with the same look as before.

        Of each thread the state is read before the mark. So where two looks agree, every thread
        has waited from its mark in the first to its state in the second: at each moment between
        the two looks all of them were waiting.
        """
        if self._last is None or not (self._still_busy() or self._unmoved()):
            self._last = self._whole()
        return self._last

    def close(self) -> None:
        """Let go of the files."""
        self._last = self._busy = None
        while self._threads:
            self._threads.popitem()[1].close()

    def _still_busy(self) -> bool:
        """Whether a thread that was seen running at the last look runs now."""
        try:
            return self._busy is not None and self._busy.runs()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _unmoved(self) -> bool:
        """Whether every thread of the last look waits still, and none has run since.

        Then none of them can have begun or ended a thread or a process either.
        """
        if self._last is None or not self._last.waiting:
            return False
        try:
            return all(thread.unmoved() for thread in self._threads.values())
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _whole(self) -> Look:
        waiting = True
        self._busy = None
        switches: list[tuple[int, Mark]] = []
        doing: list[str] = []
        known, self._threads = self._threads, {}
        family = [self.pid]
        for process in family:
            for number in threads_of(process):
                key = (process, number)
                thread = known.pop(key) if key in known else Thread(process, number)
                self._threads[key] = thread
                try:
                    state, words = thread.look(self._calls)
                    family += thread.children()
                except (FileNotFoundError, ProcessLookupError):
                    # The thread ended between the listing and the look: something is going on.
                    waiting = False
                    continue
                if state in ZOMBIE_STATES:
                    continue
                waiting = waiting and thread.waits
                if state == RUNS:
                    self._busy = thread
                switches.append((number, thread.mark))
                doing.append(words)
        for thread in known.values():
            thread.close()
        return Look(waiting=waiting, switches=tuple(switches), doing=", ".join(doing) or "nothing")


class Thread:
    """The files of one thread in /proc.

    Attributes:
        waits: whether it was waiting when it was last looked at.
        mark: how often and how long it had run by then.

    Raises:
        FileNotFoundError: from every method, when it has ended; or a ProcessLookupError.
    """

    def __init__(self, process: int, number: int) -> None:
        self.waits = False
        self.mark: Mark = b""
        self._folder = f"/proc/{process}/task/{number}"
        self._files: dict[str, int] = {}
        self._finish = weakref.finalize(self, close_all, self._files)

    def close(self) -> None:
        """Let go of the files."""
        self._finish()

    def unmoved(self) -> bool:
        """Whether it waits as it did at the last look, and has not run since."""
        # The mark is cheap, and mostly it says so at once; what counts is the one after the state.
        return (
            self.waits
            and self._mark() == self.mark
            and self._state() == SLEEPS
            and self._mark() == self.mark
        )

    def runs(self) -> bool:
        """Whether it runs, or would if there were a processor for it."""
        return self._state() == RUNS

    def look(self, calls: dict[int, str]) -> tuple[str, str]:
        """Look at it: its one-letter state, and what it does in words.

        Where the system call cannot be read (another user's process, or a machine that we have no
        numbers for), state S, interruptible sleep, counts as waiting.
        """
        before = self._mark()
        state = self._state()
        words, waits = self._activity(state, calls)
        self.mark = self._mark()
        # What it does belongs to its state only if it has not run between the two.
        self.waits = waits and before == self.mark
        return state, words

    def children(self) -> list[int]:
        """The processes that it has started and that still have their parent."""
        if not kernel_has("children"):
            return []
        return [int(child) for child in self._read("children").split()]

    def _activity(self, state: str, calls: dict[int, str]) -> tuple[str, bool]:
        first = b""
        if calls and kernel_has("syscall"):
            with contextlib.suppress(PermissionError):
                first = self._read("syscall").split(None, 1)[0]
        if not first:
            return f"in state {state}", state == SLEEPS
        if not first.isdigit():
            return "running", False
        number = int(first)
        name = calls.get(number, f"system call {number}")
        return f"in {name}", state == SLEEPS and number in calls

    def _state(self) -> str:
        stat = self._read("stat")
        after_name = stat.rindex(b")") + 2
        return stat[after_name : after_name + 1].decode()

    def _mark(self) -> Mark:
        if counts_runs():
            return self._read("schedstat")
        lines = self._read("status").splitlines()
        return sum(int(line.split()[1]) for line in lines if b"ctxt_switches:" in line)

    def _read(self, name: str) -> bytes:
        descriptor = self._files.get(name)
        if descriptor is None:
            descriptor = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            self._files[name] = descriptor
        return os.pread(descriptor, FILE_BYTES, 0)


def close_all(files: dict[str, int]) -> None:
    """Close descriptors, and forget them."""
    while files:
        os.close(files.popitem()[1])


def threads_of(pid: int) -> list[int]:
    """The ids of a process's threads; none when it is gone."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - hot
    except (FileNotFoundError, ProcessLookupError):
        return []


@functools.cache
def counts_runs() -> bool:
    """Whether this kernel counts how often and how long a thread has run."""
    try:
        return not Path("/proc/thread-self/schedstat").read_bytes().startswith(NOT_COUNTED)
    except OSError:
        return False


@functools.cache
def kernel_has(name: str) -> bool:
    """Whether there is such a file for a thread on this kernel."""
    return Path("/proc/thread-self", name).exists()
