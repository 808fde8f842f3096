"""A broker with --state-dir is killed with SIGKILL and started again; ib_insync is the client."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from ib_insync import IB, LimitOrder, MarketOrder, Order, Stock, StopOrder, Trade

from fakebroker.control import ControlClient
from fakebroker.control_messages import Books, Point, Status
from tests.support.brokers import (
    DEADLINE_SECONDS,
    RunningBroker,
    tape_text,
    wait_for_broker,
    wait_until,
)

Connect = Callable[..., IB]
MISUSE = 2


class Lifetimes:
    """One state folder and the brokers that live on it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.controls: list[ControlClient] = []
        (folder / "tape.csv").write_text(tape_text(), encoding="utf-8")

    def command(self, number: int, **settings: object) -> list[str]:
        options = self.folder / f"settings{number}.json"
        options.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "fakebroker", "--port", "0", "--clock", "lockstep"]
        command += ["--tape", str(self.folder / "tape.csv"), "--settings", str(options)]
        command += ["--control", str(self.folder / f"c{number}")]
        command += ["--journal", str(self.folder / f"journal{number}.jsonl")]
        return [*command, "--state-dir", str(self.state)]

    def start(self, **settings: object) -> RunningBroker:
        number = len(self.processes)
        reader, writer = os.pipe()
        command = [*self.command(number, **settings), "--ready-fd", str(writer)]
        process = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL)
        self.processes.append(process)
        os.close(writer)
        with os.fdopen(reader) as ready:
            line = ready.readline()
        if not line:
            pytest.fail(f"the broker did not start: exit code {process.wait(DEADLINE_SECONDS)}")
        control = ControlClient(self.folder / f"c{number}")
        self.controls.append(control)
        journal = self.folder / f"journal{number}.jsonl"
        return RunningBroker(json.loads(line)["port"], control, journal)

    def kill(self) -> None:
        self.controls[-1].close()
        self.processes[-1].kill()
        self.processes[-1].wait(DEADLINE_SECONDS)

    def refused(self, **settings: object) -> str:
        """Start one that must not start, and return what it says."""
        command = self.command(99, **settings)
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
        words = done.stderr.decode()
        assert done.returncode == MISUSE, words
        assert words.startswith("fakebroker: ")
        assert "Traceback" not in words
        return words


@pytest.fixture
def lifetimes() -> Iterator[Lifetimes]:
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        found = Lifetimes(Path(name))
        yield found
        for control in found.controls:
            control.close()
        for process in found.processes:
            process.kill()
            process.wait(DEADLINE_SECONDS)


def transmitted(books: Books) -> Books:
    """Return the books without what lives in the gateway only."""
    orders = tuple(order for order in books.orders if order.transmitted)
    return books.model_copy(update={"orders": orders})


def tesla() -> Stock:
    return Stock("TSLA", "SMART", "USD", conId=76792991)


class Script:
    """A small day of one client; it ends early when the broker stands still."""

    def __init__(self, ib: IB, broker: RunningBroker) -> None:
        self.ib = ib
        self.broker = broker
        self.halted = False

    def run(self) -> None:
        entry = MarketOrder("BUY", 10, orderRef="entry", transmit=False)
        stop = StopOrder("SELL", 10, 94, orderRef="stop", tif="GTC", transmit=False)
        target = LimitOrder("SELL", 10, 105, orderRef="target", tif="GTC")
        self.place(entry)
        stop.parentId = target.parentId = entry.orderId
        self.place(stop)
        aim = self.place(target)
        self.wait(lambda: aim.orderStatus.status == "Submitted")
        stop.auxPrice, stop.transmit = 96, True
        moved = self.place(stop)
        self.wait(lambda: moved.order.auxPrice == 96 and len(moved.log) > 1)
        if not self.halted:
            self.ib.cancelOrder(target)
        self.wait(lambda: aim.orderStatus.status == "Cancelled")
        late = self.place(LimitOrder("BUY", 5, 80, orderRef="late"))
        self.wait(lambda: late.orderStatus.status == "Submitted")

    def place(self, order: Order) -> Trade:
        if self.halted:
            return Trade(tesla(), order)
        trade = self.ib.placeOrder(tesla(), order)
        # A request that is answered comes after the order: then the broker has seen the order.
        self.look()
        return trade

    def wait(self, happened: Callable[[], object]) -> None:
        if not self.halted:
            wait_until(self.ib, lambda: self.stands_still() or happened())

    def look(self) -> None:
        seen = self.broker.control.status().frames_received

        def arrived(status: Status) -> bool:
            return status.frames_received > seen or status.halted is not None

        self.ib.client.reqCurrentTime()
        wait_for_broker(self.broker, arrived)
        self.stands_still()

    def stands_still(self) -> bool:
        self.halted = self.broker.control.status().halted is not None
        return self.halted


