"""The audit of the orders: every change of an order's state, in the order of learning it.

Pure, and derived: what is noted is the difference between an intent and the last record of it.
So a change cannot be forgotten by whoever made it, and noting twice notes nothing.
"""

from datetime import datetime

from target_trader.state.checkpoint import Checkpoint, Intent, OrderAudit


def note_orders(checkpoint: Checkpoint, *, now: datetime) -> None:
    """Append a record for each intent that is not as its last record says.

    Args:
        checkpoint: its `order_audit` is appended to.
        now: the moment of learning it, New York time.
    """
    last = {(each.order_ref, each.order_id): each for each in checkpoint.order_audit}
    number = checkpoint.order_audit[-1].number if checkpoint.order_audit else 0
    for intent in checkpoint.intents:
        known = last.get((intent.order_ref, intent.order_id))
        if known is not None and facts(known) == facts(intent):
            continue
        number += 1
        record = OrderAudit(
            number=number,
            time=now,
            order_ref=intent.order_ref,
            order_id=intent.order_id,
            perm_id=intent.perm_id,
            state=intent.state,
            quantity=intent.quantity,
            filled=intent.filled,
            price=intent.price,
        )
        checkpoint.order_audit.append(record)


def facts(order: Intent | OrderAudit) -> tuple[object, ...]:
    """Return what of an order is audited."""
    return order.perm_id, order.state, order.quantity, order.filled, order.price
