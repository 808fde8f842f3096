"""A broker that is forked: the same books behind a second port, and two days from then on."""

import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ib_insync import IB, LimitOrder, Stock

from fakebroker.control import ControlClient, ControlError
from harness.broker_process import BrokerProcess, running_broker
from scenarios.test_every_point import SCENARIO

DEADLINE_SECONDS = 20.0
Connect = Callable[..., IB]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker in lockstep that has played two bars."""
    with running_broker(SCENARIO.case("json"), tmp_path) as running:
        running.control.step()
        running.control.step()
        yield running


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_fork_has_the_books_and_goes_on_alone(
    broker: BrokerProcess, connect: Connect, tmp_path: Path
) -> None:
    client = connect(broker, 7)
    client.placeOrder(Stock("TSLA", "SMART", "USD"), LimitOrder("BUY", 10, 1.0))
    client.reqCurrentTime()
    before, books = broker.control.status(), broker.control.books()
    forked, control = broker.control.fork(tmp_path / "fork.jsonl")
    with control:
        assert control.books() == books
        assert len(books.orders) == 1
        assert control.status().model_copy(update={"port": 0}) == before.model_copy(
            update={
                "port": 0,
                "sessions": tuple(
                    each.model_copy(update={"peer_port": None}) for each in before.sessions
                ),
            }
        )
        control.step()
        assert broker.control.status() == before
        control.lose_clients()
        assert control.status().sessions == ()
        other = connect(forked, 7)
        [theirs], [ours] = other.reqAllOpenOrders(), client.reqAllOpenOrders()
        assert theirs.order.permId == ours.order.permId
        other.disconnect()
    assert client.isConnected()
    client.disconnect()
    kinds = [record["kind"] for record in records(tmp_path / "fork.jsonl")]
    assert kinds[:2] == ["bar", "session"]


def test_its_sessions_and_records_go_on_counting(
    broker: BrokerProcess, connect: Connect, tmp_path: Path
) -> None:
    client = connect(broker, 7)
    written = records(broker.journal)
    forked, control = broker.control.fork(tmp_path / "fork.jsonl")
    with control:
        control.lose_clients()
        connect(forked, 7).disconnect()
        told = records(tmp_path / "fork.jsonl")
        assert told[0]["seq"] == len(written) + 1
        assert [each["session"] for each in told if each.get("event") == "connected"] == [2]
    client.disconnect()


def test_a_fork_ends_with_its_control_connection(broker: BrokerProcess, tmp_path: Path) -> None:
    forked, control = broker.control.fork(tmp_path / "fork.jsonl")
    process = os.pidfd_open(forked.pid)
    control.close()
    try:
        assert select.select([process], [], [], DEADLINE_SECONDS)[0]
    finally:
        os.close(process)


def test_a_fork_that_is_killed_does_not_disturb_the_first(
    broker: BrokerProcess, connect: Connect, tmp_path: Path
) -> None:
    client = connect(broker, 7)
    for number in range(3):
        forked, control = broker.control.fork(tmp_path / f"{number}.jsonl")
        os.kill(forked.pid, signal.SIGKILL)
        with pytest.raises(ControlError, match=r"hung up|does not answer"):
            control.status()
        control.close()
    assert broker.control.step().kind == "bar"
    client.reqCurrentTime()
    assert client.isConnected()
    client.disconnect()


def test_a_journal_that_exists_is_not_overwritten(broker: BrokerProcess, tmp_path: Path) -> None:
    taken = tmp_path / "taken.jsonl"
    taken.write_text("mine")
    with pytest.raises(ControlError, match=r"cannot be forked.*name a new journal"):
        broker.control.fork(taken)
    assert taken.read_text() == "mine"
    assert isinstance(broker.control, ControlClient)
    assert broker.control.step().kind == "bar"
