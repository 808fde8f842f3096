"""I3: whenever the bot is quiet, stops work at the broker for exactly what is held.

Between a fill and its protection the bot may be dead, or in the middle of the same step; at the
next quiet moment the stop must be there. A stop for more shares than are held would flip the
position and is as wrong as one for fewer.
"""

from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import History
from harness.invariants.ledger import Moment, quiet_moments
from harness.invariants.names import holding
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "Protected"


def check(history: History) -> list[Finding]:
    """Find the first unprotected quiet moment of each symbol in each life."""
    findings: dict[tuple[str, int], Finding] = {}
    for moment in quiet_moments(history):
        for symbol in moment.ledger.traded:
            finding = judge(symbol, moment)
            if finding is not None:
                findings.setdefault((symbol, moment.ledger.life), finding)
    return list(findings.values())


def judge(symbol: str, moment: Moment) -> Finding | None:
    """Compare the working stops of a symbol with its position."""
    ledger = moment.ledger
    held = ledger.position(symbol)
    if not ledger.settled(symbol, moment.time):
        return None
    stops = [order for order in ledger.closing_orders(symbol) if order.is_stop]
    covered = sum((ledger.fillable(order) for order in stops), Decimal(0))
    if held == 0 or covered == abs(held):
        return None
    there = f"a stop for {covered}" if covered else "no stop"
    fill = ledger.last_fills[symbol]
    price = ledger.prices[symbol]
    return Finding(
        invariant=NAME,
        sentence=f"At {clock_of(moment.time)} the bot is quiet and {holding(symbol, held)} has "
        f"{there} at the broker.",
        seqs=(fill.seq, *(order.seq for order in stops), moment.seq),
        at_risk=abs(abs(held) - covered) * price,
    )


INVARIANT = Invariant(
    name=NAME,
    law="whenever the bot is quiet, stops work at the broker for exactly what is held",
    needs=Needs.BOOKS,
    check=check,
)
