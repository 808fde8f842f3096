"""The bot dies with an open position (test 1 of the document).

It bought 100 TSLA at 445.25 and is killed while it waits. The position and its stop live on at the
broker. Restarted, it must know both again, sell half at 447.13 and move the stop to the entry, so
that the day ends as if it had never died.
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
from harness.points import Quiet
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, ENTRY, WARM_UP, WATCHLIST, at, broker, walk


def build(choices: Choices) -> CaseParts:
    """Break out, die while long, go on to the partial."""
    tape = walk(
        "TSLA",
        *WARM_UP,
        *BREAKOUT,
        ("10:07:00", "446.20"),
        ("10:08:15", "447.13"),
        ("10:10:00", "446.60"),
        ("10:12:00", "447.50"),
    )
    crash = Crash(point=Quiet(after_bar=at("10:07:00")))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="open-position",
    title="the bot dies with an open position",
    story=str(__doc__),
    build=build,
    requires=(killed(), restarted(), held_when_killed("TSLA", 100)),
    expectations=(
        entries("TSLA", 1),
        position("TSLA", 50),
        working_stop("TSLA", ENTRY, 50),
        believes_position("TSLA", 50, entry_price=ENTRY, stop_price=ENTRY, partials=1),
        same_end_as_clean(),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_open_position(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
