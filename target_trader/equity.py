"""The equity curve: what the account was worth, minute by minute; the broker's figures, not ours.

Pure. The figures are those of the account updates that the client library keeps; they lag the
fills (tws-protocol.md section 3.5), so a point is what the broker said at that minute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from target_trader.state.checkpoint import Checkpoint, EquityPoint

CASH = "TotalCashValue"
EQUITY = "NetLiquidation"


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """An account's cash and its whole worth, in its base currency."""

    cash: Decimal
    equity: Decimal


def figures_of(values: Iterable[tuple[str, str]]) -> AccountFigures | None:
    """Gather the figures from account values.

    Args:
        values: pairs of tag and value of one account, as the broker writes them.

    Returns:
        None when cash or equity has not been told, or is no number.
    """
    told: dict[str, Decimal] = {}
    for tag, text in values:
        if tag not in {CASH, EQUITY}:
            continue
        try:
            number = Decimal(text)
        except InvalidOperation:
            return None
        if not number.is_finite():
            return None
        told[tag] = number
    return AccountFigures(told[CASH], told[EQUITY]) if len(told) == 2 else None


def note_equity(checkpoint: Checkpoint, figures: AccountFigures, *, now: datetime) -> None:
    """Take the account's cash, and one point of the curve for each minute."""
    checkpoint.cash = figures.cash
    minute = now.replace(second=0, microsecond=0)
    curve = checkpoint.equity_curve
    if curve and curve[-1].time >= minute:
        return
    point = EquityPoint(time=now, equity=figures.equity, daily_pnl=checkpoint.session.daily_pnl)
    curve.append(point)
