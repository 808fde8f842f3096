"""The books as rows and back: which part of them goes into which table, and as what text.

Every field of `Book` is covered by its type: what is a mapping has a row for each item, the rest a
row each. So a field that is added to the books is kept without a change here, and one that cannot
be written fails on import. Pure: rows are values, no database is seen.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import AwareDatetime, TypeAdapter
from sqlalchemy import Table

from fakebroker.durable import Durable
from fakebroker.exchange.account import Holding
from fakebroker.exchange.book import Book, BookedExecution
from fakebroker.exchange.hours import EXCHANGE_ZONE
from fakebroker.exchange.orders import Order, Stage
from fakebroker.settings import BrokerSettings
from fakebroker.store import tables

Rows = Mapping[str, Mapping[str, str]]
"""The text of each entry by part and key, in the order of the rows."""

NOT_KEPT: Final = ("account", "extra_accounts", "default_price", "open_perm_ids", "received")
"""Accounts have parts of their own; the price without a tape is a setting; which orders are open
follows from the orders; what a restart of the gateway would lose is no longer lost once a new
process has the books."""
TYPES: Final = {name: hint for name, hint in get_type_hints(Book).items() if name not in NOT_KEPT}
SCALARS: Final[Mapping[str, TypeAdapter[Any]]] = {
    name: TypeAdapter(hint) for name, hint in TYPES.items() if get_origin(hint) is not dict
}
OWN_FACTS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "now": TypeAdapter(AwareDatetime),
    "market_cursor": TypeAdapter(int),
}
FACTS: Final[Mapping[str, TypeAdapter[Any]]] = {**SCALARS, **OWN_FACTS}


@dataclass(frozen=True, slots=True)
class Money:
    """What an account has beside its holdings, in US dollars."""

    cash: Decimal
    realized_pnl: Decimal


@dataclass(frozen=True)
class Part:
    """One mapping of the books: where its rows are and how they are written."""

    name: str
    table: Table
    key: TypeAdapter[Any]
    value: TypeAdapter[Any]
    of: Callable[[Durable], Mapping[Any, Any]]

    def read(self, rows: Rows) -> dict[Any, Any]:
        """Return the mapping of its rows.

        Raises:
            ValidationError: A row is not what `encode` writes.
        """
        return {
            self.key.validate_json(key): self.value.validate_json(entry)
            for key, entry in rows[self.name].items()
        }


def encode(adapter: TypeAdapter[Any], value: object) -> str:
    """Return the JSON of a value."""
    return adapter.dump_json(value).decode()


@cache
def _getter(kind: type[Any]) -> Callable[[object], Any]:
    return attrgetter(*(field.name for field in fields(kind)))


def token(value: object) -> Hashable:
    """Return what is equal as long as the row of a value need not be written again."""
    if is_dataclass(value) and not isinstance(value, type):
        found: Hashable = _getter(type(value))(value)
        return found
    if isinstance(value, str | int | Decimal | Enum | None):
        return value
    raise TypeError(f"a row cannot hold {value!r}: make it a dataclass of plain values")


def kept_orders(book: Book) -> dict[int, Order]:
    """Return the orders that IB has: legs that wait for transmit=1 are in TWS only (3.3)."""
    return {key: order for key, order in book.orders.items() if order.stage is not Stage.HELD}


def _mapping(name: str) -> Callable[[Durable], Mapping[Any, Any]]:
    def of(state: Durable) -> Mapping[Any, Any]:
        found: Mapping[Any, Any] = getattr(state.book, name)
        return found

    return of


def _kept_perm_ids(state: Durable) -> Mapping[Any, Any]:
    book = state.book
    held = {key for key, order in book.orders.items() if order.stage is Stage.HELD}
    if not held:
        return book.perm_ids
    return {ids: perm_id for ids, perm_id in book.perm_ids.items() if perm_id not in held}


def _facts(state: Durable) -> Mapping[str, str]:
    own = (state.now, state.market_cursor)
    values = {name: getattr(state.book, name) for name in SCALARS}
    values |= dict(zip(OWN_FACTS, own, strict=True))
    return {name: encode(FACTS[name], value) for name, value in values.items()}


def _money(state: Durable) -> Mapping[str, Money]:
    return {row.account: Money(row.cash, row.realized_pnl) for row in state.book.accounts()}


def _holdings(state: Durable) -> Mapping[tuple[str, str], Holding]:
    return {
        (account.account, key): holding
        for account in state.book.accounts()
        for key, holding in account.holdings.items()
    }


def _parts() -> Iterator[Part]:
    text, number = TypeAdapter(str), TypeAdapter(int)
    yield Part("facts", tables.facts, text, text, _facts)
    yield Part(
        "orders", tables.orders, number, TypeAdapter(Order), lambda state: kept_orders(state.book)
    )
    yield Part(
        "executions", tables.executions, text, TypeAdapter(BookedExecution), _mapping("executions")
    )
    yield Part("accounts", tables.accounts, text, TypeAdapter(Money), _money)
    owned = TypeAdapter(tuple[str, str])
    yield Part("holdings", tables.holdings, owned, TypeAdapter(Holding), _holdings)
    for name, hint in TYPES.items():
        if get_origin(hint) is dict and name not in ("orders", "executions"):
            key, value = get_args(hint)
            of = _kept_perm_ids if name == "perm_ids" else _mapping(name)
            yield Part(name, tables.mappings, TypeAdapter(key), TypeAdapter(value), of)


PARTS: Final = tuple(_parts())


def read_durable(rows: Rows, settings: BrokerSettings) -> Durable:
    """Return the state that rows tell.

    Raises:
        ValidationError: A row is not what we write.
        KeyError: A row is missing.
    """
    found = {part.name: part.read(rows) for part in PARTS}
    facts = {name: FACTS[name].validate_json(text) for name, text in found["facts"].items()}
    book = Book.empty(settings)
    for name in TYPES:
        setattr(book, name, facts[name] if name in SCALARS else found[name])
    book.open_perm_ids = [perm_id for perm_id, order in book.orders.items() if order.live]
    # A corrected execution has a younger row than those after it, and the older one's id.
    book.executions = dict(sorted(book.executions.items()))
    for account in book.accounts():
        money: Money = found["accounts"][account.account]
        held = {
            key: row for (code, key), row in found["holdings"].items() if code == account.account
        }
        account.restore(held, cash=money.cash, realized_pnl=money.realized_pnl)
    now: datetime = facts["now"]
    return Durable(now.astimezone(EXCHANGE_ZONE), facts["market_cursor"], book)
