"""Laws on the status of trades and on their stops: what breaks each, and what does not."""

import pytest

from harness.invariants import breakeven, trade_status
from tests.unit.harness.days_for_tests import RULES, TRADE, held, in_and_out, told, trade
from tests.unit.harness.stories import PARTIAL, STOP, Story


@pytest.mark.parametrize(
    ("status", "quantity", "closed"),
    [("OPEN", 0, 0), ("PENDING", 100, 0), ("OPEN", 100, 50), ("PARTIAL", 100, 100)],
)
def test_a_status_that_is_not_that_of_its_shares_is_found(
    status: str, quantity: int, closed: int
) -> None:
    belief = told(trades={"T": trade(status, quantity, closed)})
    story = Story().case().start().killed().state("after kill", **belief)
    (finding,) = trade_status.check(story.history())
    assert f"says that T is {status}" in finding.sentence


def test_a_status_of_another_bot_and_one_without_shares_are_not_judged() -> None:
    belief = told(trades={"T": trade("RUNNING"), "U": {"symbol": "TSLA", "status": "OPEN"}})
    assert trade_status.check(Story().case().start().state(**belief).history()) == []


def test_a_trade_that_waits_and_one_that_is_over_are_told_right() -> None:
    belief = told(trades={"T": trade("PENDING", 0), "U": trade("CLOSED", 100, 100)})
    assert trade_status.check(Story().case().start().state(**belief).history()) == []


def test_shares_that_the_broker_has_not_filled_are_found() -> None:
    belief = told(trades={TRADE: trade("PARTIAL", 100, 50)})
    (finding,) = trade_status.check(held().state(**belief).history())
    assert "entered 100 and closed 50 shares; the broker has filled 100 and 0" in finding.sentence
    frozen = held().state(**{**belief, "frozen": {"TSLA": "differs"}})
    assert trade_status.check(frozen.history()) == []


def test_the_shares_of_a_trade_are_those_of_its_own_orders() -> None:
    story = held().stopped_out().partial_gone()
    in_and_out(story, 2, "10")
    both = {TRADE: trade("CLOSED", 100, 100), TRADE[:-1] + "2": trade("CLOSED", 100, 100)}
    assert trade_status.check(story.state(**told(trades=both)).history()) == []
    both[TRADE] = trade("PARTIAL", 100, 50)
    (finding,) = trade_status.check(story.state(**told(trades=both)).history())
    assert "the broker has filled 100 and 100" in finding.sentence


def test_the_shares_of_a_trade_of_two_days_or_by_hand_are_not_judged() -> None:
    over_night = told(day="2025-10-07", trades={TRADE: trade("PARTIAL", 100, 60)})
    story = held().days_pass(1).bar().state(**over_night)
    assert trade_status.check(story.history()) == []
    story = held().order(9, "SELL", 60, client=0).fill(9, "SLD", 60, client=0)
    wrong = told(trades={TRADE: trade("PARTIAL", 100, 50)})
    assert trade_status.check(story.state(**wrong).history()) == []


def half_sold(stop: str, *, restarts: bool = False) -> Story:
    """Half is sold at the partial's price, and then the stop works at `stop`."""
    story = held()
    if restarts:
        story.killed()
    story.fill(3, "SLD", 50, "447.13", ref=PARTIAL)
    story.done(3, "SELL", 50, "LMT", ref=PARTIAL, oca="exits", price="447.13", parent=1)
    if restarts:
        story.launched()
    story.order(2, "SELL", 50, "STP", ref=STOP, oca="exits", price=stop, parent=1)
    return story.ready() if restarts else story.bar()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_stop_that_stays_below_the_entry_after_the_partial_is_found(restarts: bool) -> None:
    story = half_sold("443.37", restarts=restarts).state(**told())
    (finding,) = breakeven.check(story.history())
    assert "the stop is at 443.37; it belongs at the entry price, 445.25" in finding.sentence
    assert finding.at_risk == 94


@pytest.mark.parametrize("stop", ["445.25", "445.24", "446.00"])
def test_a_stop_at_the_entry_or_better_is_right(stop: str) -> None:
    assert breakeven.check(half_sold(stop).state(**told()).history()) == []


def test_a_bot_without_that_rule_or_one_that_is_halted_is_not_judged() -> None:
    without = told(rules={**RULES, "breakeven_after_partial": None})
    for belief in (without, told(halted="IBKR refuses to change an order")):
        assert breakeven.check(half_sold("443.37").state(**belief).history()) == []


def test_a_stop_is_not_judged_that_nobody_can_or_must_move() -> None:
    filling = held().fill(3, "SLD", 50, "447.13", ref=PARTIAL).fill(2, "SLD", 10, ref=STOP)
    filling.done(3, "SELL", 50, "LMT", ref=PARTIAL, price="447.13", parent=1)
    filling.order(2, "SELL", 50, "STP", ref=STOP, filled=10, event="filled", price="443.37")
    by_hand = held().order(9, "BUY", 5, client=0).fill(9, "BOT", 5, client=0)
    by_hand.fill(3, "SLD", 50, "447.13", ref=PARTIAL)
    broken = half_sold("443.37")
    broken.add("broker", "fault", event="armed", fault=1, name="x", parameters={}, detail="")
    another = half_sold("445.25").order(30, "SELL", 5, "STP", ref="X|1|stop", price="440.00")
    for story in (filling, by_hand, broken, another):
        story.done(3, "SELL", 50, "LMT", ref=PARTIAL, price="447.13", parent=1)
        assert breakeven.check(story.bar().state(**told()).history()) == []


def test_what_is_flat_and_what_has_no_refs_needs_no_stop() -> None:
    story = half_sold("443.37", restarts=True)
    flat = held().fill(3, "SLD", 50, "447.13", ref=PARTIAL).fill(2, "SLD", 50, ref=STOP)
    plain = Story().case().start().order(1, "BUY", 100).fill(1, "BOT", 100)
    plain.order(2, "SELL", 100, "STP", price="440.00").fill(3, "SLD", 50)
    assert len(breakeven.check(story.state(**told()).history())) == 1
    for story in (flat, plain):
        assert breakeven.check(story.bar().state(**told()).history()) == []


def test_a_partial_that_has_filled_in_part_moves_nothing() -> None:
    story = held().fill(3, "SLD", 20, "447.13", ref=PARTIAL)
    story.order(3, "SELL", 50, "LMT", ref=PARTIAL, filled=20, event="filled", price="447.13")
    assert breakeven.check(story.bar().state(**told()).history()) == []


def test_a_short_is_protected_from_above() -> None:
    entry, partial, stop = (f"PS60|TSLA|S|20251006|1|{leg}" for leg in ("entry", "partial", "stop"))
    for price, count in (("433.90", 1), ("432.30", 0)):
        story = Story().case().start().order(1, "SELL", 100, ref=entry)
        story.order(2, "BUY", 50, "STP", ref=stop, price=price)
        story.fill(1, "SLD", 100, "432.30", ref=entry).done(1, "SELL", 100, ref=entry)
        story.fill(3, "BOT", 50, "430.70", ref=partial).bar().state(**told())
        assert len(breakeven.check(story.history())) == count
