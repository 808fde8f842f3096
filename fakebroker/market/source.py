"""What the market does next: a bar that is over, a trade, a halt; or nothing, without a tape."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from fakebroker.market.postpone import PostponeError, moved
from fakebroker.market.tape import Bar, Halt, Tape, Tick

MarketEvent = Bar | Tick | Halt
NO_TAPE = Tape(())
NO_TIME = timedelta(0)


class Market:
    """What is still to come of a tape. A bar is due when it ends, all else when it happens.

    Without a tape nothing comes: stocks then trade at the settings' `price_without_tape`.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        self._tape = tape or NO_TAPE
        self._next_tick = 0
        self._next_halt = 0
        self.played = 0
        """How many bars are over."""
        self.postponed = NO_TIME
        """How much later than the tape said its things come."""

    @property
    def left(self) -> int:
        """How many bars are to come."""
        return len(self._tape.bars) - self.played

    @property
    def by_tick(self) -> bool:
        """Whether trades make the prices; bars then only sum them up."""
        return bool(self._tape.ticks)

    @property
    def tape(self) -> Tape:
        """The whole tape; what is ahead of now is for nobody's eyes but the market's."""
        return self._tape

    @property
    def cursor(self) -> int:
        """How many things of the tape have come; `go_to` goes on after as many."""
        return self.played + self._next_tick + self._next_halt

    def go_to(self, cursor: int) -> Iterator[MarketEvent]:
        """Yield the things of the tape up to the first `cursor` ones, which have been told before.

        Raises:
            IndexError: The tape is shorter.
        """
        while self.cursor < cursor:
            yield self.pop()

    def postpone(self, by: timedelta) -> None:
        """Let all that is still to come of the tape come so much later.

        Raises:
            PostponeError: Bars would no longer begin where a period begins.
        """
        tape, period = self._tape, self._tape.period
        if by <= NO_TIME or by % period:
            raise PostponeError(
                f"the market cannot stand still for {by}: use whole bars of {period}"
            )
        self._tape = replace(
            tape,
            bars=moved(tape.bars, self.played, by),
            halts=moved(tape.halts, self._next_halt, by),
            ticks=moved(tape.ticks, self._next_tick, by),
        )
        self.postponed += by

    def next_end(self) -> datetime | None:
        """Return when the next thing is due."""
        found = self._peek()
        return found[0] if found is not None else None

    def pop(self) -> MarketEvent:
        """Return what comes next and go on to what comes after it.

        Raises:
            IndexError: Nothing is to come.
        """
        found = self._peek()
        if found is None:
            raise IndexError("the tape has been played to its end")
        _, event = found
        match event:
            case Bar():
                self.played += 1
            case Halt():
                self._next_halt += 1
            case Tick():
                self._next_tick += 1
        return event

    def _peek(self) -> tuple[datetime, MarketEvent] | None:
        """Return what comes first; of one instant a bar, which is over, before what begins."""
        tape = self._tape
        dues: list[tuple[datetime, MarketEvent]] = []
        if self.played < len(tape.bars):
            bar = tape.bars[self.played]
            dues.append((bar.time + tape.period, bar))
        if self._next_halt < len(tape.halts):
            halt = tape.halts[self._next_halt]
            dues.append((halt.time, halt))
        if self._next_tick < len(tape.ticks):
            tick = tape.ticks[self._next_tick]
            dues.append((tick.time, tick))
        return min(dues, key=lambda due: due[0], default=None)
