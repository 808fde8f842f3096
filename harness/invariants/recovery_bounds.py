"""A recovery is bounded: in what the market does meanwhile, and in what it asks of the broker.

Wall time is not in a history, and would say more about the machine than about the bot. While a bot
is quiet and has no bars, the market goes on a step at a time, which the harness notes as
`waited_for`. A bot may wait for its grace period; it may not wait for a minute of five-second bars
from when the broker has let it in. Runs in which something was broken at the broker are not judged.
"""

from harness.checks import Invariant, Needs
from harness.history import History, Life
from harness.invariants.trouble import troubled
from harness.result import Finding

NAME = "RecoveryBounds"
STEPS_MAX = 12
"""A minute of bars: a grace period of ten seconds with room for a second round of questions."""
REQUESTS_MAX = 1000
"""IB ends a client that sends more than 50 a second; a sound recovery sends some dozens."""


def check(history: History) -> list[Finding]:
    """Find lives that took too much to become ready."""
    if troubled(history):
        return []
    return [finding for life in history.lives for finding in judge(history, life)]


def judge(history: History, life: Life) -> list[Finding]:
    """Count what happened from the launch of a life to its being ready."""
    if life.ready_seq is None:
        return []
    let_in, steps, requests = life.first_seq, 0, 0
    for event in history.between(life.first_seq, life.ready_seq):
        if event.kind == "session" and event.data.get("event") == "ready":
            let_in, steps = event.seq, 0
        steps += event.kind == "waited_for"
        requests += event.kind == "received"
    waited = f"had the market go on for {steps} steps before it was ready; {STEPS_MAX} are enough"
    asked = f"sent {requests} requests before it was ready; {REQUESTS_MAX} are enough"
    found = [
        *([waited] if steps > STEPS_MAX else []),
        *([asked] if requests > REQUESTS_MAX else []),
    ]
    return [
        Finding(
            invariant=NAME,
            sentence=f"In life {life.number} the bot {words}.",
            seqs=(let_in, life.ready_seq),
        )
        for words in found
    ]


INVARIANT = Invariant(
    name=NAME,
    law="a recovery ends within a minute of bars and a thousand requests",
    needs=Needs.BOOKS,
    check=check,
)
