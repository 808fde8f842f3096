"""Cuts off the clients that would hold up the others: silent, slow or one too many.

Deadlines here are of the wall and not of the exchange, because what they protect is this process.
Every cut leaves its reason in the journal, as a broken frame does. It moves no bytes itself.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from fakebroker.broker import Broker

# A client that is told goodbye and does not read is dropped after this time.
FAREWELL_SECONDS = 5.0
# A client that does not read is cut off rather than allowed to grow our memory without bound.
UNSENT_LIMIT_BYTES = 64 * 1024 * 1024
# The same for bytes that wait while the broker stands still at a point.
WAITING_LIMIT_BYTES = 64 * 1024 * 1024


class Guard:
    """Watches the connections of one gateway; `hang_up` takes a session and the reason."""

    def __init__(self, broker: Broker, hang_up: Callable[[int, str], None]) -> None:
        self._broker = broker
        self._hang_up = hang_up
        self._open: set[int] = set()
        self._alarms: dict[int, asyncio.TimerHandle] = {}
        self._waiting: Counter[int] = Counter()

    def opened(self, session: int) -> None:
        """Count a connection in, and give it until its deadline to send startApi."""
        self._open.add(session)
        most = self._broker.settings.connections_max
        if len(self._open) > most:
            self._hang_up(session, f"there are {len(self._open)} connections, the limit is {most}")
            return
        self._await_start(session)

    def received(self, session: int, count: int) -> None:
        """Count the bytes of a client that wait because the broker stands still."""
        if self._broker.halted is None:
            self._waiting.clear()
            return
        self._waiting[session] += count
        if self._waiting[session] > WAITING_LIMIT_BYTES:
            limit = f"the limit is {WAITING_LIMIT_BYTES}"
            self._hang_up(session, f"{self._waiting[session]} bytes wait unprocessed, {limit}")

    def wrote(self, session: int, transport: asyncio.Transport) -> None:
        """Cut off a client that leaves too much unread."""
        unsent = transport.get_write_buffer_size()
        if unsent > UNSENT_LIMIT_BYTES:
            transport.abort()
            limit = f"the limit is {UNSENT_LIMIT_BYTES}"
            self._hang_up(session, f"the client does not read: {unsent} bytes wait, {limit}")

    def closing(self, session: int, transport: asyncio.Transport) -> None:
        """Let a socket that is being closed send what is left, but not for ever."""
        self._set_alarm(session, FAREWELL_SECONDS, transport.abort)

    def gone(self, session: int) -> None:
        """Forget a connection."""
        self._open.discard(session)
        self._waiting.pop(session, None)
        self._clear_alarm(session)

    def close(self) -> None:
        """Forget all connections."""
        for session in tuple(self._open):
            self.gone(session)

    def _await_start(self, session: int) -> None:
        seconds = self._broker.settings.handshake_deadline.total_seconds()
        self._set_alarm(session, seconds, lambda: self._check_start(session))

    def _check_start(self, session: int) -> None:
        if self._broker.halted is not None:
            self._await_start(session)  # Its startApi may wait for the broker.
        elif self._broker.awaits_start(session):
            seconds = self._broker.settings.handshake_deadline.total_seconds()
            self._hang_up(session, f"no startApi within {seconds:g} s of the connection")

    def _set_alarm(self, session: int, seconds: float, act: Callable[[], None]) -> None:
        self._clear_alarm(session)
        self._alarms[session] = asyncio.get_running_loop().call_later(seconds, act)

    def _clear_alarm(self, session: int) -> None:
        alarm = self._alarms.pop(session, None)
        if alarm is not None:
            alarm.cancel()
