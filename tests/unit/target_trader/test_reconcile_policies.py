"""Who gives way where quantities differ and no execution says why: three policies."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from target_trader.matching import Context
from target_trader.picture import Picture
from target_trader.reconcile import Reconciled, reconcile
from target_trader.reconciliation import Outcome
from target_trader.report import Verdict
from target_trader.settings import Policy
from target_trader.state.checkpoint import HaltKind, new_checkpoint
from tests.support.pictures import (
    CONTEXT,
    DAY,
    ENTRY_FILL,
    NOW,
    PARTIAL,
    RULES,
    STOP,
    fill,
    held,
    quantity,
    state,
)

SHORT_OF_40 = Picture((held(60),), (STOP, PARTIAL), (), (ENTRY_FILL,))
UNKNOWN = Picture((held(80, cost="450.00"),))


def under(policy: Policy) -> Context:
    """Return the context of a reconciliation under a policy."""
    return replace(CONTEXT, rules=replace(RULES, policy=policy))


def verdicts(outcome: Reconciled) -> list[Verdict]:
    """Return the verdict on each symbol."""
    return [each.verdict for each in outcome.record.symbols]


def test_sync_takes_the_brokers_quantity() -> None:
    outcome = reconcile(state(), SHORT_OF_40, context=under(Policy.SYNC_TO_BROKER))
    assert quantity(outcome) == 60
    assert (verdicts(outcome), outcome.record.outcome) == ([Verdict.SYNCED], Outcome.ADJUSTED)
    assert "Using IBKR value (source of truth)" in outcome.report.text()


def test_warn_leaves_the_books_and_freezes_the_symbol() -> None:
    outcome = reconcile(state(), SHORT_OF_40, context=under(Policy.WARN_ONLY))
    assert quantity(outcome) == 100
    why = outcome.checkpoint.frozen["TSLA"]
    assert "the books hold 100 shares, IBKR 60" in why
    assert why in outcome.report.text()
    assert (verdicts(outcome), outcome.record.outcome) == ([Verdict.FROZEN], Outcome.FROZEN)
    assert outcome.checkpoint.halts == []


def test_a_frozen_symbol_is_released_loudly_when_both_sides_agree_again() -> None:
    context = under(Policy.WARN_ONLY)
    frozen = reconcile(state(), SHORT_OF_40, context=context).checkpoint
    agreed = Picture((held(100),), (STOP, PARTIAL), (), (ENTRY_FILL,))
    outcome = reconcile(frozen, agreed, context=context)
    assert outcome.checkpoint.frozen == {}
    assert "TSLA: books and IBKR agree again, released" in outcome.report.text()
    assert outcome.record.symbols[0].actions == ["released"]


def test_a_frozen_symbol_is_released_when_executions_explain_it_after_all() -> None:
    context = under(Policy.WARN_ONLY)
    frozen = reconcile(state(), SHORT_OF_40, context=context).checkpoint
    explained = replace(SHORT_OF_40, executions=(ENTRY_FILL, fill("stop", 40, "443.37")))
    outcome = reconcile(frozen, explained, context=context)
    assert (quantity(outcome), outcome.checkpoint.frozen) == (Decimal(60), {})


def test_a_freeze_outlasts_a_fill_that_is_too_young_to_tell() -> None:
    context = under(Policy.WARN_ONLY)
    frozen = reconcile(state(), SHORT_OF_40, context=context).checkpoint
    young = fill("stop", 10, "443.37", at=NOW - timedelta(seconds=1))
    lagging = replace(SHORT_OF_40, executions=(ENTRY_FILL, young))
    outcome = reconcile(frozen, lagging, context=context)
    assert outcome.ask_again
    assert list(outcome.checkpoint.frozen) == ["TSLA"]


def test_a_symbol_that_is_frozen_and_flat_on_both_sides_is_released() -> None:
    books = new_checkpoint(DAY, now=NOW)
    books.frozen["TSLA"] = "the books hold 0 shares, IBKR 80"
    outcome = reconcile(books, Picture(), context=under(Policy.WARN_ONLY))
    assert outcome.checkpoint.frozen == {}


def test_halt_leaves_the_books_and_stops_the_engine_with_the_details() -> None:
    outcome = reconcile(state(), SHORT_OF_40, context=under(Policy.HALT_AND_ALERT))
    assert quantity(outcome) == 100
    assert outcome.checkpoint.engine_halted
    (halt,) = outcome.checkpoint.halts
    assert halt.kind is HaltKind.ENGINE
    assert halt.reason == (
        "TSLA: the books hold 100 shares, IBKR 60 at 445.26; no fill explains the difference"
    )
    assert (verdicts(outcome), outcome.record.outcome) == ([Verdict.HALTED], Outcome.HALTED)


def test_an_unknown_position_is_adopted_frozen_or_halts() -> None:
    books = new_checkpoint(DAY, now=NOW)
    sync = reconcile(books, UNKNOWN, context=under(Policy.SYNC_TO_BROKER))
    assert (quantity(sync), verdicts(sync)) == (Decimal(80), [Verdict.ADOPTED])
    warn = reconcile(books, UNKNOWN, context=under(Policy.WARN_ONLY))
    assert (quantity(warn), verdicts(warn)) == (Decimal(0), [Verdict.FROZEN])
    assert "the position is unknown to the state" in warn.checkpoint.frozen["TSLA"]
    halt = reconcile(books, UNKNOWN, context=under(Policy.HALT_AND_ALERT))
    assert (quantity(halt), verdicts(halt)) == (Decimal(0), [Verdict.HALTED])


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("picture", [SHORT_OF_40, UNKNOWN], ids=["fewer", "unknown"])
def test_reconciling_twice_adds_nothing_under_any_policy(policy: Policy, picture: Picture) -> None:
    books = state() if picture is SHORT_OF_40 else new_checkpoint(DAY, now=NOW)
    once = reconcile(books, picture, context=under(policy))
    twice = reconcile(once.checkpoint, picture, context=under(policy))
    assert twice.checkpoint == once.checkpoint


@pytest.mark.parametrize("policy", Policy)
def test_catching_up_with_executions_is_no_difference_under_any_policy(policy: Policy) -> None:
    picture = Picture((), (), (), (ENTRY_FILL, fill("stop", 100, "443.37")))
    outcome = reconcile(state(), picture, context=under(policy))
    assert quantity(outcome) == 0
    assert (outcome.checkpoint.frozen, outcome.checkpoint.halts) == ({}, [])
    assert verdicts(outcome) == [Verdict.CAUGHT_UP]


@pytest.mark.parametrize("policy", Policy)
def test_a_foreign_position_is_left_alone_under_any_policy(policy: Policy) -> None:
    outcome = reconcile(
        new_checkpoint(DAY, now=NOW), Picture((held(300, "IBM"),)), context=under(policy)
    )
    assert (outcome.checkpoint.frozen, outcome.checkpoint.halts) == ({}, [])
    assert verdicts(outcome) == [Verdict.FOREIGN]
