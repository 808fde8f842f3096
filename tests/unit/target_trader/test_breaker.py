"""The circuit breaker: rejected orders are counted once, over restarts; five of them trip it."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.breaker import count_failures, is_tripped
from target_trader.clock import NEW_YORK
from target_trader.names import IntentState, Leg, Side, trade_id
from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint, Intent, new_checkpoint

DAY = date(2025, 10, 6)
NOW = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
RULES = Rules()


def order(number: int, state: IntentState) -> Intent:
    """Return the entry of a trade."""
    name = trade_id("TSLA", Side.LONG, day=DAY, attempt=number)
    return Intent(
        order_ref=f"{name}|entry",
        trade_id=name,
        leg=Leg.ENTRY,
        symbol="TSLA",
        side=Side.LONG,
        action="BUY",
        order_type="MKT",
        quantity=Decimal(100),
        order_id=number,
        state=state,
        planned_at=NOW,
    )


def day_with(rejected: int) -> Checkpoint:
    """Return a day with so many rejected orders, none of them counted."""
    day = new_checkpoint(DAY, now=NOW)
    day.intents = [order(number, IntentState.REJECTED) for number in range(1, rejected + 1)]
    return day


def test_four_failures_before_the_crash_and_one_after_it_trip_the_breaker() -> None:
    day = day_with(4)
    count_failures(day, now=NOW, rules=RULES)
    assert not is_tripped(day)
    reborn = Checkpoint.model_validate_json(day.model_dump_json())
    assert reborn.circuit_breaker.failures == 4
    reborn.intents.append(order(5, IntentState.REJECTED))
    words = count_failures(reborn, now=NOW, rules=RULES)
    assert (reborn.circuit_breaker.failures, is_tripped(reborn)) == (5, True)
    assert words[0] == "Circuit breaker: failure 5 of 5: PS60|TSLA|L|20251006|5|entry"
    assert words[1].startswith("CIRCUIT BREAKER TRIPPED after 5 failures")


def test_a_failure_is_counted_once_however_often_it_is_looked_at() -> None:
    day = day_with(3)
    assert len(count_failures(day, now=NOW, rules=RULES)) == 3
    assert count_failures(day, now=NOW, rules=RULES) == []
    assert day.circuit_breaker.failures == 3


@pytest.mark.parametrize("state", [each for each in IntentState if each != "rejected"])
def test_only_a_rejection_is_a_failure(state: IntentState) -> None:
    day = day_with(0)
    day.intents = [order(1, state)]
    assert count_failures(day, now=NOW, rules=RULES) == []
    assert day.circuit_breaker.failures == 0


def test_the_time_of_the_trip_is_that_of_the_fifth_failure_and_stays() -> None:
    day = day_with(5)
    count_failures(day, now=NOW, rules=RULES)
    day.intents.append(order(6, IntentState.REJECTED))
    words = count_failures(day, now=NOW + timedelta(hours=1), rules=RULES)
    assert len(words) == 1
    assert (day.circuit_breaker.failures, day.circuit_breaker.tripped_at) == (6, NOW)


def test_the_breaker_outlives_the_day() -> None:
    day = day_with(5)
    count_failures(day, now=NOW, rules=RULES)
    tomorrow = NOW + timedelta(days=1)
    assert is_tripped(new_checkpoint(tomorrow.date(), now=tomorrow, keeping=day))


def test_a_lowered_limit_trips_on_the_failures_of_the_past() -> None:
    day = day_with(3)
    count_failures(day, now=NOW, rules=RULES)
    assert count_failures(day, now=NOW, rules=Rules(breaker_failures=3)) != []
    assert is_tripped(day)
