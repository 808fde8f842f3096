"""Messages as flat facts for a journal: what a request or a reply says, in a few plain values.

Fields that are empty or have their default value are left out, and so is what was only echoed.
Numbers of money and shares are plain text, times ISO. Two messages that differ in what matters to
a person differ here; nobody decodes a description back.
"""

from dataclasses import MISSING, fields
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Final

from fakebroker.protocol.formats import number
from fakebroker.protocol.replies import Execution, Margins, Reply
from fakebroker.protocol.requests import ExecutionFilter, Request
from fakebroker.values import Contract, OrderTerms

Fact = str | int | bool

PARTS: Final[frozenset[type]] = frozenset(
    {Contract, OrderTerms, Execution, ExecutionFilter, Margins}
)
# Of a contract these say which one it is; the rest repeats it.
CONTRACT_FACTS: Final = frozenset({"symbol", "sec_type", "con_id", "currency"})


def describe(message: Request | Reply) -> dict[str, Fact]:
    """Return the fields of a message that matter, by name; parts of it are flattened."""
    facts: dict[str, Fact] = {}
    add_facts(message, facts)
    return facts


def add_facts(told: object, facts: dict[str, Fact]) -> None:
    """Add the facts of a message or of a part of one, in the order of its fields."""
    kind: type = type(told)
    for name, default in fields_told(kind):
        value: object = getattr(told, name)
        if type(value) in PARTS:
            add_facts(value, facts)
        elif default is MISSING or value != default:
            fact = fact_of(value)
            if fact is not None:
                facts.setdefault(name, fact)


@cache  # A class has the fields that it was made with, and every message asks.
def fields_told(kind: type) -> tuple[tuple[str, object], ...]:
    """Return the fields of a class that may be told, each with its default."""
    return tuple(
        (field.name, field.default)
        for field in fields(kind)
        if field.name != "echoed" and (kind is not Contract or field.name in CONTRACT_FACTS)
    )


def fact_of(value: object) -> Fact | None:
    """Return one value as a journal writes it, None when it is empty."""
    # Most are text or a number, and what follows takes a while to notice it.
    if type(value) is str:
        return value or None
    if type(value) is Decimal:
        return number(value)
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
