"""The audit of the orders: one record for each change, none for anything else."""

from datetime import datetime, timedelta
from decimal import Decimal

from target_trader.audit import note_orders
from target_trader.clock import NEW_YORK, exchange_day
from target_trader.names import IntentState, Leg, Side
from target_trader.state.checkpoint import Checkpoint, Intent, new_checkpoint

NOW = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
REF = "PS60|TSLA|L|20251006|1|stop"


def stop(order_id: int = 7) -> Intent:
    """A stop as it is planned."""
    return Intent(
        order_ref=REF,
        trade_id="PS60|TSLA|L|20251006|1",
        leg=Leg.STOP,
        symbol="TSLA",
        side=Side.LONG,
        action="SELL",
        order_type="STP",
        quantity=Decimal(100),
        stop_price=Decimal("443.37"),
        order_id=order_id,
        planned_at=NOW,
    )


def books(*intents: Intent) -> Checkpoint:
    """A day with these orders."""
    checkpoint = new_checkpoint(exchange_day(NOW), now=NOW)
    checkpoint.intents.extend(intents)
    return checkpoint


def test_an_order_is_noted_once_until_it_changes() -> None:
    checkpoint = books(stop())
    for _ in range(3):
        note_orders(checkpoint, now=NOW)
    assert [each.state for each in checkpoint.order_audit] == [IntentState.PLANNED]


def test_each_change_is_noted_with_its_moment_and_the_next_number() -> None:
    checkpoint = books(stop())
    [intent] = checkpoint.intents
    changes: list[tuple[str, object]] = [
        ("state", IntentState.SENT),
        ("perm_id", 1_500_000_001),
        ("quantity", Decimal(50)),
        ("stop_price", Decimal("445.25")),
        ("filled", Decimal(20)),
    ]
    note_orders(checkpoint, now=NOW)
    for number, (field, value) in enumerate(changes, start=2):
        setattr(intent, field, value)
        moment = NOW + timedelta(seconds=number)
        note_orders(checkpoint, now=moment)
        record = checkpoint.order_audit[-1]
        assert (record.number, record.time) == (number, moment)
    last = checkpoint.order_audit[-1]
    assert (last.state, last.price, last.filled) == (
        IntentState.SENT,
        Decimal("445.25"),
        Decimal(20),
    )


def test_a_ref_that_is_sent_again_under_another_id_is_another_order() -> None:
    checkpoint = books(stop())
    note_orders(checkpoint, now=NOW)
    checkpoint.intents.append(stop(order_id=12))
    note_orders(checkpoint, now=NOW)
    assert [each.order_id for each in checkpoint.order_audit] == [7, 12]


def test_what_was_noted_is_never_rewritten() -> None:
    checkpoint = books(stop())
    note_orders(checkpoint, now=NOW)
    before = checkpoint.order_audit[0].model_copy()
    checkpoint.intents[0].state = IntentState.LOST
    note_orders(checkpoint, now=NOW + timedelta(seconds=5))
    assert checkpoint.order_audit[0] == before
