"""Merges the broker's journal and the harness's own events into one history, in one order.

The journal's order is the broker's; the harness puts its events between the journal's lines at
places that the run fixes (quiet, standstill, death), so that the same case writes the same bytes.
No wall time, ports, process ids or paths are written. What is written is written at once, so a
run that breaks off keeps its history.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from fakebroker.control_messages import Books
from harness.errors import HarnessError
from harness.history.belief import Belief
from harness.points.quiet import NEW_YORK

Line = dict[str, Any]


class HistoryWriter:
    """Writes one history file; use as a context manager."""

    def __init__(self, path: Path, journal: Path) -> None:
        self.path = path
        self._journal = journal.open("r", encoding="utf-8")
        self._file = path.open("x", encoding="utf-8")
        self._rest = ""
        self._seq = 0
        self._time: datetime | None = None

    @property
    def time(self) -> datetime:
        """Exchange time of the last line."""
        assert self._time is not None, "nothing has been written"
        return self._time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._journal.close()

    def drain(self) -> None:
        """Take over what the broker has written since the last time."""
        for record in self._fresh():
            self._write("broker", record)

    def note(self, kind: str, now: datetime, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Add an event of the harness after everything that the broker has written so far.

        Args:
            kind: what happened ("launched", "ready", "downtime" ...).
            now: exchange time, aware.
            **fields: what to remember of it; must be JSON.
        """
        self.drain()
        self._own(kind, now, fields)

    def note_death(self, kind: str, now: datetime, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Add that the bot has ended, before the broker's sight of the lost connection.

        The bot died by itself or at a failpoint, so the broker has seen it before the harness;
        cause stands before effect in a history.
        """
        fresh = self._fresh()
        lost = [number for number, record in enumerate(fresh) if is_disconnect(record)]
        place = lost[0] if lost else len(fresh)
        for record in fresh[:place]:
            self._write("broker", record)
        self._own(kind, now, fields)
        for record in fresh[place:]:
            self._write("broker", record)

    def note_belief(
        self, now: datetime, belief: Mapping[str, Any], *, life: int, when: str
    ) -> None:
        """Add what the bot's state said, source "bot"; `when` is "after kill" or "end"."""
        self.drain()
        fields = {"life": life, "when": when, "belief": belief}
        self._write("bot", {"time": exchange_time(now), "kind": "state", **fields})

    def note_books(self, books: Books) -> None:
        """Add the broker's books."""
        self.note("books", books.now, books=books.model_dump(mode="json"))

    def _own(self, kind: str, now: datetime, fields: Mapping[str, Any]) -> None:
        self._write("harness", {"time": exchange_time(now), "kind": kind, **fields})

    def _fresh(self) -> list[Line]:
        *lines, self._rest = (self._rest + self._journal.read()).split("\n")
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise HarnessError(f"the broker's journal is damaged: {error}") from error

    def _write(self, source: str, record: Line) -> None:
        self._seq += 1
        rest = {name: value for name, value in record.items() if name not in {"seq", "source"}}
        self._time = datetime.fromisoformat(record["time"])
        line = {"seq": self._seq, "source": source, **rest}
        self._file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        self._file.flush()


def is_disconnect(record: Line) -> bool:
    """Whether a journal record says that a client's connection is gone."""
    return record.get("kind") == "session" and record.get("event") == "disconnected"


def exchange_time(now: datetime) -> str:
    """An aware time as the journal writes it, in New York."""
    return now.astimezone(NEW_YORK).isoformat()


def read_belief(text: str) -> Line:
    """Read what a `state` command printed.

    Returns:
        the object as it was printed, every field kept.

    Raises:
        HarnessError: it is not JSON, or not a belief (see `belief.py`).
    """
    try:
        told = json.loads(text)
        Belief.model_validate(told)
    except ValueError as error:
        raise HarnessError(f"the bot's state command printed no belief: {error}") from error
    assert isinstance(told, dict), "a belief that validates is an object"
    return told