def points() -> list[Point]:
    """Every message that changes the books, at every moment, and places within one fill."""
    changes = [("placeOrder", number) for number in range(1, 6)] + [("cancelOrder", 1)]
    moments = ("received", "processed", "answered")
    incoming = [
        Point(direction="in", message=message, occurrence=number, moment=moment)
        for message, number in changes
        for moment in moments
    ]
    outgoing = [
        Point(direction="out", message=message, occurrence=1, moment="unsent")
        for message in ("execDetails", "commissionReport")
    ]
    return [*incoming, *outgoing]


@pytest.mark.parametrize(
    "point", points(), ids=lambda point: f"{point.message}-{point.occurrence}-{point.moment}"
)
def test_killed_at_every_message_the_books_are_those_that_it_had(
    lifetimes: Lifetimes, connect: Connect, point: Point
) -> None:
    broker = lifetimes.start()
    broker.control.step()
    ib = connect(broker)
    broker.control.break_at(point)
    Script(ib, broker).run()
    assert broker.control.status().halted == point
    before = broker.control.books()
    lifetimes.kill()
    ib.disconnect()

    again = lifetimes.start()

    assert again.control.books() == transmitted(before)
    known = {order.order_ref for order in before.orders}
    refs = ["entry", "stop", "target", "stop", "late"]
    if point.message == "placeOrder":
        new = refs[point.occurrence - 1]
        expected = set(refs[: point.occurrence - (point.moment == "received")])
        assert known == expected, new


def test_after_a_restart_the_day_goes_on(lifetimes: Lifetimes, connect: Connect) -> None:
    broker = lifetimes.start(release_delay=3600)
    broker.control.step()
    ib = connect(broker)
    Script(ib, broker).run()
    before, status = broker.control.books(), broker.control.status()
    lifetimes.kill()
    ib.disconnect()

    again = lifetimes.start(release_delay=3600)
    after = again.control.status()
    assert (after.bars_played, after.bars_left) == (status.bars_played, status.bars_left)
    ib = connect(again)
    live = {trade.order.orderRef: trade for trade in ib.openTrades()}
    known = {order.order_ref: order for order in before.orders}
    assert sorted(live) == ["late", "stop"]
    for ref, trade in live.items():
        assert trade.order.permId == known[ref].perm_id
        assert trade.order.orderId == known[ref].order_id
    [entry] = ib.fills()
    assert entry.execution.orderRef == "entry"
    assert entry.commissionReport.commission == 1.0
    new = ib.placeOrder(tesla(), LimitOrder("BUY", 1, 80))
    wait_until(ib, lambda: new.orderStatus.status == "Submitted")
    assert new.order.orderId > max(order.order_id for order in before.orders)
    assert new.order.permId == max(order.perm_id for order in before.orders) + 1

    while again.control.status().bars_left:
        again.control.step()
    wait_until(ib, lambda: live["stop"].orderStatus.status == "Filled")
    books = again.control.books()
    assert [row.order_ref for row in books.executions] == ["entry", "stop"]
    assert len({row.exec_id for row in books.executions}) == len(books.executions)
    assert [row.execution.orderRef for row in ib.reqExecutions()] == ["entry", "stop"]
    paid = sum((row.shares * row.price for row in books.executions if row.side == "BOT"), Decimal())
    got = sum((row.shares * row.price for row in books.executions if row.side == "SLD"), Decimal())
    costs = sum((row.commission or Decimal() for row in books.executions), Decimal())
    assert books.cash == 100_000 - paid + got - costs


