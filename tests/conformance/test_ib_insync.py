"""An unmodified ib_insync 0.9.86 against the server, over TCP."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from ib_insync import IB, LimitOrder, MarketOrder, Order, Stock, StopOrder, Trade

from fakebroker.control_messages import Point
from tests.support.brokers import RunningBroker, wait_for_broker, wait_until
from tests.support.clients import refusal

Connect = Callable[..., IB]
Start = Callable[..., RunningBroker]
TSLA = Stock("TSLA", "SMART", "USD")


def place(ib: IB, order: Order) -> Trade:
    [contract] = ib.qualifyContracts(Stock("TSLA", "SMART", "USD"))
    return ib.placeOrder(contract, order)


def bracket(ib: IB, *, quantity: float, stop: float, target: float) -> tuple[Trade, Trade, Trade]:
    parent = MarketOrder("BUY", quantity, orderId=ib.client.getReqId(), transmit=False)
    child_stop = StopOrder(
        "SELL",
        quantity,
        stop,
        orderId=ib.client.getReqId(),
        parentId=parent.orderId,
        transmit=False,
        tif="GTC",
    )
    child_limit = LimitOrder(
        "SELL",
        quantity,
        target,
        orderId=ib.client.getReqId(),
        parentId=parent.orderId,
        transmit=True,
        tif="GTC",
    )
    return place(ib, parent), place(ib, child_stop), place(ib, child_limit)


def test_connect_runs_the_whole_start_up_exchange(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)

    assert ib.client.serverVersion() == 176
    assert ib.managedAccounts() == ["DU1234567"]
    asked = [record["message"] for record in broker.records("received")]
    assert asked == [
        "startApi",
        "reqPositions",
        "reqOpenOrders",
        "reqCompletedOrders",
        "reqAccountUpdates",
        "reqAccountUpdatesMulti",
        "reqExecutions",
    ]
    values = {value.tag: value.value for value in ib.accountValues()}
    assert Decimal(values["NetLiquidation"]) == 100_000


def test_a_stock_is_qualified_and_an_unknown_symbol_is_not(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)

    [tesla] = ib.qualifyContracts(Stock("TSLA", "SMART", "USD"))
    assert (tesla.conId, tesla.primaryExchange) == (76792991, "NASDAQ")
    assert ib.reqContractDetails(Stock("NO SUCH", "SMART", "USD")) == []


def test_bars_of_the_tape_arrive_one_a_step(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    bars = ib.reqRealTimeBars(TSLA, 5, "TRADES", useRTH=False)
    wait_for_broker(broker, lambda status: status.subscriptions == 1)

    broker.control.step()
    wait_until(ib, lambda: len(bars) == 1)
    broker.control.step()
    wait_until(ib, lambda: len(bars) == 2)

    assert [bar.close for bar in bars] == [100.0, 101.0]
    assert bars[0].time.isoformat() == "2025-10-06T14:00:00+00:00"


def test_a_market_order_fills_in_pieces_with_commissions(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(fill_split=["60", "40"])
    ib = connect(broker)
    broker.control.step()

    trade = place(ib, MarketOrder("BUY", 100, orderRef="mine"))
    wait_until(ib, lambda: trade.isDone() and len(trade.fills) == 2)

    assert [fill.execution.shares for fill in trade.fills] == [60.0, 40.0]
    assert {fill.execution.orderRef for fill in trade.fills} == {"mine"}
    assert trade.orderStatus.avgFillPrice == 100.0
    wait_until(ib, lambda: all(fill.commissionReport.execId for fill in trade.fills))
    charged = sum(Decimal(str(fill.commissionReport.commission)) for fill in trade.fills)
    assert charged == Decimal("1.00")


def test_a_position_is_told_after_its_fill_and_not_before(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    trade = place(ib, MarketOrder("BUY", 100))
    wait_until(ib, trade.isDone)

    assert ib.positions() == []
    assert broker.control.step().kind == "deadline"
    wait_until(ib, ib.positions)
    assert ib.positions()[0].position == 100


def test_a_limit_order_is_modified_and_cancelled(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")

    trade.order.lmtPrice = 60.0
    ib.placeOrder(trade.contract, trade.order)
    wait_until(ib, lambda: broker.control.books().orders[0].limit_price == 60)
    assert len(broker.control.books().orders) == 1

    ib.cancelOrder(trade.order)
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    assert broker.control.books().orders[0].status == "Cancelled"


def test_a_bracket_waits_for_its_parent_and_one_exit_cancels_the_other(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()

    parent, stop, limit = bracket(ib, quantity=100, stop=98.0, target=103.0)
    wait_until(ib, lambda: parent.isDone() and limit.orderStatus.status == "Submitted")
    assert stop.orderStatus.status == "PreSubmitted"

    for _ in range(4):
        broker.control.step()
    wait_until(ib, lambda: limit.isDone() and stop.isDone())
    assert (limit.orderStatus.status, stop.orderStatus.status) == ("Filled", "Cancelled")


def test_legs_without_transmit_wait_unseen_for_their_family(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    place(ib, MarketOrder("BUY", 100, orderId=ib.client.getReqId(), transmit=False))
    ib.reqCurrentTime()

    assert ib.reqAllOpenOrders() == []
    [order] = broker.control.books().orders
    assert not order.transmitted
    assert order.filled == 0


@pytest.mark.parametrize(("oca_type", "left"), [(1, []), (2, [50.0]), (3, [50.0])])
def test_an_oca_group_cancels_or_reduces_the_rest(
    broker: RunningBroker, connect: Connect, oca_type: int, left: list[float]
) -> None:
    ib = connect(broker)
    broker.control.step()
    wait_until(ib, place(ib, MarketOrder("BUY", 100)).isDone)

    group = {"ocaGroup": "exits", "ocaType": oca_type}
    stop = place(ib, StopOrder("SELL", 100, 90.0, **group))
    partial = place(ib, LimitOrder("SELL", 50, 101.0, **group))
    broker.control.step()
    while broker.control.status().bars_played < 2:
        broker.control.step()
    wait_until(ib, partial.isDone)
    ib.reqCurrentTime()

    working = [order for order in broker.control.books().orders if order.working]
    assert [float(order.remaining) for order in working] == left
    assert stop.isDone() == (not left)


def test_a_stop_is_triggered_by_the_market(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    wait_until(ib, place(ib, MarketOrder("BUY", 100)).isDone)
    stop = place(ib, StopOrder("SELL", 100, 96.0))

    while broker.control.status().bars_left != 3:
        broker.control.step()
    wait_until(ib, stop.isDone)
    assert [fill.execution.price for fill in stop.fills] == [96.0]


def test_the_books_outlive_the_client(broker: RunningBroker, connect: Connect) -> None:
    first = connect(broker)
    broker.control.step()
    wait_until(first, place(first, MarketOrder("BUY", 100, orderRef="entry")).isDone)
    stop = place(first, StopOrder("SELL", 100, 96.0, orderRef="stop", tif="GTC"))
    resting = place(first, LimitOrder("SELL", 10, 200.0, orderRef="resting"))
    wait_until(first, lambda: stop.orderStatus.permId and resting.orderStatus.permId)
    perm_ids = {stop.orderStatus.permId, resting.orderStatus.permId}
    first.disconnect()
    while broker.control.step().kind != "end":
        pass

    again = connect(broker)
    assert [trade.order.orderRef for trade in again.openTrades()] == ["resting"]
    assert {fill.execution.orderRef for fill in again.fills()} == {"entry", "stop"}
    assert all(fill.commissionReport.execId for fill in again.fills())
    done = {t.order.orderRef: t.orderStatus.status for t in again.trades() if t.isDone()}
    assert done == {"entry": "Filled", "stop": "Filled"}
    assert perm_ids <= {trade.orderStatus.permId or trade.order.permId for trade in again.trades()}
    assert again.positions() == []
    assert again.client.getReqId() > max(trade.order.orderId for trade in again.trades())


def test_another_client_sees_all_orders_and_may_touch_none(
    broker: RunningBroker, connect: Connect
) -> None:
    owner, other = connect(broker, 1), connect(broker, 2)
    broker.control.step()
    trade = place(owner, LimitOrder("BUY", 10, 50.0))
    wait_until(owner, lambda: trade.orderStatus.status == "Submitted")

    assert other.reqOpenOrders() == []
    [seen] = other.reqAllOpenOrders()
    assert seen.order.permId == trade.order.permId
    errors: list[tuple[int, int]] = []
    other.errorEvent += lambda req_id, code, *_: errors.append((req_id, code))
    other.client.cancelOrder(trade.order.orderId)
    wait_until(other, lambda: errors)
    assert errors == [(trade.order.orderId, 10147)]


def test_a_used_order_id_is_refused_with_103(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    broker.control.step()
    done = place(ib, MarketOrder("BUY", 10))
    wait_until(ib, done.isDone)
    errors: list[tuple[int, int]] = []
    ib.errorEvent += lambda req_id, code, *_: errors.append((req_id, code))

    ib.client.placeOrder(done.order.orderId, done.contract, LimitOrder("SELL", 10, 200.0))
    wait_until(ib, lambda: errors)
    assert errors == [(done.order.orderId, 103)]


def test_a_client_id_in_use_gets_326_and_is_free_after_a_disconnect(
    broker: RunningBroker, connect: Connect
) -> None:
    first = connect(broker, 7)
    assert refusal(broker, 7) == [(-1, 326)]

    first.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)
    assert connect(broker, 7).isConnected()


def test_a_global_cancel_reaches_every_clients_orders(
    broker: RunningBroker, connect: Connect
) -> None:
    one, two = connect(broker, 1), connect(broker, 2)
    broker.control.step()
    trade = place(one, LimitOrder("BUY", 10, 50.0))
    wait_until(one, lambda: trade.orderStatus.status == "Submitted")

    two.reqGlobalCancel()
    wait_until(one, lambda: trade.orderStatus.status == "Cancelled")


def test_a_what_if_order_tells_margins_and_leaves_no_order(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    broker.control.step()
    [contract] = ib.qualifyContracts(TSLA)

    state = ib.whatIfOrder(contract, MarketOrder("BUY", 100))
    assert float(state.initMarginChange) > 0
    assert broker.control.books().orders == ()


def test_a_request_that_is_not_served_is_named_in_an_error(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    errors: list[str] = []
    ib.errorEvent += lambda _req_id, _code, text, *_: errors.append(text)

    ib.client.reqScannerParameters()
    ib.client.reqHistogramData(99, TSLA, useRTH=False, timePeriod="1 day")
    wait_until(ib, lambda: len(errors) == 2)
    assert [record["message_id"] for record in broker.records("unknown")] == [24, 88]
    assert all("fakebroker does not know message id" in text for text in errors)


@pytest.mark.parametrize("moment", ["received", "processed", "answered"])
def test_the_broker_stands_still_at_a_request(
    broker: RunningBroker, connect: Connect, moment: str
) -> None:
    ib = connect(broker)
    broker.control.step()
    point = Point.model_validate(
        {"direction": "in", "message": "placeOrder", "occurrence": 1, "moment": moment}
    )
    broker.control.break_at(point)

    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    wait_for_broker(broker, lambda status: status.halted is not None)
    assert broker.control.status().halted == point
    assert len(broker.control.books().orders) == (0 if moment == "received" else 1)
    assert len(broker.records("sent")[-1:]) == 1
    answered = [r for r in broker.records("sent") if r["message"] == "openOrder"]
    assert bool(answered) == (moment == "answered")

    broker.control.release(deliver=True)
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")


@pytest.mark.parametrize(("deliver", "orders"), [(True, 1), (False, 0)])
def test_an_order_in_flight_arrives_or_is_lost_when_its_client_has_died(
    broker: RunningBroker, connect: Connect, *, deliver: bool, orders: int
) -> None:
    ib = connect(broker)
    broker.control.step()
    [contract] = ib.qualifyContracts(TSLA)
    broker.control.break_at(
        Point(direction="in", message="placeOrder", occurrence=1, moment="received")
    )
    ib.placeOrder(contract, LimitOrder("BUY", 10, 50.0))
    wait_for_broker(broker, lambda status: status.halted is not None)
    ib.disconnect()

    broker.control.release(deliver=deliver)
    assert len(broker.control.books().orders) == orders
    assert len(broker.records("lost")) == (0 if deliver else 1)
