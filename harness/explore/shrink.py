"""From a trial that fails to the least one that fails for the same reason.

Faults are taken away first, then further crashes, then the crash is moved to the earliest point
that still fails, then the market is cut short behind what shows the failure. What is left is one
crash, at most one fault, and a handful of steps. Pure: the caller is asked whether a trial fails.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from harness.explore.trial import Kill, Trial

EARLIER_TRIED = 24
"""Earlier points that are tried at most; each costs a run."""

Fails = Callable[[Trial], bool]


def shrink(
    trial: Trial,
    fails: Fails,
    *,
    points: Sequence[Kill] = (),
    bars: Sequence[datetime] = (),
) -> Trial:
    """Return the least trial that was found to fail.

    Args:
        trial: one that fails.
        fails: runs a trial and tells whether it fails for the same reason.
        points: the learned crashes in the order of the run, to move the first crash along.
        bars: the starts of the market's bars, in order, to cut the market.
    """
    trial = _drop_all(trial, fails, without_faults)
    trial = _drop_all(trial, fails, without_crashes)
    trial = earliest(trial, fails, points)
    return shortest_market(trial, fails, bars)


def _drop_all(trial: Trial, fails: Fails, less: Callable[[Trial], Iterator[Trial]]) -> Trial:
    """Take parts away, one after the other, until none can be missed."""
    while True:
        smaller = next((each for each in less(trial) if fails(each)), None)
        if smaller is None:
            return trial
        trial = smaller


def without_faults(trial: Trial) -> Iterator[Trial]:
    """The trials with one failing call, outage or word less; nothing but crashes first."""
    bare = tuple(kill.model_copy(update={"words": ()}) for kill in trial.kills)
    if trial.kills and not trial.plain:
        nothing = {"fails": (), "outages": (), "troubles": (), "kills": bare}
        yield trial.model_copy(update=nothing)
    for number in range(len(trial.troubles)):
        left_troubles = (*trial.troubles[:number], *trial.troubles[number + 1 :])
        yield trial.model_copy(update={"troubles": left_troubles})
    for number in range(len(trial.fails)):
        left = (*trial.fails[:number], *trial.fails[number + 1 :])
        if left or trial.outages or trial.kills:
            yield trial.model_copy(update={"fails": left})
    for number in range(len(trial.outages)):
        still = (*trial.outages[:number], *trial.outages[number + 1 :])
        if still or trial.fails or trial.kills:
            yield trial.model_copy(update={"outages": still})
    for number, kill in enumerate(trial.kills):
        for place in range(len(kill.words)):
            words = (*kill.words[:place], *kill.words[place + 1 :])
            yield trial.replaced(number, kill.model_copy(update={"words": words}))


def without_crashes(trial: Trial) -> Iterator[Trial]:
    """The trials with one crash less, the last one first."""
    if len(trial.kills) < 2:
        return
    for number in reversed(range(len(trial.kills))):
        yield trial.replaced(number, None)


def earliest(trial: Trial, fails: Fails, points: Sequence[Kill]) -> Trial:
    """Move the first crash to the earliest of some points at which the trial still fails."""
    if not trial.kills:
        return trial
    first = trial.kills[0]
    alike = [kill.point for kill in points if kill.point.kind == first.point.kind]
    if first.point not in alike:
        return trial
    before = alike[: alike.index(first.point)]
    step = max(1, len(before) // EARLIER_TRIED)
    for point in before[::step]:
        moved = trial.replaced(0, first.model_copy(update={"point": point}))
        if fails(moved):
            return moved
    return trial


def shortest_market(trial: Trial, fails: Fails, bars: Sequence[datetime]) -> Trial:
    """End the market at the earliest bar after which the trial still fails, by halving."""
    low, high = 0, len(bars)
    best = trial
    while low < high:
        middle = (low + high) // 2
        cut = trial.model_copy(update={"ends": bars[middle]})
        if fails(cut):
            best, high = cut, middle
        else:
            low = middle + 1
    return best
