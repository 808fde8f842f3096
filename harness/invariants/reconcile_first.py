"""I13: no order leaves a session before the bot has heard the whole truth in that session.

The whole truth is the end of the open orders, of the positions and of the executions. A bot that
acts on an empty first page trades as if it were flat.
"""

from harness.checks import Invariant, Needs
from harness.history import History, WireMessage
from harness.result import Finding

NAME = "ReconcileFirst"
ENDS = ("openOrderEnd", "positionEnd", "execDetailsEnd")


def check(history: History) -> list[Finding]:
    """Find the first order of each session that came too early."""
    findings: list[Finding] = []
    judged: dict[int, bool] = {}
    for order in history.received("placeOrder"):
        if judged.setdefault(order.session, False):
            continue
        judged[order.session] = True
        missing = [end for end in ENDS if not heard(history, end, order)]
        if missing:
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"The bot sent {order.order_ref or 'an order'} before it had heard "
                    f"{' and '.join(missing)} in that session.",
                    seqs=(order.seq,),
                )
            )
    return findings


def heard(history: History, message: str, order: WireMessage) -> bool:
    """Whether a session was sent a message before it sent an order."""
    return any(
        sent.session == order.session and sent.seq < order.seq for sent in history.sent(message)
    )


INVARIANT = Invariant(
    name=NAME,
    law="no order of a session before openOrderEnd, positionEnd and execDetailsEnd",
    needs=Needs.BOOKS,
    check=check,
)
