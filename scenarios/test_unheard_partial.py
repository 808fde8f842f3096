"""The partial fills, and the bot dies before it hears of it.

The sharp form of test 2 of the document: the broker has sold 50 of 100 TSLA at 447.13 and is about
to say so when the bot is killed. Nobody moved the stop. Restarted, the bot must find the fill among
the executions, hold 50, and move the stop to the entry at once.
"""

import pytest

from harness.case import Crash
from harness.expectations import (
    believes_position,
    entries,
    held_when_killed,
    killed,
    position,
    restarted,
    same_end_as_clean,
    working_stop,
)
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.points import unsent
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, ENTRY, WARM_UP, WATCHLIST, broker, pieces, walk


def build(choices: Choices) -> CaseParts:
    """Break out, take the partial, die before the news of it."""
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:08:15", "447.13"), ("10:10:00", "447.40"))
    crash = Crash(point=unsent("execDetails", nth=pieces(choices, 100) + 1))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="unheard-partial",
    title="the partial fills and the bot dies before it hears of it",
    story=str(__doc__),
    build=build,
    requires=(killed(), restarted(), held_when_killed("TSLA", 50)),
    expectations=(
        entries("TSLA", 1),
        position("TSLA", 50),
        working_stop("TSLA", ENTRY, 50),
        believes_position("TSLA", 50, entry_price=ENTRY, stop_price=ENTRY, partials=1),
        same_end_as_clean(),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_unheard_partial(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
