"""Each fault of the field, by what an unmodified ib_insync sees of it and what the books say."""

import socket
from datetime import timedelta
from decimal import Decimal

import pytest
from ib_insync import IB, LimitOrder, MarketOrder, Stock, StopOrder

from fakebroker.faults import field, wire
from fakebroker.faults.base import AtTime
from tests.support.brokers import RunningBroker, wait_for_broker, wait_until
from tests.support.clients import (
    SHORT,
    Connect,
    Start,
    bought,
    codes_of,
    first_id,
    orders,
    place,
    refusal,
    resting,
    sent,
    settle,
    step_past,
    wait_until_gone,
)

# The top ten


def test_an_order_lost_in_flight_leaves_no_trace_and_its_id_is_given_again(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.OrderLostInFlight())

    trade = place(ib, MarketOrder("BUY", 100))
    wait_until_gone(ib)
    assert trade.orderStatus.status == "PendingSubmit"
    assert orders(broker) == ()
    again = connect(broker)
    assert again.openTrades() == []
    assert first_id(broker) == 1


def test_a_fill_in_a_lost_window_is_known_to_reqexecutions_alone(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    trade = resting(ib)
    codes = codes_of(ib)
    broker.control.fault(field.FillsLostInWindow(seconds=SHORT))

    broker.control.fill(orders(broker)[0].perm_id, shares=Decimal(10), price=Decimal(50))
    step_past(broker, 7)
    wait_until(ib, lambda: 1102 in codes)
    settle(ib)
    assert codes[0] == 1100
    assert trade.fills == []
    assert trade.orderStatus.status == "Submitted"
    assert len(ib.reqExecutions()) == 1


def test_an_order_of_an_earlier_session_cannot_be_managed(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker)
    broker.control.step()
    resting(first)
    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)
    broker.control.fault(field.UnmanageableOrder())

    ib = connect(broker)
    codes = codes_of(ib)
    [trade] = ib.openTrades()
    ib.cancelOrder(trade.order)
    wait_until(ib, lambda: codes)
    assert codes == [10147]
    assert orders(broker)[0].working
    own = resting(ib)
    ib.cancelOrder(own.order)
    wait_until(ib, lambda: own.orderStatus.status == "Cancelled")


def test_a_partial_fill_before_a_cut_is_in_the_position_and_the_order_is_open(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.PartialFillThenCut(shares=Decimal(4)))

    place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until_gone(ib)
    again = connect(broker)
    [trade] = again.openTrades()
    assert (trade.orderStatus.filled, trade.orderStatus.remaining) == (4, 6)
    assert [position.position for position in again.positions()] == [4]


def test_foreign_orders_without_an_id_collide(broker: RunningBroker, connect: Connect) -> None:
    one, two = connect(broker, 1), connect(broker, 2)
    broker.control.step()
    resting(one)
    resting(one)
    broker.control.fault(field.ForeignOrdersWithoutId())

    assert [trade.order.orderId for trade in two.reqAllOpenOrders()] == [0, 0]
    assert [trade.order.orderId > 0 for trade in one.reqAllOpenOrders()] == [True, True]


def test_a_stale_next_id_is_a_duplicate_order_id(broker: RunningBroker, connect: Connect) -> None:
    first = connect(broker)
    broker.control.step()
    bought(first)
    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)
    broker.control.fault(field.StaleNextId(back=10_000))

    again = connect(broker)
    codes = codes_of(again)
    assert first_id(broker) == 1
    again.client.placeOrder(1, Stock("TSLA", "SMART", "USD"), LimitOrder("BUY", 10, 50.0))
    wait_until(again, lambda: codes)
    assert codes == [103]


def test_a_client_id_stays_taken_until_its_time_is_over(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker, 7)
    broker.control.step()
    broker.control.fault(field.ClientIdStuck(seconds=SHORT))
    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)

    assert refusal(broker, 7) == [(-1, 326)]
    assert connect(broker, 8).isConnected()
    step_past(broker, 7)
    assert connect(broker, 7).isConnected()


