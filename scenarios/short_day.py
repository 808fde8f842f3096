"""A whole trading day in 41 bars: everything that the bot does, as short as its rules allow.

It is swept: the bot is killed at each of its points in turn. Twenty bars of warm-up, a breakout
whose partial is taken and whose rest is stopped out at the entry, a second attempt that is stopped
out at its loss, a third break that must be let pass, and a breakdown on the other side that must be
taken: whoever does not come back to life misses it.
"""

from fakebroker.market.tape import Bar
from harness.case import Crash
from harness.explore.draw import Choices
from harness.scenario import CaseParts
from scenarios.day import WATCHLIST, broker, walk

TURNS = (
    ("10:00:00", "444.20"),
    ("10:01:45", "444.70"),
    ("10:01:50", "445.25"),
    ("10:02:05", "445.25"),
    ("10:02:10", "447.20"),
    ("10:02:15", "447.00"),
    ("10:02:20", "445.00"),
    ("10:02:25", "444.60"),
    ("10:02:30", "445.25"),
    ("10:02:45", "445.25"),
    ("10:02:50", "443.30"),
    ("10:02:55", "445.25"),
    ("10:03:00", "440.00"),
    ("10:03:05", "432.30"),
    ("10:03:25", "432.30"),
)
"""After each break the price stands still for longer than the bot's grace period: an entry that was
lost with the bot, and that it sends again when it is sure of that, has the same price."""


def tape() -> tuple[Bar, ...]:
    """The bars of the day."""
    return walk("TSLA", *TURNS)


def build(choices: Choices) -> CaseParts:
    """The day without a crash; a sweep adds the crashes."""
    crashes: tuple[Crash, ...] = ()
    return CaseParts(tape=tape(), watchlist=WATCHLIST, crashes=crashes, broker=broker(choices))
