"""Where a broker goes on to, it is the one that has stood still there first."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_insync import ExecutionFilter, LimitOrder, MarketOrder, StopOrder

from fakebroker.breakpoint import PointError
from fakebroker.control_messages import Point
from fakebroker.outbox import Send
from tests.property.test_broker_snapshot import TSLA, Input, Run, armer, receiver, said, started
from tests.property.test_broker_snapshot import stepped as step


def bracket() -> bytes:
    """A market order that fills at once, with its stop and its target; three frames in one go."""
    stop = StopOrder("SELL", 3, 1, orderId=2, parentId=1, transmit=False)
    target = LimitOrder("SELL", 3, 10_000, orderId=3, parentId=1)
    return b"".join(
        [
            said(lambda client: client.placeOrder(1, TSLA, MarketOrder("BUY", 3, transmit=False))),
            said(lambda client: client.placeOrder(2, TSLA, stop)),
            said(lambda client: client.placeOrder(3, TSLA, target)),
        ]
    )


ASKED = said(lambda client: client.reqExecutions(9, ExecutionFilter()))
BEFORE: list[Input] = [receiver(1, said(lambda client: client.reqAccountUpdates(True, ""))), step]
TALK: list[Input] = [receiver(1, bracket() + ASKED)]


def points_of(lines: Sequence[str]) -> list[list[Point]]:
    """The points of a talk in their order, by request: before it, and those of what it made."""
    found: list[list[Point]] = []
    for line in map(json.loads, lines):
        if line["kind"] not in ("received", "sent"):
            continue
        name = {"message": line["message"], "occurrence": line["occurrence"]}
        if line["kind"] == "received":
            moments = ("received", "processed", "answered")
            found.append([Point(direction="in", moment=each, **name) for each in moments])
        else:
            found[-1] += [
                Point(direction="out", moment=each, **name) for each in ("unsent", "sent")
            ]
    return found


def lived(*more: Input) -> Run:
    run = started()
    run.feed([*BEFORE, *more])
    return run


def released(run: Run, then: Point | None = None, *, deliver: bool = True) -> None:
    run.effects.append(tuple(run.broker.release(run.broker.now, deliver=deliver, then=then)))


def sent(run: Run) -> bytes:
    """Everything that the clients were sent."""
    made = [effect for effects in run.effects if isinstance(effects, tuple) for effect in effects]
    return b"".join(effect.data for effect in made if isinstance(effect, Send))


CLEAN = lived(*TALK)
REQUESTS = points_of(CLEAN.lines[len(lived().lines) :])


def test_the_talk_has_points_of_all_kinds() -> None:
    names = {(point.message, point.moment) for request in REQUESTS for point in request}
    assert {("placeOrder", "processed"), ("execDetails", "unsent"), ("openOrder", "sent")} <= names
    assert len(sent(CLEAN)) > len(sent(lived())) > 0


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_going_on_to_the_next_point_is_the_same_as_standing_still_there_first(
    data: st.DataObject,
) -> None:
    points: list[Point] = []
    for request in REQUESTS:
        # Behind the answers or among them: there is no way back from the one to the other.
        left_out = "out" if data.draw(st.booleans()) else "answered"
        points += [each for each in request if left_out not in (each.direction, each.moment)]
    wanted = sorted(data.draw(st.sets(st.integers(0, len(points) - 1), min_size=2)))
    first, *others = [points[number] for number in wanted]
    run = lived(armer(first), *TALK)
    for point in others:
        released(run, point)
        there = lived(armer(point), *TALK)
        assert run.broker.halted == point
        assert run.broker.fingerprint(counts=True) == there.broker.fingerprint(counts=True)
        assert sent(run) == sent(there)
    released(run)
    assert sent(run) == sent(CLEAN)
    assert run.broker.fingerprint(counts=True) == CLEAN.broker.fingerprint(counts=True)


def test_a_point_that_lies_behind_is_refused_and_nothing_moves() -> None:
    request = REQUESTS[0]
    run = lived(armer(request[1]), *TALK)
    for behind in request[:2]:
        with pytest.raises(PointError, match="has passed"):
            released(run, behind)
    assert run.broker.halted == request[1]


def test_what_is_lost_is_no_point_to_go_on_to() -> None:
    received, processed, *_ = REQUESTS[0]
    run = lived(armer(received), *TALK)
    with pytest.raises(PointError, match="has passed"):
        released(run, processed, deliver=False)
    assert run.broker.halted == received
