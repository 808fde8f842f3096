"""How TCP cuts what a client sends shows nowhere: not in the journal, the answers or the books.

Most of all at the end of a connection. Once the broker has ended it the socket is not read any
more, so what the client had sent beyond that has come or not as chance will have it.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from fakebroker.broker import Broker
from fakebroker.control_messages import Point
from fakebroker.faults import Fault, codes, field, wire
from fakebroker.faults.base import AtMessage, When
from fakebroker.outbox import Close, Effect, Reset
from fakebroker.server import joined
from tests.property.test_broker_snapshot import (
    TSLA,
    VERSION,
    Input,
    Run,
    armer,
    buying,
    frames,
    injector,
    opener,
    order,
    said,
    started,
    stepped,
)
from tests.unit.fakebroker.protocol.wire import opening

CLIENT = 4
"""The session whose bytes come in pieces, and its client id; three others are connected."""
SECOND_ORDER: When = AtMessage(message="placeOrder", occurrence=2)
CUTS: dict[str, Fault] = {
    "order-lost": field.OrderLostInFlight(),
    "second-order-lost-fin": field.OrderLostInFlight(how="fin", when=SECOND_ORDER),
    "part-filled": field.PartialFillThenCut(shares=Decimal(1)),
    "part-filled-fin": field.PartialFillThenCut(shares=Decimal(1), how="fin"),
    "restart": field.GatewayRestart(when=SECOND_ORDER),
    "pacing": field.Pacing(messages_per_second_max=1),
    "port-reset": codes.PortReset(when=SECOND_ORDER),
    "all-cut": wire.CutConnections(when=SECOND_ORDER),
    "all-cut-fin": wire.CutConnections(when=SECOND_ORDER, how="fin"),
    "all-cut-at-reply": wire.CutConnections(when=AtMessage(message="openOrder")),
    "cut-before-order": wire.CutAtMessage(message="placeOrder"),
    "cut-after-order-fin": wire.CutAtMessage(message="placeOrder", moment="after", how="fin"),
    "cut-before-reply": wire.CutAtMessage(message="orderStatus"),
    "cut-after-reply-fin": wire.CutAtMessage(message="openOrder", moment="after", how="fin"),
    "half-frame": wire.HalfFrame(message="openOrder"),
    "id-stuck": field.ClientIdStuck(client_id=CLIENT),
}
START = opening(VERSION).replace(b"71\0002\0001\0", f"71\0002\000{CLIENT}\0".encode())
ORDERS = [buying(number) for number in (5, 6, 7, 8, 9, 10)]


class Wire:
    """A broker and its sockets as the server has them: one that was ended is not read any more."""

    def __init__(self, *before: Input) -> None:
        self.run: Run = started()
        self.open = {1, 2, 3, CLIENT}
        self.effects: list[Effect] = []
        self.run.feed([stepped, *before])
        self.take(self.broker.connect(CLIENT, self.broker.now))

    @property
    def broker(self) -> Broker:
        return self.run.broker

    def take(self, effects: Sequence[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            if isinstance(effect, Close | Reset):
                self.leave(effect.session)

    def leave(self, session: int) -> None:
        if session in self.open:
            self.open.remove(session)
            self.take(self.broker.disconnect(session, self.broker.now))

    def send(self, data: bytes) -> None:
        if CLIENT in self.open:
            self.take(self.broker.receive(CLIENT, data, self.broker.now))

    def release(self, *, deliver: bool) -> None:
        if self.broker.halted is not None:
            self.take(self.broker.release(self.broker.now, deliver=deliver))


def outcome(
    data: bytes, places: Sequence[int], *before: Input, deliver: bool = True, dies: bool = False
) -> tuple[list[str], list[Effect], str]:
    """Send bytes cut at places, and return all that came of it and of a client that comes after.

    A client that `dies` goes as soon as everything is sent, if the broker stands still or not.
    """
    wire = Wire(*before)
    for begin, end in pairwise([0, *places, len(data)]):
        wire.send(data[begin:end])
    if dies:
        wire.leave(CLIENT)
    wire.release(deliver=deliver)
    wire.leave(CLIENT)
    wire.take(wire.broker.heal(None, wire.broker.now))
    wire.take(opener(CLIENT + 1)(wire.broker))
    wire.take(wire.broker.receive(CLIENT + 1, buying(12), wire.broker.now))
    wire.release(deliver=True)
    wire.take(stepped(wire.broker))
    return wire.run.lines, list(joined(wire.effects)), wire.broker.fingerprint(counts=True)


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_orders_into_a_cut_are_told_the_same_in_one_piece_and_in_many(fault: Fault) -> None:
    messages = [START, *ORDERS]
    ends = [sum(map(len, messages[:count])) for count in range(1, len(messages))]
    data = b"".join(messages)
    whole = outcome(data, [], injector(fault))
    struck = any('"event":"fired","fault":1,' in line for line in whole[0])
    assert struck, "the fault never struck, and so nothing was tried"
    for places in [*[[end] for end in ends], ends]:
        assert outcome(data, places, injector(fault)) == whole


def child(order_id: int) -> bytes:
    terms = order("STP", buy=False, price=95, quantity=3)
    terms.parentId = 5
    return said(lambda client: client.placeOrder(order_id, TSLA, terms))


MOMENTS = ("received", "processed", "answered")
POINTS = st.builds(
    lambda count, moment: Point(
        direction="in", message="placeOrder", occurrence=count, moment=moment
    ),
    st.integers(1, 3),
    st.sampled_from(MOMENTS),
) | st.builds(
    lambda count, moment: Point(
        direction="out", message="openOrder", occurrence=count, moment=moment
    ),
    st.integers(1, 3),
    st.sampled_from(("unsent", "sent")),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """What a client sends, and where it is cut."""
    said = draw(st.lists(st.sampled_from([*ORDERS, child(11)]) | frames(), max_size=6))
    data = START + b"".join(said)
    places = draw(st.lists(st.integers(0, len(data)), max_size=8, unique=True).map(sorted))
    return data, places


@given(
    stream=streams(),
    faults=st.lists(st.sampled_from(list(CUTS.values())), max_size=2),
    point=st.none() | POINTS,
    deliver=st.booleans(),
    dies=st.booleans(),
)
@example(
    stream=(START + ORDERS[0] + ORDERS[1], [len(START + ORDERS[0])]),
    faults=[field.OrderLostInFlight()],
    point=None,
    deliver=True,
    dies=False,
)
@example(
    stream=(START + ORDERS[0] + ORDERS[1], [len(START + ORDERS[0])]),
    faults=[wire.CutAtMessage(message="orderStatus")],
    point=Point(direction="in", message="placeOrder", occurrence=1, moment="answered"),
    deliver=True,
    dies=False,
)
@settings(max_examples=150, deadline=None)
def test_where_the_bytes_are_cut_shows_nowhere(
    stream: tuple[bytes, list[int]],
    faults: list[Fault],
    point: Point | None,
    *,
    deliver: bool,
    dies: bool,
) -> None:
    data, places = stream
    before = [*map(injector, faults), *([] if point is None else [armer(point)])]
    whole = outcome(data, [], *before, deliver=deliver, dies=dies)
    event("cut" if any(isinstance(each, Close | Reset) for each in whole[1]) else "not cut")
    event("stood still" if any('"kind":"released"' in line for line in whole[0]) else "went on")
    assert outcome(data, places, *before, deliver=deliver, dies=dies) == whole
