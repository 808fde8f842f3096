"""A whole synthetic day of five stocks has the same trades under both libraries and all stores.

What must be equal is compared with the run of ib_insync and the JSON store, which is traded in the
same session; what must have happened at all is asked of the broker's books. A day costs more than a
minute of processor time, so a usual run takes both libraries and two stores in two days, and
`make whole-day` all six.
"""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.settings import Library, StoreKind
from tests.support.whole_day import SHAPES, Outcome, Variant, outcome_of

REFERENCE = Variant(Library.IB_INSYNC, StoreKind.JSON)
ALWAYS = (
    REFERENCE,
    Variant(Library.IB_ASYNC, StoreKind.SQLITE),
)
BY_HAND = pytest.mark.skipif(
    os.environ.get("WHOLE_DAY") != "all",
    reason="two of the six days are enough for every run; `make whole-day` trades them all",
)
VARIANTS = [
    pytest.param(variant, id=str(variant.name), marks=() if variant in ALWAYS else BY_HAND)
    for variant in (Variant(library, store) for store in StoreKind for library in Library)
]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "whole-day"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_whole_day_of_five_stocks_has_the_same_trades_whatever_the_library_and_the_store(
    variant: Variant, shared: Path
) -> None:
    outcome = outcome_of(variant, shared)
    check_belief(outcome)
    reference = outcome_of(REFERENCE, shared)
    assert outcome.trades() == reference.trades()
    assert outcome.books.positions == reference.books.positions
    assert outcome.books.cash == reference.books.cash


def check_belief(outcome: Outcome) -> None:
    """Check that the bot believes what the broker has, and that all that is held is protected."""
    books, belief = outcome.books, outcome.belief
    held = {each.symbol: each.quantity for each in books.positions if each.quantity}
    believed = belief["positions"]
    assert {symbol: Decimal(each["quantity"]) for symbol, each in believed.items()} == held
    assert belief["executions"] == sorted(each.exec_id for each in books.executions)
    realized = sum((each.realized_pnl for each in books.positions), Decimal(0))
    assert Decimal(belief["realized_pnl"]) == realized
    assert (belief["halts"], belief["frozen"]) == ([], {})
    working = [each for each in books.orders if each.working]
    stops = {each.symbol: each.remaining for each in working if each.order_type == "STP"}
    assert stops == {symbol: abs(quantity) for symbol, quantity in held.items()}
    assert {each.symbol for each in working} == set(held)
    assert "ERROR" not in outcome.log
    assert "Traceback" not in outcome.log


def test_on_that_day_everything_happens_that_the_bot_trades_for(shared: Path) -> None:
    day = outcome_of(REFERENCE, shared)
    assert {each.symbol for each in day.books.executions} == set(SHAPES)
    assert day.filled("entry", side="L")
    assert day.filled("entry", side="S")
    assert day.filled("stop", side="L")
    assert day.filled("stop", side="S")
    assert day.filled("partial")
    assert day.filled("target")
    assert day.filled("entry", strategy="SMA", side="L")
    assert day.filled("entry", strategy="SMA", side="S")
    assert day.filled("exit", strategy="SMA")


def test_on_that_day_a_partial_moves_the_stop_to_breakeven_for_the_rest(shared: Path) -> None:
    day = outcome_of(REFERENCE, shared)
    orders = {each.order_ref: each for each in day.books.orders}
    fills = {each.order_ref: each.price for each in day.books.executions}
    for ref in day.filled("partial"):
        trade = ref.removesuffix("|partial")
        assert orders[f"{trade}|stop"].aux_price == fills[f"{trade}|entry"]
        assert orders[ref].filled == orders[f"{trade}|entry"].filled / 2


def test_on_that_day_a_third_attempt_at_a_level_is_blocked(shared: Path) -> None:
    day = outcome_of(REFERENCE, shared)
    used = [ref.split("|") for ref in day.filled("entry")]
    assert max(int(attempt) for *_, attempt, _leg in used) == 2
    assert "has used 2 of 2 attempts at" in day.log
