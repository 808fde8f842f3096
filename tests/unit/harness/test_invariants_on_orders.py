"""Each law on the broker's books: a history that breaks it and one that does not."""

import pytest

from harness.checks import Invariant
from harness.invariants import (
    attempts_held,
    ids_unique,
    no_flip,
    no_orphans,
    one_intent_one_order,
    protected,
    reconcile_first,
)
from tests.unit.harness.stories import ENTRY, EXIT, PARTIAL, STOP, TARGET, Story

ON_BOOKS = [
    attempts_held.INVARIANT,
    ids_unique.INVARIANT,
    no_flip.INVARIANT,
    no_orphans.INVARIANT,
    one_intent_one_order.INVARIANT,
    protected.INVARIANT,
    reconcile_first.INVARIANT,
]


def good_day() -> Story:
    """Entered, killed, restarted, half sold, stopped out at breakeven: nothing is wrong."""
    story = Story().start().bar().bracket().bar().bar().killed().start().bar("447.20")
    story.fill(3, "SLD", 50, "447.13", ref=PARTIAL)
    story.done(3, "SELL", 50, "LMT", ref=PARTIAL, oca="exits", price="447.13")
    story.stop(100, filled=50, event="reduced").bar()
    story.fill(2, "SLD", 50, "445.25", ref=STOP)
    return story.done(2, "SELL", 100, "STP", ref=STOP, price="445.25").bar().end()


@pytest.mark.parametrize("invariant", ON_BOOKS, ids=lambda law: law.name)
def test_a_good_day_breaks_no_law(invariant: Invariant) -> None:
    assert invariant.check(good_day().history()) == []


def test_selling_what_is_no_longer_held_is_a_flip() -> None:
    story = Story().start().bar().bracket().killed().bar().stopped_out().start()
    story.order(9, "SELL", 50, ref=EXIT).fill(9, "SLD", 50, "444.10", ref=EXIT)
    (finding,) = no_flip.check(story.history())
    assert finding.sentence == (
        "The bot sold 50 TSLA that it no longer had. It is now SHORT 50 TSLA."
    )
    assert finding.at_risk == 22205


def test_a_fill_that_crosses_zero_is_a_flip() -> None:
    story = Story().start().bracket()
    story.order(9, "SELL", 150).fill(9, "SLD", 150)
    findings = no_flip.check(story.history())
    assert "SHORT 50 TSLA" in findings[0].sentence


def test_entering_short_from_flat_is_no_flip() -> None:
    short = "PS60|TSLA|S|20251006|1|entry"
    story = Story().start().order(1, "SELL", 100, ref=short).fill(1, "SLD", 100, ref=short)
    assert no_flip.check(story.history()) == []


def test_exits_in_one_group_cannot_flip_but_exits_apart_can() -> None:
    together = Story().start().bracket().bar()
    assert no_flip.check(together.history()) == []
    apart = Story().start().bracket()
    apart.order(9, "SELL", 100, "LMT", ref=TARGET, oca="another", price="460.25").bar()
    (finding,) = no_flip.check(apart.history())
    assert "could close 200 TSLA" in finding.sentence


def test_a_position_without_a_stop_is_unprotected() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).filled_entry().bar()
    (finding,) = protected.check(story.history())
    assert "LONG 100 TSLA has no stop" in finding.sentence
    assert finding.at_risk == 44525


def test_a_position_may_be_naked_while_the_bot_is_dead_and_until_it_is_ready() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).killed().filled_entry().bar()
    story.launched().stop(100).ready().bar()
    assert protected.check(story.history()) == []


def test_a_position_that_is_naked_when_the_bot_reports_ready_is_unprotected() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).killed().filled_entry().bar()
    story.launched().ready().stop(100).bar()
    assert len(protected.check(story.history())) == 1


def test_a_stop_for_more_than_is_held_does_not_protect() -> None:
    story = Story().start().bracket().fill(3, "SLD", 50, "447.13", ref=PARTIAL).bar()
    (finding,) = protected.check(story.history())
    assert "a stop for 100" in finding.sentence


def test_a_stop_child_covers_no_more_than_its_parent_has_filled() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY)
    story.stop(100, parent=1, status="PreSubmitted").fill(1, "BOT", 60, ref=ENTRY)
    story.order(1, "BUY", 100, ref=ENTRY, filled=60, event="filled").bar()
    assert protected.check(story.history()) == []


