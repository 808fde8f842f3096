"""A crash at the n-th passage of a named failpoint inside the bot.

Only bots with failpoints know these; the term language is that of the fail-rs crate. The passages
are counted within one life of the bot, from 1. Set to `print`, a failpoint tells each of them in a
line of its own on standard error.
"""

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from harness.points.words import ordinal
from harness.values import Value

PASSAGE = re.compile(r"failpoint (?P<name>\S+): print")


class FailPoint(Value):
    """The `occurrence`-th passage of failpoint `name`."""

    kind: Literal["failpoint"] = "failpoint"
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    occurrence: int = Field(default=1, ge=1)

    def describe(self) -> str:
        """Say where the point is, in plain words."""
        return f"at the {ordinal(self.occurrence)} passage of {self.name}"

    def terms(self) -> str:
        """What the bot's FAILPOINTS variable must hold so that it kills itself there."""
        if self.occurrence == 1:
            return f"{self.name}=1*kill"
        return f"{self.name}={self.occurrence - 1}*off->1*kill"

    def words(self, action: Literal["kill", "print"]) -> str:
        """The line on standard error with which the bot does this there."""
        return f"failpoint {self.name}: {action}"


def telling(names: Iterable[str]) -> str:
    """What the bot's FAILPOINTS variable must hold so that it tells every passage."""
    return ";".join(f"{name}=print" for name in names)


def name_in(line: str) -> str | None:
    """The failpoint whose passage a line tells; None when it tells none."""
    found = PASSAGE.fullmatch(line)
    return None if found is None else found["name"]


def names_in(log: bytes) -> list[str]:
    """The failpoints whose passages a log tells, in their order."""
    lines = log.decode(errors="replace").splitlines()
    return [name for line in lines if (name := name_in(line)) is not None]
