"""The exact point at which the broker stands still.

Counts every message in both directions from the start of the process and says, for each, whether
the armed point has been reached. It holds no messages and sends nothing: the broker asks and obeys.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from fakebroker.control_messages import InMoment, OutMoment, Point


class PointError(Exception):
    """The point cannot be armed or left; the message says why."""


@dataclass(slots=True)
class Tally:
    """How much has come and gone since the process began.

    Points and faults that ask for the n-th message go by it, and nothing else.

    Attributes:
        passed: messages by direction and name.
        received: frames that came.
        sent: frames that left.
    """

    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    received: int = 0
    sent: int = 0


class Breakpoint:
    """One point at a time: unarmed, armed, or halted at it."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.halted: Point | None = None
        self._armed: Point | None = None
        self._tally = Tally() if tally is None else tally

    def count(self, direction: Literal["in", "out"], message: str) -> int:
        """Count one more message of a kind and return its occurrence, from 1."""
        passed, key = self._tally.passed, (direction, message)
        passed[key] = count = passed[key] + 1
        return count

    def arm(self, point: Point) -> None:
        """Arm a point, replacing the one before.

        Raises:
            PointError: The broker stands still already, or the occurrence has passed.
        """
        if self.halted is not None:
            raise PointError(f"the broker stands still at {self.halted}: release it first")
        self._require_ahead(point)
        self._armed = point

    def reached(
        self,
        direction: Literal["in", "out"],
        message: str,
        *,
        occurrence: int,
        moment: InMoment | OutMoment,
    ) -> bool:
        """Say whether this is the armed point."""
        armed = self._armed
        return armed is not None and (
            armed.direction,
            armed.message,
            armed.occurrence,
            armed.moment,
        ) == (direction, message, occurrence, moment)

    def halt(self) -> Point:
        """Stand still at the armed point and return it."""
        assert self._armed is not None, "halt without an armed point"
        self.halted, self._armed = self._armed, None
        return self.halted

    def release(self, then: Point | None = None, *, waits: bool = False) -> Point:
        """Leave the point and return it.

        Args:
            then: Armed at once, before anything that waits goes on; replaces the one before.
            waits: Its message has been counted and waits at the point that is left.

        Raises:
            PointError: The broker does not stand still, or the occurrence of `then` has passed.
        """
        if self.halted is None:
            raise PointError("the broker does not stand still at any point: nothing to release")
        if then is not None and not waits:
            self._require_ahead(then)
        self._armed = then or self._armed
        point, self.halted = self.halted, None
        return point

    def _require_ahead(self, point: Point) -> None:
        passed = self._tally.passed[point.direction, point.message]
        if passed >= point.occurrence:
            raise PointError(
                f"occurrence {point.occurrence} of {point.message} ({point.direction}) has passed: "
                f"{passed} were seen; arm a later one, or arm it before"
            )


def answer_to(point: Point) -> Point | None:
    """The moment after the one at which a request was processed; None at any other."""
    if point.moment != "processed":
        return None
    return point.model_copy(update={"moment": "answered"})
