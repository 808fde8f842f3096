"""Runs a swarm: flocks of random trials, each flock on a day that it has learned."""

from collections.abc import Callable, Iterator, Sequence

from harness.explore.learned import calls_of
from harness.explore.plan import Learned, Menu
from harness.explore.swarm import (
    Flock,
    depth_of,
    draw_trial,
    flocks,
    second_kill,
    words_of_flock,
)
from harness.explore.trial import Kill, Trial
from harness.itinerary import Depth
from harness.result import Result
from harness.scenario import STORES, Scenario
from harness.sweep import Sweep

SweepMaker = Callable[[Scenario, str, Depth], Sweep]


def run_swarm(
    scenarios: Sequence[Scenario],
    make: SweepMaker,
    *,
    seed: int,
    budget: int,
    deepest: int,
) -> Iterator[Result]:
    """Run random trials; the same seed and budget run the same ones.

    Args:
        scenarios: what is drawn from.
        make: makes the sweep of a scenario, a store and a depth.
        seed: draws scenario, store, market, crash, downtime and faults.
        budget: how many trials.
        deepest: crashes in a row at most.

    Raises:
        HarnessError: a run could not be made at all.
    """
    for flock in flocks(seed, budget, scenarios=len(scenarios), stores=len(STORES)):
        scenario, store = scenarios[flock.scenario], STORES[flock.store]
        sweep = make(scenario, store, Depth(seed=flock.market))
        for trial in trials_of(flock, sweep, deepest=deepest):
            yield sweep.run(trial)


class Fits:
    """Which words of a menu fit at a crash: one that does not shows nothing."""

    def __init__(self, menu: Sequence[Menu], learned: Learned) -> None:
        self._points = {each.word: frozenset(each.matters) for each in menu}
        self._known = learned.standings.keys()

    def at(self, kill: Kill) -> tuple[str, ...]:
        """The words that surely fit; where nothing is known of the broker, those that always do."""
        return tuple(
            word
            for word, points in self._points.items()
            if kill in points or (kill not in self._known and len(points) == len(self._known))
        )


def trials_of(flock: Flock, sweep: Sweep, *, deepest: int) -> Iterator[Trial]:
    """The trials of one flock, in their order."""
    learned = sweep.learned()
    calls = calls_of(sweep.clean)
    menu, outages = sweep.itinerary.menu, sweep.itinerary.outages
    chosen = words_of_flock(flock, [each.word for each in menu])
    fits = Fits([each for each in menu if each.word in chosen], learned)
    for number in range(flock.size):
        trial = draw_trial(
            flock, number, kills=learned.kills, words=fits.at, calls=calls, outages=outages
        )
        crashes = depth_of(flock, number, deepest) if trial.kills else 1
        for depth in range(2, crashes + 1):
            kill = second_kill(flock, number, depth, sweep.recovery_of(trial))
            if kill is None:
                break
            trial = trial.model_copy(update={"kills": (*trial.kills, kill)})
        yield trial
