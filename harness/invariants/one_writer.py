"""I17: one instance of the bot trades, never two at once.

A connection that was made in one life must not act in the next, and no two connections that are
open at the same time may send the same entry. Twins of one client id cannot be open together, the
broker refuses the second.
"""

from operator import attrgetter

from harness.checks import Invariant, Needs
from harness.history import Event, History, WireMessage
from harness.history.records import EXIT_LEGS, leg_of
from harness.result import Finding

NAME = "OneWriter"
ACTS = ("placeOrder", "cancelOrder", "reqGlobalCancel")


def check(history: History) -> list[Finding]:
    """Find the first act of a connection beside another one."""
    messages = {message.seq: message for act in ACTS for message in history.messages_of(act)}
    life = 0
    born: dict[int, int] = {}
    entries: list[WireMessage] = []
    acts = (history.at(seq) for seq in messages)
    for event in sorted((*history.turns, *acts), key=attrgetter("seq")):
        if event.kind == "launched":
            life += 1
        elif event.kind == "session":
            if follow(event, born, life):
                entries = [each for each in entries if each.session in born]
        elif event.kind in {"bar", "tick"}:
            entries = [each for each in entries if each.text("symbol") != event.data.get("symbol")]
        message = messages.get(event.seq)
        if message is None or message.lost or message.direction != "in":
            continue
        if born.setdefault(message.session, life) < life:
            return [left_over(message, born[message.session], life)]
        twin = next((each for each in entries if twins(each, message)), None)
        if twin is not None:
            return [second_writer(twin, message)]
        if message.message == "placeOrder" and leg_of(message.order_ref) not in EXIT_LEGS:
            entries.append(message)
    return []


def follow(event: Event, born: dict[int, int], life: int) -> bool:
    """Note in which life a connection was made; whether one is gone."""
    number = int(str(event.data.get("session")))
    if event.data.get("event") == "connected":
        born[number] = life
    return event.data.get("event") == "disconnected" and born.pop(number, None) is not None


def twins(one: WireMessage, other: WireMessage) -> bool:
    """Whether two open connections ask for the same."""
    names = ("symbol", "action", "quantity", "order_type")
    return (
        other.message == "placeOrder"
        and one.client_id != other.client_id
        and all(one.text(name) == other.text(name) for name in names)
    )


def left_over(message: WireMessage, born: int, life: int) -> Finding:
    """Say that an earlier life still acts."""
    return Finding(
        invariant=NAME,
        sentence=f"A connection of life {born} sent {message.message} when life {life} had "
        f"started: two instances trade.",
        seqs=(message.seq,),
    )


def second_writer(one: WireMessage, other: WireMessage) -> Finding:
    """Say that two connections sent the same entry."""
    what = " ".join(other.text(name) for name in ("action", "quantity", "symbol", "order_type"))
    return Finding(
        invariant=NAME,
        sentence=f"Two connections that are open at once, clients {one.client_id} and "
        f"{other.client_id}, both sent {what}.",
        seqs=(one.seq, other.seq),
    )


INVARIANT = Invariant(
    name=NAME,
    law="one instance of the bot trades, never two at once",
    needs=Needs.BOOKS,
    check=check,
)
