"""A restart does not repeat the warm-up: what the bars have taught is remembered.

The number of bars that a bot has seen of a symbol does not fall from one reading of its state to
the next of the same day, unless no bar came for longer than it tells that a warm-up is good for.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from harness.checks import Invariant, Needs
from harness.history import History, StateRead
from harness.history.belief import BelievedWarmUp
from harness.invariants.harm import neighbours, same_day
from harness.invariants.ledger import replay
from harness.result import Finding

NAME = "WarmUpOnce"


def check(history: History) -> list[Finding]:
    """Find bars that were forgotten, the first of each symbol."""
    gap = history.rules.warmup_gap_seconds
    if gap is None:
        return []
    findings: dict[str, Finding] = {}
    for first, second in neighbours(history):
        if first.belief.warmup is None or second.belief.warmup is None:
            continue
        for symbol, before in first.belief.warmup.items() if same_day(first, second) else ():
            after = second.belief.warmup.get(symbol)
            if not forgotten(before, after) or pause(history, first, second, symbol, before) > gap:
                continue
            now = 0 if after is None else after.bars_seen
            findings.setdefault(
                symbol,
                Finding(
                    invariant=NAME,
                    sentence=f"The bot had seen {before.bars_seen} bars of {symbol} and after a "
                    f"restart has seen {now}: it warms up again.",
                    seqs=(first.seq, second.seq),
                ),
            )
    return list(findings.values())


def forgotten(before: BelievedWarmUp, after: BelievedWarmUp | None) -> bool:
    """Whether fewer bars are known than before."""
    return before.bars_seen > 0 and (after is None or after.bars_seen < before.bars_seen)


def pause(
    history: History, first: StateRead, second: StateRead, symbol: str, before: BelievedWarmUp
) -> Decimal:
    """The longest time between two bars that the bot has heard between two readings, in seconds."""
    longest, last = timedelta(0), before.last_bar
    for event, ledger in replay(history):
        heard = event.kind == "bar" and ledger.ready and event.data.get("symbol") == symbol
        if heard and first.seq < event.seq < second.seq:
            start = datetime.fromisoformat(str(event.data["start"]))
            longest = max(longest, start - last if last is not None else longest)
            last = start
    return Decimal(int(longest.total_seconds()))


INVARIANT = Invariant(
    name=NAME,
    law="a restart does not repeat the warm-up",
    needs=Needs.BELIEF,
    check=check,
)