def test_an_order_that_was_not_processed_gives_its_id_out_again(
    lifetimes: Lifetimes, connect: Connect
) -> None:
    broker = lifetimes.start()
    broker.control.step()
    ib = connect(broker)
    point = Point(direction="in", message="placeOrder", occurrence=2, moment="received")
    broker.control.break_at(point)
    first = ib.placeOrder(tesla(), LimitOrder("BUY", 1, 80))
    lost = ib.placeOrder(tesla(), LimitOrder("BUY", 1, 81))
    wait_for_broker(broker, lambda status: status.halted is not None)
    lifetimes.kill()
    ib.disconnect()

    again = lifetimes.start()
    ib = connect(again)
    [trade] = ib.openTrades()
    assert trade.order.orderId == first.order.orderId
    [told] = [record for record in again.records("sent") if record["message"] == "nextValidId"]
    assert told["fields"] == {"order_id": lost.order.orderId}


def test_legs_that_wait_for_their_family_die_with_the_gateway_and_their_ids_stay_used(
    lifetimes: Lifetimes, connect: Connect
) -> None:
    broker = lifetimes.start()
    broker.control.step()
    ib = connect(broker)
    Script(ib, broker).place(LimitOrder("BUY", 1, 80, transmit=False))
    wait_for_broker(broker, lambda _: len(broker.control.books().orders) == 1)
    [held] = broker.control.books().orders
    lifetimes.kill()
    ib.disconnect()

    again = lifetimes.start()
    assert again.control.books().orders == ()
    ib = connect(again)
    [told] = [record for record in again.records("sent") if record["message"] == "nextValidId"]
    assert told["fields"] == {"order_id": held.order_id + 1}
    new = ib.placeOrder(tesla(), LimitOrder("BUY", 1, 80))
    wait_until(ib, lambda: new.orderStatus.status == "Submitted")
    assert new.order.permId == held.perm_id + 1


def test_books_that_cannot_be_written_any_more_end_the_broker_before_it_answers(
    lifetimes: Lifetimes, connect: Connect
) -> None:
    broker = lifetimes.start()
    ib = connect(broker)
    with closing(sqlite3.connect(lifetimes.state / "books.sqlite")) as file:
        file.execute("drop table orders")
        file.commit()
    trade = ib.placeOrder(tesla(), LimitOrder("BUY", 1, 80))
    assert lifetimes.processes[-1].wait(DEADLINE_SECONDS) == MISUSE
    with pytest.raises(ConnectionError):
        wait_until(ib, lambda: not ib.isConnected())
    assert [entry.status for entry in trade.log] == ["PendingSubmit"]


def test_a_second_broker_on_the_same_folder_is_refused(lifetimes: Lifetimes) -> None:
    lifetimes.start()
    assert "belongs to a broker that is running" in lifetimes.refused()


def test_a_damaged_file_is_refused_and_not_touched(lifetimes: Lifetimes) -> None:
    lifetimes.start()
    lifetimes.kill()
    file = lifetimes.state / "books.sqlite"
    data = file.read_bytes()[:100] + b"\xa5" * 5000
    file.write_bytes(data)
    assert str(file) in lifetimes.refused()
    assert file.read_bytes() == data


def test_other_money_at_the_start_is_refused_and_a_knob_may_be_turned(
    lifetimes: Lifetimes,
) -> None:
    lifetimes.start()
    lifetimes.kill()
    assert "cash 100000 (now 5)" in lifetimes.refused(cash="5")
    lifetimes.start(dup_status=True)