@pytest.mark.parametrize(("processed", "count"), [(False, 0), (True, 1)])
def test_an_order_without_any_callback_stays_pending_for_ever(
    broker: RunningBroker, connect: Connect, *, processed: bool, count: int
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.SilentNoAck(processed=processed))

    trade = place(ib, MarketOrder("BUY", 100))
    other = resting(ib)
    settle(ib)
    assert trade.orderStatus.status == "PendingSubmit"
    assert trade.fills == []
    assert [o.status for o in orders(broker)] == ["Filled"] * count + ["Submitted"]
    assert [t.order.orderId for t in ib.reqOpenOrders()] == [other.order.orderId]
    assert len(ib.reqExecutions()) == count


def test_a_misleading_status_marks_a_live_order_as_cancelled(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.MisleadingStatus())

    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    assert trade.log[-1].errorCode == 10349
    assert orders(broker)[0].working


def test_a_modify_leaves_the_stop_twice(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    bought(ib)
    stop = place(ib, StopOrder("SELL", 100, 80.0, orderRef="stop"))
    wait_until(ib, lambda: stop.orderStatus.status == "PreSubmitted")
    broker.control.fault(field.DuplicateOrder())

    stop.order.auxPrice = 81.0
    ib.placeOrder(stop.contract, stop.order)
    settle(ib)
    live = [order for order in orders(broker) if order.working]
    assert [order.aux_price for order in live] == [80, 81]
    assert len({order.perm_id for order in live}) == 2
    assert len({order.order_id for order in live}) == 1
    assert len(connect(broker, 2).reqAllOpenOrders()) == 2


# The next ten


def test_positions_lag_the_fill(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.PositionsLag(lag=timedelta(seconds=20)))
    bought(ib)

    step_past(broker, 10)
    settle(ib)
    assert ib.positions() == []
    step_past(broker, 15)
    wait_until(ib, ib.positions)
    assert ib.positions()[0].position == 100


@pytest.mark.parametrize("lag", [7, None])
def test_a_commission_comes_late_or_never(
    broker: RunningBroker, connect: Connect, lag: int | None
) -> None:
    ib = connect(broker)
    broker.control.step()
    fault = field.CommissionLate(lag=None if lag is None else timedelta(seconds=lag))
    broker.control.fault(fault)
    trade = bought(ib)
    settle(ib)
    assert trade.fills[0].commissionReport.execId == ""

    step_past(broker, 10)
    settle(ib)
    assert bool(trade.fills[0].commissionReport.execId) == (lag is not None)
    ib.reqExecutions()
    assert trade.fills[0].commissionReport.execId


def test_a_gateway_restart_resets_refuses_and_loses_the_last_second(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker, 5)
    broker.control.step()
    resting(ib, orderRef="kept")
    step_past(broker, 2)
    at = broker.control.status().now + timedelta(milliseconds=500)
    broker.control.fault(field.GatewayRestart(when=AtTime(at=at), seconds=timedelta(seconds=12)))
    lost = place(ib, LimitOrder("BUY", 10, 51.0, orderRef="lost"))
    settle(ib)
    assert lost.orderStatus.status == "PendingSubmit"

    broker.control.step()
    wait_until_gone(ib)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))
    step_past(broker, 12)
    again = connect(broker, 5)
    assert [trade.order.orderRef for trade in again.openTrades()] == ["kept"]


def test_a_restart_at_once_loses_the_last_second_and_keeps_what_has_filled(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker, 5)
    broker.control.step()
    modified, cancelled = resting(ib, orderRef="modified"), resting(ib, orderRef="cancelled")
    step_past(broker, 2)
    bought(ib, orderRef="filled")
    resting(ib, orderRef="lost")
    modified.order.lmtPrice = 60.0
    ib.placeOrder(modified.contract, modified.order)
    ib.cancelOrder(cancelled.order)
    wait_until(ib, lambda: cancelled.orderStatus.status == "Cancelled")

    broker.control.fault(field.GatewayRestart(seconds=SHORT))
    wait_until_gone(ib)
    step_past(broker, 8)
    again = connect(broker, 5)
    working = {trade.order.orderRef: trade.order.lmtPrice for trade in again.openTrades()}
    assert working == {"modified": 50.0, "cancelled": 50.0}
    assert [position.position for position in again.positions()] == [100]
    done = again.reqCompletedOrders(apiOnly=False)
    assert [trade.order.orderRef for trade in done] == ["filled"]


