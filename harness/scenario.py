"""A scenario: a story that is played, crashed and judged.

It is plain Python at the module level of a file scenarios/test_*.py. `build` turns named choices
into the parts of a case; the conditions say what must have happened for a verdict to count, the
expectations how the story must end, and the invariants hold as well, all of them by default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue, ValidationError

from fakebroker.market.tape import Bar, TapeError
from fakebroker.settings import BrokerSettings
from harness.case import Case, Crash
from harness.checks import Condition, Expectation, Invariant
from harness.errors import UserError
from harness.explore.draw import PLAIN, Choices, draw
from harness.history.history import first_words
from harness.invariants import ALL_INVARIANTS

STORES: tuple[str, ...] = ("json", "sqlite", "redis")


@dataclass(frozen=True, slots=True)
class CaseParts:
    """What a scenario adds to a case; see `Case` for the fields."""

    tape: tuple[Bar, ...]
    watchlist: dict[str, JsonValue]
    crashes: tuple[Crash, ...]
    broker: BrokerSettings = PLAIN
    ends_at: datetime | None = None


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
    """

    name: str
    title: str
    story: str
    build: Callable[[Choices], CaseParts]
    requires: tuple[Condition, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    invariants: tuple[Invariant, ...] = ALL_INVARIANTS

    def case(self, store: str, *, seed: int = 0) -> Case:
        """Build the case of a store and a seed.

        Raises:
            UserError: the store is unknown, the seed is negative, the scenario's tape cannot be
                read, or its parts do not make a case.
        """
        if store not in STORES:
            raise UserError(f"unknown store {store!r}; choose one of {', '.join(STORES)}")
        if seed < 0:
            raise UserError(f"the seed {seed} is negative; give 0 or more")
        try:
            parts = self.build(draw(seed))
            return Case(
                scenario=self.name,
                store=store,
                seed=seed,
                tape=parts.tape,
                watchlist=parts.watchlist,
                broker=parts.broker,
                crashes=parts.crashes,
                ends_at=parts.ends_at,
            )
        except ValidationError as error:
            raise UserError(f"scenario {self.name!r}: {first_words(error)}") from error
        except (TapeError, OSError) as error:
            raise UserError(f"scenario {self.name!r}: {error}") from error
