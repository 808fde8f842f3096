"""A clock that stands still until somebody else moves it; lives inside the bot's process.

Standard library only, and loadable by path: `clocked/sitecustomize.py` puts it in place before the
bot's program begins. `install` replaces the functions of the standard library that tell the time
or wait for it; they do what they always did until `take` finds a clock in the environment.

The clock is a page of memory that the harness shares: the present time, and the next moment that
this process sleeps for. Who sleeps says so there and waits without a limit; the harness moves the
time and, when somebody is due, puts a byte into a pipe that every sleeper watches. No system call
is made that a supervisor could take for one of the bot's.

What stays real: what waits or asks inside C and not through these functions (a socket's own
time-out, `lock.acquire(timeout=...)`, `Thread.join(timeout)`, `select.poll` and `select.epoll` used
directly, uvloop), and child processes.
"""

import contextlib
import ctypes
import datetime
import gc
import math
import mmap
import os
import select
import selectors
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

VARIABLE = "CRASHGATE_CLOCK"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clocked")  # noqa: PTH100, PTH118, PTH120 - pathlib is slow
"""The folder that puts the clock in place when it stands in PYTHONPATH."""
MEMORY_NAME = "crashgate-clock"
PAGE_BYTES = 4096
NOW, DEADLINE, TAKEN, STARTED = range(4)
SECOND = 1_000_000_000
MICROSECOND = 1_000
MONOTONIC_START = 1_000 * SECOND
"""What a monotonic clock shows when the process begins; 0 is "never" to some programs."""
LOOKS_MOST = 1_000
"""After so many looks at a clock that stands still, each further one takes a microsecond.

Some wait for time to pass by asking for it; ib_insync turns its loop until more than a second has
passed since a request, which never comes when exactly a second has.
"""
CLOCKS = {"CLOCK_REALTIME": 0, "CLOCK_MONOTONIC": 1, "CLOCK_BOOTTIME": 1}


class Page:
    """The memory that is shared with the harness: four numbers, in nanoseconds since 1970.

    Attributes:
        numbers: the present time, the next moment that somebody sleeps for (0: nobody), whether a
            process has taken the clock, and when the clock began.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, PAGE_BYTES)
        self.numbers = memoryview(self._memory).cast("q")

    def close(self) -> None:
        """Let go of the memory."""
        self.numbers.release()
        self._memory.close()


class Sleepers:
    """Who sleeps in this process and until when, and the clock that wakes them."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self._wake = -1
        self._deadlines: dict[object, int] = {}
        self._lock = REAL_ALLOCATE()
        self._seen = self._looks = 0

    def now(self) -> int | None:
        """The faked time since 1970, None while there is no faked clock."""
        page = self.page
        if page is None:
            return None
        now: int = page.numbers[NOW]
        if now != self._seen:
            self._seen, self._looks = now, 0
        self._looks += 1
        if self._looks > LOOKS_MOST:
            self._seen = now = page.numbers[NOW] = now + MICROSECOND
        return now

    def take(self, page: Page, wake: int) -> None:
        """Go by a clock from here on."""
        self.page, self._wake = page, wake
        page.numbers[DEADLINE] = 0
        page.numbers[TAKEN] = 1

    def leave(self) -> None:
        """Go by the machine's clock; for a child process, which nobody would wake."""
        self.page = None
        self._deadlines = {}
        self._lock = REAL_ALLOCATE()

    def wait(self, page: Page, seconds: float, ready: Mapping[int, int]) -> None:
        """Wait until a descriptor is ready, or the clock has gone on by so much.

        Args:
            page: the clock.
            seconds: how long, more than 0.
            ready: the events that are waited for, by descriptor.
        """
        deadline = page.numbers[NOW] + span(seconds)
        poll = select.poll()
        for descriptor, events in ready.items():
            poll.register(descriptor, events)
        poll.register(self._wake, select.POLLIN)
        sleeper = object()
        while True:
            self._note(page, sleeper, deadline)
            try:
                found = poll.poll()
            finally:
                self._note(page, sleeper, None)
            if any(descriptor in ready for descriptor, _ in found):
                return
            if page.numbers[NOW] >= deadline:
                return

    def _note(self, page: Page, sleeper: object, deadline: int | None) -> None:
        """Enter or leave the list, say who is next, and take the byte when nobody is due."""
        with self._lock:
            if deadline is None:
                self._deadlines.pop(sleeper, None)
            else:
                self._deadlines[sleeper] = deadline
            earliest = min(self._deadlines.values(), default=0)
            if not 0 < earliest <= page.numbers[NOW]:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, PAGE_BYTES)
            page.numbers[DEADLINE] = earliest


