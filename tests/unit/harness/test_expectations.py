"""Each expectation and condition: met by one small history, not met by another."""

from decimal import Decimal

import pytest

from harness import expectations as expect
from harness.checks import Condition, Expectation
from harness.comparing import compare_ends
from harness.errors import HarnessError
from harness.history import History
from tests.unit.harness.stories import ENTRY, STOP, Story

SECOND = "PS60|TSLA|L|20251006|2|entry"


def held() -> Story:
    return Story().case().start().bracket().bar()


def stopped_while_dead() -> Story:
    story = held().killed().stopped_out().partial_gone()
    return story.start().bar("446.00").state(positions={}, attempts={"TSLA|LONG|444.77": 1})


def reentered() -> Story:
    story = stopped_while_dead().order(8, "BUY", 100, ref=SECOND)
    return story.fill(8, "BOT", 100, "446.00", ref=SECOND).done(8, "BUY", 100, ref=SECOND).bar()


MET = [
    (expect.position("TSLA", 100), held()),
    (expect.flat("TSLA"), stopped_while_dead()),
    (expect.working_stop("TSLA", "443.37", 100), held()),
    (expect.working_order("TSLA", "LMT", price="447.13", quantity=50), held()),
    (expect.entries("TSLA", 2), reentered()),
    (expect.no_entry_after_last_restart("TSLA"), stopped_while_dead()),
    (expect.believes_flat("TSLA"), stopped_while_dead()),
    (expect.believes_attempts("TSLA", "LONG", count=1), stopped_while_dead()),
]
UNMET = [
    (expect.position("TSLA", 100), stopped_while_dead()),
    (expect.flat("TSLA"), held()),
    (expect.working_stop("TSLA", "443.37", 50), held()),
    (expect.working_stop("TSLA", "443.37", 100), stopped_while_dead()),
    (expect.working_order("TSLA", "LMT", price="460.25", quantity=50), held()),
    (expect.entries("TSLA", 1), reentered()),
    (expect.no_entry_after_last_restart("TSLA"), reentered()),
    (expect.believes_position("TSLA", 100), stopped_while_dead()),
    (expect.believes_attempts("TSLA", "LONG", count=2), stopped_while_dead()),
]


@pytest.mark.parametrize(("expectation", "story"), MET, ids=lambda it: getattr(it, "name", ""))
def test_an_expectation_that_is_met_finds_nothing(expectation: Expectation, story: Story) -> None:
    assert expectation.check(story.end_copy(), None) == []


@pytest.mark.parametrize(("expectation", "story"), UNMET, ids=lambda it: getattr(it, "name", ""))
def test_an_expectation_that_is_not_met_is_a_finding(
    expectation: Expectation, story: Story
) -> None:
    assert expectation.check(story.end_copy(), None) != []


def test_a_belief_is_compared_field_by_field() -> None:
    believed = {"quantity": "50", "entry_price": "445.25", "stop_price": "445.25", "partials": 1}
    history = held().state(positions={"TSLA": believed}).end_copy()
    right = expect.believes_position(
        "TSLA", 50, entry_price="445.25", stop_price="445.250", partials=1
    )
    assert right.check(history, None) == []
    wrong = expect.believes_position("TSLA", 50, stop_price="443.37")
    (finding,) = wrong.check(history, None)
    assert "stop price of TSLA to be 445.25; it should be 443.37" in finding.sentence


CONDITIONS_MET = [
    (expect.killed(), stopped_while_dead()),
    (expect.restarted(), stopped_while_dead()),
    (expect.held_when_killed("TSLA", 100), stopped_while_dead()),
    (expect.fill_while_dead("TSLA"), stopped_while_dead()),
    (expect.entered("TSLA", 2), reentered()),
    (expect.price_reached("TSLA", "446.00", after_last_restart=True), stopped_while_dead()),
]
CONDITIONS_UNMET = [
    (expect.killed(), held()),
    (expect.restarted(), held()),
    (expect.held_when_killed("TSLA", 50), stopped_while_dead()),
    (expect.held_when_killed("TSLA", 100, kill=2), stopped_while_dead()),
    (expect.fill_while_dead("TSLA"), held().killed().start()),
    (expect.entered("TSLA", 2), held()),
    (expect.price_reached("TSLA", "446.01", after_last_restart=True), stopped_while_dead()),
]


@pytest.mark.parametrize(("condition", "story"), CONDITIONS_MET, ids=lambda it: str(it)[:40])
def test_a_condition_that_is_met_says_nothing(condition: Condition, story: Story) -> None:
    assert condition.missing(story.end_copy()) is None


@pytest.mark.parametrize(("condition", "story"), CONDITIONS_UNMET, ids=lambda it: str(it)[:40])
def test_a_condition_that_is_not_met_says_why(condition: Condition, story: Story) -> None:
    reason = condition.missing(story.end_copy())
    assert reason
    assert "TSLA" in reason or "planned" in reason or "kill" in reason


def books(quantity: str, *, stop: str | None = "443.37") -> History:
    order = {
        "perm_id": 2,
        "order_id": 2,
        "client_id": 2001,
        "order_ref": STOP,
        "symbol": "TSLA",
        "action": "SELL",
        "order_type": "STP",
        "quantity": quantity,
        "filled": "0",
        "remaining": quantity,
        "limit_price": None,
        "aux_price": stop,
        "status": "PreSubmitted",
        "parent_perm_id": None,
        "oca_group": "",
        "transmitted": True,
        "working": True,
    }
    position = {
        "account": "DU1",
        "symbol": "TSLA",
        "con_id": 1,
        "quantity": quantity,
        "average_cost": "445.26",
        "realized_pnl": "0",
    }
    story = Story().case()
    told = {
        "now": "2025-10-06T10:31:00-04:00",
        "cash": "1",
        "positions": [position],
        "orders": [order],
        "executions": [],
        "last_prices": {},
    }
    story.add("harness", "books", books=told)
    return story.end_copy()


def test_two_runs_that_end_alike_compare_as_equal() -> None:
    assert compare_ends(books("100"), books("100.0")) == []


def test_every_difference_of_two_ends_is_a_finding() -> None:
    sentences = [f.sentence for f in compare_ends(books("50"), books("100"))]
    assert "Position TSLA 50 is only in the crashed run." in sentences
    assert "Position TSLA 100 is missing in the crashed run." in sentences
    assert len(sentences) == 4
    assert len(compare_ends(books("50", stop="445.25"), books("50"))) == 2


def test_ends_that_are_not_there_cannot_be_compared() -> None:
    with pytest.raises(HarnessError, match="no final books"):
        compare_ends(books("50"), None)


def test_only_fills_between_a_kill_and_the_next_launch_count_as_while_dead() -> None:
    fills = expect.fills_while_dead(reentered().end_copy())
    assert [(fill.order_ref, fill.shares) for fill in fills] == [(STOP, Decimal(100))]
    assert ENTRY not in [fill.order_ref for fill in fills]
