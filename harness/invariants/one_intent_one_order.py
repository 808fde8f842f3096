"""I1: an intent has at most one live order, and never fills more than it asked for.

An intent is known by its orderRef, which a sound bot derives from the signal, so that a second
life that repeats the intent repeats the ref. Bots without refs are judged by twins: two live
orders of two lives that ask for exactly the same thing.
"""

from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import History, OrderRecord
from harness.invariants.ledger import Ledger, replay
from harness.result import Finding

NAME = "OneIntentOneOrder"


def check(history: History) -> list[Finding]:
    """Find intents with two live orders or with too many shares."""
    findings: dict[str, Finding] = {}
    asked: dict[str, Decimal] = {}
    born: dict[int, int] = {}
    orders = {order.seq: order for order in history.orders}
    for event, ledger in replay(history):
        order = orders.get(event.seq)
        if order is None or not order.by_bot:
            continue
        born.setdefault(order.perm_id, ledger.life)
        intent = order.order_ref or f"{twin_key(order)} without an orderRef"
        asked.setdefault(intent, order.quantity)
        others = [other for other in ledger.orders.values() if same_intent(order, other)]
        if not order.order_ref:
            # Without a ref a filled twin may have been another intent; a live one was not.
            earlier = [o for o in others if born.get(o.perm_id) != born[order.perm_id]]
            others = [other for other in earlier if not other.done]
        finding = judge(order, others, ledger, asked=asked[intent], intent=intent)
        if finding is not None:
            findings.setdefault(intent, finding)
    return list(findings.values())


def judge(
    order: OrderRecord, others: list[OrderRecord], ledger: Ledger, *, asked: Decimal, intent: str
) -> Finding | None:
    """Look at one order beside the other orders of its intent."""
    if order.done and order.filled == 0:
        return None
    # An order that was never transmitted cannot fill; a bracket cut in half leaves such ones.
    live = [other for other in others if not other.done and other.transmitted]
    filled = sum((other.filled for other in others), order.filled)
    seqs = (*(other.seq for other in others if other in live or other.filled), order.seq)
    price = ledger.prices.get(order.symbol)
    if live and not order.done and order.transmitted:
        return Finding(
            invariant=NAME,
            sentence=f"The intent {intent} has two live orders at the broker: "
            f"{live[0].describe()} and again {order.describe()}.",
            seqs=seqs,
            at_risk=None if price is None else order.remaining * price,
        )
    if others and filled + (Decimal(0) if order.done else order.remaining) > asked:
        return Finding(
            invariant=NAME,
            sentence=f"The intent {intent} asked for {asked} shares and was sent again when "
            f"{filled - order.filled} of them were filled: {order.describe()}.",
            seqs=seqs,
            at_risk=None if price is None else (order.filled + order.remaining) * price,
        )
    return None


def same_intent(order: OrderRecord, other: OrderRecord) -> bool:
    """Whether two different orders stand for the same intent."""
    if order.perm_id == other.perm_id or not other.by_bot:
        return False
    if order.order_ref or other.order_ref:
        return order.order_ref == other.order_ref
    return twin_key(order) == twin_key(other)


def twin_key(order: OrderRecord) -> str:
    """What an order asks for, as text."""
    return order.describe()


INVARIANT = Invariant(
    name=NAME,
    law="an intent has at most one live order and never fills more than it asked for",
    needs=Needs.BOOKS,
    check=check,
)
