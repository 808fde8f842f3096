"""A broker that forgets: no executions in its answer, orders filled without a fill.

What it does not tell is not thereby undone, and what it shows by orders and positions counts.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from target_trader.ledger import book
from target_trader.names import IntentState
from target_trader.picture import BrokerExecution, BrokerOrder, Picture
from target_trader.reconcile import Reconciled, reconcile
from target_trader.report import FillKind
from target_trader.settings import Policy
from target_trader.state.checkpoint import Checkpoint
from tests.support.pictures import (
    CONTEXT,
    ENTRY_FILL,
    KEY,
    NOW,
    PARTIAL,
    RULES,
    STOP,
    fill,
    held,
    order,
    quantity,
    state,
    states,
    steps,
)

STOPPED = fill("stop", 100, "443.37", at=NOW - timedelta(minutes=1))
LOSS = Decimal("-188.00")


def over(leg: str, size: int, price: str | None = None, *, status: str = "Filled") -> BrokerOrder:
    """Return an order that is done, as a forgetful broker lists it: without ids and fills."""
    return replace(order(leg, size, price, status=status), order_id=0, client_id=0)


FORGETFUL = Picture(
    completed_orders=(
        over("entry", 100),
        over("stop", 100, "443.37"),
        over("partial", 50, "447.13", status="Cancelled"),
    )
)
"""Flat; the entry and the stop are filled, and there is no execution."""


def after(books: Checkpoint, picture: Picture, *, policy: Policy = RULES.policy) -> Reconciled:
    """Reconcile, and once more: the same answer must change nothing."""
    context = replace(CONTEXT, rules=replace(RULES, policy=policy))
    once = reconcile(books, picture, context=context)
    twice = reconcile(once.checkpoint, picture, context=context)
    assert twice.checkpoint == once.checkpoint
    return once


def estimates(outcome: Reconciled) -> list[str]:
    """Return what the books hold that was never told."""
    booked = outcome.checkpoint.executions.values()
    return [f"{each.side} {each.shares} @ {each.price}" for each in booked if each.estimated]


@pytest.mark.parametrize("policy", Policy)
def test_a_stop_that_is_filled_without_a_fill_closes_the_trade_at_its_price(policy: Policy) -> None:
    outcome = after(state(), FORGETFUL, policy=policy)
    assert quantity(outcome) == 0
    assert estimates(outcome) == ["SLD 100 @ 443.37"]
    assert outcome.checkpoint.session.daily_pnl == LOSS
    assert outcome.checkpoint.session.trades_today == 1
    assert outcome.checkpoint.attempts == {KEY: 1}
    assert outcome.checkpoint.halts == []
    assert "stop is filled and IBKR tells no fill: ESTIMATED SLD 100" in outcome.report.text()
    [finding] = outcome.record.symbols
    assert [each.kind for each in finding.fills] == [FillKind.ESTIMATED]


def test_the_fill_that_is_told_at_last_takes_the_place_of_its_estimate() -> None:
    guessed = after(state(), FORGETFUL).checkpoint
    told = replace(STOPPED, price=Decimal("443.30"))
    outcome = after(guessed, replace(FORGETFUL, executions=(ENTRY_FILL, told)))
    assert estimates(outcome) == []
    assert outcome.checkpoint.session.daily_pnl == Decimal("-195.00")
    assert quantity(outcome) == 0


def test_a_fill_that_is_told_in_part_leaves_the_rest_estimated() -> None:
    guessed = after(state(), FORGETFUL).checkpoint
    book(guessed, replace(STOPPED, shares=Decimal(40)))
    assert guessed.held("TSLA") == 0
    [rest] = [each for each in guessed.executions.values() if each.estimated]
    assert rest.shares == 60


def test_an_entry_whose_fill_is_never_told_is_a_trade_with_its_stop() -> None:
    picture = Picture((held(100),), (STOP, PARTIAL), (over("entry", 100),))
    outcome = after(state(entered=0), picture)
    assert (quantity(outcome), estimates(outcome)) == (Decimal(100), ["BOT 100 @ 445.26"])
    assert outcome.checkpoint.session.trades_today == 1
    assert steps(outcome) == []


def test_a_trade_that_came_and_went_untold_counts_against_the_limits() -> None:
    outcome = after(state(entered=0), FORGETFUL)
    assert sorted(estimates(outcome)) == ["BOT 100 @ 445.25", "SLD 100 @ 443.37"]
    assert outcome.checkpoint.session.trades_today == 1
    assert outcome.checkpoint.session.daily_pnl == LOSS


def test_partial_and_the_stop_that_it_reduced_close_what_was_held() -> None:
    done = (over("entry", 100), over("partial", 50, "447.13"), over("stop", 0, "445.25"))
    outcome = after(state(), Picture(completed_orders=done))
    assert quantity(outcome) == 0
    assert sorted(estimates(outcome)) == ["SLD 50 @ 443.37", "SLD 50 @ 447.13"]


def test_a_filled_order_that_the_position_does_not_show_yet_is_not_estimated() -> None:
    outcome = after(state(), replace(FORGETFUL, positions=(held(100),), executions=(ENTRY_FILL,)))
    assert (quantity(outcome), estimates(outcome)) == (Decimal(100), [])


def closed_and_open() -> Checkpoint:
    """Return the books of a trade that was stopped out and of a second one that is held."""
    books = state()
    book(books, STOPPED)
    again = replace(ENTRY_FILL, exec_id="0000e0d5.again.01.01", order_id=20, perm_id=1020)
    book(books, replace(again, order_ref="PS60|TSLA|L|20251006|2|entry"))
    books.positions["PS60|TSLA|L|20251006|2"] = books.positions[
        "PS60|TSLA|L|20251006|1"
    ].model_copy(update={"trade_id": "PS60|TSLA|L|20251006|2", "last_price": Decimal("444.00")})
    outcome = reconcile(
        books, Picture((held(100),), (), (), (ENTRY_FILL, STOPPED)), context=CONTEXT
    )
    assert quantity(outcome) == 100
    return outcome.checkpoint


def test_an_empty_answer_takes_no_trade_back_and_a_sale_is_estimated() -> None:
    """Somebody has closed the second trade; the broker tells of nothing at all."""
    books = closed_and_open()
    outcome = after(books, Picture())
    assert quantity(outcome) == 0
    assert outcome.checkpoint.session.trades_today == 2
    assert {*books.executions} < {*outcome.checkpoint.executions}
    assert estimates(outcome) == ["SLD 100 @ 444.00"]
    assert outcome.checkpoint.session.daily_pnl == LOSS + Decimal("-125.00")
    assert "IBKR tells no fills: ESTIMATED SLD 100 @ 444" in outcome.report.text()


def test_the_sale_that_is_told_at_last_is_counted_once() -> None:
    guessed = after(closed_and_open(), Picture()).checkpoint
    booked = [each for each in guessed.executions.values() if not each.estimated]
    sold = replace(
        fill("stop", 100, "443.80", at=NOW - timedelta(minutes=2), number=9),
        order_id=0,
        client_id=0,
        perm_id=77,
        order_ref="",
    )
    told = (ENTRY_FILL, STOPPED, *(as_told(each) for each in booked if each.order_id == 20), sold)
    outcome = after(guessed, Picture(executions=told))
    assert (quantity(outcome), estimates(outcome)) == (Decimal(0), [])
    assert outcome.checkpoint.session.daily_pnl == LOSS + Decimal("-145.00")


def as_told(booked: object) -> BrokerExecution:
    """Return a booked execution as the broker tells it."""
    names = BrokerExecution.__dataclass_fields__
    return BrokerExecution(**{name: getattr(booked, name) for name in names})


def test_a_stop_that_is_gone_with_its_shares_has_filled_where_the_broker_is_silent() -> None:
    """No executions and no completed orders: the entry was not taken back, its stop would work."""
    outcome = after(state(), Picture())
    assert estimates(outcome) == ["SLD 100 @ 443.37"]
    assert outcome.checkpoint.session.daily_pnl == LOSS
    assert states(outcome)["stop"] == IntentState.FILLED


def test_a_fill_that_was_taken_back_is_not_estimated_afterwards() -> None:
    """The stop's fill is busted: the order stays filled by IBKR's word, and nothing is untold."""
    books = state()
    book(books, STOPPED)
    busted = replace(FORGETFUL, positions=(held(100),), executions=(ENTRY_FILL,))
    outcome = after(books, busted)
    assert (quantity(outcome), estimates(outcome)) == (Decimal(100), [])
    gone = after(outcome.checkpoint, replace(FORGETFUL, executions=(ENTRY_FILL,)))
    assert (quantity(gone), estimates(gone)) == (Decimal(0), [])
