"""The stop fills at the broker while the bot is dead (test 4 of the document).

The bot is long 100 TSLA and is killed at 10:07. While it is dead the price falls through the stop
at 443.37 and the broker sells. Restarted, it must book that sale, drop the position, leave no order
behind, and take the next legitimate breakout as its second attempt.
"""

import pytest

from harness.case import Crash
from harness.downtime import Downtime
from harness.expectations import (
    believes_attempts,
    believes_position,
    entries,
    fill_while_dead,
    held_when_killed,
    killed,
    position,
    restarted,
    working_stop,
)
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.points import Quiet
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, FIRST_STOP, WARM_UP, WATCHLIST, at, broker, walk


def build(choices: Choices) -> CaseParts:
    """Break out, die, be stopped out while dead, break out again."""
    tape = walk(
        "TSLA",
        *WARM_UP,
        *BREAKOUT,
        ("10:07:00", "445.90"),
        ("10:08:15", "443.10"),
        ("10:11:55", "444.70"),
        ("10:12:00", "445.25"),
        ("10:13:00", "445.50"),
    )
    crash = Crash(point=Quiet(after_bar=at("10:07:00")), downtime=Downtime(until=at("10:08:20")))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="stop-fills-while-down",
    title="the stop fills while the bot is down",
    story=str(__doc__),
    build=build,
    requires=(
        killed(),
        restarted(),
        held_when_killed("TSLA", 100),
        fill_while_dead("TSLA"),
    ),
    expectations=(
        entries("TSLA", 2),
        position("TSLA", 100),
        working_stop("TSLA", FIRST_STOP, 100),
        believes_position("TSLA", 100),
        believes_attempts("TSLA", "LONG", count=2),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_stop_fills_while_down(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
