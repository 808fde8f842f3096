"""A history, read back: typed questions about one run.

It is judged from the stored lines alone, so it can be judged again without running anything. A
damaged history is the user's business (`UserError` with the line), never half an answer.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import ValidationError

from harness.errors import UserError
from harness.history.belief import BotRules
from harness.history.reading import Reader, events_of, first_words
from harness.history.records import (
    BooksRead,
    Event,
    Exited,
    Fill,
    Killed,
    Life,
    OrderRecord,
    Record,
    StateRead,
    WireMessage,
    root_of,
)
from harness.history.wire import WIRE, is_plain, messages_of_events

READER = Reader()
BUSTED = re.compile(r"execution (\S+) was busted")
RecordT = TypeVar("RecordT", bound=Record)
AnswerT = TypeVar("AnswerT")
ThingT = TypeVar("ThingT")


class History:
    """The events of one run in their order."""

    def __init__(self, events: tuple[Event, ...], *, name: str = "history") -> None:
        self.events = events
        self.name = name
        self._messages_of: dict[str, tuple[WireMessage, ...]] = {}
        self._answers: dict[Callable[[Self], object], object] = {}

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], *, name: str = "history") -> Self:
        """Make a history of parsed lines.

        Raises:
            UserError: a line is not an event; the message has its number.
        """
        return cls(events_of([*lines], name=name), name=name)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a history file.

        Raises:
            UserError: the file is missing, empty, not text, or a line is damaged or cut off.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot read the history {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not a history: it is not UTF-8 text ({error})") from error
        if not text:
            raise UserError(f"the history {path} is empty: the run wrote nothing")
        return cls(READER.read(text, name=path.name), name=path.name)

    def of_kind(self, kind: str) -> tuple[Event, ...]:
        """The events of one kind."""
        return self._by_kind.get(kind, ())

    def between(self, after: int, before: int) -> tuple[Event, ...]:
        """The events between two places in the order, which are not among them."""
        return self.events[bisect_right(self._seqs, after) : bisect_left(self._seqs, before)]

    def once(self, ask: Callable[[Self], AnswerT]) -> AnswerT:
        """What a function of this history answers, which it is asked once; many laws need it."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        return cast("AnswerT", self._answers[ask])

    def at(self, seq: int) -> Event:
        """The event with a given place in the order.

        Raises:
            KeyError: there is none.
        """
        return self._by_seq[seq]

    @cached_property
    def _by_kind(self) -> dict[str, tuple[Event, ...]]:
        return grouped(self.events, attrgetter("kind"))

    @cached_property
    def _seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    @cached_property
    def _by_seq(self) -> dict[int, Event]:
        return {event.seq: event for event in self.events}

    @cached_property
    def turns(self) -> tuple[Event, ...]:
        """The events without the messages on the wire, but with the errors that were sent."""
        return tuple(
            event
            for event in self.events
            if event.kind not in WIRE or event.data.get("message") == "error"
        )

    @cached_property
    def fills(self) -> tuple[Fill, ...]:
        """Every execution of the run."""
        return self._typed(Fill, "fill")

    @cached_property
    def corrections(self) -> frozenset[int]:
        """The places of fills that are corrections: they replace an earlier one of their root."""
        seen: set[str] = set()
        again: set[int] = set()
        for fill in self.fills:
            root = root_of(fill.exec_id)
            if root in seen:
                again.add(fill.seq)
            seen.add(root)
        return frozenset(again)

    @cached_property
    def busted(self) -> frozenset[str]:
        """The roots of the executions that the exchange has taken back."""
        words = [order.reason for order in self.orders if order.event == "busted"]
        found = [match[1] for text in words if (match := BUSTED.search(text))]
        return frozenset(root_of(name) for name in found)

    @cached_property
    def rewritten(self) -> bool:
        """Whether the exchange has corrected an execution or taken one back."""
        return bool(self.corrections or self.busted)

    @cached_property
    def rules(self) -> BotRules:
        """What the bot keeps to, as it told last; nothing is in it when it did not."""
        told = [state.belief.rules for state in self.states if state.belief.rules is not None]
        return told[-1] if told else BotRules()

    @cached_property
    def orders(self) -> tuple[OrderRecord, ...]:
        """Everything that happened to orders."""
        return self._typed(OrderRecord, "order")

    @cached_property
    def messages(self) -> tuple[WireMessage, ...]:
        """Every message on the wire, those that were lost included."""
        return messages_of_events(self._wire, name=self.name)

    @cached_property
    def _wire(self) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.kind in WIRE)

    def messages_of(self, message: str) -> tuple[WireMessage, ...]:
        """The messages of one kind in both directions, those that were lost included."""
        if message not in self._messages_of:
            events = self._wire_by_message.get(message, ())
            self._messages_of[message] = messages_of_events(events, name=self.name)
        return self._messages_of[message]

    @cached_property
    def _wire_by_message(self) -> dict[str, tuple[Event, ...]]:
        if not all(map(is_plain, self._wire)):
            # A damaged message is told whether or not anybody asks for its kind.
            messages_of_events(self._wire, name=self.name)
        return grouped(self._wire, lambda event: str(event.data["message"]))

    def received(self, message: str) -> tuple[WireMessage, ...]:
        """The messages of one kind that the broker took in."""
        return tuple(
            sighting
            for sighting in self.messages_of(message)
            if sighting.direction == "in" and not sighting.lost
        )

    def sent(self, message: str) -> tuple[WireMessage, ...]:
        """The messages of one kind that the broker sent."""
        return tuple(
            sighting
            for sighting in self.messages_of(message)
            if sighting.direction == "out" and not sighting.lost
        )

    @cached_property
    def kills(self) -> tuple[Killed, ...]:
        """Every kill, in order."""
        return self._typed(Killed, "killed")

    @cached_property
    def exits(self) -> tuple[Exited, ...]:
        """Every time that the bot ended by itself."""
        return self._typed(Exited, "exited")

    @cached_property
    def states(self) -> tuple[StateRead, ...]:
        """Every reading of the bot's state."""
        return self._typed(StateRead, "state")

    @cached_property
    def final_state(self) -> StateRead | None:
        """What the bot believed at the end; None when it does not tell."""
        found = [state for state in self.states if state.when == "end"]
        return found[-1] if found else None

    @cached_property
    def final_books(self) -> BooksRead | None:
        """The broker's books at the end; None when the run did not get there."""
        found = self._typed(BooksRead, "books")
        return found[-1] if found else None

    @cached_property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.events) and self.events[-1].kind == "ended"

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """The processes of the bot, in order."""
        launches = self.of_kind("launched")
        ends = [launch.seq - 1 for launch in launches[1:]]
        ends.append(self.events[-1].seq if self.events else 0)
        return tuple(self._life(launch, last) for launch, last in zip(launches, ends, strict=False))

    def _life(self, launch: Event, last: int) -> Life:
        ready = [e.seq for e in self.of_kind("ready") if launch.seq <= e.seq <= last]
        kills = [kill for kill in self.kills if launch.seq <= kill.seq <= last]
        exits = [gone for gone in self.exits if launch.seq <= gone.seq <= last]
        return Life(
            number=int(str(launch.data.get("life", 0))),
            first_seq=launch.seq,
            last_seq=last,
            ready_seq=ready[0] if ready else None,
            killed=kills[0] if kills else None,
            exited=exits[0] if exits else None,
        )

    def _typed(self, record: type[RecordT], kind: str) -> tuple[RecordT, ...]:
        return tuple(self._parse(record, event) for event in self.of_kind(kind))

    def _parse(self, record: type[RecordT], event: Event) -> RecordT:
        try:
            return record.model_validate(event.data)
        except ValidationError as error:
            raise UserError(
                f"{self.name}: event {event.seq} ({event.kind}): {first_words(error)}"
            ) from error


def grouped(
    things: Iterable[ThingT], kind_of: Callable[[ThingT], str]
) -> dict[str, tuple[ThingT, ...]]:
    """Things by their kinds, each kind in order."""
    found: defaultdict[str, list[ThingT]] = defaultdict(list)
    for thing in things:
        found[kind_of(thing)].append(thing)
    return {kind: tuple(alike) for kind, alike in found.items()}
