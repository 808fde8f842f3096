"""I12: a restart that changed nothing changes nothing.

Where the bot was killed when it was quiet, nothing happened until it was ready again, and nobody
but the bot has touched the account, its working orders are the same before and after, and it has
traded nothing. And from one reading of its state to the next, between which the market and the
broker did nothing, what was booked right stays as it was. That a bot comes back at all is
BackInBusiness' business.
"""

from dataclasses import dataclass

from harness.checks import Invariant, Needs
from harness.history import History, Life, StateRead
from harness.history.records import root_of
from harness.invariants.harm import neighbours, same_day
from harness.invariants.ledger import Ledger, replay
from harness.invariants.trouble import by_hand, troubled
from harness.result import Finding

NAME = "Converges"
HAPPENINGS = frozenset(
    {"bar", "tick", "halt", "waited_for", "storage", "outage", "outage_over", "call_fault"}
)
BOOKINGS = frozenset({"fill", "commission", "order"})


@dataclass(frozen=True, slots=True)
class Standing:
    """What a bot had at the broker: its working orders in words, and what it held."""

    orders: tuple[str, ...]
    positions: tuple[str, ...]


def check(history: History) -> list[Finding]:
    """Find restarts that changed something."""
    if troubled(history) or by_hand(history) or history.rewritten:
        return []
    return [*changed_orders(history), *changed_books(history)]


def changed_orders(history: History) -> list[Finding]:
    """Restarts after a quiet kill that left other orders than they found."""
    pairs = list(zip(history.lives, history.lives[1:], strict=False))
    quiet = [(old, new) for old, new in pairs if undisturbed(history, old, new)]
    if not quiet:
        return []  # Most runs have none, and a replay costs more than all the rest of this.
    places = {seq for old, new in quiet for seq in (killed_at(old), new.ready_seq)}
    seen = {
        event.seq: (standing(ledger), ledger.link.stands(at_end=False))
        for event, ledger in replay(history)
        if event.seq in places
    }
    findings: list[Finding] = []
    for old, new in quiet:
        (before, reachable), (after, _) = seen[killed_at(old)], seen[new.ready_seq or 0]
        if reachable and before != after:
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"Nothing had happened since the bot was quiet, and its restart "
                    f"{difference(before, after)}.",
                    seqs=(killed_at(old), new.ready_seq or new.first_seq),
                )
            )
    return findings


def undisturbed(history: History, old: Life, new: Life) -> bool:
    """Whether a life died at rest and only the bot did anything until the next was ready."""
    if old.killed is None or old.ready_seq is None or new.ready_seq is None:
        return False
    if not old.killed.point.startswith("quiet"):
        return False
    for event in history.between(old.killed.seq, new.ready_seq):
        outside = event.kind in BOOKINGS and event.seq < new.first_seq
        if event.kind in HAPPENINGS or outside:
            return False
    return True


def killed_at(life: Life) -> int:
    """The place of a life's end."""
    return life.last_seq if life.killed is None else life.killed.seq


def standing(ledger: Ledger) -> Standing:
    """What works at the broker and what is held."""
    working = [order for order in ledger.orders.values() if ledger.fillable(order) > 0]
    return Standing(
        orders=tuple(
            sorted(
                f"{each.describe()} of which {ledger.fillable(each)} can fill" for each in working
            )
        ),
        positions=tuple(
            sorted(f"{held} {symbol}" for symbol, held in ledger.positions.items() if held)
        ),
    )


def difference(before: Standing, after: Standing) -> str:
    """Say what is no longer there and what is new."""
    was, now = (*before.orders, *before.positions), (*after.orders, *after.positions)
    gone = ", ".join(each for each in was if each not in now) or "nothing"
    new = ", ".join(each for each in now if each not in was) or "nothing"
    return f"turned {gone} into {new}"


def changed_books(history: History) -> list[Finding]:
    """Readings that differ although nothing happened between them."""
    findings: list[Finding] = []
    for first, second in neighbours(history):
        if not same_day(first, second) or happened(history, first, second):
            continue
        if not booked_all(history, first):
            continue
        changes = [
            f"{name} was {before} and is {after}"
            for name, before, after in told_of(first, second)
            if before is not None and after is not None and before != after
        ]
        if changes:
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"Nothing had happened at the broker, and in the bot's books "
                    f"{'; '.join(changes)}.",
                    seqs=(first.seq, second.seq),
                )
            )
    return findings


def happened(history: History, first: StateRead, second: StateRead) -> bool:
    """Whether market or broker did anything between two readings."""
    return any(
        event.kind in HAPPENINGS | BOOKINGS for event in history.between(first.seq, second.seq)
    )


def booked_all(history: History, state: StateRead) -> bool:
    """Whether a reading has every execution that the broker had made until then."""
    if state.belief.executions is None:
        return False
    booked = {*state.belief.executions, *map(root_of, state.belief.executions)}
    return all(root_of(fill.exec_id) in booked for fill in history.fills if fill.seq < state.seq)


def told_of(first: StateRead, second: StateRead) -> list[tuple[str, object, object]]:
    """What two readings tell that a restart must not change."""
    old, new = first.belief, second.belief
    symbols = sorted({*old.positions, *new.positions})
    return [
        ("the number of trades", old.trades_today, new.trades_today),
        *((f"the position in {each}", old.quantity(each), new.quantity(each)) for each in symbols),
    ]


INVARIANT = Invariant(
    name=NAME,
    law="a restart that changed nothing changes nothing",
    needs=Needs.BOOKS,
    check=check,
)
