"""I6: the bot has booked the broker's executions, each once, and the profit that follows.

Executions are compared by the root of their id: a correction keeps the root and raises the part
after the last period. Fills of hand-made orders may be booked or not. Profit may differ by less
than a cent, because the API carries it as a binary fraction.
"""

from collections import Counter
from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import Belief, Fill, History
from harness.result import Finding

NAME = "FillOnce"
CENT = Decimal("0.01")


def check(history: History) -> list[Finding]:
    """Compare the booked executions and the profit at the end with the broker's."""
    state = history.final_state
    if state is None or state.belief.executions is None:
        return []
    findings = booked_wrongly(state.belief.executions, history, state.seq)
    profit = wrong_profit(state.belief, history, state.seq)
    return findings if profit is None else [*findings, profit]


def booked_wrongly(booked: tuple[str, ...], history: History, seq: int) -> list[Finding]:
    """Executions that are missing from the bot's books, there twice, or invented."""
    fills = {root(fill.exec_id): fill for fill in history.fills}
    counted = Counter(name if name in fills else root(name) for name in booked)
    findings = [
        Finding(
            invariant=NAME,
            sentence=f"The bot never booked {told(fill)}.",
            seqs=(fill.seq, seq),
            at_risk=fill.shares * fill.price,
        )
        for name, fill in fills.items()
        if name not in counted and fill.client_id != 0
    ]
    for name, count in counted.items():
        fill = fills.get(name)
        if fill is None:
            words = f"The bot booked the execution {name}, which the broker does not know."
            findings.append(Finding(invariant=NAME, sentence=words, seqs=(seq,)))
        elif count > 1:
            words = f"The bot booked {count} times {told(fill)}."
            findings.append(Finding(invariant=NAME, sentence=words, seqs=(fill.seq, seq)))
    return findings


def wrong_profit(belief: Belief, history: History, seq: int) -> Finding | None:
    """The realised profit that the bot has against the broker's."""
    closed = [
        Decimal(str(event.data["realized_pnl"]))
        for event in history.of_kind("commission")
        if event.data.get("realized_pnl") is not None
    ]
    real = sum(closed, Decimal(0))
    if belief.realized_pnl is None or abs(belief.realized_pnl - real) < CENT:
        return None
    return Finding(
        invariant=NAME,
        sentence=f"The bot believes a realised profit of {belief.realized_pnl}; "
        f"the broker has {real}.",
        seqs=(seq,),
        at_risk=abs(belief.realized_pnl - real),
    )


def root(exec_id: str) -> str:
    """The part of an execution id that a correction keeps."""
    return exec_id.rpartition(".")[0] or exec_id


def told(fill: Fill) -> str:
    """Say an execution in words."""
    return f"the execution {fill.side} {fill.shares} {fill.symbol} at {fill.price}"


INVARIANT = Invariant(
    name=NAME,
    law="the bot has booked the broker's executions, each once, and the profit that follows",
    needs=Needs.BELIEF,
    check=check,
)
