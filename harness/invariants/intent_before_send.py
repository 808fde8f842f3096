"""I7: what is durable after a kill explains every order that the broker had received till then.

An order that the bot sent before the record of its intent was safe is an order that the next life
knows nothing about. Looked at after each kill, for the orders of the life that was killed; bytes
that were lost on the way count, because the bot could not know that they would be. What the harness
has taken from the bot's memory since an order came (a Redis that restarts without its last second)
may have been its record.
"""

from harness.checks import Invariant, Needs
from harness.history import History, StateRead, WireMessage
from harness.history.belief import Intent
from harness.invariants.days import day_of
from harness.result import Finding

NAME = "IntentBeforeSend"


def check(history: History) -> list[Finding]:
    """Find received orders without a durable intent."""
    findings: list[Finding] = []
    for life in history.lives:
        state = next(
            (s for s in history.states if s.life == life.number and s.when == "after kill"), None
        )
        if state is None or state.belief.intents is None or life.killed is None:
            continue
        orders = [
            message
            for message in history.messages_of("placeOrder")
            if message.direction == "in"
            and life.first_seq < message.seq < state.seq
            and not taken_away(history, message, state)
            # A bot that has begun a new day may have put the old one's orders away.
            and (state.belief.day is None or day_of(message.time) >= state.belief.day)
        ]
        seen: dict[str, WireMessage] = {}
        for order in orders:
            if not explained(order, state):
                seen.setdefault(name_of(order), order)
        if seen:
            findings.append(finding(list(seen.values()), state, killed=life.killed.seq))
    return findings


def taken_away(history: History, order: WireMessage, state: StateRead) -> bool:
    """Whether the memory was harmed between an order and the reading, in the bot's lifetime."""
    return any(order.seq < event.seq < state.seq for event in history.of_kind("storage"))


def explained(order: WireMessage, state: StateRead) -> bool:
    """Whether one of the durable intents is the one of this order."""
    return any(fits(order, intent) for intent in state.belief.intents or ())


def fits(order: WireMessage, intent: Intent) -> bool:
    """Refs decide where both have one; otherwise order ids do."""
    if order.order_ref and intent.order_ref:
        return order.order_ref == intent.order_ref
    return order.order_id is not None and order.order_id == intent.order_id


def name_of(order: WireMessage) -> str:
    """What the order is called in a finding."""
    return order.order_ref or f"order {order.order_id}"


def finding(orders: list[WireMessage], state: StateRead, *, killed: int) -> Finding:
    """Say that the orders of one life came from nowhere."""
    names = ", ".join(name_of(order) for order in orders)
    return Finding(
        invariant=NAME,
        sentence=f"The broker received {names} before any record of it was durable: after the "
        f"kill the bot's state does not explain it.",
        seqs=(*(order.seq for order in orders), killed, state.seq),
    )


INVARIANT = Invariant(
    name=NAME,
    law="the durable record that explains an order comes before its bytes on the wire",
    needs=Needs.BELIEF,
    check=check,
)
