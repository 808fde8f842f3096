"""Who belongs together: brackets (a parent and its children) and OCA groups.

Only questions are answered here, over the orders of the book; what follows from a fill or a
cancel is done in `turn.py`. Facts and assumptions are those of tws-protocol.md section 3.7.
"""

from decimal import Decimal

from fakebroker.exchange.book import Book
from fakebroker.exchange.orders import ZERO, Order

# Plain orders are echoed with ocaType 3 (section 3.7), so that is what an unset type means.
DEFAULT_OCA_TYPE = 3
OCA_CANCEL_WITH_BLOCK = 1
# Without block several members are at the exchange at once, and each may fill.
OCA_REDUCE_LATE = 3


def parent_of(book: Book, order: Order) -> Order | None:
    """Return the order that this one waits for or has waited for."""
    return None if order.parent_perm_id is None else book.orders[order.parent_perm_id]


def children_of(book: Book, parent: Order) -> list[Order]:
    """Return the orders attached to this one, by permId."""
    return [row for row in book.orders.values() if row.parent_perm_id == parent.perm_id]


def family_of(book: Book, order: Order) -> list[Order]:
    """Return the whole bracket that the order belongs to, itself included, parents first."""
    root = order
    while (above := parent_of(book, root)) is not None:
        root = above
    found = [root]
    for member in found:
        found.extend(children_of(book, member))
    return found


def oca_key(order: Order) -> str | None:
    """Return what names the order's OCA group, None if it is in none.

    A child without a group of its own is in one with its siblings: take-profit and stop under
    one parent cancel each other ([K], section 3.7).
    """
    if order.terms.oca_group:
        return f"group {order.terms.oca_group}"
    if order.parent_perm_id is not None:
        return f"parent {order.parent_perm_id}"
    return None


def oca_peers(book: Book, order: Order) -> list[Order]:
    """Return the live orders at IB that share the order's OCA group, by permId.

    A leg that waits for transmit=1 is not at IB, so its group does not know it.
    """
    key = oca_key(order)
    if key is None:
        return []
    return [
        row for row in book.live() if row is not order and row.transmitted and oca_key(row) == key
    ]


def filled_by_siblings(book: Book, order: Order) -> Decimal:
    """Return the shares that the other children of the parent in the same group have filled."""
    parent = parent_of(book, order)
    if parent is None:
        return ZERO
    siblings = (row for row in children_of(book, parent) if row is not order)
    return sum((row.filled for row in siblings if oca_key(row) == oca_key(order)), ZERO)


def fillable(book: Book, order: Order) -> Decimal:
    """Return how many shares the order may fill now, brackets considered.

    A child fills no more than its parent has filled so far. While the parent still fills, the
    siblings of one group share that amount, or a stop and a target of a half-filled entry could
    together sell what was never bought. Once the parent is done, each child stands alone: a
    client that raises a reduced stop to its old size gets what it asks for.
    """
    parent = parent_of(book, order)
    if parent is None:
        return order.remaining
    taken = order.filled + (filled_by_siblings(book, order) if parent.live else ZERO)
    return max(min(order.remaining, parent.filled - taken), ZERO)
