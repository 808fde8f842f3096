"""The last byte of the order leaves, and the bot dies before its next instruction.

The kernel still delivers what was written, so the broker gets the whole bracket and buys; the bot
never runs another line. What it did not write down before it sent, it will never know. This is the
scenario that a bot which saves its intent after the send cannot survive.
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
from harness.points import FailPoint
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, ENTRY, WARM_UP, WATCHLIST, broker, walk


def build(choices: Choices) -> CaseParts:
    """Break out, die with the last leg in the socket, go on to the partial."""
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:08:15", "447.13"), ("10:10:00", "447.40"))
    crash = Crash(point=FailPoint(name="order.sent.partial"))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="sent-and-dead",
    title="the bot dies right after the last byte of the order has left",
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
def test_sent_and_dead(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
