"""Quiet, seen from outside: the bot has digested everything and waits for the broker.

Two looks in a row must agree: every thread of the bot waits and none has run in between, nothing
is under way on its connections, and the broker has neither received nor sent a frame. A server
that the bot asks for its state is looked at in the same way: a bot that waits for its answer
waits too, and is not quiet. What
cannot be seen from outside is a timer that is about to fire; a bot that sleeps between retries
looks quiet.
"""

import sys
from dataclasses import dataclass
from typing import Protocol

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.clock import Deadline
from harness.errors import QuietTimeoutError, UserError
from harness.targets.process import Child
from harness.targets.sockets import LoopbackQueues
from harness.targets.threads import Look, look_at

# Pauses between looks: short while the answer is near, longer when a start-up takes its time.
PAUSE_FIRST_SECONDS = 0.0002
PAUSE_LAST_SECONDS = 0.01


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


Settled = Quieted | Halted | Gone


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
    """One look at both sides; `beside` is the neighbour's, None when there is none."""

    look: Look
    under_way: int
    beside: Look | None
    status: Status


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
    ) -> None:
        if sys.platform != "linux":
            raise UserError(
                f"crashgate cannot see on {sys.platform} whether a bot is quiet: that takes "
                f"Linux and its /proc. Run the gate on Linux, or in a container"
            )
        self._child = child
        self._control = control
        self._queues = queues
        self._neighbour = neighbour

    def settle(self, *, seconds: float) -> Settled:
        """Wait until the bot is quiet, or has ended.

        Raises:
            QuietTimeoutError: it is still busy at the deadline; says what it was seen doing.
        """
        deadline = Deadline(seconds)
        pause = PAUSE_FIRST_SECONDS
        before: Sight | None = None
        while True:
            code = self._child.exit_code()
            if code is not None:
                return Gone(code)
            sight = self._sight(before)
            if before is not None and agree(before, sight):
                halted = sight.status.halted is not None
                return Halted(sight.status) if halted else Quieted(sight.status)
            if deadline.passed:
                raise QuietTimeoutError(busy(sight, seconds))
            before = sight
            self._child.exits_within(pause)
            pause = min(pause * 1.5, PAUSE_LAST_SECONDS)

    def _sight(self, before: Sight | None) -> Sight:
        """Look at the threads, then at the wires, then at the broker.

        The wires are those of the look before: a session that is newer makes the two looks
        differ anyway.
        """
        look = look_at(self._child.pid)
        status = self._control.status() if before is None else before.status
        under_way = sum(
            self._queues.bytes_between(session.peer_port, status.port)
            for session in status.sessions
            if session.peer_port is not None
        )
        beside: Look | None = None
        if self._neighbour is not None:
            # The wires before the server: it stands still from one look at it to the next, so a
            # question or an answer of that time lies in the wires when they are seen the second
            # time.
            server = self._neighbour
            under_way += sum(
                self._queues.bytes_between(port, server.port) for port in server.client_ports()
            )
            beside = look_at(server.pid)
        return Sight(look=look, under_way=under_way, beside=beside, status=self._control.status())


def agree(before: Sight, sight: Sight) -> bool:
    """Whether two looks in a row show a bot that waits and a broker that stands."""
    return (
        before.look.waiting
        and sight.look.waiting
        and before.look.switches == sight.look.switches
        and sight.under_way == 0
        and stands(before.beside, sight.beside)
        and before.status == sight.status
    )


def stands(before: Look | None, now: Look | None) -> bool:
    """Whether two looks in a row show a server that waits, or that there is none."""
    if before is None or now is None:
        return before is now
    return before.waiting and now.waiting and before.switches == now.switches


def busy(sight: Sight, seconds: float) -> str:
    """Say what a bot that does not go quiet was seen doing."""
    under_way = f", {sight.under_way} bytes under way" if sight.under_way else ""
    server = "" if sight.beside is None else f"; those of its server are {sight.beside.doing}"
    return (
        f"the bot was not quiet within {seconds:g} s: its threads are "
        f"{sight.look.doing}{under_way}{server}"
    )
