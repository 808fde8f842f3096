"""The one place of the harness that reads a clock, and only to give up in time.

Wall time never reaches a history or a verdict: exchange time comes from the broker. What is
measured here is how long the harness has waited.
"""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta


class Deadline:
    """A moment `seconds` from its creation, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the deadline is over."""
        return self.left == 0.0

    @property
    def waited(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self.started


class Wall:
    """The market's time where it goes by the wall clock, so many times as fast."""

    def __init__(self, begins: datetime, *, speed: float) -> None:
        self._begins = begins
        self._speed = speed
        self._started = time.monotonic()

    def now(self) -> datetime:
        """The market's present."""
        return self._begins + timedelta(seconds=(time.monotonic() - self._started) * self._speed)

    def left(self, due: datetime) -> float:
        """Seconds of the wall clock until a moment of the market, never negative."""
        return max(0.0, (due - self.now()).total_seconds() / self._speed)


class Stopwatch:
    """How long the parts of some runs took, in seconds of the wall clock; for benchmarks.

    Parts do not nest: what is measured inside a part is taken off it.
    """

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._inner = 0.0

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what happens inside to a part."""
        began, outer, self._inner = time.perf_counter(), self._inner, 0.0
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.parts[name] = self.parts.get(name, 0.0) + took - self._inner
            self._inner = outer + took