class Waiter:
    """The lock that `threading.Condition` waits on, with a time-out by our clock."""

    def __init__(self) -> None:
        self._lock = REAL_ALLOCATE()
        self._bell: int | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - a lock's
        """Take the lock, or give up after `timeout` seconds."""
        page = SLEEPERS.page
        if page is None or not blocking or timeout <= 0:
            return self._lock.acquire(blocking, timeout)
        bell = self._bell = os.eventfd(0)
        try:
            # Whoever releases from here on rings the bell.
            if not self._lock.acquire(blocking=False):
                SLEEPERS.wait(page, timeout, {bell: select.POLLIN})
                return self._lock.acquire(blocking=False)
        finally:
            self._bell = None
            os.close(bell)
        return True

    def release(self) -> None:
        """Let the lock go and wake who waits for it."""
        bell = self._bell
        self._lock.release()
        if bell is not None:
            with contextlib.suppress(OSError):  # The waiter was quicker and has taken it away.
                os.eventfd_write(bell, 1)


REAL_ALLOCATE = threading.Lock
SLEEPERS = Sleepers()


def take() -> None:
    """Go by the clock that the environment names, if it is one of the harness."""
    numbers = os.environ.get(VARIABLE, "").split(",")
    if len(numbers) != 2:
        return
    memory, wake = int(numbers[0]), int(numbers[1])
    try:
        place = os.readlink(f"/proc/self/fd/{memory}")  # noqa: PTH115 - pathlib is slow
    except OSError:
        return  # A child of the bot has the variable and not the descriptors.
    if MEMORY_NAME in place:
        SLEEPERS.take(Page(memory), wake)


def install() -> None:
    """Replace what tells the time and what waits for it, in this whole process."""
    replace_clocks()
    replace_calendar()
    replace_datetime()
    replace_waits()
    replace_condition()
    for name in ("threading", "queue", "subprocess"):
        correct_names(sys.modules.get(name))
    os.register_at_fork(after_in_child=SLEEPERS.leave)


def span(seconds: float) -> int:
    """Nanoseconds of a wait: whole microseconds, at least one.

    A float's last digits would else make a timer of 5 s one of 5.000000001 s.
    """
    return max(1, math.ceil(min(seconds, threading.TIMEOUT_MAX) * 1e6 - 1e-3)) * MICROSECOND


def steady() -> int | None:
    """The faked time of the monotonic clocks."""
    now, page = SLEEPERS.now(), SLEEPERS.page
    return None if now is None or page is None else now - page.numbers[STARTED] + MONOTONIC_START


def replace_clocks() -> None:
    """Replace the functions that tell the time as a number."""
    for name, source in (("time", SLEEPERS.now), ("monotonic", steady), ("perf_counter", steady)):
        setattr(time, name, in_seconds(getattr(time, name), source))
        setattr(time, f"{name}_ns", in_nanoseconds(getattr(time, f"{name}_ns"), source))
    sources = {
        number: (SLEEPERS.now, steady)[kind]
        for name, kind in CLOCKS.items()
        if (number := getattr(time, name, None)) is not None
    }
    gettime, gettime_ns = time.clock_gettime, time.clock_gettime_ns

    def clock_gettime(clock: int, /) -> float:
        now = sources[clock]() if clock in sources else None
        return gettime(clock) if now is None else now / SECOND

    def clock_gettime_ns(clock: int, /) -> int:
        now = sources[clock]() if clock in sources else None
        return gettime_ns(clock) if now is None else now

    time.clock_gettime, time.clock_gettime_ns = clock_gettime, clock_gettime_ns


def in_seconds(real: Callable[[], float], source: Callable[[], int | None]) -> Callable[[], float]:
    """A clock that tells seconds."""

    def told() -> float:
        now = source()
        return real() if now is None else now / SECOND

    return told


def in_nanoseconds(real: Callable[[], int], source: Callable[[], int | None]) -> Callable[[], int]:
    """A clock that tells nanoseconds."""

    def told() -> int:
        now = source()
        return real() if now is None else now

    return told


