"""Quiet, seen from outside: the bot has digested everything and waits for the broker.

Two looks in a row must agree: every thread of the bot waits and none has run in between, nothing
was under way on its connections between the two, and the broker has neither received nor sent a
frame since before the first. A server that the bot asks for its state is looked at in the same
way: a bot that waits for its answer waits too, and is not quiet. What cannot be seen from outside
is a timer that is about to fire: a bot that sleeps between retries is quiet, and `clock_hand.py`
says whether its timers come before the market.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.clock import Deadline
from harness.errors import QuietTimeoutError, UserError
from harness.targets.process import Child
from harness.targets.sockets import LoopbackQueues
from harness.targets.threads import Look, Onlooker

# Pauses between looks: short while the answer is near, longer when a start-up takes its time.
PAUSE_FIRST_SECONDS = 0.0004
PAUSE_LAST_SECONDS = 0.01
ASLEEP_LOOKS = 30
"""Who is woken by bytes is seen to run at once; so often must a bot be seen to leave them."""
REAL_SLEEP = "nanosleep"


@dataclass(frozen=True, slots=True)
class Quieted:
    """The bot waits; `status` is where the broker stands."""

    status: Status


@dataclass(frozen=True, slots=True)
class Halted:
    """The broker stands still at the crash point, and the bot waits."""

    status: Status


@dataclass(frozen=True, slots=True)
class Gone:
    """The bot has ended, with an exit code that is negative for a signal."""

    code: int


@dataclass(frozen=True, slots=True)
class Held:
    """The bot stands in a system call, and the broker has digested what it had sent."""

    status: Status


Settled = Quieted | Halted | Gone | Held


class CallWatch(Protocol):
    """Somebody who must answer the bot's system calls, or it waits in them for ever."""

    @property
    def held(self) -> bool:
        """Whether the bot is held in a call."""

    def wait(self, seconds: float) -> bool:
        """Wait until a call waits, at most so long."""

    def serve(self) -> int:
        """Answer every call that waits; how many there were."""


