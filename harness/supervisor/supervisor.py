"""Answers for the system calls of one life of a bot: counts them, and holds the one to die at.

Every reported call waits for us, so what the bot does is seen in one order, whatever its threads.
The number of a call is that of its kind on its role of file at the market's present time. What is
written to standard error is no call that counts; it tells which failpoints are passed.
"""

import contextlib
import errno
import os
import select
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.errors import HarnessError
from harness.faults.calls import CallFault
from harness.points.failpoint import FailPoint
from harness.points.syscall import Call, Side, SystemCall
from harness.supervisor.calls import (
    Reported,
    bytes_until_page_end,
    carry_out,
    is_complaint,
    read_call,
    size_of,
    words_of,
)
from harness.supervisor.kernel import Waiting, duplicate, fail, let_go, receive, succeed
from harness.supervisor.passages import Passages
from harness.supervisor.roles import role_of

Target = SystemCall | FailPoint
ORDER = {Side.BEFORE: 0, Side.SHORT: 1, Side.AFTER: 2}


@dataclass(frozen=True, slots=True)
class Passage:
    """A call that was seen: the point before it, and whether a page ends inside what it writes."""

    call: Call
    role: str
    occurrence: int
    time: datetime
    can_be_short: bool

    def line(self) -> list[str | int | bool]:
        """The passage as it stands in a history."""
        return [self.call, self.role, self.occurrence, self.time.isoformat(), self.can_be_short]

    def is_that_of(self, point: SystemCall) -> bool:
        """Whether a point lies at this call."""
        return (self.call, self.role, self.occurrence, self.time) == (
            point.call,
            point.role,
            point.occurrence,
            point.time,
        )

    def points(self) -> tuple[SystemCall, ...]:
        """The points of this call, in the order in which they lie."""
        sides = (Side.BEFORE, *((Side.SHORT,) if self.can_be_short else ()), Side.AFTER)
        return tuple(
            SystemCall(
                call=self.call,
                role=self.role,
                occurrence=self.occurrence,
                time=self.time,
                side=side,
            )
            for side in sides
        )


@dataclass(slots=True)
class Stop:
    """Where the bot is held.

    Attributes:
        reported: the call that it waits in.
        passage: what the call counts as.
        role: the file that it is about.
        side: how far its effect has come.
        cut: where a short write of it ends, in bytes.
    """

    reported: Reported
    passage: Passage
    role: str
    side: Side
    cut: int | None


@dataclass(frozen=True, slots=True)
class Telling:
    """Where the bot is held in the words that tell a passage of a failpoint.

    Attributes:
        waiting: the write that it waits in.
        point: what it tells.
    """

    waiting: Waiting
    point: FailPoint


