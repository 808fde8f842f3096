"""The bot dies while its entry waits at the broker, untouched or filled in part.

On the day of `test_every_point.py` a market order fills at once. Here it reaches the exchange a bar
later and gets 60 of its 100 shares there, the others in the bar after. The bot is killed at every
point at which the entry waits. While it is dead nothing happens, or the entry fills, fills in part,
is cancelled, expires or is rejected; restarted, the bot must hold what the broker holds, protected,
and take what was missed neither twice nor not at all.
"""

from decimal import Decimal

import pytest

from harness.case import Crash
from harness.expectations import same_end_when_undisturbed
from harness.explore.draw import Choices
from harness.gate_fixture import Gate
from harness.scenario import STORES, CaseParts, Scenario
from harness.vocabulary import downtime_vocabulary, works
from scenarios.day import WATCHLIST, broker, walk

PARTS = 2
WARM_UP_BARS = 2
BARS_TO_THE_EXCHANGE = 1
SHARES_A_BAR = Decimal(60)
TURNS = (
    ("10:00:00", "444.50"),
    ("10:00:10", "444.70"),
    ("10:00:15", "445.25"),
    ("10:00:45", "445.25"),
    ("10:00:50", "447.20"),
    ("10:00:55", "447.00"),
)
"""After the break the price stands still, as in `short_day.py`, and then comes to the partial."""


def build(choices: Choices) -> CaseParts:
    """A break, an entry that fills in two bars, a partial."""
    crashes: tuple[Crash, ...] = ()
    slow = {"fill_latency_bars": BARS_TO_THE_EXCHANGE, "liquidity_per_bar": SHARES_A_BAR}
    return CaseParts(
        tape=walk("TSLA", *TURNS),
        watchlist=WATCHLIST,
        crashes=crashes,
        broker=broker(choices).model_copy(update=slow),
        environment={"TARGET_TRADER_PS60_WARMUP_BARS": str(WARM_UP_BARS)},
    )


SCENARIO = Scenario(
    name="waiting-entry",
    title="the bot dies while its entry waits at the broker",
    story=str(__doc__),
    build=build,
    expectations=(same_end_when_undisturbed(),),
    vocabulary=downtime_vocabulary("TSLA", needs="entry"),
    swept=True,
    where=works("entry"),
)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("store", STORES)
def test_waiting_entry(crashgate: Gate, store: str, part: int) -> None:
    crashgate.sweep(SCENARIO, store, part=part, parts=PARTS)
