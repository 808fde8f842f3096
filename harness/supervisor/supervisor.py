"""Answers for the system calls of one life of a bot: counts them, and holds the one to die at.

Every reported call waits for us, so what the bot does is seen in one order, whatever its threads.
The number of a call is that of its kind on its role of file at the market's present time.
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
from harness.points.syscall import Call, Side, SystemCall
from harness.supervisor.calls import Reported, bytes_until_page_end, carry_out, read_call
from harness.supervisor.kernel import duplicate, fail, let_go, receive
from harness.supervisor.roles import role_of


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


class Supervisor:
    """The one who answers. Not a thread: whoever waits for the bot calls `serve`.

    Args:
        listener: the listener of the bot's filter; closed by `close`.
        folder: absolute path of the bot's state folder.
        servers: what a connection to a port of 127.0.0.1 is to the bot.
        now: exchange time of the market's last step.
        target: the point to hold the bot at.
        faults: the calls that are to fail.
    """

    def __init__(
        self,
        listener: int,
        *,
        folder: str,
        servers: Mapping[int, str],
        now: Callable[[], datetime],
        target: SystemCall | None = None,
        faults: Sequence[CallFault] = (),
    ) -> None:
        self._listener = listener
        self._folder = folder
        self._servers = servers
        self._now = now
        self._target = target
        self._faults = tuple(faults)
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
        self.held = False
        """Whether the bot stands at its target; it is never let go from there."""

    def fileno(self) -> int:
        """The listener, to be waited on beside other descriptors."""
        return self._listener

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
        side = self._hit(passage)
        if side is None:
            self._answer(reported, role)
            return
        if side is Side.SHORT and cut is None:
            raise HarnessError(f"no page ends inside the bytes of {reported.name}: nothing to cut")
        if side is not Side.BEFORE:
            carry_out(reported, limit=cut if side is Side.SHORT else None)
        self.held = True

    def _hit(self, passage: Passage) -> Side | None:
        """The side on which the bot is to die at this call."""
        if self.holds_next:
            return Side.BEFORE
        target = self._target
        if target is None or (target.call, target.role, target.occurrence, target.time) != (
            passage.call,
            passage.role,
            passage.occurrence,
            passage.time,
        ):
            return None
        return target.side

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
