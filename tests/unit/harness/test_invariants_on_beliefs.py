"""Each law on the bot's state and life: a history that breaks it, and one that does not."""

from harness.invariants import (
    back_in_business,
    fill_once,
    intent_before_send,
    position_agrees,
    the_bot_stays,
)
from tests.unit.harness.stories import ENTRY, STOP, Story, stem

LONG_100 = {"TSLA": {"quantity": "100"}}


def test_a_bot_that_believes_what_the_broker_has_agrees() -> None:
    story = Story().start().bracket().state(positions=LONG_100)
    assert position_agrees.check(story.history()) == []


def test_a_bot_that_believes_another_quantity_disagrees() -> None:
    story = Story().start().bracket().state(positions={"TSLA": {"quantity": "50"}})
    (finding,) = position_agrees.check(story.history())
    assert finding.sentence == "The bot believes LONG 50 TSLA; the broker has LONG 100 TSLA."
    assert finding.at_risk == 22262.5


def test_a_bot_that_forgot_its_position_disagrees() -> None:
    story = Story().start().bracket().state(positions={})
    assert len(position_agrees.check(story.history())) == 1


def test_a_bot_that_invents_a_position_disagrees() -> None:
    story = Story().start().state(positions={"NVDA": {"quantity": "-10"}})
    (finding,) = position_agrees.check(story.history())
    assert "SHORT 10 NVDA" in finding.sentence


def test_a_foreign_position_may_be_left_alone() -> None:
    story = Story().start().fill(7, "BOT", 5, client=0, symbol="IBM").state(positions={})
    assert position_agrees.check(story.history()) == []


def test_executions_booked_once_are_right_by_id_and_by_root() -> None:
    whole = Story().start().bracket().state(executions=["0000e0d5.00000001.01.01"])
    stem = Story().start().bracket().state(executions=["0000e0d5.00000001.01"])
    corrected = Story().start().bracket().state(executions=["0000e0d5.00000001.01.02"])
    for story in (whole, stem, corrected):
        assert fill_once.check(story.history()) == []


def test_an_execution_that_was_never_booked_is_found() -> None:
    story = Story().start().bracket().state(executions=[])
    (finding,) = fill_once.check(story.history())
    assert "never booked" in finding.sentence


def test_an_execution_that_was_booked_twice_is_found() -> None:
    story = Story().start().bracket()
    story.state(executions=["0000e0d5.00000001.01.01", "0000e0d5.00000001.01.01"])
    (finding,) = fill_once.check(story.history())
    assert "booked 2 times" in finding.sentence


def test_an_execution_that_the_broker_does_not_know_is_found() -> None:
    story = Story().start().state(executions=["made.up.01.01"])
    (finding,) = fill_once.check(story.history())
    assert "does not know" in finding.sentence


def test_profit_is_compared_to_the_cent() -> None:
    right = Story().start().bracket().commission(None).stopped_out().commission("-190.00")
    booked = ["0000e0d5.00000001.01", "0000e0d5.00000002.01"]
    right.state(executions=booked, realized_pnl="-190.000001")
    assert fill_once.check(right.history()) == []
    wrong = Story().start().bracket().commission(None).stopped_out().commission("-190.00")
    wrong.state(executions=booked, realized_pnl="-188.00")
    (finding,) = fill_once.check(wrong.history())
    assert finding.at_risk == 2


def test_an_order_whose_intent_is_on_disk_is_explained() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).killed()
    story.state("after kill", intents=[{"order_ref": ENTRY, "order_id": 1}])
    assert intent_before_send.check(story.history()) == []


def test_an_order_without_a_durable_intent_is_found() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).killed()
    story.state("after kill", intents=[])
    (finding,) = intent_before_send.check(story.history())
    assert ENTRY in finding.sentence


def test_an_order_that_was_lost_on_the_way_needs_its_intent_too() -> None:
    story = Story().start().killed()
    lost = {"order_id": 1, "order_ref": ENTRY}
    story.add(
        "broker",
        "lost",
        session=2,
        client_id=2001,
        message="placeOrder",
        occurrence=1,
        direction="in",
        fields=lost,
    )
    story.state("after kill", intents=[])
    assert len(intent_before_send.check(story.history())) == 1


def test_an_intent_for_another_leg_explains_nothing() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).killed()
    story.state("after kill", intents=[{"order_ref": STOP, "order_id": 1}])
    assert len(intent_before_send.check(story.history())) == 1


def test_orders_of_an_earlier_life_are_not_asked_for_again() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).killed()
    story.state("after kill", intents=[{"order_ref": ENTRY, "order_id": 1}])
    story.start().killed().state("after kill", intents=[])
    assert intent_before_send.check(story.history()) == []


