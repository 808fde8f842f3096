"""The short name of a case that a person can paste: SCENARIO/STORE[/seed=N][/TRIAL]@HASH6.

It names the case and does not contain it: the scenario rebuilds the case, and the hash proves that
the rebuilt one is the one that was meant. Only characters that no shell treats specially.
"""

import re
from typing import Self

from pydantic import Field

from harness.case import SLUG, Case, case_id
from harness.errors import UserError
from harness.values import Value

HASH_DIGITS = 6
SHAPE = (
    "SCENARIO/STORE[/seed=N][/kill=POINT...]@HASH, for example "
    "stop-fills-while-down/sqlite/seed=7@3f9a1c"
)
PATTERN = re.compile(
    r"(?P<scenario>[a-z0-9]+(?:-[a-z0-9]+)*)/(?P<store>[a-z0-9_-]+)"
    r"(?:/seed=(?P<seed>[1-9][0-9]*))?"
    r"(?P<trial>(?:/(?:kill|fail|outage|with|end)=[A-Za-z0-9_.+-]+)*)@(?P<digest>[0-9a-f]{6})",
    re.ASCII,
)


class Token(Value):
    """What a token says: scenario, store, seed, what a sweep did to it, and the case's hash."""

    scenario: str = Field(pattern=SLUG)
    store: str = Field(pattern=r"^[a-z0-9_-]+$")
    seed: int = Field(default=0, ge=0)
    trial: str = ""
    digest: str = Field(pattern=r"^[0-9a-f]{6}$")

    @classmethod
    def of(cls, case: Case) -> Self:
        """The token of a case."""
        return cls(
            scenario=case.scenario,
            store=case.store,
            seed=case.seed,
            trial=case.trial,
            digest=case_id(case)[:HASH_DIGITS],
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token.

        Raises:
            UserError: the text has another shape; the message shows the text and the shape.
        """
        found = PATTERN.fullmatch(text.strip())
        if found is None:
            raise UserError(f"{text!r} is not a replay token. A token looks like {SHAPE}.")
        return cls(
            scenario=found["scenario"],
            store=found["store"],
            seed=int(found["seed"] or 0),
            trial=found["trial"].removeprefix("/"),
            digest=found["digest"],
        )

    def __str__(self) -> str:
        seed = f"/seed={self.seed}" if self.seed else ""
        trial = f"/{self.trial}" if self.trial else ""
        return f"{self.scenario}/{self.store}{seed}{trial}@{self.digest}"

    def check(self, case: Case) -> None:
        """Make sure that the rebuilt case is the one that this token was made for.

        Raises:
            UserError: the hashes differ: the scenario or its tape is not what it was.
        """
        now = case_id(case)[:HASH_DIGITS]
        if now != self.digest:
            raise UserError(
                f"The scenario {self.scenario!r} or its tape has changed since the token {self} "
                f"was made: the case now has the hash {now}. Go back to the version that printed "
                f"the token, or run the scenario as it is now: "
                f"crashgate run {self.scenario}/{self.store}"
                + (f" --crash-seed {self.seed}" if self.seed else "")
            )
