"""Cuts off the clients that would hold up the others: silent, slow or one too many.

Deadlines here are of the wall and not of the exchange, because what they protect is this process.
Every cut leaves its reason in the journal, as a broken frame does. How a connection that ends is
let go, so that its client can read why, is here, too.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from fakebroker.broker import Broker

# A connection that we have ended is dropped after this time if its client does not end it, too.
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


class Farewells:
    """The connections that we have ended and whose clients have not, by session.

    A socket that is closed with bytes unread makes the kernel send RST, and RST takes from the
    client what it has not read yet: the error that says why. So only our sending side is shut
    down, once everything is sent, and what still comes is read and thrown away until the client
    closes, too, or its time is over.
    """

    def __init__(self, most: int) -> None:
        """Wait for at most so many clients at once; further ones are dropped without."""
        self._most = most
        self._leaving: dict[int, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def __contains__(self, session: object) -> bool:
        """Say whether a connection was ended by us and is still there."""
        return session in self._leaving

    def __len__(self) -> int:
        """Return how many connections we wait for."""
        return len(self._leaving)

    def begin(self, session: int, transport: asyncio.Transport) -> None:
        """Send what is left, then the end; go on reading."""
        alarm = asyncio.get_running_loop().call_later(FAREWELL_SECONDS, transport.abort)
        self._leaving[session] = transport, alarm
        if len(self._leaving) > self._most:
            transport.abort()
            return
        try:
            transport.write_eof()
        except OSError:
            # The client has gone already: nobody is left to read anything.
            transport.abort()
            return
        # A fault may have silenced it, and then its end would never be seen.
        transport.resume_reading()

    def over(self, session: int) -> None:
        """Forget a connection that is gone."""
        left = self._leaving.pop(session, None)
        if left is not None:
            left[1].cancel()

    def close(self) -> None:
        """Drop all of them."""
        for transport, alarm in self._leaving.values():
            alarm.cancel()
            transport.abort()
