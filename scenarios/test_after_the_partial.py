"""The bot dies after half of the position was sold (test 2 of the document).

At 10:08:15 the partial sells 50 of 100 TSLA at 447.13 and the stop goes to the entry, 445.25. At
10:15 the bot is killed. Restarted, it must hold 50, know that the partial was taken, and keep one
stop for 50 at 445.25; when the price comes back to it, the 50 are sold without a loss.
"""

import pytest

from harness.case import Crash
from harness.expectations import (
    believes_flat,
    entries,
    flat,
    held_when_killed,
    killed,
    restarted,
    same_end_as_clean,
)
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.points import Quiet
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, WARM_UP, WATCHLIST, at, broker, walk


def build(choices: Choices) -> CaseParts:
    """Break out, take the partial, die, fall back to the breakeven stop."""
    tape = walk(
        "TSLA",
        *WARM_UP,
        *BREAKOUT,
        ("10:08:15", "447.13"),
        ("10:10:00", "447.40"),
        ("10:16:00", "446.80"),
        ("10:18:00", "445.00"),
    )
    crash = Crash(point=Quiet(after_bar=at("10:15:00")))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="after-the-partial",
    title="the bot dies after the partial",
    story=str(__doc__),
    build=build,
    requires=(killed(), restarted(), held_when_killed("TSLA", 50)),
    expectations=(
        entries("TSLA", 1),
        flat("TSLA"),
        believes_flat("TSLA"),
        same_end_as_clean(),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_after_the_partial(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
