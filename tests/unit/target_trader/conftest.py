"""A whole trading day over TCP: the real bot, the real broker, each a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

# TradingDay is here for the annotations of tests.
from tests.unit.target_trader.trading_days import Days as Days
from tests.unit.target_trader.trading_days import TradingDay as TradingDay


@pytest.fixture
def trading_day(tmp_path: Path) -> Iterator[Days]:
    """Make a day of a warm-up at 444.50 and the given closes of TSLA."""
    days = Days(tmp_path)
    yield days
    for day in days.made:
        day.close()
