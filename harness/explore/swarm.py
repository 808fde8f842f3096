"""Random trials, drawn swarm style: each flock may use only some of the faults.

A test that may do everything at once does nothing long enough; one that has half of the faults to
choose from goes deep into what that half does to each other (swarm testing, Groce and others,
ISSTA 2012).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from harness.explore.learned import CallSeen
from harness.explore.trial import Kill, Trial
from harness.faults.calls import CallFault, ErrorName

FLOCK = 20
"""Trials that share scenario, store, market and faults."""
WORD_CHANCE = 0.5
FAIL_CHANCE = 0.2
OUTAGE_CHANCE = 0.1
MARKET_SEEDS = 1_000_000
FAILING_CALLS = ("write", "pwrite", "fsync", "fdatasync", "open", "rename")
ERRORS: tuple[ErrorName, ...] = get_args(ErrorName)


@dataclass(frozen=True, slots=True)
class Flock:
    """What some trials have in common.

    Attributes:
        number: which flock it is, from 0.
        scenario: index of its scenario.
        store: index of its store.
        market: the seed that draws the scenario's choices.
        size: how many trials it has.
        seed: the seed of the swarm.
    """

    number: int
    scenario: int
    store: int
    market: int
    size: int
    seed: int


def flocks(seed: int, budget: int, *, scenarios: int, stores: int) -> list[Flock]:
    """Divide a budget of trials into flocks; the same seed gives the same flocks.

    Args:
        seed: draws everything.
        budget: trials in all.
        scenarios: how many scenarios there are to choose from.
        stores: how many stores.
    """
    made: list[Flock] = []
    for number in range((budget + FLOCK - 1) // FLOCK):
        draw = random.Random(f"{seed}/{number}")
        made.append(
            Flock(
                number=number,
                scenario=draw.randrange(scenarios),
                store=draw.randrange(stores),
                market=draw.randrange(1, MARKET_SEEDS),
                size=min(FLOCK, budget - number * FLOCK),
                seed=seed,
            )
        )
    return made


def words_of_flock(flock: Flock, words: Sequence[str]) -> tuple[str, ...]:
    """The words that a flock may use: each by the toss of a coin."""
    draw = random.Random(f"{flock.seed}/{flock.number}/words")
    return tuple(word for word in words if draw.random() < WORD_CHANCE)


def draw_trial(
    flock: Flock,
    number: int,
    *,
    kills: Sequence[Kill],
    words: Callable[[Kill], Sequence[str]],
    calls: Sequence[CallSeen],
    outages: Sequence[Trial] = (),
) -> Trial:
    """Draw one trial: with one crash, with one call that fails, or with a server that is away.

    Args:
        flock: what it shares with others.
        number: which trial of the flock, from 0.
        kills: the learned crashes.
        words: those of the flock that fit at a crash.
        calls: the system calls of the clean run, which may fail.
        outages: the trials in which a server of the bot is away.
    """
    draw = random.Random(f"{flock.seed}/{flock.number}/{number}")
    kill = draw.choice(kills)
    fitting = words(kill)
    if fitting and draw.random() < WORD_CHANCE:
        kill = kill.model_copy(update={"words": (draw.choice(fitting),)})
    failing = [call for call in calls if call.call in FAILING_CALLS]
    if failing and draw.random() < FAIL_CHANCE:
        # Alone: a crash before it would keep a later call from coming.
        return Trial(fails=(failure_of(draw.choice(failing), failing, draw.choice(ERRORS)),))
    if outages and draw.random() < OUTAGE_CHANCE:
        return draw.choice(outages)
    return Trial(kills=(kill,))


def failure_of(call: CallSeen, calls: Sequence[CallSeen], error: ErrorName) -> CallFault:
    """The fault that makes one call of a life fail; it is known by its number in that life."""
    alike = [each for each in calls if (each.call, each.role) == (call.call, call.role)]
    return CallFault.model_validate(
        {
            "call": call.call,
            "role": call.role,
            "occurrence": alike.index(call) + 1,
            "errno": error,
        }
    )


def second_kill(flock: Flock, number: int, depth: int, kills: Sequence[Kill]) -> Kill | None:
    """Draw a crash inside the recovery; None where it has no point."""
    draw = random.Random(f"{flock.seed}/{flock.number}/{number}/{depth}")
    return draw.choice(kills) if kills else None


def depth_of(flock: Flock, number: int, deepest: int) -> int:
    """How many crashes in a row a trial has: one more with each lucky throw of three."""
    draw = random.Random(f"{flock.seed}/{flock.number}/{number}/depth")
    depth = 1
    while depth < deepest and draw.random() < 1 / 3:
        depth += 1
    return depth
