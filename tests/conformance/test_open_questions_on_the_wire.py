"""Settings for what IB leaves open, as an unmodified ib_insync sees each of their values."""

import pytest
from ib_insync import IB, ExecutionFilter, LimitOrder, Trade

from fakebroker.faults import field
from tests.support.brokers import RunningBroker, wait_until
from tests.support.clients import Connect, Start, bought, place, resting, settle


def statuses(trade: Trade) -> list[str]:
    """Return the statuses that the client was told of, in their order, each once."""
    seen = [entry.status for entry in trade.log]
    return [status for place, status in enumerate(seen) if place == 0 or seen[place - 1] != status]


def told_statuses(broker: RunningBroker) -> list[str]:
    """Return the status of each orderStatus that was sent."""
    found = []
    for record in broker.records("sent"):
        fields = record["fields"]
        if record["message"] == "orderStatus":
            assert isinstance(fields, dict)
            found.append(str(fields["status"]))
    return found


def test_corrections_as_differences_add_up_to_the_books(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(corrections="delta")
    ib = connect(broker)
    broker.control.step()
    broker.control.fault(field.CorrectExecution.model_validate({"shares": 90}))
    trade = bought(ib)
    wait_until(ib, lambda: len(trade.fills) == 2 and trade.fills[1].commissionReport.execId)
    assert [fill.execution.shares for fill in trade.fills] == [100, -10]
    assert [fill.execution.execId[-3:] for fill in trade.fills] == [".01", ".02"]
    assert trade.filled() == 90

    books = broker.control.books()
    assert [execution.shares for execution in books.executions] == [90]
    fills = connect(broker, 2).reqExecutions()
    assert [fill.execution.shares for fill in fills] == [100, -10]
    assert fills[-1].execution.cumQty == 90


@pytest.mark.parametrize(
    ("pending", "told"), [(False, ["Submitted"]), (True, ["PendingSubmit", "Submitted"])]
)
def test_a_new_order_is_told_as_pending_submit_or_not(
    start_broker: Start, connect: Connect, *, pending: bool, told: list[str]
) -> None:
    broker = start_broker(pending_submit=pending)
    ib = connect(broker)
    broker.control.step()
    trade = resting(ib)
    assert told_statuses(broker) == told
    assert statuses(trade) == ["PendingSubmit", "Submitted"]


@pytest.mark.parametrize(
    ("pending_cancel", "bars", "listed", "told"),
    [
        ("never", 0, "", ["Submitted", "Cancelled"]),
        ("in_flight", 0, "", ["Submitted", "Cancelled"]),
        ("always", 0, "", ["Submitted", "PendingCancel", "Cancelled"]),
        ("never", 1, "Submitted", ["Submitted", "Cancelled"]),
        ("in_flight", 1, "PendingCancel", ["Submitted", "Cancelled"]),
        ("always", 1, "PendingCancel", ["Submitted", "PendingCancel", "Cancelled"]),
    ],
)
def test_a_cancel_is_told_as_pending_cancel_or_not(
    start_broker: Start,
    connect: Connect,
    *,
    pending_cancel: str,
    bars: int,
    listed: str,
    told: list[str],
) -> None:
    broker = start_broker(pending_cancel=pending_cancel, cancel_after_bars=bars)
    ib, other = connect(broker), connect(broker, 2)
    broker.control.step()
    trade = resting(ib)
    ib.cancelOrder(trade.order)
    settle(ib)
    if bars:
        assert [it.orderStatus.status for it in other.reqAllOpenOrders()] == [listed]
        broker.control.step()
    wait_until(ib, lambda: trade.orderStatus.status == "Cancelled")
    mine = [status for status in told_statuses(broker) if status]
    if bars:
        mine.remove(listed)  # What the list has told to the other client.
    assert mine == told


@pytest.mark.parametrize(("filter_zero", "count"), [("all_clients", 1), ("only_client_zero", 0)])
def test_an_empty_execution_filter_is_of_all_clients_or_of_client_0(
    start_broker: Start, connect: Connect, *, filter_zero: str, count: int
) -> None:
    broker = start_broker(exec_filter_client_zero=filter_zero)
    ib = connect(broker, 5)
    broker.control.step()
    bought(ib)
    assert len(connect(broker, 6).reqExecutions()) == count
    assert len(ib.reqExecutions(ExecutionFilter(clientId=5))) == 1


@pytest.mark.usefixtures("connect")  # It has the event loop that a client needs.
def test_an_empty_execution_filter_without_an_answer_fails_the_connect(
    start_broker: Start,
) -> None:
    broker = start_broker(exec_filter_client_zero="no_answer")
    ib = IB()
    with pytest.raises(TimeoutError):
        ib.connect("127.0.0.1", broker.port, clientId=1, timeout=3)
    assert [r for r in broker.records("received") if r["message"] == "reqExecutions"]
    assert [r for r in broker.records("sent") if r["message"] == "execDetailsEnd"] == []
    ib.disconnect()


def test_a_limit_order_fills_whatever_is_pending(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(pending_submit=True, pending_cancel="always")
    ib = connect(broker)
    broker.control.step()
    trade = place(ib, LimitOrder("BUY", 10, 200.0))
    wait_until(ib, trade.isDone)
    assert trade.orderStatus.status == "Filled"
