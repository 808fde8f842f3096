"""I10: a bot that was halted stays halted, over restarts and days, until a person lifts it.

The same holds for the circuit breaker and for the failures that it has counted. And a halt that is
durable holds: no life after it opens a position with an order of its own.
"""

from harness.checks import Invariant, Needs
from harness.history import Fill, History, StateRead
from harness.invariants.days import day_of, entries_of
from harness.invariants.harm import RESUMED, neighbours, was_reset
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "HaltSticks"


def check(history: History) -> list[Finding]:
    """Find halts that went away, and entries in spite of one."""
    findings = [
        Finding(invariant=NAME, sentence=words, seqs=(first.seq, second.seq))
        for first, second in neighbours(history)
        if not was_reset(history, first, second) and (words := what_went(first, second)) is not None
    ]
    entered = entry_in_spite(history)
    return findings if entered is None else [*findings, entered]


def what_went(first: StateRead, second: StateRead) -> str | None:
    """Say which halt has gone from one reading to the next."""
    before, after = first.belief, second.belief
    if halt_has_gone(first, second):
        return f"The bot was halted ({before.halted}) and trades on after a restart."
    if before.circuit_breaker is None or after.circuit_breaker is None:
        return None
    tripped = before.circuit_breaker.tripped_at
    if tripped is not None and after.circuit_breaker.tripped_at is None:
        return f"The circuit breaker had tripped at {clock_of(tripped)} and is closed again."
    was, now = before.circuit_breaker.failures, after.circuit_breaker.failures
    if now < was:
        return f"The circuit breaker had counted {was} failures and now counts {now}."
    return None


def halt_has_gone(first: StateRead, second: StateRead) -> bool:
    """Whether a halt is over; one that is told only in words may have been for its day."""
    before, after = first.belief, second.belief
    if before.halts is not None and after.halts is not None:
        kinds = {halt.kind for halt in after.halts}
        return any(halt.kind not in kinds for halt in before.halts)
    one_day = day_of(first.time) == day_of(second.time)
    return before.halted is not None and after.halted is None and one_day


def entry_in_spite(history: History) -> Finding | None:
    """The first position that an order opened after the halt was durable."""
    born: dict[int, int] = {}
    for order in history.orders:
        born.setdefault(order.perm_id, order.seq)
    for state in history.states:
        barred = why_barred(state)
        if barred is None:
            continue
        for fill in entries_of(history):
            if born.get(fill.perm_id, 0) > state.seq and still_barred(history, state, fill):
                return Finding(
                    invariant=NAME,
                    sentence=f"The bot's state said that it may not trade ({barred}), and it "
                    f"entered {fill.side} {fill.shares} {fill.symbol} at {fill.price}.",
                    seqs=(state.seq, fill.seq),
                    at_risk=fill.shares * fill.price,
                )
    return None


def why_barred(state: StateRead) -> str | None:
    """What keeps the bot from opening positions; None when nothing does."""
    breaker = state.belief.circuit_breaker
    if breaker is not None and breaker.tripped_at is not None:
        return f"the circuit breaker has tripped after {breaker.failures} failures"
    return state.belief.halted


def still_barred(history: History, state: StateRead, fill: Fill) -> bool:
    """Whether a halt could not have been lifted, forgotten or over by the time of a fill."""
    if state.belief.halts is None and day_of(state.time) != day_of(fill.time):
        return False
    ends = (*RESUMED, "storage", "outage")
    events = [event for kind in ends for event in history.of_kind(kind)]
    return not any(state.seq < event.seq < fill.seq for event in events)


INVARIANT = Invariant(
    name=NAME,
    law="a halt and the circuit breaker outlive restarts and days until a person ends them",
    needs=Needs.BELIEF,
    check=check,
)
