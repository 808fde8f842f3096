"""What the threads of a process are doing, read from /proc, with no help from the process.

A thread waits when it sleeps in a call that waits for somebody else (poll, futex, a socket) and
not for the disk. `Look` is one sight of all threads of a process and of its descendants.
"""

import platform
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


@dataclass(frozen=True, slots=True)
class Look:
    """One sight of a process.

    Attributes:
        waiting: whether every thread waits.
        switches: (thread id, context switches so far) of every thread; equal numbers in two
            looks mean that the thread has not run in between.
        doing: what the threads were seen doing, for a person.
    """

    waiting: bool
    switches: tuple[tuple[int, int], ...]
    doing: str


def look_at(pid: int, *, machine: str = platform.machine()) -> Look:
    """Look at a process and its descendants once; a process that is gone has no threads."""
    calls = WAITING.get(machine, {})
    waiting = True
    switches: list[tuple[int, int]] = []
    doing: list[str] = []
    for process in family(pid):
        for task in tasks_of(process):
            try:
                state, switched = state_and_switches(task)
                if state in ZOMBIE_STATES:
                    continue
                words, sleeps = activity(task, state, calls)
            except (FileNotFoundError, ProcessLookupError):
                # The thread ended between the listing and the look: something is going on.
                waiting = False
                continue
            waiting = waiting and sleeps
            switches.append((int(task.name), switched))
            doing.append(words)
    return Look(waiting=waiting, switches=tuple(switches), doing=", ".join(doing) or "nothing")


def family(pid: int) -> list[int]:
    """A process and everything that it has started and that still has its parent."""
    found = [pid]
    for process in found:
        for task in tasks_of(process):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def tasks_of(pid: int) -> list[Path]:
    """The /proc folders of a process's threads; none when it is gone."""
    try:
        return sorted(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def state_and_switches(task: Path) -> tuple[str, int]:
    """The one-letter state of a thread and how often it was switched in or out."""
    state, switched = "?", 0
    for line in (task / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "State":
            state = value.split()[0]
        elif name.endswith("ctxt_switches"):
            switched += int(value)
    return state, switched


def activity(task: Path, state: str, calls: dict[int, str]) -> tuple[str, bool]:
    """What a thread does, in words, and whether that is waiting.

    Where the system call cannot be read (another user's process, or a machine that we have no
    numbers for), state S, interruptible sleep, counts as waiting.
    """
    try:
        first = (task / "syscall").read_text().split()[0]
    except PermissionError:
        first = ""
    if not calls or not first:
        return f"in state {state}", state == "S"
    if not first.isdigit():
        return "running", False
    number = int(first)
    name = calls.get(number, f"system call {number}")
    return f"in {name}", state == "S" and number in calls
