"""A whole trading day over TCP: the real bot, the real broker, each a process of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.targets.launcher import ForkLauncher
from harness.targets.process import EXEC, Launcher

# TradingDay is here for the annotations of tests.
from tests.unit.target_trader.trading_days import Days as Days
from tests.unit.target_trader.trading_days import TradingDay as TradingDay

MEASURED = "COVERAGE_PROCESS_CONFIG"
"""The variable by which coverage reaches every process; a fork that is killed tells it nothing."""


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Forks bots and brokers, as the gate does: their imports are most of what a day costs."""
    if MEASURED in os.environ:
        yield EXEC
        return
    with ForkLauncher() as forks:
        yield forks


@pytest.fixture
def trading_day(tmp_path: Path, launcher: Launcher) -> Iterator[Days]:
    """Make a day of a warm-up at 444.50 and the given closes of TSLA."""
    days = Days(tmp_path, launcher)
    yield days
    for day in days.made:
        day.close()
