"""The bot dies after its two attempts (test 3 of the document).

TSLA breaks 444.77 twice and is stopped out twice. The bot is killed, restarted, and TSLA breaks out
a third time: the entry must be blocked. A bot that merely stopped trading would pass that, so NVDA
then breaks 725.50, which is a first attempt and must be taken.
"""

import pytest

from harness.case import Crash
from harness.expectations import (
    believes_attempts,
    entered,
    entries,
    flat,
    killed,
    no_entry_after_last_restart,
    position,
    price_reached,
    restarted,
)
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.points import Quiet
from harness.scenario import STORES, CaseParts, Scenario
from scenarios.day import BREAKOUT, WARM_UP, WATCHLIST, at, broker, together, walk


def build(choices: Choices) -> CaseParts:
    """Two stop-outs, a crash, a third break, and a first one of another stock."""
    tsla = walk(
        "TSLA",
        *WARM_UP,
        *BREAKOUT,
        ("10:07:00", "443.30"),
        ("10:08:55", "444.60"),
        ("10:09:00", "445.10"),
        ("10:10:30", "443.30"),
        ("10:12:55", "444.70"),
        ("10:13:00", "445.25"),
        ("10:15:00", "445.60"),
    )
    nvda = walk(
        "NVDA",
        ("10:03:30", "724.80"),
        ("10:13:55", "725.40"),
        ("10:14:00", "726.00"),
        ("10:15:00", "726.40"),
    )
    crash = Crash(point=Quiet(after_bar=at("10:12:00")))
    return CaseParts(
        tape=together(tsla, nvda), watchlist=WATCHLIST, crashes=(crash,), broker=broker(choices)
    )


SCENARIO = Scenario(
    name="third-attempt",
    title="the bot dies after its two attempts and the price breaks out again",
    story=str(__doc__),
    build=build,
    requires=(
        killed(),
        restarted(),
        entered("TSLA", at_least=2),
        price_reached("TSLA", "445.25", after_last_restart=True),
    ),
    expectations=(
        entries("TSLA", 2),
        flat("TSLA"),
        no_entry_after_last_restart("TSLA"),
        believes_attempts("TSLA", "LONG", count=2),
        entries("NVDA", 1),
        position("NVDA", 100),
    ),
)


@pytest.mark.parametrize("store", STORES)
def test_third_attempt(crashgate: Gate, store: str) -> None:
    crashgate.run(SCENARIO, store)
