"""The strongest question: does the crashed run end as the run that never crashed?

Compared are the positions, the executions without their ids and times, and the working orders by
what they ask for. Ids differ between the runs by nature and are not compared.
"""

from collections import Counter
from decimal import Decimal

from harness.errors import HarnessError
from harness.history import Books, History
from harness.result import Finding

Line = tuple[str, ...]


def compare_ends(history: History, clean: History | None) -> list[Finding]:
    """The differences between the final books of two runs.

    Raises:
        HarnessError: one of the runs has no final books, so that nothing can be compared.
    """
    if clean is None or clean.final_books is None or history.final_books is None:
        raise HarnessError("the run without crashes has no final books to compare with")
    findings: list[Finding] = []
    for (what, here), (_, there) in zip(history.once(_ends), clean.once(_ends), strict=True):
        findings += [
            _finding(what, line, "only in the crashed run", history)
            for line in sorted((here - there).elements())
        ]
        findings += [
            _finding(what, line, "missing in the crashed run", history)
            for line in sorted((there - here).elements())
        ]
    return findings


def _ends(history: History) -> tuple[tuple[str, Counter[Line]], ...]:
    """What of the final books is compared, by what it is called."""
    assert history.final_books is not None, "the caller has looked"
    books = history.final_books.books
    return (
        ("position", Counter(_positions(books))),
        ("execution", Counter(_executions(books))),
        ("order", Counter(_orders(books))),
    )


def _finding(what: str, line: Line, where: str, history: History) -> Finding:
    seqs = () if history.final_books is None else (history.final_books.seq,)
    return Finding(
        invariant="SameEnd",
        sentence=f"{what.capitalize()} {' '.join(word for word in line if word)} is {where}.",
        seqs=seqs,
    )


def _plain(number: Decimal | None) -> str:
    return "" if number is None else format(number.normalize(), "f")


def _positions(books: Books) -> list[Line]:
    held = [position for position in books.positions if position.quantity != 0]
    return [(position.symbol, _plain(position.quantity)) for position in held]


def _executions(books: Books) -> list[Line]:
    return [
        (done.symbol, done.side, _plain(done.shares), "at", _plain(done.price), done.order_ref)
        for done in books.executions
    ]


def _orders(books: Books) -> list[Line]:
    return [
        (
            order.symbol,
            order.action,
            _plain(order.remaining),
            order.order_type,
            _plain(order.limit_price),
            _plain(order.aux_price),
            order.order_ref,
        )
        for order in books.orders
        if order.working
    ]
