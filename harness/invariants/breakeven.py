"""The stop stands at the entry price or better once the partial exit has filled.

Judged where the bot tells that this is its rule, and how large the partial is. The entry price is
the average over the fills of the trade's entry order; a cent may be lost in rounding. A missing
stop is Protected's business. Needs orderRefs that name trade and leg, `...|entry`, `...|partial`.
"""

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal

from harness.checks import Invariant, Needs
from harness.history import Fill, History
from harness.history.records import ENTRY_LEG, leg_of
from harness.invariants.ledger import Ledger, Moment, quiet_moments
from harness.invariants.trouble import by_hand, troubled
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "BreakevenAfterPartial"
PARTIAL_LEG = "partial"
CENT = Decimal("0.01")


@dataclass(slots=True)
class Trade:
    """What the broker has filled of one trade: shares and dollars in, shares of its partial out."""

    symbol: str
    long: bool
    entered: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    partial: Decimal = Decimal(0)
    fills: list[Fill] = field(default_factory=list)


def check(history: History) -> list[Finding]:
    """Find the first moment of each trade at which its stop lags behind."""
    rules = history.rules
    if not rules.breakeven_after_partial or rules.partial_share is None:
        return []
    if history.rewritten or troubled(history):
        return []
    findings: dict[str, Finding] = {}
    trades: dict[str, Trade] = {}
    left = list(reversed(history.fills))
    for moment in quiet_moments(history):
        while left and left[-1].seq < moment.seq:
            book(left.pop(), trades)
        for name, trade in trades.items():
            if name not in findings and partial_filled(
                name, trade, moment.ledger, rules.partial_share
            ):
                finding = judge(name, trade, moment)
                if finding is not None and may_be_judged(history, trade.symbol):
                    findings[name] = finding
    return list(findings.values())


def book(fill: Fill, trades: dict[str, Trade]) -> None:
    """Count a fill to its trade."""
    name, leg = fill.order_ref.rpartition("|")[0], leg_of(fill.order_ref)
    if leg == ENTRY_LEG:
        trade = trades.setdefault(name, Trade(fill.symbol, long=fill.side == "BOT"))
        trade.entered += fill.shares
        trade.paid += fill.shares * fill.price
        trade.fills.append(fill)
    elif leg == PARTIAL_LEG and name in trades:
        trades[name].partial += fill.shares
        trades[name].fills.append(fill)


def partial_filled(name: str, trade: Trade, ledger: Ledger, share: Decimal) -> bool:
    """Whether the partial of a trade is done and nothing of its entry is still to come."""
    wanted = (trade.entered * share).to_integral_value(ROUND_FLOOR)
    if wanted <= 0 or trade.partial < wanted:
        return False
    return not any(
        order.order_ref.startswith(f"{name}|")
        and order.leg in {ENTRY_LEG, PARTIAL_LEG}
        and not order.done
        for order in ledger.orders.values()
    )


def judge(name: str, trade: Trade, moment: Moment) -> Finding | None:
    """Compare the working stop of a trade with its entry price."""
    ledger = moment.ledger
    if not ledger.position(trade.symbol):
        return None
    price = trade.paid / trade.entered
    for stop in ledger.closing_orders(trade.symbol):
        if not stop.is_stop or stop.aux_price is None or not stop.order_ref.startswith(f"{name}|"):
            continue
        if stop.filled:
            continue  # It has been triggered, and no price can be given to it any more.
        short_by = price - stop.aux_price if trade.long else stop.aux_price - price
        if short_by > CENT:
            return Finding(
                invariant=NAME,
                sentence=f"At {clock_of(moment.time)} the partial of {trade.symbol} has filled and "
                f"the stop is at {stop.aux_price}; it belongs at the entry price, "
                f"{price.quantize(CENT)}.",
                seqs=(*(fill.seq for fill in trade.fills), stop.seq, moment.seq),
                at_risk=short_by * ledger.fillable(stop),
            )
    return None


def may_be_judged(history: History, symbol: str) -> bool:
    """Whether the bot was free to move its stop: nobody else traded, nothing was halted."""
    if by_hand(history, symbol):
        return False
    return not any(
        state.belief.halted is not None or symbol in state.belief.frozen for state in history.states
    )


INVARIANT = Invariant(
    name=NAME,
    law="the stop stands at the entry price or better once the partial has filled",
    needs=Needs.BELIEF,
    check=check,
)
