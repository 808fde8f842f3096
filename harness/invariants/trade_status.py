"""The status of a trade is that of its shares, and its shares are those that the broker has filled.

PENDING has entered nothing, OPEN has closed nothing, PARTIAL a part, CLOSED everything. That holds
in every reading of the bot's state; at the end the shares are compared with the fills of the orders
whose refs begin with the trade's id, and the trades of a symbol with its position. Symbols that
people have traded, and executions that the exchange has corrected, are left to the other laws.
"""

from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import History, StateRead
from harness.history.belief import BelievedTrade
from harness.history.records import ENTRY_LEG, leg_of
from harness.invariants.days import day_of
from harness.invariants.trouble import by_hand
from harness.result import Finding

NAME = "TradeStatus"
STATUSES = ("PENDING", "OPEN", "PARTIAL", "CLOSED")


def check(history: History) -> list[Finding]:
    """Find wrong statuses, the first of each trade, and wrong shares at the end."""
    findings: dict[str, Finding] = {}
    for state in history.states:
        for name, trade in (state.belief.trades or {}).items():
            wanted = status_of(trade)
            if wanted is not None and trade.status in STATUSES and trade.status != wanted:
                words = f"The bot says that {name} is {trade.status}; with {trade.qty_closed} of "
                words += f"{trade.quantity} shares closed it is {wanted}."
                finding = Finding(invariant=NAME, sentence=words, seqs=(state.seq,))
                findings.setdefault(name, finding)
    last = history.final_state
    if last is not None and not history.rewritten:
        for name, words in wrong_shares(history, last).items():
            finding = Finding(invariant=NAME, sentence=words, seqs=(last.seq,))
            findings.setdefault(name, finding)
    return list(findings.values())


def status_of(trade: BelievedTrade) -> str | None:
    """The status that follows from the shares; None when they are not told."""
    if trade.quantity is None or trade.qty_closed is None:
        return None
    if trade.quantity == 0:
        return "PENDING"
    if trade.qty_closed == trade.quantity:
        return "CLOSED"
    return "OPEN" if trade.qty_closed == 0 else "PARTIAL"


def wrong_shares(history: History, state: StateRead) -> dict[str, str]:
    """What is wrong with the shares of each trade, in words."""
    found: dict[str, str] = {}
    for name, trade in (state.belief.trades or {}).items():
        if by_hand(history, trade.symbol) or trade.symbol in state.belief.frozen:
            continue
        filled = shares_filled(history, state, name)
        if status_of(trade) is None or filled in {None, (trade.quantity, trade.qty_closed)}:
            continue
        assert filled is not None, "shown above"
        found[name] = (
            f"The bot says that {name} has entered {trade.quantity} and closed "
            f"{trade.qty_closed} shares; the broker has filled {filled[0]} and {filled[1]}."
        )
    return found


def shares_filled(history: History, state: StateRead, name: str) -> tuple[Decimal, Decimal] | None:
    """The shares that a trade's own orders have entered and closed; None when it has none."""
    entered, closed = Decimal(0), Decimal(0)
    for fill in history.fills:
        if not fill.order_ref.startswith(f"{name}|"):
            continue
        if state.belief.day is not None and day_of(fill.time) != state.belief.day:
            return None
        if leg_of(fill.order_ref) == ENTRY_LEG:
            entered += fill.shares
        else:
            closed += fill.shares
    return (entered, closed) if entered else None


INVARIANT = Invariant(
    name=NAME,
    law="the status of a trade is that of its shares, and its shares are the broker's",
    needs=Needs.BELIEF,
    check=check,
)