@pytest.mark.parametrize(("lost_seconds", "count"), [(0, 1), (1, 0)])
def test_a_restart_loses_as_many_seconds_as_it_is_told(
    broker: RunningBroker, connect: Connect, *, lost_seconds: int, count: int
) -> None:
    ib = connect(broker)
    broker.control.step()
    resting(ib)
    lost = timedelta(seconds=lost_seconds)
    broker.control.fault(field.GatewayRestart(lost_seconds=lost))
    wait_until_gone(ib)
    assert len(orders(broker)) == count


@pytest.mark.parametrize(("forget_ids", "next_id"), [(0, 5), (2, 3)])
def test_a_restart_gives_ids_again_that_it_has_forgotten(
    broker: RunningBroker, connect: Connect, *, forget_ids: int, next_id: int
) -> None:
    ib = connect(broker)
    broker.control.step()
    for number in range(1, 5):
        resting_order = LimitOrder("BUY", 10, 50.0, account="")
        ib.client.placeOrder(number, Stock("TSLA", "SMART", "USD"), resting_order)
    wait_for_broker(broker, lambda _: len(orders(broker)) == 4)
    broker.control.fault(field.GatewayRestart(seconds=SHORT, forget_ids=forget_ids))
    wait_until_gone(ib)
    step_past(broker, 8)
    again = connect(broker)
    assert first_id(broker) == next_id
    again.client.placeOrder(next_id, Stock("TSLA", "SMART", "USD"), LimitOrder("BUY", 7, 50.0))
    wait_for_broker(broker, lambda _: len(orders(broker)) == 1)
    [order] = orders(broker)
    assert order.order_id == next_id
    assert order.quantity == 7


@pytest.mark.parametrize("restored", [1101, 1102])
@pytest.mark.parametrize(("fate", "count"), [("lost", 0), ("queued", 1), ("taken", 1)])
def test_after_lost_connectivity_an_order_and_the_data_are_as_the_code_says(
    broker: RunningBroker, connect: Connect, *, restored: int, fate: str, count: int
) -> None:
    ib = connect(broker)
    bars = ib.reqRealTimeBars(Stock("TSLA", "SMART", "USD"), 5, "TRADES", useRTH=False)
    wait_for_broker(broker, lambda status: status.subscriptions == 1)
    codes = codes_of(ib)
    fault = {"restored": restored, "orders": fate, "seconds": 7}
    broker.control.fault(wire.ConnectivityLost.model_validate(fault))

    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert len(orders(broker)) == (1 if fate == "taken" else 0)
    step_past(broker, 8)
    settle(ib)
    assert codes == [1100, restored]
    assert ib.isConnected()
    assert len(orders(broker)) == count
    assert trade.orderStatus.status == ("Submitted" if count else "PendingSubmit")
    played = len(bars)
    broker.control.step()
    settle(ib)
    assert len(bars) - played == (1 if restored == 1102 else 0)


