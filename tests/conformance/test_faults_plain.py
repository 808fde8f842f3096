"""The plain faults, the three ways to drive them, and healing, with an unmodified ib_insync."""

import socket

import pytest
from ib_insync import LimitOrder, MarketOrder

from fakebroker.faults import field, wire
from fakebroker.faults.base import AtMessage, AtOrder
from tests.support.brokers import RunningBroker, wait_for_broker, wait_until
from tests.support.clients import (
    SHORT,
    Connect,
    Start,
    bought,
    codes_of,
    orders,
    place,
    refusal,
    resting,
    settle,
    step_past,
    wait_until_gone,
)

# Plain faults


def test_an_order_sent_without_connectivity_can_exist_twice(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    number = broker.control.fault(wire.ConnectivityLost(orders="duplicated"))
    resting(ib)
    broker.control.heal(number)
    settle(ib)
    assert len({order.perm_id for order in orders(broker) if order.working}) == 2
    assert len({order.order_id for order in orders(broker)}) == 1


def test_an_acknowledged_order_is_rejected_after_all(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    codes = codes_of(ib)
    trade = resting(ib)
    broker.control.fault(wire.RejectOrders())
    wait_until(ib, lambda: codes and trade.orderStatus.status in ("Inactive", "Cancelled"))
    assert codes == [201]
    assert not orders(broker)[0].working


def test_a_reply_is_dropped_duplicated_and_delayed(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    seen: list[str] = []
    broker.control.fault(wire.Drop(message="orderStatus"))
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert trade.orderStatus.status == "PendingSubmit"

    broker.control.fault(wire.Duplicate(message="orderStatus"))
    ib.orderStatusEvent += lambda it: seen.append(it.orderStatus.status)
    resting(ib)
    told = [r for r in broker.records("sent") if r["message"] == "orderStatus"]
    assert len(told) == 2

    broker.control.fault(wire.DelayMessage(message="orderStatus", seconds=SHORT))
    late = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert late.orderStatus.status == "PendingSubmit"
    step_past(broker, 7)
    wait_until(ib, lambda: late.orderStatus.status == "Submitted")


def test_two_replies_change_places(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(wire.Reorder(message="execDetails"))
    trade = bought(ib)
    wait_until(ib, lambda: trade.fills)
    names = [r["message"] for r in broker.records("sent")]
    assert names.index("openOrder") < names.index("execDetails")


@pytest.mark.parametrize(("moment", "count"), [("before", 0), ("after", 1)])
def test_a_connection_is_cut_before_or_after_the_order_is_processed(
    broker: RunningBroker, connect: Connect, moment: str, count: int
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(
        wire.CutAtMessage.model_validate({"message": "placeOrder", "moment": moment})
    )
    place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until_gone(ib)
    assert len(orders(broker)) == count


def test_half_a_frame_is_no_message(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(wire.HalfFrame(message="orderStatus"))
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until_gone(ib)
    assert trade.orderStatus.status == "PendingSubmit"
    assert len(orders(broker)) == 1


def test_a_silent_connection_stays_open_until_it_is_healed(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    trade = resting(ib)
    number = broker.control.fault(wire.Silence())
    ib.cancelOrder(trade.order)
    broker.control.step()
    ib.waitOnUpdate(timeout=0.1)
    assert ib.isConnected()
    assert orders(broker)[0].working

    broker.control.heal(number)
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")


def test_a_client_that_goes_in_silence_is_not_noticed_and_its_id_stays_taken(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker, 7)
    broker.control.fault(wire.Silence())
    ib.disconnect()

    assert refusal(broker, 7) == [(-1, 326)]
    broker.control.heal("all")
    wait_for_broker(broker, lambda status: not status.sessions)
    assert connect(broker, 7).isConnected()


def test_a_request_is_rejected_with_a_code(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(wire.Reject(code=201, text="Order rejected - reason:no"))
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until(ib, trade.isDone)
    assert trade.log[-1].errorCode == 201
    assert orders(broker) == ()


def test_orders_expire_unasked(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    codes = codes_of(ib)
    gone, kept = resting(ib, orderRef="gone"), resting(ib, orderRef="kept")
    broker.control.fault(wire.ExpireOrders(order_ref="gone"))
    wait_until(ib, lambda: gone.orderStatus.status == "Cancelled" and codes)
    assert codes == [202]
    assert kept.orderStatus.status == "Submitted"


def test_renumbered_orders_can_be_cancelled_under_their_new_ids(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker)
    broker.control.step()
    old = resting(first).order.orderId
    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)
    broker.control.fault(wire.Renumber(offset=500))

    ib = connect(broker)
    [trade] = ib.openTrades()
    assert trade.order.orderId == old + 500
    ib.cancelOrder(trade.order)
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    assert not orders(broker)[0].working


def test_a_notice_reaches_one_client(broker: RunningBroker, connect: Connect) -> None:
    one, two = connect(broker, 1), connect(broker, 2)
    heard, other = codes_of(one), codes_of(two)
    broker.control.fault(wire.Notice(client_id=1, code=1300, text="Socket port has been reset"))
    wait_until(one, lambda: heard)
    settle(two)
    assert (heard, other) == ([1300], [])


def test_connections_are_cut_when_an_order_fills(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(wire.CutConnections(when=AtOrder(status="Filled", order_ref="entry")))
    bought(ib)
    place(ib, MarketOrder("BUY", 1, orderRef="entry"))
    wait_until_gone(ib)
    assert [o.status for o in orders(broker)] == ["Filled", "Filled"]


def test_a_refusing_port_leaves_connections_alone_and_is_healed(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    number = broker.control.fault(wire.RefuseConnections())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))
    settle(ib)
    broker.control.heal(number)
    assert connect(broker, 2).isConnected()


# Three ways to drive, and healing


def test_faults_are_listed_healed_and_in_the_journal(
    broker: RunningBroker, connect: Connect
) -> None:
    one = broker.control.fault(wire.Drop(message="orderStatus", times=None))
    second = AtMessage(message="placeOrder", occurrence=2)
    two = broker.control.fault(field.SilentNoAck(when=second))
    ib = connect(broker)
    broker.control.step()
    place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    states = {it.number: (it.state, it.hits) for it in broker.control.faults()}
    assert states == {one: ("active", 1), two: ("armed", 0)}

    broker.control.heal("all")
    assert [it.state for it in broker.control.faults()] == ["healed", "healed"]
    resting(ib)
    resting(ib)
    events = [(r["event"], r["name"]) for r in broker.records("fault")]
    assert events == [
        ("armed", "drop"),
        ("armed", "silent_no_ack"),
        ("fired", "drop"),
        ("healed", "drop"),
        ("healed", "silent_no_ack"),
    ]


def test_a_file_of_faults_is_armed_from_the_start(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(
        faults="""
        [[fault]]
        name = "misleading_status"
        when = { on = "message", message = "placeOrder", occurrence = 2 }
        """
    )
    ib = connect(broker)
    broker.control.step()
    resting(ib)
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    assert [order.working for order in orders(broker)] == [True, True]
