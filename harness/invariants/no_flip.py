"""I5: no order that closes may open: positions never change their sign, nor could they.

Broken by a fill that crosses zero, by a closing order that fills on a flat account, and by
working closing orders that are not in one OCA group and together exceed the position.
"""

from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import Fill, History
from harness.invariants.ledger import Ledger, Moment, quiet_moments, replay
from harness.invariants.names import holding
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "NoFlip"


def check(history: History) -> list[Finding]:
    """Find flips, and after them the first moment of each life at which one was possible."""
    # What the exchange corrects is nobody's order.
    fills = {fill.seq: fill for fill in history.fills if fill.seq not in history.corrections}
    findings = [
        finding
        for event, ledger in replay(history)
        if event.seq in fills and (finding := judge_fill(fills[event.seq], ledger)) is not None
    ]
    possible: dict[tuple[str, int], Finding] = {}
    for moment in quiet_moments(history):
        for symbol in moment.ledger.traded:
            finding = judge_working(symbol, moment)
            if finding is not None:
                possible.setdefault((symbol, moment.ledger.life), finding)
    return findings + list(possible.values())


def judge_fill(fill: Fill, ledger: Ledger) -> Finding | None:
    """Whether an execution turned a position round, or opened one by mistake."""
    before, after = fill.position_before, fill.position_after
    order = ledger.orders.get(fill.perm_id)
    crossed = before * after < 0
    opened = before == 0 and fill.perm_id in ledger.closing
    if fill.client_id == 0 or not (crossed or opened):
        return None
    verb = "sold" if fill.side == "SLD" else "bought"
    had = "that it no longer had" if opened else f"although the account was {holding('', before)}"
    return Finding(
        invariant=NAME,
        sentence=f"The bot {verb} {fill.shares} {fill.symbol} {had.strip()}. "
        f"It is now {holding(fill.symbol, after)}.",
        seqs=(*(() if order is None else (order.seq,)), fill.seq),
        at_risk=abs(after) * fill.price,
    )


def judge_working(symbol: str, moment: Moment) -> Finding | None:
    """Whether the bot's working closing orders of a symbol could together turn it round."""
    ledger = moment.ledger
    groups: dict[str, Decimal] = {}
    orders = [order for order in ledger.closing_orders(symbol) if order.by_bot]
    for order in orders:
        # Children without a group of their own act as one group under their parent (section 3.7
        # of tws-protocol.md).
        group = order.oca_group or f"parent {order.parent_perm_id or order.perm_id}"
        groups[group] = max(groups.get(group, Decimal(0)), ledger.fillable(order))
    held, closing = ledger.position(symbol), sum(groups.values(), Decimal(0))
    if held == 0 or closing <= abs(held) or not ledger.settled(symbol, moment.time):
        return None
    return Finding(
        invariant=NAME,
        sentence=f"At {clock_of(moment.time)} the working orders could close {closing} {symbol}, "
        f"but the account is {holding(symbol, held)}: it would flip.",
        seqs=(*(order.seq for order in orders), moment.seq),
        at_risk=(closing - abs(held)) * ledger.prices[symbol],
    )


INVARIANT = Invariant(
    name=NAME,
    law="no order that closes may open: a position never changes its sign",
    needs=Needs.BOOKS,
    check=check,
)
