"""What a strategy asks for: an entry, or with the SMA crossover the end of the other side.

A signal is a value that follows from bars and memories alone. Whether it may be traded is decided
in `risk.py`, what becomes of it in `signals.py`. Knows no order and no clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from target_trader.names import PS60, Side, to_tick
from target_trader.settings import Rules
from target_trader.state.checkpoint import BreakoutKind

BAR = timedelta(seconds=5)
"""The length of a real-time bar (tws-protocol.md: IB serves five seconds and nothing else)."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy asks for a position of this side. Prices in dollars.

    `pivot` and `kind` are the broken level and how it was broken; None for a crossover. `bar_time`
    is the start of the bar that gave the signal, `price` its close. `resumed` is a crossover that
    was acted on before and whose entry is still to come.
    """

    symbol: str
    side: Side
    pivot: Decimal | None
    price: Decimal
    bar_time: datetime
    kind: BreakoutKind | None
    reason: str
    strategy: str = PS60
    resumed: bool = False

    @property
    def path(self) -> str:
        """The way into the position, as it is counted in `session.entry_paths`."""
        return self.strategy if self.kind is None else str(self.kind)


def stop_of(signal: Signal, rules: Rules) -> Decimal:
    """Return the price of the first stop: from the level, or a part of the price away from it."""
    sign = signal.side.sign
    if signal.pivot is None:
        return to_tick(signal.price * (1 - rules.sma.stop_fraction * sign))
    return to_tick(signal.pivot - rules.stop_distance * sign)


def risk_of(signal: Signal, rules: Rules) -> Decimal:
    """Return what the trade of a signal loses if its stop fills at its price, in dollars."""
    return rules.quantity * abs(signal.price - stop_of(signal, rules))
