"""I15: no more entries at the levels of a symbol and side in a day than the budget, over all lives.

Read from the orderRefs of breakout entries, `PS60|SYMBOL|SIDE|DAY|ATTEMPT|entry`, and from what the
broker filled: only the breakout strategy has a budget of attempts, two unless the bot tells
another number. A bot whose refs have another form is judged by the scenarios' own expectations.
"""

from harness.checks import Invariant, Needs
from harness.history import Fill, History
from harness.result import Finding

NAME = "AttemptsHeld"
ATTEMPTS_MAX = 2
REF_PARTS = 6
STRATEGY = "PS60"


def check(history: History) -> list[Finding]:
    """Find filled entries beyond the allowed ones of a symbol, a side and a day."""
    allowed = history.rules.max_attempts or ATTEMPTS_MAX
    entries: dict[str, dict[int, Fill]] = {}
    for fill in history.fills:
        signal = signal_of(fill.order_ref)
        if signal is not None:
            entries.setdefault(signal, {}).setdefault(fill.perm_id, fill)
    findings: list[Finding] = []
    for signal, orders in entries.items():
        fills = list(orders.values())
        if len(fills) > allowed:
            extra = fills[allowed]
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"{extra.symbol} was entered {len(fills)} times ({signal}); "
                    f"{allowed} attempts are allowed.",
                    seqs=tuple(fill.seq for fill in fills),
                    at_risk=extra.shares * extra.price,
                )
            )
    return findings


def signal_of(order_ref: str) -> str | None:
    """The ref of a breakout entry without its attempt and leg; None for any other order."""
    parts = order_ref.split("|")
    if len(parts) != REF_PARTS or parts[0] != STRATEGY or parts[-1] != "entry":
        return None
    return "|".join(parts[:-2])


INVARIANT = Invariant(
    name=NAME,
    law="no more entries for a symbol and side in a day than allowed, two by default",
    needs=Needs.BOOKS,
    check=check,
)
