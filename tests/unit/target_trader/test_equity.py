"""The equity curve: the broker's figures, at most one point a minute."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.clock import NEW_YORK, exchange_day
from target_trader.equity import AccountFigures, figures_of, note_equity
from target_trader.state.checkpoint import new_checkpoint

NOW = datetime(2025, 10, 6, 10, 0, 50, tzinfo=NEW_YORK)
FIGURES = AccountFigures(cash=Decimal("55474.00"), equity=Decimal("99999.00"))


def test_cash_and_equity_are_taken_from_their_tags_to_the_cent() -> None:
    values = [("NetLiquidation", "99999.00"), ("BuyingPower", "1"), ("TotalCashValue", "55474.00")]
    assert figures_of(values) == FIGURES


@pytest.mark.parametrize(
    "values",
    [
        [],
        [("NetLiquidation", "99999.00")],
        [("NetLiquidation", "99999.00"), ("TotalCashValue", "")],
        [("NetLiquidation", "NaN"), ("TotalCashValue", "1.00")],
    ],
    ids=["nothing", "no cash", "empty", "no number"],
)
def test_half_an_account_is_none(values: list[tuple[str, str]]) -> None:
    assert figures_of(values) is None


def test_a_minute_has_one_point_and_cash_is_the_newest() -> None:
    checkpoint = new_checkpoint(exchange_day(NOW), now=NOW)
    checkpoint.session.daily_pnl = Decimal("-12.50")
    later = AccountFigures(cash=Decimal(1), equity=Decimal(2))
    note_equity(checkpoint, FIGURES, now=NOW)
    note_equity(checkpoint, later, now=NOW + timedelta(seconds=9))
    assert checkpoint.cash == Decimal(1)
    assert [(each.time, each.equity) for each in checkpoint.equity_curve] == [(NOW, FIGURES.equity)]
    note_equity(checkpoint, later, now=NOW + timedelta(seconds=10))
    assert [each.equity for each in checkpoint.equity_curve] == [FIGURES.equity, Decimal(2)]
    assert checkpoint.equity_curve[0].daily_pnl == Decimal("-12.50")
