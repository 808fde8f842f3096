"""A whole trading day in 24 bars: everything that the bot does, as short as its rules allow.

It is swept: the bot is killed at each of its points in turn. A warm-up, a breakout whose partial
is taken and whose rest is stopped out at the entry, a second attempt that is stopped out at its
loss, a third break that must be let pass, and a breakdown on the other side that must be taken:
whoever does not come back to life misses it. The reference bot is told to warm up in four bars
instead of twenty.
"""

from fakebroker.market.tape import Bar
from harness.case import Crash
from harness.explore.draw import Choices
from harness.scenario import CaseParts
from scenarios.day import WATCHLIST, broker, walk

WARM_UP_BARS = 4
TURNS = (
    ("10:00:00", "444.20"),
    ("10:00:25", "444.70"),
    ("10:00:30", "445.25"),
    ("10:00:45", "445.25"),
    ("10:00:50", "447.20"),
    ("10:00:55", "447.00"),
    ("10:01:00", "445.00"),
    ("10:01:05", "444.60"),
    ("10:01:10", "445.25"),
    ("10:01:25", "445.25"),
    ("10:01:30", "443.30"),
    ("10:01:35", "445.25"),
    ("10:01:40", "440.00"),
    ("10:01:45", "432.30"),
    ("10:02:00", "432.30"),
)
"""After each break the price stands still for longer than the bot's grace period: an entry that was
lost with the bot, and that it sends again when it is sure of that, has the same price."""


def tape() -> tuple[Bar, ...]:
    """The bars of the day."""
    return walk("TSLA", *TURNS)


def build(choices: Choices) -> CaseParts:
    """The day without a crash; a sweep adds the crashes."""
    crashes: tuple[Crash, ...] = ()
    return CaseParts(
        tape=tape(),
        watchlist=WATCHLIST,
        crashes=crashes,
        broker=broker(choices),
        environment={"TARGET_TRADER_PS60_WARMUP_BARS": str(WARM_UP_BARS)},
    )