class Supervisor:
    """The one who answers. Not a thread: whoever waits for the bot calls `serve`.

    Args:
        listener: the listener of the bot's filter; closed by `close`.
        folder: absolute path of the bot's state folder.
        servers: what a connection to a port of 127.0.0.1 is to the bot.
        now: exchange time of the market's last step.
        target: the point to hold the bot at.
        goes_on: the bot is not killed there but goes on to the next one.
        faults: the calls that are to fail.
        tells: the bot tells which failpoints it passes; otherwise it cannot be held at one.
    """

    def __init__(
        self,
        listener: int,
        *,
        folder: str,
        servers: Mapping[int, str],
        now: Callable[[], datetime],
        target: Target | None = None,
        goes_on: bool = False,
        faults: Sequence[CallFault] = (),
        tells: bool = False,
    ) -> None:
        self._listener = listener
        self._folder = folder
        self._servers = servers
        self._now = now
        self._target = target
        self._goes_on = goes_on
        self._faults = tuple(faults)
        self._told = Passages() if tells else None
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._roles: dict[str, str | None] = {}
        self._at_time: Counter[tuple[str, str, datetime]] = Counter()
        self._in_life: Counter[tuple[str, str]] = Counter()
        self.passages: list[Passage] = []
        """Every call that was counted, in the order in which they came."""
        self.failed: list[CallFault] = []
        """The faults that have happened."""
        self.holds_next = False
        """Whether the bot is to be held at whatever call comes next."""
        self._stop: Stop | Telling | None = None
        self._past = False

    def fileno(self) -> int:
        """The listener, to be waited on beside other descriptors."""
        return self._listener

    @property
    def held(self) -> bool:
        """Whether the bot stands at its target; only `go_on` lets it go from there."""
        return self._stop is not None

    def go_on(self, target: Target | None) -> None:
        """Let the bot go on to a later point than where it is held, if it is.

        Of a call that is not the last of its instant, and whose effect is on files alone, the
        state after it is that before the next call: the bot is held there.
        """
        self._target, self._past, stop = target, False, self._stop
        if stop is None or (isinstance(stop, Telling) and stop.point == target):
            return
        self._stop = None
        if isinstance(stop, Telling):
            let_go(self._listener, stop.waiting)
            return
        if isinstance(target, SystemCall) and stop.passage.is_that_of(target):
            self._stand(stop, target.side)
        if not self.held and not self._past:
            self._finish(stop)

    def is_past(self, target: Target) -> bool:
        """Whether the bot has gone by a point, or cannot be held there."""
        stop = self._stop
        if isinstance(target, FailPoint):
            here = isinstance(stop, Telling) and stop.point == target
            return self._told is None or (self._told.has_told(target) and not here)
        if isinstance(stop, Stop) and stop.passage.is_that_of(target):
            return ORDER[stop.side] > ORDER[target.side]
        number = self._at_time[target.call, target.role, target.time]
        return target.occurrence <= number

    def stands_at(self, target: Target) -> bool:
        """Whether the bot is where a kill at this point would leave it."""
        stop = self._stop
        if isinstance(target, FailPoint):
            return isinstance(stop, Telling) and stop.point == target
        here = (
            isinstance(stop, Stop) and stop.passage.is_that_of(target) and stop.side is target.side
        )
        return here or self.stands_after(target)

    def stands_after(self, target: SystemCall) -> bool:
        """Whether the bot has done a call and nothing that is counted since."""
        return self._past and self._target == target

    def hold_next(self) -> None:
        """Hold the bot at its next call, before its effect."""
        self.holds_next = True

    def wait(self, seconds: float) -> bool:
        """Wait until a call waits for us, at most so long; whether one does."""
        return bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Let go of the listener; whoever still waits gets ENOSYS."""
        if self._listener >= 0:
            os.close(self._listener)
            self._listener = -1

    def serve(self) -> int:
        """Answer every call that waits now; how many there were.

        Raises:
            HarnessError: the bot's process cannot be looked into, or a call's effect cannot be had.
        """
        served = 0
        while not self.held and any(bits & select.POLLIN for _, bits in self._poll.poll(0)):
            waiting = receive(self._listener)
            if waiting is None:
                break
            served += 1
            try:
                reported = read_call(waiting)
                if is_complaint(reported):
                    self._hear(reported)
                    continue
                role = self._role(reported)
            except (HarnessError, FileNotFoundError):
                # It was killed while we looked; a living one is let through unseen, never stuck.
                let_go(self._listener, waiting)
                continue
            if role is None:
                let_go(self._listener, waiting)
            else:
                self._count(reported, role)
        return served

    def _hear(self, reported: Reported) -> None:
        """Let the bot write to standard error, unless it tells of the passage to hold it at."""
        heard = None if self._told is None else self._told.hear(words_of(reported))
        target = self._target
        if isinstance(target, FailPoint) and heard == (target.name, target.occurrence):
            self._stop = Telling(reported.waiting, target)
        else:
            let_go(self._listener, reported.waiting)

    def _role(self, reported: Reported) -> str | None:
        if reported.paths or not reported.link.startswith("socket:"):
            return role_of(reported.path, self._folder)
        if reported.link not in self._roles:
            self._roles[reported.link] = self._peer(reported)
        return self._roles[reported.link]

    def _peer(self, reported: Reported) -> str | None:
        """What the other end of a socket is to the bot."""
        assert reported.descriptor is not None, "a socket has a descriptor"
        ours = duplicate(reported.waiting.pid, reported.descriptor)
        with socket.socket(fileno=ours) as wire, contextlib.suppress(OSError):
            peer = wire.getpeername()
            if wire.family == socket.AF_INET:
                return self._servers.get(peer[1])
        return None

    def _count(self, reported: Reported, role: str) -> None:
        now, call = self._now(), reported.call
        self._at_time[call, role, now] += 1
        self._in_life[call, role] += 1
        cut = bytes_until_page_end(reported)
        passage = Passage(call, role, self._at_time[call, role, now], now, cut is not None)
        self.passages.append(passage)
        stop = Stop(reported, passage, role, Side.BEFORE, cut)
        if self._past:
            self._stop = stop
            return
        side = self._hit(passage)
        if side is None:
            self._answer(reported, role)
        else:
            self._stand(stop, side)

    def _stand(self, stop: Stop, side: Side) -> None:
        """Hold the bot at a side of a call."""
        reported, cut = stop.reported, stop.cut
        if side is Side.SHORT and cut is None:
            raise HarnessError(f"no page ends inside the bytes of {reported.name}: nothing to cut")
        if side is Side.AFTER and self._goes_on and reported.call != "send":
            self._finish(stop)
            self._past = True
            return
        if side is not stop.side:
            carry_out(reported, limit=cut if side is Side.SHORT else None)
        stop.side = side
        self._stop = stop

    def _finish(self, stop: Stop) -> None:
        """Let a call have the rest of its effect, and return."""
        if stop.side is Side.BEFORE:
            self._answer(stop.reported, stop.role)
            return
        if stop.side is Side.SHORT:
            carry_out(stop.reported, skip=stop.cut or 0)
        succeed(self._listener, stop.reported.waiting, size_of(stop.reported))

    def _hit(self, passage: Passage) -> Side | None:
        """The side on which the bot is to die at this call."""
        if self.holds_next:
            return Side.BEFORE
        target = self._target
        return (
            target.side if isinstance(target, SystemCall) and passage.is_that_of(target) else None
        )

    def _answer(self, reported: Reported, role: str) -> None:
        number = self._in_life[reported.call, role]
        for fault in self._faults:
            first = fault.occurrence
            if (fault.call, fault.role) == (reported.call, role) and (
                first <= number < first + fault.times
            ):
                self.failed.append(fault)
                fail(self._listener, reported.waiting, getattr(errno, fault.errno))
                return
        let_go(self._listener, reported.waiting)
