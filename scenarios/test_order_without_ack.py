"""The bot dies between an order's arrival at the broker and its acknowledgement.

The window that doubles orders. The broker has the whole bracket, has bought 100 TSLA, and has not
said a word when the bot is killed. All that the bot can know is what it wrote down before it sent.
Restarted, it must find its order at the broker, book the fill, and neither buy again nor leave the
position without its stop.
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
from harness.points import processed
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, ENTRY, WARM_UP, WATCHLIST, broker, walk

BRACKET_LEGS = 3


def build(choices: Choices) -> CaseParts:
    """Break out, die before the last leg is acknowledged, go on to the partial."""
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:08:15", "447.13"), ("10:10:00", "447.40"))
    crash = Crash(point=processed("placeOrder", nth=BRACKET_LEGS))
    return CaseParts(tape=tape, watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices))


SCENARIO = Scenario(
    name="order-without-ack",
    title="the order is at the broker and the bot dies before the acknowledgement",
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
def test_order_without_ack(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
