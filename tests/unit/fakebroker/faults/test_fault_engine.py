"""The engine alone: told of messages, orders and times, it says what goes wrong."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from fakebroker.fault_engine import FaultEngine, FaultError, acts
from fakebroker.fault_engine.acts import Packet, Parcel
from fakebroker.faults import Fault, field, wire
from fakebroker.faults.base import AtMessage, AtTime
from fakebroker.protocol.replies import CurrentTime, NextValidId, OpenOrderEnd, Reply
from fakebroker.protocol.requests import (
    CancelOrder,
    PlaceOrder,
    ReqIds,
    ReqOpenOrders,
    Request,
    StartApi,
)
from fakebroker.values import Action, Contract, OrderTerms

START = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
SECOND = timedelta(seconds=1)
TERMS = OrderTerms(action=Action.BUY, quantity=Decimal(10), order_type="MKT")


def order(number: int) -> PlaceOrder:
    return PlaceOrder(number, Contract(symbol="TSLA"), TERMS)


def packet(request: Request, *, session: int = 1, client_id: int = 1) -> Packet:
    return Packet(session, client_id, request)


def parcel(reply: Reply, *, session: int = 1, client_id: int = 1) -> Parcel:
    return Parcel(session, client_id, reply)


def engine_with(*faults: Fault) -> FaultEngine:
    engine = FaultEngine()
    for fault in faults:
        engine.arm(fault, START)
    return engine


def processed(engine: FaultEngine, request: Request, now: datetime = START) -> int:
    """Return how often a request of client 1 is processed."""
    return engine.request(packet(request), now).copies


def sent(engine: FaultEngine, *replies: Reply, now: datetime = START) -> list[Reply]:
    """Return what leaves when the broker says this to client 1."""
    return [part.reply for it in replies for part in engine.reply(parcel(it), now).parcels]


def kinds(found: Sequence[acts.Act]) -> list[str]:
    return [type(act).__name__ for act in found]


def test_without_faults_everything_passes() -> None:
    engine = FaultEngine()
    assert processed(engine, order(1)) == 1
    assert sent(engine, OpenOrderEnd()) == [OpenOrderEnd()]
    assert engine.next_due() is None


def test_a_fault_begins_at_the_nth_message_and_acts_on_it() -> None:
    when = AtMessage(message="placeOrder", occurrence=2)
    engine = engine_with(wire.Drop(message="placeOrder", when=when))
    assert [processed(engine, order(number)) for number in (1, 2, 3)] == [1, 0, 1]


def test_a_fault_acts_as_often_as_it_should() -> None:
    engine = engine_with(wire.Duplicate(message="reqIds", times=2))
    assert [processed(engine, ReqIds()) for _ in range(3)] == [2, 2, 1]
    [fault] = engine.faults()
    assert (fault.state, fault.hits) == ("spent", 2)


def test_a_fault_of_one_client_leaves_the_others_alone() -> None:
    engine = engine_with(wire.Drop(message="placeOrder", client_id=2, times=None))
    assert engine.request(packet(order(1), client_id=1), START).copies == 1
    assert engine.request(packet(order(1), client_id=2), START).copies == 0


def test_a_fault_begins_at_its_time_and_ends_after_its_seconds() -> None:
    when = AtTime(at=START + SECOND)
    engine = engine_with(field.HalfAlive(when=when, seconds=2 * SECOND))
    assert engine.next_due() == START + SECOND
    assert processed(engine, order(1)) == 1
    assert kinds(engine.tick(START + SECOND)) == ["Note"]
    assert processed(engine, order(2)) == 0
    assert engine.next_due() == START + 3 * SECOND
    engine.tick(START + 3 * SECOND)
    assert processed(engine, order(3)) == 1
    assert engine.next_due() is None


def test_a_time_that_has_passed_is_refused() -> None:
    with pytest.raises(FaultError, match="silence cannot begin at"):
        FaultEngine().arm(wire.Silence(when=AtTime(at=START)), START + SECOND)


def test_an_unknown_fault_cannot_be_healed() -> None:
    with pytest.raises(FaultError, match="there is no fault 3"):
        FaultEngine().heal(3)


def test_a_healed_fault_never_begins() -> None:
    engine = engine_with(wire.Silence(when=AtTime(at=START + SECOND)))
    assert kinds(engine.heal(1)) == ["Note"]
    assert engine.tick(START + SECOND) == []
    assert engine.heal(1) == []


def test_a_delayed_reply_comes_in_time_or_when_it_is_healed() -> None:
    engine = engine_with(wire.DelayMessage(message="openOrderEnd", seconds=SECOND, times=2))
    assert sent(engine, OpenOrderEnd()) == []
    assert engine.tick(START + SECOND) == [acts.Deliver(parcel(OpenOrderEnd()))]
    assert sent(engine, OpenOrderEnd(), now=START + SECOND) == []
    assert engine.heal(1)[1:] == [acts.Deliver(parcel(OpenOrderEnd()))]
    assert engine.next_due() is None


def test_a_delayed_request_is_taken_later() -> None:
    engine = engine_with(wire.DelayMessage(message="reqIds", seconds=SECOND))
    incoming = engine.request(packet(ReqIds()), START)
    assert (incoming.copies, incoming.held) == (0, True)
    assert engine.tick(START + SECOND) == [acts.Take(packet(ReqIds()))]


def test_a_reply_changes_places_with_the_next_one_of_its_session() -> None:
    engine = engine_with(wire.Reorder(message="openOrderEnd"))
    first, second, third = OpenOrderEnd(), NextValidId(1), CurrentTime(START)
    assert sent(engine, first) == []
    assert engine.reply(parcel(second, session=2), START).parcels == [parcel(second, session=2)]
    assert sent(engine, second, third) == [second, first, third]


def test_what_was_to_change_places_comes_alone_when_it_is_healed() -> None:
    engine = engine_with(wire.Reorder(message="openOrderEnd"))
    assert sent(engine, OpenOrderEnd()) == []
    assert engine.heal_all()[1:] == [acts.Deliver(parcel(OpenOrderEnd()))]


def test_faults_act_in_the_order_of_their_arming() -> None:
    engine = engine_with(wire.Duplicate(message="openOrderEnd"), wire.Drop(message="openOrderEnd"))
    assert sent(engine, OpenOrderEnd()) == [OpenOrderEnd()]


def test_an_order_queued_without_connectivity_is_taken_at_the_end() -> None:
    engine = engine_with(wire.ConnectivityLost(seconds=SECOND))
    assert engine.request(packet(order(1)), START).held
    assert processed(engine, ReqOpenOrders()) == 1
    ends = engine.tick(START + SECOND)
    assert kinds(ends) == ["Note", "Tell", "Take", "ReplayOrders"]


def test_two_faults_hold_the_port_until_both_are_over() -> None:
    engine = engine_with(wire.RefuseConnections(), field.GatewayRestart())
    assert "OpenPort" not in kinds(engine.heal(1))
    assert "OpenPort" in kinds(engine.heal(2))


def test_a_restart_at_a_known_time_takes_the_orders_of_the_last_second() -> None:
    when = AtTime(at=START + 3 * SECOND)
    engine = engine_with(field.GatewayRestart(when=when, lost_seconds=SECOND))
    assert processed(engine, order(1), START + SECOND) == 1
    assert processed(engine, order(2), START + 2 * SECOND) == 0
    assert processed(engine, CancelOrder(1), START + 2 * SECOND) == 0
    assert processed(engine, ReqIds(), START + 2 * SECOND) == 1


def test_a_stuck_client_id_is_free_when_its_time_is_over() -> None:
    engine = engine_with(field.ClientIdStuck(seconds=SECOND))
    assert not engine.request(packet(StartApi(1)), START).in_use
    engine.gone(1, START)
    assert engine.request(packet(StartApi(1)), START).in_use
    assert not engine.request(packet(StartApi(1)), START + SECOND).in_use


def test_pacing_counts_the_messages_of_a_second() -> None:
    engine = engine_with(field.Pacing(messages_per_second_max=2))
    assert [processed(engine, ReqIds()) for _ in range(3)] == [1, 1, 0]
    assert [processed(engine, ReqIds(), START + SECOND) for _ in range(2)] == [1, 1]


def test_pacing_cuts_at_the_third_time() -> None:
    engine = engine_with(field.Pacing(messages_per_second_max=1))
    after = [kinds(engine.request(packet(ReqIds()), START).after) for _ in range(6)]
    assert after == [[], [], [], [], [], ["Cut"]]


def test_the_same_inputs_give_the_same_acts() -> None:
    def run() -> list[object]:
        engine = engine_with(
            field.FarmFlap(flaps=2),
            wire.DelayMessage(message="reqIds", seconds=SECOND, times=None),
            field.SilentNoAck(),
        )
        seen: list[object] = [engine.request(packet(ReqIds()), START)]
        seen.append(engine.request(packet(order(1)), START))
        seen += [engine.tick(START + number * SECOND) for number in range(30)]
        return seen

    assert run() == run()
