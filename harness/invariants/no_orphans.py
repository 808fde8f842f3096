"""I4: a flat account has no working orders of the bot that were meant to close a position.

An entry that waits for its price, and its children, which cannot fill before it, are no orphans.
"""

from harness.checks import Invariant, Needs
from harness.history import History
from harness.invariants.ledger import quiet_moments
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "NoOrphans"


def check(history: History) -> list[Finding]:
    """Find closing orders that outlive their position, each once."""
    findings: dict[int, Finding] = {}
    for moment in quiet_moments(history):
        ledger = moment.ledger
        for perm_id in sorted(ledger.closing):
            order = ledger.orders[perm_id]
            if ledger.position(order.symbol) != 0 or not order.by_bot or not ledger.fillable(order):
                continue
            if not ledger.settled(order.symbol, moment.time):
                continue
            price = ledger.prices.get(order.symbol)
            findings.setdefault(
                perm_id,
                Finding(
                    invariant=NAME,
                    sentence=f"At {clock_of(moment.time)} the account holds no {order.symbol} and "
                    f"{order.describe()} still works; it would open a position.",
                    seqs=(order.seq, moment.seq),
                    at_risk=None if price is None else order.remaining * price,
                ),
            )
    return list(findings.values())


INVARIANT = Invariant(
    name=NAME,
    law="a flat account has no working orders that were meant to close a position",
    needs=Needs.BOOKS,
    check=check,
)
