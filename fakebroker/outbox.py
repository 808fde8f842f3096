"""What leaves the broker: counted, journaled, and held back at a crash point.

A reply is counted when it is made, so that its occurrence does not depend on whether it was held.
It is journaled as `sent` when its bytes are handed out, or as `lost` when a release drops it.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

from fakebroker.breakpoint import Breakpoint, Tally
from fakebroker.fault_engine import FaultEngine
from fakebroker.fault_engine.acts import Act, Parcel
from fakebroker.faults.base import How
from fakebroker.journal import Journal
from fakebroker.protocol.describe import describe
from fakebroker.protocol.replies import Reply
from fakebroker.session import Session


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the socket of a session."""

    session: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The socket of a session is to be closed."""

    session: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The socket of a session is to be reset: RST and not FIN."""

    session: int


@dataclass(frozen=True, slots=True)
class Silence:
    """The socket of a session stays open and is not read any more."""

    session: int


@dataclass(frozen=True, slots=True)
class Resume:
    """The socket of a session is read again."""

    session: int


@dataclass(frozen=True, slots=True)
class RefuseConnections:
    """The port refuses new connections."""


@dataclass(frozen=True, slots=True)
class AcceptConnections:
    """The port accepts new connections again."""


Effect = Send | Close | Reset | Silence | Resume | RefuseConnections | AcceptConnections


@dataclass(frozen=True, slots=True)
class _Held:
    session: Session
    reply: Reply
    occurrence: int


class Outbox:
    """Collects effects of one input, in order."""

    def __init__(
        self, journal: Journal, point: Breakpoint, faults: FaultEngine, *, tally: Tally
    ) -> None:
        self._journal = journal
        self._point = point
        self._tally = tally
        self._faults = faults
        self.acts: deque[Act] = deque()
        self._effects: list[Effect] = []
        self._held: deque[_Held] = deque()
        self._holding = False

    def take(self) -> list[Effect]:
        """Return the collected effects and forget them."""
        effects, self._effects = self._effects, []
        return effects

    def handshake(self, session: Session, data: bytes) -> None:
        """Send the version frame, which comes before all messages and is not one of them."""
        self._tally.sent += 1
        self._effects.append(Send(session.number, data))

    def close(self, session: Session) -> None:
        """Close a session's socket from our side."""
        session.closed = True
        self._effects.append(Close(session.number))

    def cut(self, session: Session, how: How) -> None:
        """End a session's connection as a dying gateway does; nothing that comes now is read."""
        match how:
            case "fin":
                self.close(session)
            case "rst":
                session.closed = True
                self._effects.append(Reset(session.number))
            case _:
                assert_never(how)

    def effect(self, effect: Effect) -> None:
        """Do something to a socket or the port in its order."""
        self._effects.append(effect)

    def deliver(self, session: Session, parcel: Parcel, now: datetime) -> None:
        """Send a reply that a fault has held back; no fault acts on it again."""
        item = _Held(session, parcel.reply, parcel.occurrence)
        if session.closed or session.silent is not None:
            self._record("lost", item, now)
        else:
            self._hand_out(item, now)

    def emit(self, session: Session, reply: Reply, now: datetime) -> None:
        """Send a reply to a session, or hold it when the broker stands still."""
        if session.closed:
            return
        message = reply.MESSAGE
        item = _Held(session, reply, self._point.count("out", message))
        if self._reached(item, "unsent"):
            self._stand_still(now)
        if self._holding:
            self._held.append(item)
            return
        self._send(item, now)
        if self._reached(item, "sent"):
            self._stand_still(now)

    def hold(self) -> None:
        """Hold everything that is emitted from here on."""
        self._holding = True

    def release(self, now: datetime, *, deliver: bool) -> None:
        """Send what was held, as far as to the point that is armed next; or lose it."""
        self._holding = False
        held, self._held = self._held, deque()
        while held and not self._holding:
            item = held.popleft()
            if not deliver:
                self._record("lost", item, now)
            elif self._reached(item, "unsent"):
                self._stand_still(now)
                held.appendleft(item)
            else:
                self._send(item, now)
                if self._reached(item, "sent"):
                    self._stand_still(now)
        self._held.extend(held)

    def waits(self, message: str, occurrence: int) -> bool:
        """Whether a reply is held."""
        return any(
            (each.reply.MESSAGE, each.occurrence) == (message, occurrence) for each in self._held
        )

    def _reached(self, item: _Held, moment: Literal["unsent", "sent"]) -> bool:
        return self._point.reached(
            "out", item.reply.MESSAGE, occurrence=item.occurrence, moment=moment
        )

    def _stand_still(self, now: datetime) -> None:
        self._journal.point("halted", self._point.halt(), now)
        self.hold()

    def _send(self, item: _Held, now: datetime) -> None:
        """Send a reply, or what faults make of it."""
        session = item.session
        if session.closed or session.silent is not None:
            self._record("lost", item, now)
            return
        if self._faults.none_armed:
            self._hand_out(item, now)
            return
        parcel = Parcel(session.number, session.client_id, item.reply, item.occurrence)
        outgoing = self._faults.reply(parcel, now)
        self.acts += outgoing.acts
        if not outgoing.parcels and not outgoing.held:
            self._record("lost", item, now)
        for part in outgoing.parcels:
            self._hand_out(_Held(session, part.reply, part.occurrence), now, outgoing.bytes_max)
        if outgoing.cut is not None:
            self.cut(session, outgoing.cut)

    def _hand_out(self, item: _Held, now: datetime, bytes_max: int | None = None) -> None:
        """Hand the bytes of a reply to the socket: all, so many at most, or with 0 half of them."""
        self._tally.sent += 1
        data = item.session.connection.send(item.reply)
        if bytes_max is not None:
            self._record("lost", item, now)
            data = data[: min(bytes_max or len(data) // 2, len(data) - 1)]
        else:
            self._record("sent", item, now)
        self._effects.append(Send(item.session.number, data))

    def _record(self, kind: str, item: _Held, now: datetime) -> None:
        self._journal.write(
            kind,
            now,
            session=item.session.number,
            client_id=item.session.client_id,
            message=item.reply.MESSAGE,
            occurrence=item.occurrence,
            fields=describe(item.reply),
            **({"direction": "out"} if kind == "lost" else {}),
        )
