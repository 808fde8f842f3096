"""The one place of the harness that reads a clock, and only to give up in time.

Wall time never reaches a history or a verdict: exchange time comes from the broker. What is
measured here is how long the harness has waited.
"""

import time


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
