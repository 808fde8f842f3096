"""The bot does not end by itself: it dies only when it is killed, and stops only when told to.

One end is right: after its memory was damaged it may refuse to trade (`loud_halt.py`).
"""

from harness.checks import Invariant, Needs
from harness.history import History
from harness.invariants.loud_halt import excused
from harness.result import Finding

NAME = "TheBotStays"


def check(history: History) -> list[Finding]:
    """Find lives that ended without anybody's doing."""
    loud = excused(history)
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot ended by itself in life {gone.life}, with {ending(gone.code)}"
            + (f": {gone.last_words}" if gone.last_words else "."),
            seqs=(gone.seq,),
        )
        for gone in history.exits
        if gone.seq not in loud
    ]


def ending(code: int) -> str:
    """Say an exit code; negative ones are signals."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


INVARIANT = Invariant(
    name=NAME,
    law="the bot does not end by itself",
    needs=Needs.BOOKS,
    check=check,
)
