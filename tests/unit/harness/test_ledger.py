from decimal import Decimal

from harness.invariants.ledger import at_end, quiet_moments, replay
from tests.unit.harness.stories import Story


def test_a_ledger_stays_as_it_was_when_the_replay_goes_on() -> None:
    history = Story().case().start().bracket().bar().bar("446.00").end().history()
    prices = [ledger.prices.get("TSLA") for event, ledger in replay(history) if event.kind == "bar"]
    steps = list(replay(history))
    assert prices == [ledger.prices.get("TSLA") for event, ledger in steps if event.kind == "bar"]
    assert steps[0][1].prices == {}
    assert at_end(history).prices == {"TSLA": Decimal("446.00")}
    held = [moment.ledger.position("TSLA") for moment in quiet_moments(history)]
    assert held[0] == 0
    assert set(held[1:]) == {Decimal(100)}


def test_a_replay_with_messages_has_the_same_ledgers_between_them() -> None:
    history = Story().case().start().bracket().bar().killed().start().end().history()
    with_messages = list(replay(history, messages=True))
    assert [event for event, _ in with_messages] == list(history.events)
    turns = [event for event, _ in replay(history)]
    assert [step for step in with_messages if step[0] in turns] == list(replay(history))


def test_the_last_event_is_booked_at_the_end() -> None:
    history = Story().case().start().bracket().history()
    assert at_end(history).position("TSLA") == Decimal(100)
    assert at_end(Story().history()).positions == {}
