"""A broker that is brought back from a snapshot cannot be told from the one it was taken of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ib_insync import Contract, ExecutionFilter, LimitOrder, MarketOrder, Order, Stock, StopOrder
from ib_insync.client import Client

from fakebroker.breakpoint import PointError
from fakebroker.broker import Broker
from fakebroker.control_messages import InMoment, OutMoment, Point
from fakebroker.exchange.errors import ExchangeError
from fakebroker.faults import Fault
from fakebroker.faults.base import AtMessage
from fakebroker.faults.wire import (
    CutAtMessage,
    DelayMessage,
    Drop,
    Duplicate,
    HalfFrame,
    Reorder,
    Silence,
)
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.outbox import Effect
from fakebroker.protocol import frame
from fakebroker.settings import BrokerSettings
from tests.support.brokers import tape_text
from tests.unit.fakebroker.protocol.wire import opening

START = datetime(2025, 10, 6, 14, 0, tzinfo=UTC)
TAPE = parse_tape(tape_text(), name="tape")
SETTINGS = BrokerSettings(
    position_delay=timedelta(seconds=1),
    commission_delay=timedelta(seconds=2),
    release_delay=timedelta(seconds=3),
    fill_split=(Decimal(1), Decimal(2)),
    cancel_after_bars=1,
)
TSLA: Contract = Stock("TSLA", "SMART", "USD")
VERSION = 176
SESSIONS = (1, 2, 3)

FAULTS: tuple[Fault, ...] = (
    Drop(message="orderStatus"),
    DelayMessage(message="placeOrder", seconds=timedelta(seconds=7), times=2),
    DelayMessage(message="execDetails", seconds=timedelta(seconds=7)),
    Duplicate(message="openOrder", times=None),
    Reorder(message="openOrder"),
    HalfFrame(message="position"),
    CutAtMessage(message="placeOrder", when=AtMessage(message="placeOrder", occurrence=2)),
    Silence(client_id=2, seconds=timedelta(seconds=9)),
)

Input = Callable[[Broker], Sequence[Effect]]


@dataclass
class Run:
    """A broker and everything that has come out of it."""

    broker: Broker
    lines: list[str]
    effects: list[object] = field(default_factory=list)

    def feed(self, inputs: Sequence[Input]) -> None:
        for one in inputs:
            try:
                self.effects.append(tuple(one(self.broker)))
            except (PointError, ExchangeError) as error:
                self.effects.append(str(error))


def started() -> Run:
    lines: list[str] = []
    broker = Broker(SETTINGS, Market(TAPE), start=START, journal=Journal(lines.append))
    run = Run(broker, lines)
    run.feed([opener(number) for number in SESSIONS])
    return run


def opener(number: int) -> Input:
    def both(broker: Broker) -> Sequence[Effect]:
        first = broker.connect(number, broker.now)
        start = opening(VERSION).replace(b"71\0002\0001\0", f"71\0002\000{number}\0".encode())
        return [*first, *broker.receive(number, start, broker.now)]

    return both


def said(say: Callable[[Any], object]) -> bytes:
    """Return the frames that ib_insync's client sends, its socket cut off."""
    client: Any = Client(SimpleNamespace())
    client._serverVersion = VERSION
    client.connState = Client.CONNECTED
    sent: list[str] = []
    client.sendMsg = sent.append
    say(client)
    return b"".join(frame(message.encode()) for message in sent)


def order(kind: str, *, buy: bool, price: int, quantity: int) -> Order:
    action = "BUY" if buy else "SELL"
    match kind:
        case "MKT":
            return MarketOrder(action, quantity)
        case "LMT":
            return LimitOrder(action, quantity, price, tif="GTC")
        case _:
            return StopOrder(action, quantity, price)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    order_id = draw(st.integers(1, 12))
    match draw(st.sampled_from(["place", "place", "place", "child", "cancel", "ask", "junk"])):
        case "place":
            terms = order(
                draw(st.sampled_from(["MKT", "LMT", "STP"])),
                buy=draw(st.booleans()),
                price=draw(st.integers(90, 110)),
                quantity=draw(st.integers(1, 9)),
            )
            terms.orderRef = draw(st.sampled_from(["", "entry", "exit"]))
            terms.transmit = draw(st.booleans())
            return said(lambda client: client.placeOrder(order_id, TSLA, terms))
        case "child":
            terms = order("STP", buy=False, price=draw(st.integers(90, 99)), quantity=3)
            terms.parentId = draw(st.integers(1, 12))
            return said(lambda client: client.placeOrder(order_id, TSLA, terms))
        case "cancel":
            return said(lambda client: client.cancelOrder(order_id))
        case "junk":
            return draw(st.sampled_from([b"\0\0\0\x05999\0", b"\0\0\0\x03x\0\0", b"\x7f\0\0\0"]))
        case _:
            ask: Callable[[Any], object] = draw(
                st.sampled_from(
                    [
                        lambda client: client.reqPositions(),
                        lambda client: client.reqAllOpenOrders(),
                        lambda client: client.reqAccountUpdates(True, ""),
                        lambda client: client.reqExecutions(9, ExecutionFilter()),
                        lambda client: client.reqRealTimeBars(7, TSLA, 5, "TRADES", False, []),
                        lambda client: client.reqGlobalCancel(),
                        lambda client: client.reqMktData(8, TSLA, "233", False, False, []),
                        lambda client: client.reqTickByTickData(10, TSLA, "BidAsk", 0, False),
                        lambda client: client.reqPnL(11, SETTINGS.account, ""),
                        lambda client: client.reqHistoricalData(
                            12, TSLA, "", "60 S", "5 secs", "TRADES", False, 1, True, []
                        ),
                    ]
                )
            )
            return said(ask)


