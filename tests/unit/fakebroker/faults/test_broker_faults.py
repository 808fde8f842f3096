"""Faults from Python: in the settings or injected into a broker without any socket."""

from datetime import datetime, timedelta

import pytest

from fakebroker.broker import Broker
from fakebroker.fault_engine import FaultError
from fakebroker.faults import Fault, field, wire
from fakebroker.faults.base import AtMessage
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.outbox import (
    AcceptConnections,
    Effect,
    RefuseConnections,
    Reset,
    Resume,
    Send,
    Silence,
)
from fakebroker.protocol import frame
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.protocol.wire import opening

START = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
SECOND = timedelta(seconds=1)
ASK_IDS = frame(b"8\0001\0001\0")


def broker_with(*faults: Fault) -> Broker:
    """Return a broker to which session 1 is connected and logged in."""
    broker = Broker(
        BrokerSettings(faults=faults), Market(None), start=START, journal=Journal(lambda _: None)
    )
    broker.connect(1, START)
    broker.receive(1, opening(176), START)
    return broker


def answers(effects: list[Effect]) -> int:
    return sum(isinstance(effect, Send) for effect in effects)


def test_a_fault_in_the_settings_acts_from_the_start() -> None:
    broker = broker_with(wire.Drop(message="reqIds"))
    assert answers(broker.receive(1, ASK_IDS, START)) == 0
    assert answers(broker.receive(1, ASK_IDS, START)) == 1


def test_an_injected_fault_acts_until_it_is_healed() -> None:
    broker = broker_with()
    number, _ = broker.inject(field.HalfAlive(), START)
    assert answers(broker.receive(1, ASK_IDS, START)) == 0
    broker.heal(number, START)
    assert answers(broker.receive(1, ASK_IDS, START)) == 1


def test_a_restart_resets_closes_the_port_and_opens_it_in_time() -> None:
    broker = broker_with()
    _, effects = broker.inject(field.GatewayRestart(seconds=SECOND), START)
    assert effects == [Reset(1), RefuseConnections()]
    assert broker.next_deadline() == START + SECOND
    assert broker.tick(START + SECOND) == [AcceptConnections()]


def test_what_a_silent_client_sends_is_answered_when_it_is_healed() -> None:
    broker = broker_with()
    number, effects = broker.inject(wire.Silence(), START)
    assert effects == [Silence(1)]
    assert broker.receive(1, ASK_IDS, START) == []
    first, *rest = broker.heal(number, START)
    assert first == Resume(1)
    assert answers(rest) == 1


def test_half_a_frame_is_the_half_of_what_would_have_left() -> None:
    [whole] = broker_with().receive(1, ASK_IDS, START)
    when = AtMessage(message="reqIds")
    broker = broker_with(wire.HalfFrame(message="nextValidId", when=when))
    half, _ = broker.receive(1, ASK_IDS, START)
    assert isinstance(whole, Send)
    assert isinstance(half, Send)
    assert half.data == whole.data[: len(whole.data) // 2]


def test_a_client_that_is_cut_is_not_served_any_more() -> None:
    broker = broker_with()
    broker.inject(wire.CutAtMessage(message="reqIds"), START)
    assert broker.receive(1, ASK_IDS + ASK_IDS, START) == [Reset(1)]
    assert broker.receive(1, ASK_IDS, START) == []


def test_a_fault_that_does_not_exist_cannot_be_healed() -> None:
    with pytest.raises(FaultError, match="there is no fault 7"):
        broker_with().heal(7, START)
