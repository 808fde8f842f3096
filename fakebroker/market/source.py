"""Where the next bar comes from: a tape, or nowhere."""

from collections import deque
from datetime import datetime

from fakebroker.market.tape import Bar, Tape


class Market:
    """The bars that are still to come, each due when it ends.

    Without a tape there are none: stocks then trade at the settings' `price_without_tape`.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        self._bars = deque(tape.bars if tape is not None else ())
        self._tape = tape
        self.played = 0

    @property
    def left(self) -> int:
        """How many bars are to come."""
        return len(self._bars)

    def next_end(self) -> datetime | None:
        """Return when the next bar ends, which is when it is told."""
        if not self._bars or self._tape is None:
            return None
        return self._bars[0].time + self._tape.period

    def pop(self) -> Bar:
        """Return the next bar and go on to the one after it."""
        self.played += 1
        return self._bars.popleft()
