"""Where the broker's time comes from; the only module of fakebroker that reads a clock."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from fakebroker.journal import EXCHANGE_ZONE


class Clock(Protocol):
    """Tells exchange time."""

    def now(self) -> datetime:
        """Return exchange time, aware."""

    def seconds_until(self, due: datetime) -> float | None:
        """Return how many real seconds pass until `due`; `None` when only steps move time."""


class RealClock:
    """Exchange time that starts at `start` and runs `speed` times as fast as the wall."""

    def __init__(self, start: datetime, *, speed: float, monotonic: Callable[[], float]) -> None:
        self._start = start
        self._speed = speed
        self._monotonic = monotonic
        self._zero = monotonic()

    def now(self) -> datetime:
        """Return the exchange time that corresponds to this moment."""
        return self._start + timedelta(seconds=(self._monotonic() - self._zero) * self._speed)

    def seconds_until(self, due: datetime) -> float:
        """Return the real seconds until `due`, never negative."""
        return max(0.0, (due - self.now()).total_seconds() / self._speed)


class LockstepClock:
    """Exchange time that moves only when the tape is stepped."""

    def __init__(self, broker_now: Callable[[], datetime]) -> None:
        self._broker_now = broker_now

    def now(self) -> datetime:
        """Return the time of the last step."""
        return self._broker_now()

    def seconds_until(self, due: datetime) -> None:  # noqa: ARG002 - the answer is the same for all
        """Return `None`: nothing becomes due by itself."""
        return


def wall_now() -> datetime:
    """Return the wall clock's time in New York."""
    return datetime.now(EXCHANGE_ZONE)  # noqa: TID251 - this is the clock module
