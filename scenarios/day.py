"""The sixth of October 2025 as a market: turning points in, 5-second bars out.

A story says where the price was at which New York time; between two turning points it walks in a
straight line, a bar every five seconds. Prices are exact: the bar that ends at a turning point
closes at its price. All numbers of TSLA and NVDA are those of the document that asked for this.
"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from harness.explore.draw import Choices

NEW_YORK = ZoneInfo("America/New_York")
PERIOD = timedelta(seconds=5)
CENT = Decimal("0.01")
SHARES_A_BAR = Decimal(1_200)

RESISTANCE = Decimal("444.77")
"""TSLA must close above this to be bought."""
ENTRY = Decimal("445.25")
"""Where the breakout bar closes, and so where the entry fills."""
FIRST_STOP = Decimal("443.37")
"""1.40 below the resistance."""
PARTIAL = Decimal("447.13")
"""The entry and once more the risk: half is sold here and the stop moves to the entry."""

WATCHLIST: dict[str, JsonValue] = {
    "date": "2025-10-06",
    "setups": [
        {
            "symbol": "TSLA",
            "resistance": "444.77",
            "support": "432.50",
            "target1": "460.25",
            "target2": "470.50",
        },
        {
            "symbol": "NVDA",
            "resistance": "725.50",
            "support": "710.30",
            "target1": "741.00",
            "target2": "750.00",
        },
    ],
}

WARM_UP = (("10:03:30", "444.50"), ("10:04:00", "444.20"), ("10:05:40", "444.70"))
"""Two minutes below the resistance: more than the twenty bars a trader needs before it acts."""
BREAKOUT = (("10:05:45", "445.25"),)
"""The bar that closes above the resistance."""

Turn = tuple[str, str]


def at(clock: str) -> datetime:
    """Return a New York time of the day, `10:05:45`, as an aware datetime."""
    return datetime.fromisoformat(f"2025-10-06T{clock}").replace(tzinfo=NEW_YORK)


def walk(symbol: str, *turns: Turn) -> tuple[Bar, ...]:
    """Return the 5-second bars of a price that walks from turning point to turning point.

    Args:
        symbol: The stock.
        turns: New York times that are whole multiples of five seconds apart, each with the price
            at that time in US dollars; the first is where the day begins.
    """
    bars: list[Bar] = []
    moment, price = at(turns[0][0]), Decimal(turns[0][1])
    for clock, level in turns[1:]:
        steps = int((at(clock) - moment) / PERIOD)
        start, goal = price, Decimal(level)
        for step in range(1, steps + 1):
            close = start + (goal - start) * step / steps
            close = close.quantize(CENT, rounding=ROUND_HALF_EVEN)
            bars.append(_bar(symbol, moment, price, close))
            moment, price = moment + PERIOD, close
    return tuple(bars)


def together(*tapes: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """Return the bars of several stocks as one tape, in order of time."""
    return tuple(sorted((bar for tape in tapes for bar in tape), key=lambda bar: bar.time))


def broker(choices: Choices) -> BrokerSettings:
    """Return a broker that follows the choices a seed made."""
    return BrokerSettings(
        first_order_id=choices.first_order_id,
        first_perm_id=choices.first_perm_id,
        fill_split=tuple(Decimal(size) for size in choices.fill_split),
    )


def _bar(symbol: str, start: datetime, first: Decimal, last: Decimal) -> Bar:
    return Bar(
        symbol=symbol,
        time=start,
        open=first,
        high=max(first, last),
        low=min(first, last),
        close=last,
        volume=SHARES_A_BAR,
    )


def pieces(choices: Choices, shares: int) -> int:
    """Return in how many executions a market order of so many shares is filled."""
    left, count = shares, 0
    for size in choices.fill_split:
        if left <= 0:
            break
        left, count = left - size, count + 1
    return count + (1 if left > 0 else 0)
