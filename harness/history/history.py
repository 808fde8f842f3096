"""A history, read back: typed questions about one run.

It is judged from the stored lines alone, so it can be judged again without running anything. A
damaged history is the user's business (`UserError` with the line), never half an answer.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import UserError
from harness.history.belief import BotRules
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

BUSTED = re.compile(r"execution (\S+) was busted")
EVENTS: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
MESSAGES: TypeAdapter[list[WireMessage]] = TypeAdapter(list[WireMessage])
RecordT = TypeVar("RecordT", bound=Record)


class History:
    """The events of one run in their order."""

    def __init__(self, events: tuple[Event, ...], *, name: str = "history") -> None:
        self.events = events
        self.name = name

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], *, name: str = "history") -> Self:
        """Make a history of parsed lines.

        Raises:
            UserError: a line is not an event; the message has its number.
        """
        try:
            # All at once: a history has hundreds of lines, and each call costs more than its line.
            events = EVENTS.validate_python([{**line, "data": line} for line in lines])
        except ValidationError as error:
            number = error.errors(include_url=False)[0]["loc"][0]
            assert isinstance(number, int), "a list's errors begin with the place in it"
            raise UserError(f"{name} line {number + 1}: {first_words(error, skip=1)}") from error
        for number, (before, event) in enumerate(itertools.pairwise(events), start=2):
            if event.seq <= before.seq:
                raise UserError(
                    f"{name} line {number}: seq {event.seq} follows {before.seq}; "
                    f"the lines are not in the order in which they were written"
                )
        return cls(tuple(events), name=name)

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
        return cls.of(read_lines(text, name=path.name), name=path.name)

    def of_kind(self, kind: str) -> tuple[Event, ...]:
        """The events of one kind."""
        return tuple(event for event in self.events if event.kind == kind)

    def at(self, seq: int) -> Event:
        """The event with a given place in the order.

        Raises:
            KeyError: there is none.
        """
        return self._by_seq[seq]

    @cached_property
    def _by_seq(self) -> dict[int, Event]:
        return {event.seq: event for event in self.events}

    @cached_property
    def turns(self) -> tuple[Event, ...]:
        """The events without the messages on the wire, but with the errors that were sent."""
        return tuple(
            event
            for event in self.events
            if _direction(event) is None or event.data.get("message") == "error"
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
        told = [
            {**event.data, "direction": way, "lost": event.kind == "lost"}
            for event in self.events
            if (way := _direction(event)) is not None
        ]
        try:
            return tuple(MESSAGES.validate_python(told))
        except ValidationError as error:
            place = error.errors(include_url=False)[0]["loc"][0]
            assert isinstance(place, int), "a list's errors begin with the place in it"
            raise UserError(
                f"{self.name}: event {told[place]['seq']} ({told[place]['kind']}): "
                f"{first_words(error, skip=1)}"
            ) from error

    def received(self, message: str) -> tuple[WireMessage, ...]:
        """The messages of one kind that the broker took in."""
        return tuple(
            sighting
            for sighting in self.messages
            if sighting.direction == "in" and not sighting.lost and sighting.message == message
        )

    def sent(self, message: str) -> tuple[WireMessage, ...]:
        """The messages of one kind that the broker sent."""
        return tuple(
            sighting
            for sighting in self.messages
            if sighting.direction == "out" and not sighting.lost and sighting.message == message
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


def read_lines(text: str, *, name: str) -> list[Mapping[str, Any]]:
    """Read the JSON object on each line.

    Raises:
        UserError: a line holds none; the message has its number.
    """
    lines = text.splitlines()
    try:
        # All at once where all is well; one by one to find out which line is not.
        parsed: list[Any] = json.loads(f"[{','.join(lines)}]")
    except json.JSONDecodeError:
        parsed = []
    if len(parsed) == len(lines) and all(isinstance(each, dict) for each in parsed):
        return parsed
    return [read_line(line, where=f"{name} line {n}") for n, line in enumerate(lines, start=1)]


def read_line(line: str, *, where: str) -> Mapping[str, Any]:
    """Read one line.

    Raises:
        UserError: it holds no JSON object.
    """
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is damaged or cut off: {error}: {line[:60]!r}") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{where} is not an object: {line[:60]!r}")
    return parsed


def _direction(event: Event) -> str | None:
    match event.kind:
        case "received":
            return "in"
        case "sent":
            return "out"
        case "lost":
            return str(event.data.get("direction"))
        case _:
            return None


def first_words(error: ValidationError, *, skip: int = 0) -> str:
    """The first complaint of a validation, with the field (less `skip` parts) and the value."""
    item = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in item["loc"][skip:])
    return f"{field}: {item['msg']} (got {str(item.get('input'))[:60]!r})"