def test_lost_connectivity_queues_orders_and_1101_ends_subscriptions(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    bars = ib.reqRealTimeBars(Stock("TSLA", "SMART", "USD"), 5, "TRADES", useRTH=False)
    wait_for_broker(broker, lambda status: status.subscriptions == 1)
    codes = codes_of(ib)
    broker.control.fault(wire.ConnectivityLost(restored=1101, seconds=SHORT, repeats=2))

    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert orders(broker) == ()
    step_past(broker, 7)
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")
    step_past(broker, 5)
    settle(ib)
    assert codes == [1100, 1100, 1101]
    assert len(bars) == 0
    assert len(orders(broker)) == 1


def test_a_farm_flaps_and_nothing_else_happens(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    codes = codes_of(ib)
    broker.control.fault(field.FarmFlap(farm="historical", flaps=2, seconds=timedelta(seconds=2)))

    step_past(broker, 7)
    wait_until(ib, lambda: len(codes) == 4)
    assert codes == [2105, 2106, 2105, 2106]
    assert ib.isConnected()


def test_a_competing_session_takes_the_market_data(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    bars = ib.reqRealTimeBars(Stock("TSLA", "SMART", "USD"), 5, "TRADES", useRTH=False)
    wait_for_broker(broker, lambda status: status.subscriptions == 1)
    codes = codes_of(ib)
    number = broker.control.fault(field.CompetingSession())

    broker.control.step()
    settle(ib)
    assert (codes, len(bars)) == ([10197], 0)
    broker.control.heal(number)
    broker.control.step()
    wait_until(ib, lambda: len(bars) == 1)


def test_too_many_messages_in_a_second_get_error_100_and_then_a_cut(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(messages_per_second_max=20)
    ib = connect(broker)
    codes = codes_of(ib)

    # Exchange time stands still, so a second lasts as long as the broker is not stepped. Each
    # excess begins a new count: 21 messages for one error, with those of the connect in the first.
    for _ in range(21):
        ib.client.reqIds(1)
    wait_until(ib, lambda: codes)
    assert ib.isConnected()
    for _ in range(42):
        ib.client.reqIds(1)
    wait_until_gone(ib)
    assert codes == [100, 100, 100]


def test_completed_orders_tell_no_fills(broker: RunningBroker, connect: Connect) -> None:
    first = connect(broker)
    broker.control.step()
    bought(first)
    first.disconnect()
    broker.control.fault(field.CompletedWithoutFills())

    ib = connect(broker, 2)
    [trade] = ib.reqCompletedOrders(apiOnly=False)
    assert trade.orderStatus.status == "Filled"
    assert float(trade.order.filledQuantity) == 0
    assert ib.fills() == []


def test_a_half_alive_gateway_lets_clients_in_and_answers_nothing(
    broker: RunningBroker, connect: Connect
) -> None:
    number = broker.control.fault(field.HalfAlive())
    ib = IB()
    with pytest.raises(TimeoutError):
        ib.connect("127.0.0.1", broker.port, clientId=1, timeout=2)
    wait_for_broker(broker, lambda _: bool(sent(broker, "nextValidId")))
    assert sent(broker, "positionEnd") == []

    broker.control.heal(number)
    wait_for_broker(broker, lambda status: not status.sessions)
    assert connect(broker).isConnected()


def test_recovered_orders_and_fills_have_the_time_of_asking(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker)
    broker.control.step()
    trade = bought(first)
    step_past(broker, 20)
    broker.control.fault(field.TimesUnknown())

    ib = connect(broker, 2)
    asked = broker.control.status().now
    [fill] = ib.fills()
    assert fill.execution.time == asked
    assert trade.fills[0].execution.time < asked


def test_a_corrected_execution_is_counted_twice_by_the_client_and_once_by_the_books(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.CorrectExecution(shares=Decimal(90)))
    trade = bought(ib)
    wait_until(ib, lambda: len(trade.fills) == 2)

    assert [fill.execution.execId[-3:] for fill in trade.fills] == [".01", ".02"]
    assert trade.filled() == 190
    books = broker.control.books()
    assert [execution.shares for execution in books.executions] == [90]
    assert [position.quantity for position in books.positions] == [90]


def test_a_busted_execution_is_gone_from_the_books(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.BustExecution())
    told: list[float] = []
    ib.positionEvent += lambda position: told.append(position.position)
    bought(ib)
    broker.control.step()
    wait_until(ib, lambda: told)

    assert told[-1] == 0
    assert broker.control.books().executions == ()
    assert connect(broker, 2).positions() == []


def test_rolled_back_ids_are_given_again_and_two_orders_share_one(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker)
    broker.control.step()
    old = bought(first).order
    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)
    broker.control.fault(field.RollBackIds(client_id=1, count=old.orderId))

    ib = connect(broker)
    assert first_id(broker) == 1
    ib.client.placeOrder(
        old.orderId, Stock("TSLA", "SMART", "USD"), LimitOrder("BUY", 10, 50.0, account="")
    )
    wait_for_broker(broker, lambda _: len(orders(broker)) == 2)
    assert [order.order_id for order in orders(broker)] == [old.orderId, old.orderId]


def test_a_restart_forgets_the_legs_that_were_not_transmitted(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    resting(ib)
    step_past(broker, 2)
    place(ib, LimitOrder("BUY", 10, 50.0, transmit=False))
    settle(ib)
    assert len(orders(broker)) == 2
    broker.control.fault(field.GatewayRestart(forget_ids=2))
    wait_until_gone(ib)
    assert [order.transmitted for order in orders(broker)] == [True]