class Neighbour(Protocol):
    """A server on 127.0.0.1, beside the broker, that the bot talks to."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def port(self) -> int:
        """Its port."""

    def client_ports(self) -> tuple[int, ...]:
        """The ports of those who are connected to it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the bot and its neighbour; `beside` is None when there is none.

    `under_way` is what lay in the wires just before the look, in bytes. `broker` is None where the
    broker is not looked at. While the bot runs nobody else is looked at.
    """

    look: Look
    under_way: int
    beside: Look | None
    broker: Look | None = None

    @property
    def waiting(self) -> bool:
        """Whether nobody was seen to run."""
        others = (self.beside, self.broker)
        return self.look.waiting and all(each is None or each.waiting for each in others)


class Watch:
    """Watches one bot, its broker, and its neighbour where it has one.

    Raises:
        UserError: this machine is not Linux, where quiet cannot be seen.
    """

    def __init__(
        self,
        child: Child,
        control: ControlClient,
        *,
        queues: LoopbackQueues,
        neighbour: Neighbour | None = None,
        calls: CallWatch | None = None,
        broker: int | None = None,
        wakes: Callable[[Status], bool] | None = None,
    ) -> None:
        """Watch a bot.

        Args:
            child: the bot.
            control: asks the broker.
            queues: tells what is under way.
            neighbour: the server that the bot talks to, where there is one.
            calls: answers the bot's system calls, where they are watched.
            broker: the broker's process id, where a quiet that is declared too early would do
                harm. The status does not tell of a connection that the broker has not accepted yet
                or of a greeting that it has not answered; who fires the time-out of a connect must
                know of them.
            wakes: moves the clock of a bot that sleeps while there is something to read, if the
                clock is ours and it is time; whether it did. Without it such a bot is waited for.
        """
        if sys.platform != "linux":
            raise UserError(
                f"crashgate cannot see on {sys.platform} whether a bot is quiet: that takes "
                f"Linux and its /proc. Run the gate on Linux, or in a container"
            )
        self._child = child
        self._control = control
        self._queues = queues
        self._neighbour = neighbour
        self._calls = calls
        self._bot = Onlooker(child.pid)
        self._beside: Onlooker | None = None
        self._broker = None if broker is None else Onlooker(broker)
        self._wakes = wakes

    def settle(self, *, seconds: float) -> Settled:
        """Wait until the bot is quiet, or has ended.

        Raises:
            QuietTimeoutError: it is still busy at the deadline; says what it was seen doing.
        """
        deadline = Deadline(seconds)
        pause = PAUSE_FIRST_SECONDS
        before: Sight | None = None
        asleep = 0
        status = self._control.latest or self._control.status()
        while True:
            code = self._child.exit_code()
            if code is not None:
                return Gone(code)
            if self._calls is not None and self._calls.serve():
                before, pause = None, PAUSE_FIRST_SECONDS
            if self._calls is not None and self._calls.held:
                return Held(self._digested(deadline))
            sight = self._sight(before, status)
            if before is not None and agree(before, sight):
                now = self._control.status()
                if now == status:
                    return Quieted(now) if now.halted is None else Halted(now)
                status = now
            asleep = asleep + 1 if before is not None and sleeps(before, sight) else 0
            if asleep >= ASLEEP_LOOKS and self._wakes is not None:
                status, asleep = self._control.status(), 0
                if not self._wakes(status):
                    return Quieted(status) if status.halted is None else Halted(status)
            if deadline.passed:
                raise QuietTimeoutError(busy(sight, self._look_beside(), seconds))
            before = sight
            self.rest(pause)
            # Who sleeps by the kernel's clock is not about to go quiet, however still it is.
            near = sight.waiting and REAL_SLEEP not in sight.look.doing
            pause = PAUSE_FIRST_SECONDS if near else min(pause * 1.5, PAUSE_LAST_SECONDS)

    def rest(self, seconds: float) -> None:
        """Wait until the bot ends or makes a call that must be answered, at most so long."""
        if self._calls is None or not self._calls.wait(seconds):
            self._child.exits_within(0 if self._calls is not None else seconds)

    def stirs(self, *, seconds: float) -> bool:
        """Whether a quiet bot does anything within so long, or ends."""
        deadline = Deadline(seconds)
        before = self._bot.look()
        while not deadline.passed:
            self.rest(PAUSE_LAST_SECONDS)
            now = self._bot.look()
            if self._child.exit_code() is not None or not now.waiting or now != before:
                return True
        return False

    def _digested(self, deadline: Deadline) -> Status:
        """Wait until the broker has read and answered everything that the held bot had sent."""
        before = self._control.status()
        while not deadline.passed:
            # A connection that it has not accepted yet is in no status, and keeps it from waiting.
            first = None if self._broker is None else self._broker.look()
            unread = sum(
                self._queues.unread_by_server(session.peer_port, before.port)
                for session in before.sessions
                if session.peer_port is not None
            )
            second = None if self._broker is None else self._broker.look()
            status = self._control.status()
            if unread == 0 and status == before and stands(first, second):
                return status
            before = status
        raise QuietTimeoutError("the broker does not come to an end with what the bot has sent")

    def _sight(self, before: Sight | None, status: Status) -> Sight:
        """Look at the wires, and then at those at their ends.

        The wires are those that were there when `status` was told: a newer connection would be a
        difference to the status that is asked for at the end.
        """
        # While somebody runs it does not matter what is under way.
        under_way = self._under_way(status) if before is not None and before.waiting else 0
        look = self._bot.look()
        if not look.waiting:
            return Sight(look=look, under_way=under_way, beside=None)
        beside = self._look_beside()
        broker = None if self._broker is None else self._broker.look()
        return Sight(look=look, under_way=under_way, beside=beside, broker=broker)

    def _look_beside(self) -> Look | None:
        """Look at the neighbour, which may have been started again since the last look."""
        if self._neighbour is None:
            return None
        if self._beside is None or self._beside.pid != self._neighbour.pid:
            self._beside = Onlooker(self._neighbour.pid)
        return self._beside.look()

    def _under_way(self, status: Status) -> int:
        """Bytes that have been sent and not been read, between the bot and its two servers."""
        total = sum(
            self._queues.bytes_between(session.peer_port, status.port)
            for session in status.sessions
            if session.peer_port is not None
        )
        server = self._neighbour
        if server is not None:
            ports = server.client_ports()
            total += sum(self._queues.bytes_between(port, server.port) for port in ports)
        return total


def agree(before: Sight, sight: Sight) -> bool:
    """Whether two looks in a row show that everybody waits, with nothing under way.

    The wires were read between the two looks, and nobody ran from the one to the other: at that
    moment all of them waited, and no message was left that could wake one. The broker is not
    looked at; it must have told the same status before the first look and after the second.
    """
    return (
        before.look.waiting
        and sight.look.waiting
        and before.look.switches == sight.look.switches
        and sight.under_way == 0
        and stands(before.beside, sight.beside)
        and stands(before.broker, sight.broker)
    )


def sleeps(before: Sight, sight: Sight) -> bool:
    """Whether two looks in a row show that everybody waits, and nobody for what is under way.

    Who sleeps by the kernel's clock (SQLite, until it tries a lock again) wakes by itself.
    """
    return (
        REAL_SLEEP not in sight.look.doing
        and before.waiting
        and sight.waiting
        and before.look.switches == sight.look.switches
        and sight.under_way > 0
        and stands(before.beside, sight.beside)
        and stands(before.broker, sight.broker)
    )


def stands(before: Look | None, now: Look | None) -> bool:
    """Whether two looks in a row show a server that waits, or that there is none."""
    if before is None or now is None:
        return before is now
    return before.waiting and now.waiting and before.switches == now.switches


def busy(sight: Sight, beside: Look | None, seconds: float) -> str:
    """Say what a bot that does not go quiet was seen doing, and its server where it has one."""
    under_way = f", {sight.under_way} bytes under way" if sight.under_way else ""
    server = "" if beside is None else f"; those of its server are {beside.doing}"
    return (
        f"the bot was not quiet within {seconds:g} s: its threads are "
        f"{sight.look.doing}{under_way}{server}"
    )
