"""I14: an order id of a client stands for one order only, and the broker never saw it before.

A bot that counts its ids from a file or from 1 again meets its own old orders: it modifies them,
or the broker refuses with error 103.
"""

from harness.checks import Invariant, Needs
from harness.history import History, WireMessage
from harness.result import Finding

NAME = "IdsUnique"
DUPLICATE_ORDER_ID = "103"
# An error names the order that it is about in the field of request ids.
ABOUT = ("req_id", "order_id")


def check(history: History) -> list[Finding]:
    """Find ids that were used for two orders, and ids that the broker refused as used."""
    findings: list[Finding] = []
    used: dict[tuple[int | None, int | None], WireMessage] = {}
    for order in history.received("placeOrder"):
        first = used.setdefault((order.client_id, order.order_id), order)
        if identity(first) != identity(order):
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"The bot used the order id {order.order_id} for two orders: "
                    f"{identity(first)} and then {identity(order)}.",
                    seqs=(first.seq, order.seq),
                )
            )
    findings += [
        Finding(
            invariant=NAME,
            sentence=f"The broker refused order {error.text(*ABOUT)}, because its id was used "
            f"before (error 103).",
            seqs=(error.seq,),
        )
        for error in history.sent("error")
        if error.text("code") == DUPLICATE_ORDER_ID and not is_late_change(error, history)
    ]
    return findings


def is_late_change(error: WireMessage, history: History) -> bool:
    """Whether a refused id belongs to an order that was to be changed and was done already.

    Change and fill may cross on the wire; that is no second use of the id.
    """
    uses = [
        order
        for order in history.received("placeOrder")
        if (order.client_id, str(order.order_id)) == (error.client_id, error.text(*ABOUT))
        and order.seq < error.seq
    ]
    return len(uses) > 1 and identity(uses[0]) == identity(uses[-1])


def identity(order: WireMessage) -> str:
    """What stays the same when an order is modified: its ref, or its symbol, side and type."""
    return order.order_ref or " ".join(
        order.text(name) for name in ("action", "symbol", "order_type") if order.text(name)
    )


INVARIANT = Invariant(
    name=NAME,
    law="an order id of a client stands for one order only",
    needs=Needs.BOOKS,
    check=check,
)
