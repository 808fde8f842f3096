"""The 28 behaviours that matter for recovery (tws-protocol.md section 0b), one test each.

Each test bears the number and the words of its behaviour and looks at it as a bot would: through
an unmodified ib_insync, with the broker's books as the truth. Knobs are settings or named faults.
"""

from decimal import Decimal

import pytest
from ib_insync import IB, LimitOrder, MarketOrder, StopOrder, Trade

from fakebroker.control_messages import Point
from fakebroker.faults import field, wire
from fakebroker.faults.base import AtMessage
from tests.support.brokers import RunningBroker, wait_for_broker, wait_until
from tests.support.clients import (
    SHORT,
    Connect,
    Start,
    bought,
    errors_of,
    orders,
    place,
    play_bars,
    refusal,
    resting,
    sent,
    settle,
    step_past,
    wait_until_gone,
)

FILL_MESSAGES = ("execDetails", "openOrder", "orderStatus", "commissionReport")


@pytest.fixture
def ib(broker: RunningBroker, connect: Connect) -> IB:
    """A client of the default broker, in a market at 100."""
    broker.control.step()
    return connect(broker)


def gone(broker: RunningBroker, ib: IB) -> None:
    """Disconnect, and wait until the broker knows."""
    ib.disconnect()
    wait_for_broker(broker, lambda status: not status.sessions)


def child(parent: Trade, ib: IB, price: float, **fields: object) -> StopOrder:
    return StopOrder(
        "SELL", 100, price, orderId=ib.client.getReqId(), parentId=parent.order.orderId, **fields
    )


@pytest.mark.parametrize(("deliver", "known"), [(True, 1), (False, 0)])
def test_01_an_order_on_a_dying_socket_may_or_may_not_arrive(
    broker: RunningBroker, ib: IB, connect: Connect, *, deliver: bool, known: int
) -> None:
    broker.control.break_at(
        Point(direction="in", message="placeOrder", occurrence=1, moment="received")
    )
    trade = place(ib, LimitOrder("BUY", 10, 50.0, orderRef="mine"))
    wait_for_broker(broker, lambda status: status.halted is not None)
    ib.disconnect()
    assert trade.orderStatus.status == "PendingSubmit"

    broker.control.release(deliver=deliver)
    wait_for_broker(broker, lambda status: not status.sessions)
    found = [t.order.orderRef for t in connect(broker).openTrades()]
    assert found == ["mine"] * known


