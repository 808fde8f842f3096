"""The three kinds of question that a history is asked.

An `Invariant` holds for every run of every bot; an `Expectation` belongs to one scenario; a
`Condition` says what must have happened for the run to prove anything. All are named, pure
functions of a history.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harness.history import History
from harness.result import Finding


class Needs(StrEnum):
    """What a check reads beside the broker's journal."""

    BOOKS = "the broker's books"
    BELIEF = "what the bot believes"


@dataclass(frozen=True, slots=True)
class Invariant:
    """A law for every bot.

    Attributes:
        name: the name in a finding ("NoFlip").
        law: what must hold, as a sentence.
        needs: what is read; a law about beliefs is left unjudged for a bot that does not tell.
        check: the findings of a history.
    """

    name: str
    law: str
    needs: Needs
    check: Callable[[History], list[Finding]]


@dataclass(frozen=True, slots=True)
class Expectation:
    """How one scenario must end.

    Attributes:
        name: what is expected, as a sentence.
        needs: what is read.
        check: the findings of a history, given the history of the run without crashes.
        compares: whether that clean run is needed; it is None otherwise.
    """

    name: str
    needs: Needs
    check: Callable[[History, History | None], list[Finding]]
    compares: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """What must have happened, or the run is INCONCLUSIVE.

    Attributes:
        name: what must have happened, as a sentence.
        missing: None when it happened, otherwise why not, in plain words.
    """

    name: str
    missing: Callable[[History], str | None]
