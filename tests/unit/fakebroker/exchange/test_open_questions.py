"""Settings for what IB's documents leave open: what is told of corrections and of waiting."""

from decimal import Decimal

import pytest

from fakebroker.exchange.corrections import corrected_id
from fakebroker.exchange.events import OrderChanged
from fakebroker.messages import told_as
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, changes

FIRST = "0000e0d5.67fe667b.01.01"


def statuses(desk: Desk, order_id: int) -> list[str]:
    """Return the statuses that were told of an order, in their order."""
    found = [event.order for event in desk.events if isinstance(event, OrderChanged)]
    return [order.status.value for order in found if order.order_id == order_id]


@pytest.mark.parametrize(
    ("corrections", "shares", "costs"),
    [("replacement", [110], ["1.10"]), ("delta", [100, -10, 20], ["1.00", "-0.10", "0.20"])],
)
def test_a_correction_is_told_as_what_is_true_now_or_as_differences(
    corrections: str, shares: list[int], costs: list[str]
) -> None:
    settings = BrokerSettings.model_validate(
        {"corrections": corrections, "commission": {"per_share": "0.01", "minimum": "0"}}
    )
    desk = Desk(settings)
    desk.price(100)
    desk.place(1, "BUY", 110, "LMT", limit_price=90)
    desk.exchange.fill(desk.view(1).perm_id, Decimal(100), Decimal(90), now=desk.tick())
    desk.exchange.correct(FIRST, Decimal(90), Decimal(90), now=desk.tick())
    desk.exchange.correct(corrected_id(FIRST), Decimal(110), Decimal(91), now=desk.tick())
    [booked] = desk.exchange.executions()
    told = told_as(booked, settings.corrections)
    assert [row.execution.shares for row in told] == shares
    assert told[-1].execution.exec_id.endswith(".03")
    assert sum((row.execution.shares for row in told), Decimal(0)) == desk.held() == 110
    assert [row.commission for row in told] == [Decimal(cost) for cost in costs]
    assert sum((row.commission for row in told), Decimal(0)) == booked.commission


def test_each_new_order_is_pending_first_where_that_is_told() -> None:
    desk = Desk(BrokerSettings(pending_submit=True))
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price=90, transmit=False)
    desk.place(2, "SELL", 10, "STP", aux_price=80, parent_id=1)
    assert statuses(desk, 2) == ["PendingSubmit", "PreSubmitted"]
    assert changes(desk.events) == [
        (1, "accepted"),
        (1, "pending"),
        (1, "activated"),
        (2, "pending"),
        (2, "accepted"),
    ]
    desk.place(1, "BUY", 20, "LMT", limit_price=90)
    assert changes(desk.events)[-1] == (1, "modified")


@pytest.mark.parametrize(
    ("pending_cancel", "bars", "told"),
    [
        ("never", 0, ["Submitted", "Cancelled"]),
        ("in_flight", 0, ["Submitted", "Cancelled"]),
        ("always", 0, ["Submitted", "PendingCancel", "Cancelled"]),
        ("never", 1, ["Submitted", "Cancelled"]),
        ("in_flight", 1, ["Submitted", "Cancelled"]),
        ("always", 1, ["Submitted", "PendingCancel", "Cancelled"]),
    ],
)
def test_a_cancel_that_was_asked_for_is_told_or_not(
    pending_cancel: str, bars: int, told: list[str]
) -> None:
    desk = Desk(
        BrokerSettings.model_validate({"pending_cancel": pending_cancel, "cancel_after_bars": bars})
    )
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price=90)
    desk.cancel(1)
    if bars:
        shown = "Submitted" if pending_cancel == "never" else "PendingCancel"
        assert desk.status(1) == shown
        desk.price(100)
    assert statuses(desk, 1) == told
