"""I6: the bot has booked the broker's executions, each once, and the profit that follows.

Executions are compared by the root of their id: a correction keeps the root and raises the part
after the last period. Fills of hand-made orders may be booked or not, and so may those of earlier
days and those that were taken back. Profit may differ by less than a cent, because the API carries
it as a binary fraction; after a correction the broker does not report anew what was earned with
the corrected shares, and the profit is not judged, nor is it where the report was lost. What the
broker never told the last life cannot be booked by it; what an earlier one had booked must stay,
which NoTimeTravel says.
"""

from collections import Counter
from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import Belief, Fill, History
from harness.history.records import root_of
from harness.invariants.days import day_of, profits
from harness.invariants.trouble import troubled
from harness.result import Finding

NAME = "FillOnce"
CENT = Decimal("0.01")


def check(history: History) -> list[Finding]:
    """Compare the booked executions and the profit at the end with the broker's."""
    state = history.final_state
    if state is None or state.belief.executions is None:
        return []
    findings = booked_wrongly(state.belief, history, state.seq)
    profit = wrong_profit(state.belief, history, state.seq)
    return findings if profit is None else [*findings, profit]


def booked_wrongly(belief: Belief, history: History, seq: int) -> list[Finding]:
    """Executions that are missing from the bot's books, there twice, or invented."""
    fills = {root_of(fill.exec_id): fill for fill in history.fills}
    booked, forgotten = belief.executions or (), kept_back(history)
    counted = Counter(name if name in fills else root_of(name) for name in booked)
    findings = [
        Finding(
            invariant=NAME,
            sentence=f"The bot never booked {told(fill)}.",
            seqs=(fill.seq, seq),
            at_risk=fill.shares * fill.price,
        )
        for name, fill in fills.items()
        if name not in counted
        and name not in forgotten
        and must_be_booked(fill, name, belief, history)
    ]
    for name, count in counted.items():
        fill = fills.get(name)
        if fill is None:
            words = f"The bot booked the execution {name}, which the broker does not know."
            findings.append(Finding(invariant=NAME, sentence=words, seqs=(seq,)))
        elif count > 1:
            words = f"The bot booked {count} times {told(fill)}."
            findings.append(Finding(invariant=NAME, sentence=words, seqs=(fill.seq, seq)))
    return findings + outdated(belief, history, seq)


def outdated(belief: Belief, history: History, seq: int) -> list[Finding]:
    """Executions that are booked as they were before the exchange corrected them."""
    newest = {root_of(fill.exec_id): fill for fill in history.fills}
    known = {fill.exec_id: newest[root_of(fill.exec_id)] for fill in history.fills}
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot booked the execution {name} and not its correction, "
            f"{told(known[name])}.",
            seqs=(known[name].seq, seq),
        )
        for name in belief.executions or ()
        if name in known
        and known[name].exec_id != name
        and must_be_booked(known[name], root_of(name), belief, history)
    ]


def must_be_booked(fill: Fill, root: str, belief: Belief, history: History) -> bool:
    """Whether an execution has to be in the books of the bot's day."""
    if fill.client_id == 0 or root in history.busted:
        return False
    return belief.day is None or day_of(fill.time) >= belief.day


def kept_back(history: History) -> set[str]:
    """The roots of the executions that a broken broker did not tell the last life, though asked."""
    if not history.lives or not troubled(history):
        return set()
    start = history.lives[-1].first_seq
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for each in history.messages_of("execDetails"):
        if each.direction == "out" and each.seq > start:
            told[each.lost].add(root_of(each.text("exec_id")))
    return told[True] - told[False]


def never_told(history: History) -> bool:
    """Whether the broker was broken so that its word on a profit may never have arrived."""
    return troubled(history) and any(
        message.lost and message.direction == "out"
        for message in history.messages_of("commissionReport")
    )


def wrong_profit(belief: Belief, history: History, seq: int) -> Finding | None:
    """The realised profit that the bot has against the broker's."""
    if belief.realized_pnl is None or history.rewritten or never_told(history):
        return None
    real = profits(history, belief.day, before=seq)
    if any(abs(belief.realized_pnl - each) < CENT for each in real):
        return None
    return Finding(
        invariant=NAME,
        sentence=f"The bot believes a realised profit of {belief.realized_pnl}; "
        f"the broker has {real[0]}.",
        seqs=(seq,),
        at_risk=abs(belief.realized_pnl - real[0]),
    )


def told(fill: Fill) -> str:
    """Say an execution in words."""
    return f"the execution {fill.side} {fill.shares} {fill.symbol} at {fill.price}"


INVARIANT = Invariant(
    name=NAME,
    law="the bot has booked the broker's executions, each once, and the profit that follows",
    needs=Needs.BELIEF,
    check=check,
)
