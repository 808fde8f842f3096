"""Whether the bot can reach the broker, and the broker IB, as far as a history has been read."""

from dataclasses import dataclass

from harness.history import Event

LINE_DOWN = ("1100", "2110")
LINE_UP = ("1101", "1102")


@dataclass(slots=True)
class Link:
    """The connections of the bot's current process.

    At the end of a run the harness ends the bot before the books are read; `stood` is what was so
    when the market did something last.

    Attributes:
        sessions: those that have finished their handshake and are open.
        known: whether this process has had any session; before, nothing is known.
        line_down: the broker has said that its own line to IB is down.
        stood: whether the bot was connected at the last bar.
    """

    sessions: frozenset[int] = frozenset()
    known: bool = False
    line_down: bool = False
    stood: bool = True

    def apply(self, event: Event) -> None:
        """Take an event."""
        match event.kind:
            case "launched":
                self.sessions, self.known, self.line_down, self.stood = (
                    frozenset(),
                    False,
                    False,
                    True,
                )
            case "session":
                self._session(str(event.data.get("event")), int(str(event.data.get("session"))))
            case "sent" if event.data.get("message") == "error":
                self._error(event.data.get("fields"))
            case "bar" | "ready":
                self.stood = self._connected
            case _:
                pass

    def copy(self) -> "Link":
        """The same, for what happens next."""
        return Link(self.sessions, self.known, self.line_down, self.stood)

    def stands(self, *, at_end: bool) -> bool:
        """Whether the bot could do something now; `at_end` when it has been ended already."""
        return (self.stood if at_end else self._connected) and not self.line_down

    @property
    def _connected(self) -> bool:
        return bool(self.sessions) or not self.known

    def _session(self, what: str, number: int) -> None:
        if what == "ready":
            self.known = True
            self.sessions |= {number}
        elif what == "disconnected":
            self.sessions -= {number}

    def _error(self, fields: object) -> None:
        code = str(fields.get("code")) if isinstance(fields, dict) else ""
        if code in LINE_DOWN:
            self.line_down = True
        elif code in LINE_UP:
            self.line_down = False
