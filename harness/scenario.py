"""A scenario: a story that is played, crashed and judged.

It is plain Python at the module level of a file scenarios/test_*.py. `build` turns named choices
into the parts of a case; the conditions say what must have happened for a verdict to count, the
expectations how the story must end, and the invariants hold as well, all of them by default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue, ValidationError

from fakebroker.market.tape import Bar, TapeError
from fakebroker.settings import BrokerSettings
from harness.case import Case, Crash
from harness.checks import Condition, Expectation, Invariant
from harness.downtime.broker_faults import trouble_of
from harness.errors import UserError
from harness.explore.draw import PLAIN, Choices, draw
from harness.explore.standing import Standing
from harness.explore.trial import Trial
from harness.faults.servers import ServerFault, check_outages
from harness.history.reading import first_words
from harness.invariants import ALL_INVARIANTS
from harness.vocabulary import Vocabulary, crashes_of

STORES: tuple[str, ...] = ("json", "sqlite", "redis")


@dataclass(frozen=True, slots=True)
class CaseParts:
    """What a scenario adds to a case; see `Case` for the fields."""

    tape: tuple[Bar, ...]
    watchlist: dict[str, JsonValue]
    crashes: tuple[Crash, ...]
    broker: BrokerSettings = PLAIN
    ends_at: datetime | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    outages: tuple[ServerFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story of the gate.

    Attributes:
        name: a slug, unique among the scenarios; it begins the replay token.
        title: the story in half a line, for headlines.
        story: what happens and why it is dangerous, for a person.
        build: makes the parts of a case from named choices; pure.
        requires: what must have happened, else INCONCLUSIVE.
        expectations: how the story must end.
        invariants: the laws that are checked, all of them by default.
        vocabulary: what a sweep may do to the story beside its crashes.
        swept: whether it is made to be swept: a day that ends well without a crash.
        where: the points at which it is swept, by what the broker has there, and then with its
            crashes and words only; None: everywhere, with everything.
    """

    name: str
    title: str
    story: str
    build: Callable[[Choices], CaseParts]
    requires: tuple[Condition, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    invariants: tuple[Invariant, ...] = ALL_INVARIANTS
    vocabulary: Vocabulary = field(default_factory=dict)
    swept: bool = False
    where: Callable[[Standing], bool] | None = None

    def case(self, store: str, *, seed: int = 0, trial: str = "") -> Case:
        """Build the case of a store and a seed.

        Args:
            store: what the bot keeps its state in.
            seed: draws the named choices; 0 takes the plain ones.
            trial: what a sweep does to the story (see `trial.py`); its crashes take the place of
                the story's own.

        Raises:
            UserError: the store is unknown, the seed is negative, the scenario's tape cannot be
                read, the trial says what we do not know, or the parts do not make a case.
        """
        if store not in STORES:
            raise UserError(f"unknown store {store!r}; choose one of {', '.join(STORES)}")
        if seed < 0:
            raise UserError(f"the seed {seed} is negative; give 0 or more")
        try:
            parts = self.build(draw(seed))
            twist = Trial.parse(trial) if trial else None
            crashes = parts.crashes if twist is None else crashes_of(twist, self.vocabulary)
            outages = parts.outages if twist is None else twist.outages
            check_outages(outages, store=store, bars=[bar.time for bar in parts.tape])
            return Case(
                scenario=self.name,
                store=store,
                seed=seed,
                tape=parts.tape,
                watchlist=parts.watchlist,
                broker=troubled(parts.broker, twist),
                crashes=crashes,
                ends_at=parts.ends_at if twist is None or twist.ends is None else twist.ends,
                call_faults=() if twist is None else twist.fails,
                outages=outages,
                trial="" if twist is None else str(twist),
                environment=dict(parts.environment),
            )
        except ValidationError as error:
            raise UserError(f"scenario {self.name!r}: {first_words(error)}") from error
        except (TapeError, OSError) as error:
            raise UserError(f"scenario {self.name!r}: {error}") from error


def troubled(broker: BrokerSettings, trial: Trial | None) -> BrokerSettings:
    """A broker that has the faults of a trial all day.

    Raises:
        UserError: a fault is unknown.
    """
    if trial is None or not trial.troubles:
        return broker
    faults = [trouble_of(slug).fault for slug in trial.troubles]
    return broker.model_copy(update={"faults": (*broker.faults, *faults)})
