"""The exact point: armed, reached, left."""

import pytest

from fakebroker.breakpoint import Breakpoint, PointError
from fakebroker.control_messages import Point

PLACE_ORDER_2 = Point(direction="in", message="placeOrder", occurrence=2, moment="received")


def test_a_point_is_reached_at_its_occurrence_and_moment_only() -> None:
    point = Breakpoint()
    point.arm(PLACE_ORDER_2)

    def reached(occurrence: int) -> bool:
        return point.reached("in", "placeOrder", occurrence=occurrence, moment="received")

    assert not reached(point.count("in", "placeOrder"))
    assert reached(point.count("in", "placeOrder"))
    assert not point.reached("in", "placeOrder", occurrence=2, moment="processed")
    assert not point.reached("in", "cancelOrder", occurrence=2, moment="received")


def test_an_occurrence_that_has_passed_cannot_be_armed() -> None:
    point = Breakpoint()
    point.count("in", "placeOrder")
    point.count("in", "placeOrder")
    with pytest.raises(PointError, match=r"occurrence 2 of placeOrder \(in\) has passed: 2"):
        point.arm(PLACE_ORDER_2)


def test_the_directions_are_counted_apart() -> None:
    point = Breakpoint()
    point.count("out", "placeOrder")
    assert point.count("in", "placeOrder") == 1


def test_nothing_can_be_armed_while_the_broker_stands_still() -> None:
    point = Breakpoint()
    point.arm(PLACE_ORDER_2)
    assert point.halt() == PLACE_ORDER_2
    with pytest.raises(PointError, match="release it first"):
        point.arm(PLACE_ORDER_2.model_copy(update={"occurrence": 3}))
    assert point.release() == PLACE_ORDER_2
    assert point.halted is None


def test_the_next_point_is_armed_before_anything_goes_on() -> None:
    point = Breakpoint()
    point.arm(PLACE_ORDER_2)
    point.count("in", "placeOrder")
    point.count("in", "placeOrder")
    point.halt()
    processed = PLACE_ORDER_2.model_copy(update={"moment": "processed"})
    with pytest.raises(PointError, match=r"occurrence 2 of placeOrder \(in\) has passed: 2"):
        point.release(processed)
    assert point.release(processed, waits=True) == PLACE_ORDER_2
    assert point.reached("in", "placeOrder", occurrence=2, moment="processed")


def test_a_release_without_a_halt_is_refused() -> None:
    with pytest.raises(PointError, match="nothing to release"):
        Breakpoint().release()


def test_a_moment_of_the_other_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="moment 'unsent' does not exist for direction 'in'"):
        Point(direction="in", message="placeOrder", occurrence=1, moment="unsent")
