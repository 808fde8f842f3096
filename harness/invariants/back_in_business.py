"""I12: after the last launch the bot becomes ready: it asks for bars and goes on trading.

The liveness of every run: a bot that never trades again is safe and useless.
"""

from harness.checks import Invariant, Needs
from harness.history import History
from harness.invariants.loud_halt import halted_loudly
from harness.result import Finding

NAME = "BackInBusiness"


def check(history: History) -> list[Finding]:
    """Look at the last life."""
    if not history.lives:
        return []
    last = history.lives[-1]
    if last.ready_seq is not None or halted_loudly(history, last):
        return []
    again = "after its last restart" if len(history.lives) > 1 else "after its start"
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot never became ready {again}: it did not ask for real-time bars.",
            seqs=(last.first_seq,),
        )
    ]


INVARIANT = Invariant(
    name=NAME,
    law="after the last launch the bot becomes ready",
    needs=Needs.BOOKS,
    check=check,
)
