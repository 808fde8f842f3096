"""The bot dies after it wrote its intent down and before the first byte of the order left.

On disk this looks exactly like an order whose acknowledgement was lost. Restarted, the bot must ask
the broker and wait before it believes that nothing was sent; then the breakout still stands, and it
must take it: once.
"""

import pytest

from harness.case import Crash
from harness.expectations import (
    believes_attempts,
    believes_position,
    entries,
    held_when_killed,
    killed,
    position,
    restarted,
    working_stop,
)
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.points import FailPoint
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, FIRST_STOP, WARM_UP, WATCHLIST, broker, walk


def build(choices: Choices) -> CaseParts:
    """Break out, die with the intent on disk, stay above the resistance."""
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:07:00", "445.40"), ("10:09:00", "445.60"))
    crash = Crash(point=FailPoint(name="intents.saved"))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="order-never-left",
    title="the intent is on disk and the bot dies before it sends",
    story=str(__doc__),
    build=build,
    requires=(killed(), restarted(), held_when_killed("TSLA", 0)),
    expectations=(
        entries("TSLA", 1),
        position("TSLA", 100),
        working_stop("TSLA", FIRST_STOP, 100),
        believes_position("TSLA", 100),
        believes_attempts("TSLA", "LONG", count=1),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_order_never_left(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
