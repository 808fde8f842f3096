"""One client's connection as a state machine: bytes in, events out; replies in, bytes out.

It cannot do I/O. `STATES` is the whole life: what the bytes are taken for in each state. When
something is wrong the last event is `ProtocolFailed`, after everything that came whole before it,
so the events do not depend on how the bytes were cut. From then on bytes are dropped: a server
closes the socket.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final

from fakebroker.protocol import versions
from fakebroker.protocol.decode_requests import decode
from fakebroker.protocol.encode_replies import encode
from fakebroker.protocol.fields import INTEGER, join_fields, split_payload
from fakebroker.protocol.framing import (
    FRAME_LIMIT,
    FrameReader,
    FrameTooLongError,
    ProtocolError,
    frame,
)
from fakebroker.protocol.replies import Reply
from fakebroker.protocol.requests import Request, StartApi

PREFIX: Final = b"API\0"
VERSION_OFFER: Final = re.compile(r"v([0-9]{1,6})(?:\.\.([0-9]{1,6}))?(?: (.*))?", re.DOTALL)


class ConnectionState(Enum):
    """What the next bytes of the client are taken for."""

    AWAIT_PREFIX = auto()
    AWAIT_VERSION = auto()
    AWAIT_START = auto()
    READY = auto()
    CLOSED = auto()


class Step(Enum):
    """What moves a connection on."""

    PREFIX = auto()
    VERSION = auto()
    START = auto()
    REQUEST = auto()


# Everything that is not here ends the connection (tws-protocol.md section 1).
STATES: Final[dict[tuple[ConnectionState, Step], ConnectionState]] = {
    (ConnectionState.AWAIT_PREFIX, Step.PREFIX): ConnectionState.AWAIT_VERSION,
    (ConnectionState.AWAIT_VERSION, Step.VERSION): ConnectionState.AWAIT_START,
    (ConnectionState.AWAIT_START, Step.START): ConnectionState.READY,
    (ConnectionState.READY, Step.REQUEST): ConnectionState.READY,
}


@dataclass(frozen=True, slots=True)
class VersionOffered:
    """The client speaks these versions; `handshake_reply` has the answer."""

    client_min: int
    client_max: int
    options: str = ""


@dataclass(frozen=True, slots=True)
class UnknownRequest:
    """A message whose id the protocol package does not know."""

    message_id: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProtocolFailed:
    """What the client sent is not the protocol; the connection is closed for good."""

    reason: str


Event = VersionOffered | UnknownRequest | ProtocolFailed | Request


class Connection:
    """The broker's end of one client's connection.

    Attributes:
        state: Where the connection is in its life.
        server_version: The negotiated version, None before the client has offered its own.
    """

    def __init__(self, frame_limit: int = FRAME_LIMIT) -> None:
        self.state = ConnectionState.AWAIT_PREFIX
        self.server_version: int | None = None
        self._prefix = b""
        self._reader = FrameReader(frame_limit)

    def receive(self, data: bytes) -> list[Event]:
        """Take the next bytes of the client and return what they say, in order.

        Bytes after a `ProtocolFailed` are dropped. Never raises.
        """
        if self.state is ConnectionState.CLOSED:
            return []
        events: list[Event] = []
        try:
            payloads, broken = self._cut(data)
            for payload in payloads:
                events.append(self._event(payload))  # noqa: PERF401 (those before a failure count)
            if broken is not None:
                raise broken
        except ProtocolError as error:
            self.state = ConnectionState.CLOSED
            events.append(ProtocolFailed(str(error)))
        return events

    def handshake_reply(self, connection_time: datetime) -> bytes:
        """Return the answer to a version offer: the version and the time, which must be aware.

        It must leave alone: the official client throws away what is glued to it (section 1).
        """
        assert self.server_version is not None, "no version has been offered"
        if connection_time.tzinfo is None:
            raise ValueError(f"the connection time {connection_time} has no zone")
        time = connection_time.strftime("%Y%m%d %H:%M:%S %Z")
        return frame(join_fields([str(self.server_version), time]))

    def send(self, reply: Reply) -> bytes:
        """Return the frame of a reply for the negotiated version."""
        assert self.server_version is not None, "nothing may be sent before the handshake"
        return frame(join_fields(encode(reply, self.server_version)))

    def _cut(self, data: bytes) -> tuple[list[bytes], FrameTooLongError | None]:
        """Return the payloads that the bytes complete, and what makes the rest unreadable."""
        if self.state is ConnectionState.AWAIT_PREFIX:
            data = self._prefix + data
            self._prefix = data[: len(PREFIX)]
            if len(data) < len(PREFIX):
                return [], None
            if self._prefix != PREFIX:
                raise ProtocolError(f"the connection begins with {self._prefix!r}, not {PREFIX!r}")
            self._move(Step.PREFIX, "the prefix")
            data = data[len(PREFIX) :]
        try:
            return self._reader.feed(data), None
        except FrameTooLongError as error:
            return error.payloads, error

    def _event(self, payload: bytes) -> Event:
        if self.state is ConnectionState.AWAIT_VERSION:
            return self._version_offered(payload)
        assert self.server_version is not None, "requests come after the handshake"
        first, *fields = split_payload(payload)
        if INTEGER.fullmatch(first) is None:
            raise ProtocolError(f"a message begins with {first[:60]!r}, not with its id")
        message_id = int(first)
        request = decode(message_id, fields, self.server_version)
        if isinstance(request, StartApi):
            self._move(Step.START, request.MESSAGE)
            return request
        name = f"message {message_id}" if request is None else request.MESSAGE
        self._move(Step.REQUEST, name)
        return UnknownRequest(message_id, tuple(fields)) if request is None else request

    def _version_offered(self, payload: bytes) -> VersionOffered:
        offer = VERSION_OFFER.fullmatch(payload.decode("ascii", "backslashreplace"))
        if offer is None:
            raise ProtocolError(f"the version offer is {payload[:60]!r}, not like v157..176")
        low = int(offer[1])
        high = int(offer[2] or offer[1])
        self.server_version = versions.negotiate(low, high)
        if self.server_version is None:
            raise ProtocolError(
                f"the client speaks versions {low} to {high},"
                f" this broker {versions.LOWEST} to {versions.HIGHEST}"
            )
        self._move(Step.VERSION, "the version offer")
        return VersionOffered(low, high, offer[3] or "")

    def _move(self, step: Step, what: str) -> None:
        state = STATES.get((self.state, step))
        if state is None:
            raise ProtocolError(f"{what} came while the connection was in {self.state.name}")
        self.state = state