def test_a_bot_that_comes_back_is_back_in_business() -> None:
    story = Story().start().killed().start().end()
    assert back_in_business.check(story.history()) == []


def test_a_bot_that_never_gets_ready_again_is_found() -> None:
    story = Story().start().killed().launched().end()
    (finding,) = back_in_business.check(story.history())
    assert "after its last restart" in finding.sentence


def test_a_bot_that_was_killed_before_it_was_ready_may_come_back_later() -> None:
    story = Story().launched().killed().start().end()
    assert back_in_business.check(story.history()) == []


def test_a_bot_that_ends_by_itself_is_found_with_its_last_words() -> None:
    story = Story().start().exited(1, "ValueError: no stop").end()
    (finding,) = the_bot_stays.check(story.history())
    assert finding.sentence == (
        "The bot ended by itself in life 1, with exit code 1: ValueError: no stop"
    )


def test_a_bot_that_was_killed_has_not_ended_by_itself() -> None:
    assert the_bot_stays.check(Story().start().killed().start().end().history()) == []


def test_all_unexplained_orders_of_one_life_are_one_finding() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY)
    story.received(order_id=2, order_ref=STOP).killed().state("after kill", intents=[])
    (finding,) = intent_before_send.check(story.history())
    assert ENTRY in finding.sentence
    assert STOP in finding.sentence


def test_an_execution_that_is_booked_as_it_was_before_its_correction_is_found() -> None:
    story = Story().start().bracket().corrected(1, "BOT", 90, ref=ENTRY)
    old = story.state(executions=[f"{stem(1)}.01"]).history()
    (finding,) = fill_once.check(old)
    assert "not its correction, the execution BOT 90 TSLA" in finding.sentence
    story.state(executions=[f"{stem(1)}.02"])
    assert fill_once.check(story.history()) == []


def test_an_execution_that_was_taken_back_need_not_be_booked() -> None:
    story = Story().start().order(1, "BUY", 100, ref=ENTRY).filled_entry()
    story.busted(1, 1, "BUY", 100, ref=ENTRY).state(executions=[], positions={})
    assert fill_once.check(story.history()) == []
    assert position_agrees.check(story.history()) == []


def test_executions_and_profit_of_yesterday_need_not_be_in_todays_books() -> None:
    story = Story().start().bracket().stopped_out().commission("-190.00").killed().days_pass(1)
    story.start().state(day="2025-10-07", executions=[], realized_pnl="0")
    assert fill_once.check(story.history()) == []
    story.state(day="2025-10-06", executions=[], realized_pnl="0")
    assert len(fill_once.check(story.history())) == 3


def test_a_profit_that_the_broker_could_not_tell_is_not_judged() -> None:
    story = Story().start().bracket().stopped_out().commission("-190.00")
    booked = [stem(1), stem(2)]
    story.add("broker", "fault", event="armed", fault=1, name="x", parameters={}, detail="")
    story.state(executions=booked, realized_pnl="-188.00")
    assert len(fill_once.check(story.history())) == 1
    story.sent("commissionReport")
    story.lines[-1] |= {"kind": "lost", "direction": "out"}
    assert fill_once.check(story.history()) == []


def test_an_intent_may_be_put_away_with_its_day() -> None:
    story = Story().start().received(order_id=1, order_ref=ENTRY).days_pass(1).bar().killed()
    story.state("after kill", day="2025-10-07", intents=[])
    assert intent_before_send.check(story.history()) == []


def troubled() -> Story:
    """Entered, while the broker is broken."""
    story = Story().start().bracket()
    story.add("broker", "fault", event="armed", fault=1, name="x", parameters={}, detail="")
    return story


def kept_back(story: Story) -> Story:
    """The broker, asked, does not tell the entry's execution."""
    story.sent("execDetails", exec_id=f"{stem(1)}.01")
    story.lines[-1] |= {"kind": "lost", "direction": "out"}
    return story


def test_what_the_broker_never_told_the_last_life_need_not_be_booked_by_it() -> None:
    silent = kept_back(troubled().killed().start())
    assert fill_once.check(silent.state(executions=[]).history()) == []
    late = kept_back(troubled().killed().start()).sent("execDetails", exec_id=f"{stem(1)}.01")
    assert len(fill_once.check(late.state(executions=[]).history())) == 1


def test_what_only_an_earlier_life_was_not_told_must_be_booked() -> None:
    asked_again = kept_back(troubled()).killed().start().state(executions=[])
    assert len(fill_once.check(asked_again.history())) == 1
