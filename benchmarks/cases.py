"""How many cases a core gets through in a second, forked and executed, and what one costs.

The same trials of one day (`scenarios/test_every_point.py`), spread over all of its points, are run
one after the other on one core: once with processes that are forked from servers which have
done their imports and with runs that branch off a common one (`harness/trunk.py`), once with every
process started anew and every day lived from its morning. Executing is the baseline of the ratio.

`python -m benchmarks.cases [TRIALS]`, or `make bench`. Aim: 25 cases a second and core, ten times
executing.
"""

import os
import sys
from collections import Counter
from dataclasses import dataclass
from time import perf_counter

from rich.console import Console
from rich.table import Table

from benchmarks.broker import machine
from harness.clock import Stopwatch
from harness.explore.plan import spread
from harness.explore.trial import Trial
from harness.itinerary import Depth
from harness.result import Verdict
from harness.scenario import STORES
from harness.targets import BotSpec
from harness.workshop import workshop
from scenarios.test_every_point import SCENARIO

TRIALS = 60
EXECUTED_SHARE = 10
"""Executing is so much slower that a tenth of the trials says as much."""
PARTS = (
    "trunk",
    "fork",
    "connect",
    "run",
    "kill",
    "ask the bot",
    "recover",
    "judge",
    "begin and end",
)
AIM_CASES, AIM_RATIO = 25, 10


@dataclass(frozen=True, slots=True)
class Measured:
    """What some trials cost.

    Attributes:
        trials: how many there were.
        seconds: how long they took.
        parts: seconds of each part, over all trials.
        verdicts: how they ended.
    """

    trials: int
    seconds: float
    parts: dict[str, float]
    verdicts: Counter[Verdict]

    @property
    def rate(self) -> float:
        """Cases a second."""
        return self.trials / self.seconds


def measure(store: str, trials: int, *, executes: bool) -> Measured:
    """Run trials spread over the whole day of a store."""
    watch = Stopwatch()
    with workshop(executes=executes, watch=watch) as shop:
        sweep = shop.sweep(SCENARIO, store, bot=BotSpec.reference(), depth=Depth())
        kills = spread(sweep.learned().kills, trials)
        sweep.run(Trial(kills=kills[:1]))  # The servers that fork have done their imports now.
        watch.parts.clear()
        began = perf_counter()
        verdicts = Counter(sweep.run(Trial(kills=(kill,))).verdict for kill in kills)
        return Measured(len(kills), perf_counter() - began, dict(watch.parts), verdicts)


def table(store: str, forked: Measured, executed: Measured) -> Table:
    """What the trials of one store cost in both ways."""
    shown = Table(title=f"{store}: one core, {forked.trials} and {executed.trials} cases")
    for column in ("", "forked", "executed", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    shown.add_row(
        "cases a second and core",
        f"{forked.rate:.1f}",
        f"{executed.rate:.2f}",
        f"{forked.rate / executed.rate:.1f}",
    )
    for part in PARTS:
        here = forked.parts.get(part, 0.0) / forked.trials * 1e3
        there = executed.parts.get(part, 0.0) / executed.trials * 1e3
        shown.add_row(f"  {part}, ms", f"{here:.1f}", f"{there:.1f}", "")
    return shown


def main() -> None:
    """Measure every store and print the tables."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    console = Console()
    console.print(machine())
    for store in STORES:
        forked = measure(store, trials, executes=False)
        executed = measure(store, max(1, trials // EXECUTED_SHARE), executes=True)
        console.print(table(store, forked, executed))
        for told in (forked, executed):
            console.print(", ".join(f"{n} {verdict}" for verdict, n in told.verdicts.items()))
    console.print(f"aim: {AIM_CASES} cases a second and core, {AIM_RATIO} times executing")


if __name__ == "__main__":
    main()
