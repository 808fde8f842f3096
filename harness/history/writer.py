"""Merges the broker's journal and the harness's own events into one history, in one order.

The journal's order is the broker's; the harness puts its events between the journal's lines at
places that the run fixes (quiet, standstill, death), so that the same case writes the same bytes.
No wall time, ports, process ids or paths are written. What is written is written at once, so a
run that breaks off keeps its history.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from fakebroker.control_messages import Books
from harness.errors import HarnessError
from harness.history.belief import Belief
from harness.points.quiet import NEW_YORK

Line = dict[str, Any]
JOURNAL_LINE = re.compile(r'\{"seq": ?\d+, ?(?P<rest>"time": ?"(?P<time>[^"]+)", ?"kind": ?".*\})')
"""How a finished line of the broker's journal looks (`fakebroker/journal.py`)."""


class HistoryWriter:
    """Writes one history file; use as a context manager."""

    def __init__(self, path: Path, journal: Path) -> None:
        self.path = path
        self._journal = journal.open("r", encoding="utf-8")
        self._file = path.open("x", encoding="utf-8")
        self._rest = ""
        self._seq = 0
        self._told = ""

    @property
    def time(self) -> datetime:
        """Exchange time of the last line."""
        assert self._told, "nothing has been written"
        return datetime.fromisoformat(self._told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._journal.close()

    def drain(self) -> None:
        """Take over what the broker has written since the last time."""
        self._take_over(self._fresh())

    @property
    def written(self) -> int:
        """How many lines there are."""
        return self._seq

    def go_on_with(self, lines: Sequence[str]) -> None:
        """Write what another run has been through, in the place of this one.

        Args:
            lines: of its history, as they stand there.
        """
        for line in lines:
            self._seq += 1
            self._file.write(f'{{"seq":{self._seq},{line.partition(",")[2]}\n')
        self._told = json.loads(lines[-1])["time"] if lines else self._told
        self._file.flush()

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
        lost = [number for number, line in enumerate(fresh) if is_disconnect(line)]
        place = lost[0] if lost else len(fresh)
        self._take_over(fresh[:place])
        self._own(kind, now, fields)
        self._take_over(fresh[place:])

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

    def _fresh(self) -> list[str]:
        *lines, self._rest = (self._rest + self._journal.read()).split("\n")
        return lines

    def _take_over(self, lines: Sequence[str]) -> None:
        """Write lines of the journal, each with a number of ours and its source.

        They are not parsed: a run takes over a thousand of them, and only the beginning changes.

        Raises:
            HarnessError: a line does not begin as the journal's do.
        """
        for line in lines:
            found = JOURNAL_LINE.match(line)
            if found is None:
                raise HarnessError(f"the broker's journal is damaged: {line[:80]!r}")
            self._seq += 1
            self._told = found["time"]
            self._file.write(
                f'{{"seq":{self._seq},"source":"broker",{line[found.start("rest") :]}\n'
            )
        self._file.flush()

    def _write(self, source: str, record: Line) -> None:
        self._seq += 1
        self._told = record["time"]
        line = {"seq": self._seq, "source": source, **record}
        self._file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        self._file.flush()


def is_disconnect(line: str) -> bool:
    """Whether a line of the journal says that a client's connection is gone."""
    if '"disconnected"' not in line:
        return False
    record = json.loads(line)
    return bool(record.get("kind") == "session" and record.get("event") == "disconnected")


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
