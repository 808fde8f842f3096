"""What leaves the broker: counted, journaled, and held back at a crash point.

A reply is counted when it is made, so that its occurrence does not depend on whether it was held.
It is journaled as `sent` when its bytes are handed out, or as `lost` when a release drops it.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fakebroker.breakpoint import Breakpoint
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


Effect = Send | Close


@dataclass(frozen=True, slots=True)
class _Held:
    session: Session
    reply: Reply
    occurrence: int


class Outbox:
    """Collects effects of one input, in order."""

    def __init__(self, journal: Journal, point: Breakpoint) -> None:
        self._journal = journal
        self._point = point
        self._effects: list[Effect] = []
        self._held: deque[_Held] = deque()
        self._holding = False
        self.frames_sent = 0

    def take(self) -> list[Effect]:
        """Return the collected effects and forget them."""
        effects, self._effects = self._effects, []
        return effects

    def handshake(self, session: Session, data: bytes) -> None:
        """Send the version frame, which comes before all messages and is not one of them."""
        self.frames_sent += 1
        self._effects.append(Send(session.number, data))

    def close(self, session: Session) -> None:
        """Close a session's socket from our side."""
        session.closed = True
        self._effects.append(Close(session.number))

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
        """Send what was held, or lose it."""
        self._holding = False
        held, self._held = self._held, deque()
        for item in held:
            if deliver:
                self._send(item, now)
            else:
                self._record("lost", item, now)

    def _reached(self, item: _Held, moment: Literal["unsent", "sent"]) -> bool:
        return self._point.reached(
            "out", item.reply.MESSAGE, occurrence=item.occurrence, moment=moment
        )

    def _stand_still(self, now: datetime) -> None:
        self._journal.point("halted", self._point.halt(), now)
        self.hold()

    def _send(self, item: _Held, now: datetime) -> None:
        self.frames_sent += 1
        self._record("sent", item, now)
        self._effects.append(Send(item.session.number, item.session.connection.send(item.reply)))

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
