"""I8: what was durable once is not forgotten: a later look at the state never shows an older one.

Looked at from one reading of the bot's state to the next, where nothing harmed its memory between:
the time of the save, the booked executions, the trades of the day and the last signals. Executions
and trades may go with their day, and an execution that the exchange has taken back may go at once.
"""

from datetime import datetime

from harness.checks import Invariant, Needs
from harness.history import History, StateRead
from harness.history.records import root_of
from harness.invariants.harm import neighbours, same_day
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "NoTimeTravel"


def check(history: History) -> list[Finding]:
    """Find readings that show less than the one before."""
    findings: list[Finding] = []
    for first, second in neighbours(history):
        words = older_save(first, second) or lost_signal(first, second)
        if words is None and same_day(first, second):
            words = lost_execution(first, second, history) or lost_trade(first, second, history)
        if words is not None:
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"The state that was durable after life {first.life} is gone in life "
                    f"{second.life}: {words}.",
                    seqs=(first.seq, second.seq),
                )
            )
    return findings


def older_save(first: StateRead, second: StateRead) -> str | None:
    """Whether the second state was saved earlier, or there is none any more."""
    before, after = first.belief.saved_at, second.belief.saved_at
    if before is None:
        return None
    if after is None:
        return f"it had been saved at {clock_of(before)}, and now there is none"
    return None if after >= before else f"saved at {clock_of(after)}, before {clock_of(before)}"


def lost_execution(first: StateRead, second: StateRead, history: History) -> str | None:
    """An execution that was booked and is no more."""
    if first.belief.executions is None or second.belief.executions is None:
        return None
    kept = {*second.belief.executions, *map(root_of, second.belief.executions)}
    for name in first.belief.executions:
        gone = name not in kept and root_of(name) not in kept
        if gone and not {name, root_of(name)} & history.busted:
            return f"it had booked the execution {name}"
    return None


def lost_trade(first: StateRead, second: StateRead, history: History) -> str | None:
    """A trade with shares that was known and is no more."""
    if first.belief.trades is None or second.belief.trades is None or history.busted:
        return None
    kept = second.belief.trades
    gone = [name for name, trade in first.belief.trades.items() if trade.quantity]
    return next((f"it knew the trade {name}" for name in gone if name not in kept), None)


def lost_signal(first: StateRead, second: StateRead) -> str | None:
    """A last signal that is older than it was."""
    if first.belief.last_signals is None or second.belief.last_signals is None:
        return None
    for key, before in first.belief.last_signals.items():
        after = second.belief.last_signals.get(key)
        if after is None or is_older(after.bar_time, before.bar_time):
            return f"it had acted on {before.signal} of {key}"
    return None


def is_older(moment: datetime | None, than: datetime | None) -> bool:
    """Whether a time is earlier than another; not when one is unknown."""
    return moment is not None and than is not None and moment < than


INVARIANT = Invariant(
    name=NAME,
    law="what was durable once is never forgotten while nothing harms the bot's memory",
    needs=Needs.BELIEF,
    check=check,
)