def test_02_an_order_ref_is_echoed_and_never_de_duplicated(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    resting(ib, orderRef="twice")
    resting(ib, orderRef="twice")
    bought(ib, orderRef="filled")
    gone(broker, ib)

    again = connect(broker)
    assert [t.order.orderRef for t in again.openTrades()] == ["twice", "twice"]
    assert [t.order.orderRef for t in again.trades() if t.isDone()] == ["filled"]
    assert {fill.execution.orderRef for fill in again.fills()} == {"filled"}


def test_03_fills_while_away_are_told_by_reqexecutions_only(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    resting(ib, orderRef="away")
    gone(broker, ib)
    broker.control.fill(orders(broker)[0].perm_id, shares=Decimal(10), price=Decimal(50))

    again = connect(broker)
    assert [fill.execution.orderRef for fill in again.fills()] == ["away"]
    assert again.openTrades() == []
    told = [r for r in broker.records("sent") if r["message"] == "execDetails"]
    assert len(told) == 1
    assert "'req_id': -1" not in str(told[0]["fields"])


def test_04_executions_come_with_their_commissions_and_then_the_end(
    broker: RunningBroker, ib: IB
) -> None:
    bought(ib)
    bought(ib)
    before = len(broker.records("sent"))

    assert len(ib.reqExecutions()) == 2
    answer = [r["message"] for r in broker.records("sent")[before:]]
    assert answer == [*(["execDetails", "commissionReport"] * 2), "execDetailsEnd"]


def test_04_executions_are_those_since_midnight(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(
        tape="time,symbol,open,high,low,close,volume\n"
        "2025-10-06T23:59:50-04:00,TSLA,100,100,100,100,1\n"
        "2025-10-06T23:59:55-04:00,TSLA,100,100,100,100,1\n"
        "2025-10-07T00:00:00-04:00,TSLA,100,100,100,100,1\n"
    )
    ib = connect(broker)
    play_bars(broker, 1)
    bought(ib)
    assert len(ib.reqExecutions()) == 1

    play_bars(broker, 2)
    gone(broker, ib)
    again = connect(broker)
    assert again.fills() == []
    assert [position.position for position in again.positions()] == [100]


def test_05_a_perm_id_is_the_accounts_and_an_order_id_the_clients(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    other = connect(broker, 2)
    mine, theirs = resting(ib), resting(other)
    assert mine.order.orderId == theirs.order.orderId
    perm_ids = {mine.order.permId, theirs.order.permId}
    assert len(perm_ids) == 2

    ib.disconnect()
    wait_for_broker(broker, lambda status: len(status.sessions) == 1)
    again = connect(broker)
    assert {trade.order.permId for trade in again.reqAllOpenOrders()} == perm_ids


def test_06_next_valid_id_counts_received_orders_and_can_roll_back(
    broker: RunningBroker, ib: IB
) -> None:
    first = ib.client.getReqId()
    placed = resting(ib, orderId=first + 6)
    assert next_valid_id(broker, ib) == placed.order.orderId + 1

    broker.control.fault(field.RollBackIds(client_id=1, count=1))
    assert next_valid_id(broker, ib) <= placed.order.orderId


def next_valid_id(broker: RunningBroker, ib: IB) -> int:
    """What nextValidId says when it is asked now."""
    ib.client.reqIds(1)
    settle(ib)
    [*_, last] = [r["fields"] for r in broker.records("sent") if r["message"] == "nextValidId"]
    assert isinstance(last, dict)
    return int(last["order_id"])


def test_07_a_live_id_is_a_modify_and_a_used_id_is_103(broker: RunningBroker, ib: IB) -> None:
    trade = resting(ib)
    trade.order.lmtPrice = 51.0
    ib.placeOrder(trade.contract, trade.order)
    wait_until(ib, lambda: orders(broker)[0].limit_price == 51)
    assert len(orders(broker)) == 1

    ib.cancelOrder(trade.order)
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    settle(ib)
    errors = errors_of(ib)
    ib.client.placeOrder(trade.order.orderId, trade.contract, LimitOrder("BUY", 10, 52.0))
    wait_until(ib, lambda: errors)
    assert errors == [(trade.order.orderId, 103)]
    assert len(orders(broker)) == 1


def test_08_open_orders_are_the_clients_own_and_all_are_told_once(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    other = connect(broker, 2)
    resting(ib, orderRef="one")
    resting(other, orderRef="two")

    assert [t.order.orderRef for t in ib.reqOpenOrders()] == ["one"]
    assert {t.order.orderRef for t in ib.reqAllOpenOrders()} == {"one", "two"}
    before = len(sent(broker, "openOrder"))
    other.client.placeOrder(
        other.openTrades()[0].order.orderId,
        other.openTrades()[0].contract,
        LimitOrder("BUY", 10, 55.0, orderRef="two"),
    )
    settle(other)
    settle(ib)
    later = broker.records("sent")
    told = [r["client_id"] for r in later if r["message"] == "openOrder"][before:]
    assert set(told) == {2}


def test_08_client_zero_is_bound_to_manual_orders(broker: RunningBroker, connect: Connect) -> None:
    zero = connect(broker, 0)
    broker.control.step()
    broker.control.manual_order("TSLA", "BUY", quantity=Decimal(5))
    wait_until(zero, zero.fills)
    assert [fill.execution.shares for fill in zero.fills()] == [5]


def test_09_another_client_gets_10147_and_only_a_global_cancel_reaches(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    trade = resting(ib, orderId=40)
    other = connect(broker, 2)
    errors = errors_of(other)
    other.client.cancelOrder(trade.order.orderId)
    wait_until(other, lambda: errors)
    assert errors == [(40, 10147)]
    assert orders(broker)[0].working

    other.reqGlobalCancel()
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")


def test_10_a_client_id_is_326_until_its_release(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(release_delay=7)
    broker.control.step()
    gone(broker, connect(broker))

    assert refusal(broker, 1) == [(-1, 326)]

    step_past(broker, 7)
    assert connect(broker).isConnected()


def test_11_a_fill_wins_the_cancel_race_and_10148_decays_to_10147(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(closes=("100", "101", "102"), cancel_after_bars=2)
    ib = connect(broker)
    play_bars(broker, 1)
    trade = place(ib, LimitOrder("SELL", 10, 101.0))
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")
    ib.cancelOrder(trade.order)
    settle(ib)

    play_bars(broker, 1)
    wait_until(ib, lambda: trade.orderStatus.status == "Filled")
    errors = errors_of(ib)
    ib.client.cancelOrder(trade.order.orderId)
    wait_until(ib, lambda: len(errors) == 1)
    ib.client.cancelOrder(trade.order.orderId)
    wait_until(ib, lambda: len(errors) == 2)
    assert [code for _, code in errors] == [10148, 10147]
    assert trade.filled() == 10


def test_12_a_fill_is_told_in_the_recorded_order(broker: RunningBroker, ib: IB) -> None:
    bought(ib)
    settle(ib)
    *_, exec_details, first, status, second, commission = sent(broker, *FILL_MESSAGES)
    assert exec_details == "execDetails"
    assert (first, status, second) == ("openOrder", "orderStatus", "openOrder")
    assert commission == "commissionReport"


def test_12_a_commission_comes_late(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(commission_delay=10, position_delay=0)
    ib = connect(broker)
    broker.control.step()
    trade = bought(ib)
    settle(ib)
    assert trade.fills[0].commissionReport.execId == ""

    step_past(broker, 10)
    wait_until(ib, lambda: trade.fills[0].commissionReport.execId)


@pytest.mark.parametrize(("setting", "count"), [("drop_status", 0), ("dup_status", 2)])
def test_13_an_order_status_may_be_missing_or_doubled(
    start_broker: Start, connect: Connect, setting: str, count: int
) -> None:
    broker = start_broker(**{setting: True})
    ib = connect(broker)
    broker.control.step()
    trade = place(ib, MarketOrder("BUY", 10))
    wait_until(ib, lambda: trade.fills)
    settle(ib)
    filled = [
        r
        for r in broker.records("sent")
        if r["message"] == "orderStatus" and "Filled" in str(r["fields"])
    ]
    assert len(filled) == count


def test_14_partial_fills_keep_the_status_and_carry_running_totals(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(closes=("100", "99", "98"), liquidity_per_bar="40")
    ib = connect(broker)
    play_bars(broker, 1)
    trade = place(ib, LimitOrder("BUY", 100, 99.0))
    play_bars(broker, 1)
    wait_until(ib, lambda: trade.fills)
    assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Submitted", 40)

    play_bars(broker, 1)
    wait_until(ib, lambda: len(trade.fills) == 2)
    assert [fill.execution.cumQty for fill in trade.fills] == [40, 80]
    assert trade.orderStatus.remaining == 20


def test_15_position_and_portfolio_lag_the_fill(broker: RunningBroker, ib: IB) -> None:
    bought(ib)
    settle(ib)
    assert ib.positions() == []
    assert ib.portfolio() == []

    assert broker.control.step().kind == "deadline"
    wait_until(ib, lambda: ib.positions() and ib.portfolio())
    assert ib.positions()[0].position == 100


def test_16_legs_without_transmit_are_lost_with_the_gateway(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    leg = MarketOrder("BUY", 100, orderId=ib.client.getReqId(), transmit=False)
    place(ib, leg)
    settle(ib)
    assert [order.transmitted for order in orders(broker)] == [False]

    broker.control.fault(field.GatewayRestart(seconds=SHORT))
    wait_until_gone(ib)
    step_past(broker, 8)
    assert connect(broker).openTrades() == []
    assert [order for order in orders(broker) if not order.transmitted and order.working] == []
    assert broker.control.books().executions == ()


def test_17_children_wait_for_their_parent_and_go_with_it(broker: RunningBroker, ib: IB) -> None:
    parent = place(ib, LimitOrder("BUY", 100, 50.0, orderId=ib.client.getReqId(), transmit=False))
    stop = place(ib, child(parent, ib, 45.0))
    wait_until(ib, lambda: stop.orderStatus.status == "PreSubmitted")
    assert stop.orderStatus.whyHeld == "child"
    assert not orders(broker)[1].working

    ib.cancelOrder(parent.order)
    wait_until(ib, lambda: stop.orderStatus.status == "Cancelled")


def test_17_a_missing_parent_is_135(broker: RunningBroker, ib: IB) -> None:
    errors = errors_of(ib)
    orphan = StopOrder("SELL", 100, 90.0, orderId=ib.client.getReqId(), parentId=999)
    place(ib, orphan)
    wait_until(ib, lambda: errors)
    assert errors == [(orphan.orderId, 135)]
    assert orders(broker) == ()


def test_18_a_stop_waits_for_its_trigger_and_gtc_outlives_a_restart(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    bought(ib)
    stop = place(ib, StopOrder("SELL", 100, 96.0, tif="GTC", orderRef="stop"))
    wait_until(ib, lambda: stop.orderStatus.status == "PreSubmitted")

    play_bars(broker, 1)
    broker.control.fault(field.GatewayRestart(seconds=SHORT))
    wait_until_gone(ib)
    step_past(broker, 8)
    again = connect(broker)
    [kept] = again.openTrades()
    assert (kept.order.orderRef, kept.orderStatus.status) == ("stop", "PreSubmitted")
    play_bars(broker, broker.control.status().bars_left)
    wait_until(again, lambda: kept.orderStatus.status == "Filled")


def test_18_a_day_order_expires_at_the_close_as_cancelled_with_202(
    start_broker: Start, connect: Connect
) -> None:
    tape = "time,symbol,open,high,low,close,volume\n" + "".join(
        f"2025-10-06T{clock}-04:00,TSLA,100,100,100,100,1\n"
        for clock in ("15:59:50", "15:59:55", "16:00:00")
    )
    broker = start_broker(tape=tape, market_hours="sessions")
    ib = connect(broker)
    play_bars(broker, 1)
    day, good = resting(ib, tif="DAY"), resting(ib, tif="GTC")
    errors = errors_of(ib)
    play_bars(broker, 2)
    wait_until(ib, lambda: day.orderStatus.status == "Cancelled" and errors)
    assert errors == [(day.order.orderId, 202)]
    assert not good.isDone()


@pytest.mark.parametrize("restored", [1101, 1102])
def test_19_1100_leaves_the_socket_up_and_fills_still_arrive(
    broker: RunningBroker, ib: IB, *, restored: int
) -> None:
    trade = resting(ib)
    errors = errors_of(ib)
    broker.control.fault(wire.ConnectivityLost.model_validate({"restored": restored, "seconds": 7}))
    wait_until(ib, lambda: errors)
    assert errors == [(-1, 1100)]
    assert ib.isConnected()

    broker.control.fill(orders(broker)[0].perm_id, shares=Decimal(10), price=Decimal(50))
    wait_until(ib, lambda: trade.orderStatus.status == "Filled")
    step_past(broker, 7)
    wait_until(ib, lambda: (-1, restored) in errors)


@pytest.mark.parametrize(("fate", "working"), [("lost", 0), ("queued", 1), ("taken", 1)])
def test_19_an_order_during_1100_may_be_lost_or_queued(
    broker: RunningBroker, ib: IB, *, fate: str, working: int
) -> None:
    broker.control.fault(wire.ConnectivityLost.model_validate({"orders": fate, "seconds": 7}))
    ib.client.placeOrder(ib.client.getReqId(), bare_tesla(), LimitOrder("BUY", 10, 50.0))
    step_past(broker, 7)
    settle(ib)
    assert len([order for order in orders(broker) if order.working]) == working


def bare_tesla() -> object:
    """TSLA without asking the broker about it."""
    from ib_insync import Stock

    return Stock("TSLA", "SMART", "USD")


def test_20_a_gateway_restart_resets_refuses_and_forgets_the_last_second(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    kept = resting(ib, orderRef="kept", tif="GTC")
    play_bars(broker, 1)
    restart = field.GatewayRestart(when=AtMessage(message="placeOrder"), seconds=SHORT)
    broker.control.fault(restart)
    place(ib, LimitOrder("BUY", 10, 51.0, orderRef="last second"))
    wait_until_gone(ib)

    with pytest.raises(ConnectionRefusedError):
        connect(broker)
    step_past(broker, 8)
    again = connect(broker)
    [trade] = again.openTrades()
    assert (trade.order.orderRef, trade.order.permId) == ("kept", kept.order.permId)


@pytest.mark.parametrize(("processed", "known"), [(True, 1), (False, 0)])
def test_21_some_placements_get_no_callback_at_all(
    broker: RunningBroker, ib: IB, *, processed: bool, known: int
) -> None:
    broker.control.fault(field.SilentNoAck(processed=processed))
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert trade.orderStatus.status == "PendingSubmit"
    assert len(orders(broker)) == known


def test_22_a_completed_order_is_matched_by_perm_id_or_order_ref(
    broker: RunningBroker, ib: IB, connect: Connect
) -> None:
    done = bought(ib, orderRef="done")
    gone(broker, ib)

    [trade] = connect(broker).reqCompletedOrders(apiOnly=False)
    assert (trade.order.permId, trade.order.orderRef) == (done.order.permId, "done")
    assert (trade.order.orderId, trade.order.clientId) == (0, 0)


@pytest.mark.parametrize(("push", "told"), [(True, True), (False, False)])
def test_23_open_orders_are_pushed_unasked_on_connect(
    start_broker: Start, connect: Connect, *, push: bool, told: bool
) -> None:
    broker = start_broker(push_open_orders_on_connect=push)
    broker.control.step()
    first = connect(broker)
    resting(first)
    gone(broker, first)
    connect(broker)

    messages = [r["message"] for r in broker.records("sent")]
    welcome = max(n for n, message in enumerate(messages) if message == "nextValidId")
    answer = messages.index("positionEnd", welcome)
    assert ("openOrder" in messages[welcome:answer]) is told


def test_24_a_reject_is_201_and_an_inactive_order_may_work_later(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(locate_after_bars=1)
    ib = connect(broker)
    play_bars(broker, 1)
    errors = errors_of(ib)
    rejected = place(ib, LimitOrder("BUY", 1_000_000, 100.0))
    wait_until(ib, lambda: errors)
    assert errors[0] == (rejected.order.orderId, 201)
    wait_until(ib, lambda: orders(broker)[0].status == "Inactive")

    short = place(ib, LimitOrder("SELL", 10, 200.0))
    wait_until(ib, lambda: (short.order.orderId, 404) in errors)
    assert orders(broker)[1].status == "Inactive"
    play_bars(broker, 1)
    wait_until(ib, lambda: short.orderStatus.status == "Submitted")


def test_25_a_modify_may_leave_two_live_orders(broker: RunningBroker, ib: IB) -> None:
    trade = resting(ib)
    broker.control.fault(field.DuplicateOrder())
    trade.order.lmtPrice = 51.0
    ib.placeOrder(trade.contract, trade.order)
    settle(ib)

    alive = [order for order in orders(broker) if order.working]
    assert [order.order_id for order in alive] == [trade.order.orderId] * 2
    assert len({order.perm_id for order in alive}) == 2


def test_26_a_correction_repeats_the_exec_id_with_its_last_part_raised(
    broker: RunningBroker, ib: IB
) -> None:
    trade = bought(ib)
    [fill] = trade.fills
    broker.control.fault(
        field.CorrectExecution.model_validate(
            {"exec_id": fill.execution.execId, "shares": "90", "when": {"on": "now"}}
        )
    )
    wait_until(ib, lambda: len(trade.fills) == 2)

    stem, _, last = trade.fills[1].execution.execId.rpartition(".")
    assert (stem, last) == (fill.execution.execId.rpartition(".")[0], "02")
    assert trade.filled() == 190, "ib_insync counts a correction twice; that is the trap"
    [held] = broker.control.books().positions
    assert held.quantity == 90


@pytest.mark.parametrize(
    ("oca_type", "overfill", "left"), [(1, False, 0), (2, False, 0), (3, False, 0), (3, True, -100)]
)
def test_27_an_oca_group_cancels_or_reduces_and_type_3_can_overfill(
    start_broker: Start, connect: Connect, *, oca_type: int, overfill: bool, left: int
) -> None:
    tape = "time,symbol,open,high,low,close,volume\n"
    tape += "2025-10-06T10:00:00-04:00,TSLA,100,100,100,100,1\n"
    tape += "2025-10-06T10:00:05-04:00,TSLA,100,106,94,100,1\n"
    broker = start_broker(tape=tape, oca_overfill=overfill)
    ib = connect(broker)
    play_bars(broker, 1)
    bought(ib)
    group = {"ocaGroup": "exits", "ocaType": oca_type}
    place(ib, StopOrder("SELL", 100, 95.0, **group))
    place(ib, LimitOrder("SELL", 100, 105.0, **group))
    settle(ib)

    play_bars(broker, 1)
    [held] = broker.control.books().positions
    assert held.quantity == left


def test_28_over_fifty_messages_a_second_get_error_100_and_then_a_drop(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(messages_per_second_max=50)
    ib = connect(broker)
    ib.client.setConnectOptions("")
    errors = errors_of(ib)
    ib.client.MaxRequests = 0  # ib_insync would hold them back itself
    for _ in range(200):
        ib.client.reqCurrentTime()
    wait_until_gone(ib)
    assert (-1, 100) in errors
