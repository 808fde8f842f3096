"""The orderRef and the execId: the two keys that must mean the same in every life."""

from datetime import date
from decimal import Decimal

import pytest

from target_trader.names import (
    PS60,
    SMA,
    Leg,
    Side,
    adopted_id,
    attempt_key,
    decimal_of,
    exec_revision,
    exec_stem,
    order_ref,
    parse_ref,
    plain,
    trade_id,
)

DAY = date(2025, 10, 6)


def test_the_ref_of_an_order_follows_from_the_signal_alone() -> None:
    trade = trade_id("TSLA", Side.LONG, day=DAY, attempt=1)
    assert order_ref(trade, Leg.ENTRY) == "PS60|TSLA|L|20251006|1|entry"
    assert order_ref(trade, Leg.STOP, ordinal=2) == "PS60|TSLA|L|20251006|1|stop2"


def test_the_trades_of_the_two_strategies_have_names_of_their_own() -> None:
    assert trade_id("AAPL", Side.LONG, day=DAY, attempt=1, strategy=SMA) == "SMA|AAPL|L|20251006|1"
    assert trade_id("AAPL", Side.LONG, day=DAY, attempt=1) == "PS60|AAPL|L|20251006|1"


def test_a_crossovers_attempts_are_no_attempts_at_a_level_of_any_symbol() -> None:
    assert attempt_key("TSLA", Side.LONG, Decimal("444.77")) == "TSLA|LONG|444.77"
    key = attempt_key("LONG", Side.LONG, None)
    assert key == "SMA:LONG|LONG"
    # SMA is a ticker, too.
    assert not key.startswith("SMA|LONG|")


@pytest.mark.parametrize("strategy", [PS60, SMA])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("leg", list(Leg))
@pytest.mark.parametrize("ordinal", [1, 2, 13])
def test_a_ref_can_be_taken_apart_again(strategy: str, side: Side, leg: Leg, ordinal: int) -> None:
    trade = trade_id("BRK B", side, day=DAY, attempt=2, strategy=strategy)
    parts = parse_ref(order_ref(trade, leg, ordinal=ordinal))
    assert parts is not None
    assert (parts.trade_id, parts.symbol, parts.side) == (trade, "BRK B", side)
    assert (parts.attempt, parts.leg, parts.ordinal) == (2, leg, ordinal)
    assert parts.strategy == strategy


@pytest.mark.parametrize(
    "text", ["", "PS60", "PS60|TSLA|L|20251006|1", "my order", "PS61|A|L|1|1|x"]
)
def test_a_ref_of_somebody_else_is_not_ours(text: str) -> None:
    assert parse_ref(text) is None


def test_an_adopted_trade_counts_as_no_attempt() -> None:
    name = adopted_id("TSLA", Side.LONG, day=DAY, number=1)
    parts = parse_ref(order_ref(name, Leg.STOP))
    assert name == "PS60|TSLA|L|20251006|A1"
    assert parts is not None
    assert parts.attempt is None


def test_a_correction_shares_the_stem_and_is_newer() -> None:
    first, second = "0000e0d5.67fe667b.01.01", "0000e0d5.67fe667b.01.02"
    assert exec_stem(first) == exec_stem(second)
    assert exec_revision(second) > exec_revision(first)
    assert exec_stem("0000e0d5.67fe667b.02.01") != exec_stem(first)


def test_floats_of_the_library_become_the_decimals_that_they_print() -> None:
    assert decimal_of(445.1) == Decimal("445.1")
    assert str(decimal_of(100.0)) == "100"
    assert plain(decimal_of(100000.0)) == "100000"
    assert plain(Decimal("50.0")) == "50"
