"""Takes back what clients sent last, as if it had never arrived: a gateway that dies forgets it.

Each input of a client leaves a note of the orders that it placed and changed. Notes are undone
backwards, the youngest first, and only where that changes no history: an order that has filled
stays, and so does a change on which a fill has rested since. What is undone is therefore what a
message lost on its way would have left (tws-protocol.md sections 3.1 and 3.10).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fakebroker.exchange.book import FIRST_EXECUTION, PART_MODULUS, Book, Change, Received
from fakebroker.exchange.groups import children_of, family_of, oca_key, parent_of
from fakebroker.exchange.orders import ZERO, Order

NOTES_KEPT = timedelta(minutes=1)
"""How far back an input can be taken back."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was taken back: orders that are gone from the book, and those that are as before."""

    lost: tuple[Order, ...] = ()
    restored: tuple[Order, ...] = ()


class Recording:
    """What one input of a client does to the book, seen from before and after."""

    def __init__(self, book: Book, named: Iterable[Order | None]) -> None:
        """Begin, before the input; it can change the orders named and their families."""
        self._book = book
        self._next_perm_id = book.next_perm_id
        self._execution_count = book.execution_count
        members = {
            member.perm_id: member
            for order in named
            if order is not None
            for member in family_of(book, order)
        }
        self._before = [member.copy() for member in members.values()]

    def end(self, now: datetime) -> None:
        """Note what is new and what has changed, if anything; forget notes that are too old."""
        book = self._book
        placed = tuple(range(self._next_perm_id, book.next_perm_id))
        changed = tuple(
            Change(before, after.copy())
            for before in self._before
            if (after := book.orders[before.perm_id]) != before
        )
        if placed or changed:
            book.received.append(Received(now, self._execution_count, placed, changed))
        while book.received and book.received[0].time < now - NOTES_KEPT:
            book.received.popleft()


def take_back(book: Book, since: datetime) -> TakenBack:
    """Undo what clients sent at `since` or later, where nothing has come of it."""
    lost: dict[int, Order] = {}
    restored: set[int] = set()
    for note in reversed(book.received):
        if note.time < since:
            break
        if not _undoable(book, note):
            continue
        for change in note.changed:
            _put_back(book, change.before.copy())
            restored.add(change.before.perm_id)
        for perm_id in note.placed:
            lost[perm_id] = book.orders[perm_id]
            book.forget(book.orders[perm_id])
    book.received.clear()
    return TakenBack(
        lost=tuple(lost[perm_id] for perm_id in sorted(lost)),
        restored=tuple(book.orders[perm_id] for perm_id in sorted(restored - lost.keys())),
    )


def _undoable(book: Book, note: Received) -> bool:
    """Say whether nothing has come of an input."""
    for perm_id in note.placed:
        order = book.orders.get(perm_id)
        if order is None or order.filled:
            return False
        if any(child.perm_id not in note.placed for child in children_of(book, order)):
            return False
    alive_again = {change.before.perm_id for change in note.changed if change.before.live}
    filled = _filled_after(book, note.execution_count)
    for change in note.changed:
        order = book.orders.get(change.after.perm_id)
        if order is None or _steady(order) != _steady(change.after):
            return False
        if any(row.perm_id in filled for row in _kin(book, order)):
            return False
        parent = parent_of(book, order)
        ended = parent is not None and not (parent.live or parent.filled)
        # A child never works under a parent that ended unfilled.
        if change.before.live and ended and order.parent_perm_id not in alive_again:
            return False
    return True


def _filled_after(book: Book, count: int) -> frozenset[int]:
    """Return the permIds of the orders that were filled after so many executions."""
    parts = ((row, int(key.split(".")[1], 16)) for key, row in book.executions.items())
    return frozenset(
        row.execution.perm_id
        for row, part in parts
        if (part - FIRST_EXECUTION) % PART_MODULUS >= count
    )


def _kin(book: Book, order: Order) -> list[Order]:
    """Return the orders whose fills say something about this one: its bracket and its group."""
    key = oca_key(order)
    group = [row for row in book.orders.values() if key is not None and oca_key(row) == key]
    return [*family_of(book, order), *group]


def _steady(order: Order) -> Order:
    """Return an order without what the market moves in it by itself."""
    terms = replace(order.terms, trail_stop_price=None)
    if order.limit_offset is not None:
        terms = replace(terms, limit_price=None)
    return replace(
        order,
        terms=terms,
        bar_shares=ZERO,
        bars_to_wait=0,
        cancel_bars_left=0,
        locate_bars_left=0,
    )


def _put_back(book: Book, order: Order) -> None:
    book.orders[order.perm_id] = order
    if order.live and order.perm_id not in book.open_perm_ids:
        book.open_perm_ids = sorted((*book.open_perm_ids, order.perm_id))