def half_filled_entry_whose_partial_has_filled() -> Story:
    """60 of 100 bought, 50 of them sold at the partial: the stop can sell 10, and 50 in the end."""
    story = Story().start().order(1, "BUY", 100, ref=ENTRY)
    story.stop(100, parent=1, status="PreSubmitted").fill(1, "BOT", 60, ref=ENTRY)
    story.order(1, "BUY", 100, ref=ENTRY, filled=60, event="filled")
    story.order(3, "SELL", 50, "LMT", ref=PARTIAL, price="447.13", parent=1, oca="exits")
    story.fill(3, "SLD", 50, "447.13", ref=PARTIAL)
    story.done(3, "SELL", 50, "LMT", ref=PARTIAL, price="447.13", parent=1, oca="exits")
    return story.stop(50, parent=1, event="reduced", status="PreSubmitted").bar()


def test_the_children_of_an_entry_that_still_fills_share_what_it_has_filled() -> None:
    story = half_filled_entry_whose_partial_has_filled()
    assert protected.check(story.history()) == []
    assert no_flip.check(story.history()) == []
    story.done(1, "BUY", 100, ref=ENTRY, filled=60).bar()
    (finding,) = protected.check(story.history())
    assert "LONG 10 TSLA has a stop for 50" in finding.sentence
    assert len(no_flip.check(story.history())) == 1


def test_what_a_person_has_under_way_is_no_flip_of_the_bot() -> None:
    story = Story().start().bracket().order(7, "SELL", 100, client=0).bar()
    assert no_flip.check(story.history()) == []
    story.order(8, "SELL", 100, client=2001).bar()
    assert len(no_flip.check(story.history())) == 1


def test_an_untransmitted_stop_protects_nothing() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).stop(100, transmitted=False)
    story.filled_entry().bar()
    assert len(protected.check(story.history())) == 1


def test_a_hand_made_position_in_a_foreign_stock_needs_no_stop_of_the_bot() -> None:
    story = Story().start().order(7, "BUY", 5, client=0, symbol="IBM")
    story.fill(7, "BOT", 5, client=0, symbol="IBM").bar()
    assert protected.check(story.history()) == []


def test_an_exit_that_outlives_its_position_is_an_orphan() -> None:
    story = Story().start().bracket().stopped_out().bar()
    (finding,) = no_orphans.check(story.history())
    assert "SELL 50 TSLA LMT 447.13 still works" in finding.sentence


def test_exits_that_go_with_their_position_are_no_orphans() -> None:
    story = Story().start().bracket().stopped_out().partial_gone().bar()
    assert no_orphans.check(story.history()) == []


def test_children_of_an_entry_that_waits_are_no_orphans() -> None:
    story = Story().start().order(1, "BUY", 100, "LMT", ref=ENTRY, price="440")
    story.stop(100, parent=1, status="PreSubmitted").bar()
    assert no_orphans.check(story.history()) == []


def test_children_of_an_entry_that_was_cancelled_are_orphans() -> None:
    story = Story().start().order(1, "BUY", 100, "LMT", ref=ENTRY, price="440")
    story.stop(100, parent=1, status="PreSubmitted")
    story.done(1, "BUY", 100, "LMT", ref=ENTRY, filled=0).bar()
    assert len(no_orphans.check(story.history())) == 1


def test_two_live_orders_of_one_intent_are_found() -> None:
    story = Story().start().bracket().killed().start().stop(100, perm_id=8)
    (finding,) = one_intent_one_order.check(story.history())
    assert "two live orders" in finding.sentence


def test_an_intent_that_was_filled_may_not_be_sent_again() -> None:
    story = Story().start().bracket().killed().start().order(8, "BUY", 100, ref=ENTRY)
    (finding,) = one_intent_one_order.check(story.history())
    assert "sent again when 100 of them were filled" in finding.sentence


def test_an_intent_whose_order_was_cancelled_may_be_sent_again() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).done(1, "BUY", 100, ref=ENTRY, filled=0)
    story.order(8, "BUY", 100, ref=ENTRY).fill(8, "BOT", 100, ref=ENTRY)
    story.done(8, "BUY", 100, ref=ENTRY)
    assert one_intent_one_order.check(story.history()) == []


def test_a_bot_without_refs_is_caught_by_twins_of_two_lives() -> None:
    story = Story().start().order(1, "BUY", 100, "LMT", price="440").killed()
    story.start().order(2, "BUY", 100, "LMT", price="440")
    assert len(one_intent_one_order.check(story.history())) == 1


def test_a_third_entry_breaks_the_budget_of_attempts() -> None:
    story = Story().start()
    for attempt in (1, 2):
        story.fill(attempt, "BOT", 100, ref=f"PS60|TSLA|L|20251006|{attempt}|entry")
    assert attempts_held.check(story.history()) == []
    story.fill(3, "BOT", 100, ref="PS60|TSLA|L|20251006|3|entry")
    (finding,) = attempts_held.check(story.history())
    assert "entered 3 times" in finding.sentence


