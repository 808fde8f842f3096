"""What a sweep has learned of its day, and the list of what it does to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from harness.downtime.broker_faults import FAULTS
from harness.explore.learned import calls_of
from harness.explore.order import Visit, place_of, visits
from harness.explore.outage_trials import outage_trials
from harness.explore.plan import (
    Learned,
    Menu,
    fail_trials,
    learn,
    learned_where,
    plain_trials,
    sample,
    several_trials,
    trouble_trials,
    word_trials,
)
from harness.explore.trial import Trial
from harness.history import History
from harness.points import CrashPoint
from harness.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Depth:
    """How far a sweep goes.

    Attributes:
        seed: draws the market's choices and moves samples.
        budget: trials at most; None: no limit.
        depth: crashes in a row, each inside the recovery from the one before; see `course`.
        exhaustive: every side of every point, and every word wherever it matters.
    """

    seed: int = 0
    budget: int | None = None
    depth: int = 1
    exhaustive: bool = False


class Itinerary:
    """The points of a day and the trials of its sweep; each part is made when it is first wanted.

    Args:
        scenario: what is swept.
        store: what the bot keeps its state in.
        depth: how far the sweep goes.
        clean: the run without crashes, made to learn.
    """

    def __init__(self, scenario: Scenario, store: str, depth: Depth, clean: History) -> None:
        self.scenario = scenario
        self.store = store
        self.depth = depth
        self.clean = clean

    @cached_property
    def learned(self) -> Learned:
        """Every point of the clean run at which the scenario is swept."""
        learned = learn(self.clean, every_side=self.depth.exhaustive)
        where = self.scenario.where
        return learned if where is None else learned_where(learned, where)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Plain crashes first, each kind in the order of the day.

        Those that follow each other can then branch off one run that never goes back.

        Raises:
            HarnessError: the clean run was not made to learn, or was cut short.
        """
        trials = [
            *plain_trials(self.learned),
            *several_trials(self.learned.kills),
            *word_trials(self.menu, seed=self.depth.seed),
        ]
        if self.scenario.where is None:
            trials += fail_trials(calls_of(self.clean), every_call=self.depth.exhaustive)
            trials += self.outages
            trials += trouble_trials(self.troubles, self.learned.kills)
        budget = self.depth.budget
        if budget is not None:
            # Each of them may be followed by one at each further depth.
            budget = max(1, budget // self.depth.depth)
        return tuple(
            sorted(
                sample(trials, budget, seed=self.depth.seed),
                key=lambda trial: place_of(trial, self._visits),
            )
        )

    @cached_property
    def _visits(self) -> Mapping[CrashPoint, Visit]:
        return visits(self.learned.kills, self.clean)

    @cached_property
    def menu(self) -> tuple[Menu, ...]:
        """The words that can happen with this store, each with the points where it matters."""
        learned = self.learned
        return tuple(
            Menu(
                word=name,
                matters=tuple(
                    kill
                    for kill, standings in learned.standings.items()
                    if all(map(word.matters, standings)) and learned.bars[kill] >= word.bars
                ),
                points=None if self.depth.exhaustive else word.points,
            )
            for name, word in self.scenario.vocabulary.items()
            if not word.stores or self.store in word.stores
        )

    @property
    def nowhere(self) -> tuple[str, ...]:
        """The words of this store that no point of the day surely has what they need for."""
        return tuple(menu.word for menu in self.menu if not menu.matters)

    @property
    def troubles(self) -> tuple[str, ...]:
        """The faults that the broker may have all day, where the scenario knows any words."""
        if not self.scenario.vocabulary:
            return ()
        return tuple(slug for slug, trouble in FAULTS.items() if trouble.phase == "before")

    @cached_property
    def outages(self) -> tuple[Trial, ...]:
        """The trials in which a server of the bot is away, where the scenario knows any words."""
        if not self.scenario.vocabulary:
            return ()
        return outage_trials(self.clean, self.store, every_bar=self.depth.exhaustive)
