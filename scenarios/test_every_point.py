"""A short day, and a crash at every one of its points.

The bot is killed before and after every system call on its state and its sockets, around every
message, at every failpoint and between any two bars; restarted at once, it must end the day as if
it had never died. At the points where it matters the broker, the market and the disk do their worst
meanwhile, and there are days with a crash after every bar. `--crash-depth 2` kills it again while
it recovers.
"""

import pytest

from harness.expectations import same_end_when_undisturbed
from harness.gate_fixture import Gate
from harness.scenario import STORES, Scenario
from harness.vocabulary import whole_vocabulary
from scenarios.short_day import build

PARTS = 32

SCENARIO = Scenario(
    name="every-point",
    title="the bot dies at any point of a day",
    story=str(__doc__),
    build=build,
    expectations=(same_end_when_undisturbed(),),
    vocabulary=whole_vocabulary("TSLA"),
    swept=True,
)


# As long as its trials take, each of which has deadlines of its own: hours at a depth of two.
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("store", STORES)
def test_every_point(crashgate: Gate, store: str, part: int) -> None:
    crashgate.sweep(SCENARIO, store, part=part, parts=PARTS)
