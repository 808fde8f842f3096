"""I13: no order leaves a session before the bot has heard the whole truth in that session.

The whole truth is the end of the open orders, of the positions and of the executions. A bot that
acts on an empty first page trades as if it were flat.
"""

from harness.checks import Invariant, Needs
from harness.history import History
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
        heard = [
            message.message
            for message in history.messages
            if message.session == order.session
            and message.direction == "out"
            and not message.lost
            and message.seq < order.seq
        ]
        missing = [end for end in ENDS if end not in heard]
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


INVARIANT = Invariant(
    name=NAME,
    law="no order of a session before openOrderEnd, positionEnd and execDetailsEnd",
    needs=Needs.BOOKS,
    check=check,
)
