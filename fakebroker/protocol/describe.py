"""Messages as flat facts for a journal: what a request or a reply says, in a few plain values.

Fields that are empty or have their default value are left out, and so is what was only echoed.
Numbers of money and shares are plain text, times ISO. Two messages that differ in what matters to
a person differ here; nobody decodes a description back.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Final

from fakebroker.protocol.formats import number
from fakebroker.protocol.replies import Execution, Margins, Reply
from fakebroker.protocol.requests import ExecutionFilter, Request
from fakebroker.values import Contract, OrderTerms

Fact = str | int | bool
Part = Contract | OrderTerms | Execution | ExecutionFilter | Margins

# Of a contract these say which one it is; the rest repeats it.
CONTRACT_FACTS: Final = frozenset({"symbol", "sec_type", "con_id", "currency"})


def describe(message: Request | Reply) -> dict[str, Fact]:
    """Return the fields of a message that matter, by name; parts of it are flattened."""
    facts: dict[str, Fact] = {}
    for name, value in facts_of(message):
        facts.setdefault(name, value)
    return facts


def facts_of(message: Request | Reply | Part) -> Iterator[tuple[str, Fact]]:
    """Yield the facts of a message or of a part of one, in the order of its fields."""
    for field in fields(message):
        value: object = getattr(message, field.name)
        if isinstance(message, Contract) and field.name not in CONTRACT_FACTS:
            continue
        if isinstance(value, Part):
            yield from facts_of(value)
            continue
        if value == field.default and field.default is not MISSING:
            continue
        fact = fact_of(value)
        if fact is not None and field.name != "echoed":
            yield field.name, fact


def fact_of(value: object) -> Fact | None:
    """Return one value as a journal writes it, None when it is empty."""
    match value:
        case None | "" | ():
            return None
        case bool() | int():
            return value
        case Enum():
            return str(value.value)
        case str():
            return value
        case Decimal():
            return number(value)
        case date():
            return value.isoformat()
        case tuple() if all(isinstance(item, str) for item in value):
            return ",".join(value)
        case tuple():
            return len(value)
        case _:
            return str(value)
