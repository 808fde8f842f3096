"""Which servers are away when, in a sweep: where a save decides, alone and with a crash meanwhile.

Three moments of the learned day matter: the bar before the first entry, so that the bot cannot save
what it is about to send; the middle of the first position; and the bar before its exit.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from harness.explore.trial import Kill, Trial
from harness.faults.servers import LockedDatabase, RedisOutage
from harness.history import Event, History
from harness.points import Quiet

LASTS_BARS = 3
"""The longest outage. A bot that saves every second bar has to save in it, and has a bar more in
which it reads on once it has given up waiting for a lock."""


def outage_trials(history: History, store: str, *, every_bar: bool = False) -> tuple[Trial, ...]:
    """The trials with an outage, each without a crash and then with one while it lasts.

    Args:
        history: a clean run.
        store: what the bot keeps its state in; one that is a file has no server.
        every_bar: begin at every bar, and not only where it matters.
    """
    bars = list(dict.fromkeys(start_of(event) for event in history.of_kind("bar")))
    last = len(bars) - LASTS_BARS
    begins = range(last) if every_bar else moments(history, bars)
    return tuple(
        trial
        for begin in begins
        if 0 <= begin < last
        for trial in trials_from(bars[begin : begin + LASTS_BARS + 1], store)
    )


def moments(history: History, bars: Sequence[datetime]) -> tuple[int, ...]:
    """The numbers of the bars that matter; three spread over a day on which nothing is traded."""
    told = history.of_kind("bar")

    def bar_of(seq: int) -> int:
        """The number of the last bar before a place in the history."""
        return bars.index(max(start_of(bar) for bar in told if bar.seq < seq))

    fills = [fill for fill in history.fills if told and fill.seq > told[0].seq]
    entry = next((fill for fill in fills if fill.position_before == 0), None)
    if entry is None:
        return tuple(dict.fromkeys(len(bars) * quarter // 4 for quarter in (1, 2, 3)))
    entered = bar_of(entry.seq)
    flat = (fill for fill in fills if fill.seq > entry.seq and fill.position_after == 0)
    exit_fill = next((fill for fill in flat if fill.symbol == entry.symbol), None)
    left = bar_of(exit_fill.seq) if exit_fill is not None else len(bars) - LASTS_BARS
    return tuple(dict.fromkeys((entered - 1, (entered + left) // 2, left - 1)))


def start_of(bar: Event) -> datetime:
    """When a bar starts, which is what it is called by."""
    return datetime.fromisoformat(str(bar.data["start"]))


def trials_from(bars: Sequence[datetime], store: str) -> Iterator[Trial]:
    """The trials whose outage begins at the first of some bars in a row."""
    first, second, third, fourth = bars
    at_once, later, last = (Kill(point=Quiet(after_bar=bar)) for bar in (first, second, third))
    if store == "sqlite":
        waited = (LockedDatabase(after_bar=first, until=second),)
        yield Trial(outages=waited)
        given_up = (LockedDatabase(after_bar=first, until=third),)
        yield Trial(outages=given_up)
        yield Trial(outages=given_up, kills=(later,))
        long = (LockedDatabase(after_bar=first, until=fourth),)
        yield Trial(outages=long, kills=(last,))
    if store == "redis":
        down = (RedisOutage(after_bar=first, until=third),)
        yield Trial(outages=down)
        yield Trial(outages=down, kills=(later,))
        behind = (RedisOutage(after_bar=first, until=third, loses="last-second"),)
        yield Trial(outages=behind)
        yield Trial(outages=behind, kills=(at_once,))
        for loses in ("last-second", "everything"):
            again = (RedisOutage(after_bar=second, until=second, loses=loses),)
            yield Trial(outages=again)
            yield Trial(outages=again, kills=(later,))