def replace_calendar() -> None:
    """Replace the functions that take the present where they are given no time."""
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, of_present(getattr(time, name)))
    asctime, strftime = time.asctime, time.strftime
    present = time.localtime

    def faked_asctime(*moment: Any) -> str:
        return asctime(*moment) if moment else asctime(present())

    def faked_strftime(form: str, *moment: Any) -> str:
        return strftime(form, *moment) if moment else strftime(form, present())

    time.asctime, time.strftime = faked_asctime, faked_strftime


def of_present(real: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a moment, by default of the faked present."""

    def told(seconds: float | None = None, /) -> Any:
        return real(time.time() if seconds is None else seconds)

    return told


def replace_datetime() -> None:
    """Replace `now` and `utcnow` in the type itself, which others have imported by name.

    A subclass under the old name would not be the type of the objects that C code makes. The dict
    behind a type's `__dict__` can be had from the garbage collector; the interpreter remembers what
    it has found in types, so it is told. `today` asks `time.time` by itself.
    """
    names: dict[str, Any] = gc.get_referents(datetime.datetime.__dict__)[0]
    real = names["now"]
    utc = datetime.timezone.utc  # noqa: UP017 - the bot's Python may be older than ours

    def faked_now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> Any:
        told = SLEEPERS.now()
        if told is None:
            return real.__get__(None, cls)(tz)
        return cls.fromtimestamp(told / SECOND, tz)

    def faked_utcnow(cls: type[datetime.datetime]) -> Any:
        return faked_now(cls, utc).replace(tzinfo=None)

    names["now"] = classmethod(faked_now)
    names["utcnow"] = classmethod(faked_utcnow)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))


def replace_waits() -> None:
    """Replace the functions that wait for so many seconds."""
    sleep, real_select = time.sleep, select.select

    def faked_sleep(seconds: float, /) -> None:
        page = SLEEPERS.page
        if page is None or seconds <= 0:
            sleep(seconds)
        else:
            SLEEPERS.wait(page, seconds, {})

    def faked_select(
        reads: Sequence[Any],
        writes: Sequence[Any],
        odd: Sequence[Any],
        timeout: float | None = None,
        /,
    ) -> Any:
        page = SLEEPERS.page
        if page is None or timeout is None or timeout <= 0:
            return real_select(reads, writes, odd, timeout)
        ready: dict[int, int] = {}
        kinds = ((reads, select.POLLIN), (writes, select.POLLOUT), (odd, select.POLLPRI))
        for members, event in kinds:
            for member in members:
                number = member if isinstance(member, int) else member.fileno()
                ready[number] = ready.get(number, 0) | event
        SLEEPERS.wait(page, timeout, ready)
        return real_select(reads, writes, odd, 0)

    time.sleep = faked_sleep  # type: ignore[assignment]
    select.select = faked_select  # type: ignore[assignment]
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector"):
        selector = getattr(selectors, name, None)
        if selector is not None:
            selector.select = by_our_clock(selector.select)


def replace_condition() -> None:
    """Let `Condition.wait` wait on our locks; events, queues and timers of Python rest on it."""
    wait = threading.Condition.wait
    names = {**vars(threading), "_allocate_lock": Waiter}
    waits: Any = types.FunctionType(wait.__code__, names, wait.__name__, wait.__defaults__)
    threading.Condition.wait = waits  # type: ignore[method-assign]


def by_our_clock(real: Callable[..., Any]) -> Callable[..., Any]:
    """A selector's `select` whose time-out goes by our clock."""

    def faked(self: selectors.BaseSelector, timeout: float | None = None) -> Any:
        page = SLEEPERS.page
        if page is None or timeout is None or timeout <= 0:
            return real(self, timeout)
        ready = {
            key.fd: (select.POLLIN if key.events & selectors.EVENT_READ else 0)
            | (select.POLLOUT if key.events & selectors.EVENT_WRITE else 0)
            for key in self.get_map().values()
        }
        SLEEPERS.wait(page, timeout, ready)
        return real(self, 0)

    return faked


def correct_names(module: types.ModuleType | None) -> None:
    """Give a module that was imported before us our clock under the names that it knows it by."""
    for name in ("_time", "time"):
        if module is not None and callable(getattr(module, name, None)):
            setattr(module, name, time.monotonic)