def test_a_strategy_without_a_budget_of_attempts_is_not_accused() -> None:
    story = Story().start()
    for entry in (1, 2, 3):
        story.fill(entry, "BOT", 100, ref=f"SMA|TSLA|L|20251006|{entry}|entry")
    assert attempts_held.check(story.history()) == []


def test_an_entry_in_many_pieces_is_one_attempt() -> None:
    story = Story().start()
    for _ in range(4):
        story.fill(1, "BOT", 25, ref=ENTRY)
    assert attempts_held.check(story.history()) == []


def test_an_order_id_for_two_orders_is_found() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).killed().start()
    story.received(order_id=1, order_ref=STOP)
    (finding,) = ids_unique.check(story.history())
    assert finding.seqs[-1] == len(story.lines)


def test_a_modified_order_keeps_its_id() -> None:
    story = (
        Story().start().received(order_id=2, order_ref=STOP).received(order_id=2, order_ref=STOP)
    )
    assert ids_unique.check(story.history()) == []


def test_an_id_that_the_broker_refuses_as_used_is_found() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY)
    assert len(ids_unique.check(story.sent("error", code=103, req_id=1).history())) == 1
    assert ids_unique.check(Story().start().sent("error", code=202).history()) == []


def test_a_change_that_crosses_with_the_fill_is_no_second_use_of_the_id() -> None:
    story = Story().start().received(order_id=2, order_ref=STOP)
    story.received(order_id=2, order_ref=STOP).sent("error", code=103, req_id=2)
    assert ids_unique.check(story.history()) == []


@pytest.mark.parametrize("unheard", ["openOrderEnd", "positionEnd", "execDetailsEnd"])
def test_an_order_before_the_whole_truth_is_found(unheard: str) -> None:
    story = Story().launched()
    for end in ("openOrderEnd", "positionEnd", "execDetailsEnd"):
        if end != unheard:
            story.sent(end)
    story.received(order_id=1, order_ref=ENTRY).sent(unheard)
    (finding,) = reconcile_first.check(story.history())
    assert unheard in finding.sentence


def test_what_an_earlier_session_heard_does_not_count() -> None:
    story = Story().start().received(order_id=1).killed().launched().received(order_id=2)
    assert len(reconcile_first.check(story.history())) == 1


def test_a_bot_without_refs_may_ask_for_the_same_again_once_it_was_filled() -> None:
    story = Story().start().order(1, "BUY", 100).fill(1, "BOT", 100).done(1, "BUY", 100)
    story.order(2, "SELL", 100).fill(2, "SLD", 100).done(2, "SELL", 100).killed()
    story.start().bar().order(3, "BUY", 100).fill(3, "BOT", 100).done(3, "BUY", 100)
    assert one_intent_one_order.check(story.history()) == []


def test_what_the_exchange_corrects_is_no_flip_of_the_bot() -> None:
    story = Story().start().bracket().stopped_out().partial_gone()
    assert no_flip.check(story.corrected(2, "SLD", 110, ref=STOP).bar().history()) == []


def test_after_an_execution_was_taken_back_the_bot_has_a_minute() -> None:
    story = Story().start().bracket().fill(3, "SLD", 50, "447.13", ref=PARTIAL)
    story.order(3, "SELL", 50, "LMT", ref=PARTIAL, filled=50, event="filled", status="Filled")
    story.stop(100, filled=50, event="reduced").busted(2, 3, "SELL", 50, ref=PARTIAL)
    assert protected.check(story.bar().history()) == []
    for _ in range(60):
        story.bar()
    (finding,) = protected.check(story.history())
    assert "LONG 100 TSLA has a stop for 50" in finding.sentence


def naked(*events: tuple[str, int], code: int | None = None) -> Story:
    """A position without a stop, when these things have happened to the connection."""
    story = Story().launched().session("ready", 1).ready().order(1, "BUY", 100, ref=ENTRY)
    for event, number in events:
        story.session(event, number)
    if code is not None:
        story.sent("error", req_id=-1, code=code)
    return story.filled_entry()


def test_a_bot_that_is_cut_off_cannot_protect() -> None:
    cut = naked(("disconnected", 1)).bar().bar()
    assert protected.check(cut.history()) == []
    back = cut.session("ready", 2).bar()
    assert len(protected.check(back.history())) == 1


def test_a_bot_whose_broker_is_cut_off_cannot_protect() -> None:
    cut = naked(code=1100).bar()
    assert protected.check(cut.history()) == []
    assert len(protected.check(cut.sent("error", req_id=-1, code=1102).bar().history())) == 1


def test_the_end_is_judged_although_the_harness_has_ended_the_bot() -> None:
    story = naked()
    story.add("harness", "ended")
    assert len(protected.check(story.history())) == 1
    story = naked().bar().session("disconnected", 1)
    story.add("harness", "ended")
    assert protected.check(story.history())[0].seqs[-1] < len(story.lines)
