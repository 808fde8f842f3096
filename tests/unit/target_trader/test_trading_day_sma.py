"""Days of the SMA crossover over TCP: bought, sold, turned; killed in between."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

Day = Any
"""A `TradingDay` of conftest.py, which cannot be imported from a test."""
Days = Callable[..., Day]

CONFIG = """
[trade]
strategies = ["sma"]
[sma]
fast = 2
slow = 3
timeframe_seconds = 5
trend_timeframe_seconds = 5
shorts = {shorts}
"""
# After the warm-up at 444.50 the averages cross upwards at 444.50 and downwards at 442.
UP_AND_DOWN = [
    *("444.00", "443.50", "443.00", "444.00", "444.50"),
    *("445.00", "446.00", "444.00", "442.00", "441.50", "441.00", "441.00", "441.00"),
]
LONG = [
    ("SMA|TSLA|L|20251006|1|entry", "BOT", Decimal(100), Decimal("444.5")),
    ("SMA|TSLA|L|20251006|1|exit", "SLD", Decimal(100), Decimal(442)),
]


def begin(trading_day: Days, *, shorts: bool = False, **knobs: object) -> Day:
    """Return a day on which the crossover alone is traded."""
    day = trading_day(UP_AND_DOWN, **knobs)
    config = day.folder / "bot.toml"
    config.write_text(CONFIG.format(shorts=str(shorts).lower()))
    day.options = ("--config", str(config))
    return day


def fills(day: Day) -> list[tuple[str, str, Decimal, Decimal]]:
    """List the broker's executions with the whole orderRef, in their order."""
    return [(each.order_ref, each.side, each.shares, each.price) for each in day.books().executions]


def test_a_long_is_entered_at_the_cross_and_closed_at_the_next_and_no_order_is_left(
    trading_day: Days,
) -> None:
    day = begin(trading_day)
    day.launch()
    assert day.play() is None
    assert fills(day) == LONG
    assert [each.order_ref for each in day.books().orders if each.working] == []
    assert day.stop() == 0
    day.check_agreement()
    assert day.belief()["attempts"] == {"SMA:TSLA|LONG": 1}


@pytest.mark.parametrize(
    "point",
    [
        "intents.saved=1*kill",
        "order.sent.stop=1*kill",
        "order.sent.exit=1*kill",
        "fill.saved=1*off->1*kill",
    ],
)
def test_a_crossover_killed_anywhere_has_each_order_once_and_ends_flat(
    trading_day: Days, point: str
) -> None:
    day = begin(trading_day, fill_split=["60", "40"])
    day.launch(point)
    day.play()
    assert f"failpoint {point.partition('=')[0]}: kill" in day.log()
    day.kill()
    day.launch()
    assert day.play() is None
    held = {"BOT": Decimal(0), "SLD": Decimal(0)}
    for ref, side, shares, _ in fills(day):
        assert ref.startswith("SMA|TSLA|L|20251006|1|")
        held[side] += shares
    assert held == {"BOT": 100, "SLD": 100}
    assert [each.order_ref for each in day.books().orders if each.working] == []
    assert day.stop() == 0
    day.check_agreement()
    assert "Traceback" not in day.log()


@pytest.mark.parametrize("point", ["", "order.sent.exit=1*kill", "intents.saved=1*off->1*kill"])
def test_a_turn_closes_the_long_and_then_enters_the_short_also_over_a_crash(
    trading_day: Days, point: str
) -> None:
    day = begin(trading_day, shorts=True)
    day.launch(point)
    day.play()
    if point:
        day.kill()
        day.launch()
        day.play()
    done = fills(day)
    assert done[:2] == LONG
    short = [(ref, side, shares) for ref, side, shares, _ in done[2:]]
    # Its bracket was durable and never sent; that is known ten seconds later, and entered then.
    assert short == [("SMA|TSLA|S|20251006|1|entry", "SLD", Decimal(100))]
    working = [each for each in day.books().orders if each.working]
    assert [(each.order_ref, each.remaining) for each in working] == [
        ("SMA|TSLA|S|20251006|1|stop", Decimal(100))
    ]
    assert day.stop() == 0
    day.check_agreement()
