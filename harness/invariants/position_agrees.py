"""I2: at the end the bot believes exactly the positions that the broker has.

Symbols in which the bot never placed an order are its business only if it says that it holds
them: a hand-made position in a foreign stock may be left alone.
"""

from harness.checks import Invariant, Needs
from harness.history import History
from harness.invariants.ledger import at_end
from harness.invariants.names import holding
from harness.result import Finding

NAME = "PositionAgrees"


def check(history: History) -> list[Finding]:
    """Compare the believed and the real positions at the end."""
    state = history.final_state
    if state is None:
        return []
    ledger = at_end(history)
    symbols = sorted({*ledger.traded, *state.belief.positions})
    findings: list[Finding] = []
    for symbol in symbols:
        real, believed = ledger.position(symbol), state.belief.quantity(symbol)
        if real == believed:
            continue
        fill = ledger.last_fills.get(symbol)
        price = ledger.prices.get(symbol)
        findings.append(
            Finding(
                invariant=NAME,
                sentence=f"The bot believes {holding(symbol, believed)}; "
                f"the broker has {holding(symbol, real)}.",
                seqs=(*(() if fill is None else (fill.seq,)), state.seq),
                at_risk=None if price is None else abs(real - believed) * price,
            )
        )
    return findings


INVARIANT = Invariant(
    name=NAME,
    law="at the end the bot believes exactly the positions that the broker has",
    needs=Needs.BELIEF,
    check=check,
)
