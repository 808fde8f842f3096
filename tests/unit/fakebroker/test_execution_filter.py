"""Which executions a filter lets through."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fakebroker.exchange.events import ExecutionRecord
from fakebroker.execution_filter import FilterError, filter_time, passes
from fakebroker.protocol.requests import ExecutionFilter
from fakebroker.values import Contract

BOUGHT = ExecutionRecord(
    exec_id="0000e0d5.67fe667b.01.01",
    time=datetime(2025, 10, 6, 14, 5, 45, tzinfo=UTC),
    perm_id=1,
    order_id=1,
    client_id=11,
    account="DU1234567",
    contract=Contract("TSLA"),
    side="BOT",
    shares=Decimal(100),
    price=Decimal("445.25"),
    cum_qty=Decimal(100),
    avg_price=Decimal("445.25"),
    order_ref="",
)


@pytest.mark.parametrize(
    ("wanted", "through"),
    [
        (ExecutionFilter(), True),
        (ExecutionFilter(symbol="TSLA", sec_type="STK", side="BUY"), True),
        (ExecutionFilter(side="BOT"), True),
        (ExecutionFilter(side="SELL"), False),
        (ExecutionFilter(symbol="NVDA"), False),
        (ExecutionFilter(account="DU7654321"), False),
        (ExecutionFilter(time="20251006 10:05:45"), True),
        (ExecutionFilter(time="20251006 10:05:46"), False),
        (ExecutionFilter(time="20251006  10:05:46 America/Chicago"), False),
        (ExecutionFilter(time="20251006 09:05:45 America/Chicago"), True),
        (ExecutionFilter(time="20251006-14:05:45"), True),
        (ExecutionFilter(time="20251006-14:05:46"), False),
    ],
)
def test_a_filter_lets_through_what_it_names(wanted: ExecutionFilter, *, through: bool) -> None:
    assert passes(wanted, BOUGHT) is through


@pytest.mark.parametrize("text", ["yesterday", "20251340 10:00:00", "20251006 10:00:00 Mars/One"])
def test_a_time_that_is_none_is_named(text: str) -> None:
    with pytest.raises(FilterError, match=text.split()[0]):
        filter_time(text)
