"""The limits that the bot tells are held over all its lives: trades and loss of a day, the breaker.

A limit that is not told is not judged. A loss counts from the first quiet moment after the broker
has reported it: the bot has then had its chance to hear of it. It may not have heard where the
exchange corrected executions or something at the broker was broken; the loss is not judged then.
"""

from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import Fill, History
from harness.invariants.days import day_of, entries_of, profits
from harness.invariants.ledger import quiet_moments
from harness.invariants.trouble import troubled
from harness.points.quiet import clock_of
from harness.result import Finding

NAME = "LimitsHeld"


def check(history: History) -> list[Finding]:
    """Find entries beyond a limit."""
    return [*too_many(history), *too_late(history), *not_tripped(history)]


def too_many(history: History) -> list[Finding]:
    """The first entry of a day beyond its number of trades."""
    allowed = history.rules.max_daily_trades
    if allowed is None:
        return []
    days: dict[object, list[Fill]] = {}
    for fill in entries_of(history):
        days.setdefault(day_of(fill.time), []).append(fill)
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot entered {len(fills)} times in a day; {allowed} trades are allowed.",
            seqs=tuple(fill.seq for fill in fills),
            at_risk=fills[allowed].shares * fills[allowed].price,
        )
        for fills in days.values()
        if len(fills) > allowed
    ]


def too_late(history: History) -> list[Finding]:
    """The first entry of a day whose loss had reached the limit."""
    limit = history.rules.max_daily_loss
    if limit is None or history.rewritten or troubled(history):
        return []
    born: dict[int, int] = {}
    for order in history.orders:
        born.setdefault(order.perm_id, order.seq)
    quiet: list[int] | None = None
    for fill in entries_of(history):
        sent = born.get(fill.perm_id, 0)
        if quiet is None:
            quiet = [moment.seq for moment in quiet_moments(history)]
        heard = max((seq for seq in quiet if seq < sent), default=0)
        earned: Decimal = max(profits(history, day_of(fill.time), before=heard))
        if earned <= -limit:
            return [
                Finding(
                    invariant=NAME,
                    sentence=f"The day had lost {-earned}, the limit is {limit}, and at "
                    f"{clock_of(fill.time)} the bot entered {fill.symbol} again.",
                    seqs=(sent, fill.seq),
                    at_risk=fill.shares * fill.price,
                )
            ]
    return []


def not_tripped(history: History) -> list[Finding]:
    """The first reading with all the failed orders that are allowed, and the breaker closed."""
    limit = history.rules.breaker_failures
    for state in history.states:
        breaker = state.belief.circuit_breaker
        if limit is None or breaker is None or breaker.tripped_at is not None:
            continue
        if breaker.failures >= limit:
            return [
                Finding(
                    invariant=NAME,
                    sentence=f"The bot counts {breaker.failures} failed orders of {limit} and its "
                    f"circuit breaker has not tripped.",
                    seqs=(state.seq,),
                )
            ]
    return []


INVARIANT = Invariant(
    name=NAME,
    law="daily trades, daily loss and circuit breaker hold over all lives, as the bot tells them",
    needs=Needs.BELIEF,
    check=check,
)