def receiver(number: int, data: bytes) -> Input:
    def receive(broker: Broker) -> Sequence[Effect]:
        if number not in {session.number for session in broker.sessions()}:
            return ()
        return broker.receive(number, data, broker.now)

    return receive


def leaver(number: int) -> Input:
    """A client goes away, and comes back under its old id and a new number."""

    def leave(broker: Broker) -> Sequence[Effect]:
        if broker.halted is not None or number not in {row.number for row in broker.sessions()}:
            return ()
        return [*broker.disconnect(number, broker.now), *opener(number)(broker)]

    return leave


def injector(fault: Fault) -> Input:
    return lambda broker: broker.inject(fault, broker.now)[1]


def armer(point: Point) -> Input:
    def arm(broker: Broker) -> Sequence[Effect]:
        broker.break_at(point)
        return ()

    return arm


@st.composite
def inputs(draw: st.DrawFn) -> list[Input]:
    """One thing that is done to a broker; a client's bytes may come cut in two."""
    match draw(
        st.sampled_from(["bytes", "bytes", "bytes", "step", "leave", "arm", "fault", "hand"])
    ):
        case "bytes":
            number = draw(st.sampled_from(SESSIONS))
            data = b"".join(draw(st.lists(frames(), min_size=1, max_size=3)))
            cut = draw(st.integers(0, len(data)))
            return [receiver(number, data[:cut]), receiver(number, data[cut:])]
        case "step":
            return [lambda broker: broker.step()[1]]
        case "leave":
            return [leaver(draw(st.sampled_from(SESSIONS)))]
        case "fault":
            return [injector(draw(st.sampled_from(FAULTS)))]
        case "arm":
            moment: InMoment = draw(st.sampled_from(["received", "processed", "answered"]))
            late: OutMoment = draw(st.sampled_from(["unsent", "sent"]))
            place = Point(direction="in", message="placeOrder", occurrence=2, moment=moment)
            told = Point(direction="out", message="orderStatus", occurrence=3, moment=late)
            return [armer(draw(st.sampled_from([place, told])))]
        case _:
            deliver = draw(st.booleans())
            return [
                lambda broker: broker.release(broker.now, deliver=deliver),
                lambda broker: broker.manual_order(
                    "TSLA", "BUY", quantity=Decimal(5), now=broker.now
                ),
            ]


INPUTS = st.lists(inputs(), max_size=12).map(lambda groups: [x for xs in groups for x in xs])


@given(before=INPUTS, after=INPUTS)
@settings(max_examples=60, deadline=None)
def test_two_brokers_from_one_snapshot_do_what_the_first_one_does(
    before: list[Input], after: list[Input]
) -> None:
    first = started()
    first.feed(before)
    snapshot = first.broker.snapshot()
    known_lines, known_effects = len(first.lines), len(first.effects)
    first.feed(after)
    for _ in range(2):
        lines: list[str] = []
        again = Run(Broker.resume(snapshot, journal=Journal(lines.append)), lines)
        again.feed(after)
        assert again.effects == first.effects[known_effects:]
        assert lines == first.lines[known_lines:]
        assert again.broker.books(again.broker.now) == first.broker.books(first.broker.now)


def test_a_half_sent_order_is_in_the_snapshot() -> None:
    data = buying(1)
    run = started()
    run.feed([lambda broker: broker.step()[1], receiver(1, data[:30])])
    snapshot = run.broker.snapshot()
    again = Run(Broker.resume(snapshot, journal=Journal(list[str]().append)), [])

    again.feed([receiver(1, data[30:])])

    assert [row.filled for row in again.broker.books(again.broker.now).orders] == [3]
    assert run.broker.books(run.broker.now).orders == ()


def buying(order_id: int) -> bytes:
    return said(lambda client: client.placeOrder(order_id, TSLA, MarketOrder("BUY", 3)))


def stepped(broker: Broker) -> Sequence[Effect]:
    return broker.step()[1]


def test_what_waits_is_in_the_snapshot() -> None:
    """A held request, what came after it, and news that are owed for later."""
    buy = [buying(number) for number in (1, 2, 3)]
    point = Point(direction="in", message="placeOrder", occurrence=2, moment="received")
    run = started()
    run.feed(
        [
            receiver(1, said(lambda client: client.reqAccountUpdates(True, ""))),
            lambda broker: broker.step()[1],
            receiver(1, buy[0]),
            armer(point),
            receiver(1, buy[1] + buy[2]),
        ]
    )
    assert run.broker.halted == point
    snapshot = run.broker.snapshot()
    lines: list[str] = []
    again = Run(Broker.resume(snapshot, journal=Journal(lines.append)), lines)
    known_lines, known_effects = len(run.lines), len(run.effects)
    rest: list[Input] = [
        lambda broker: broker.release(broker.now, deliver=True),
        *[stepped] * 8,
    ]

    run.feed(rest)
    again.feed(rest)

    assert again.effects == run.effects[known_effects:]
    assert lines == run.lines[known_lines:]
    books = again.broker.books(again.broker.now)
    assert [order.filled for order in books.orders] == [3, 3, 3]
    assert again.effects[1] != ()
