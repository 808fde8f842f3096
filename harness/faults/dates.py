"""JSON and names of another day or another version, sealed anew where there is a checksum. Pure.

A bot that checks a sum would find any change of ours damaged, and we would only have tested that.
So a sum beside the data is found by trying the usual ways to write JSON, and made anew.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

DAY = re.compile(r"(?<!\d)(20\d\d)(-?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
VERSIONS = ("version", "schema_version", "schema")
FAR_VERSION = 99
ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
Tree = dict[str, Any]


def shift_days(text: str, days: int) -> str:
    """Move every date in a text, 2025-10-06 and 20251006, by so many days."""

    def shifted(found: re.Match[str]) -> str:
        try:
            day = date(int(found[1]), int(found[3]), int(found[4])) + timedelta(days=days)
        except ValueError:
            return found[0]
        return day.strftime(f"%Y{found[2]}%m{found[2]}%d")

    return DAY.sub(shifted, text)


def of_another_day(data: bytes, days: int) -> bytes | None:
    """The same JSON, or text, with all its dates moved; None when it is neither."""
    return _changed(data, lambda tree: json.loads(shift_days(json.dumps(tree), days)))


def of_another_version(data: bytes) -> bytes | None:
    """The same JSON with version 99; None when it has no version."""
    return _changed(data, lambda tree: tree if _set_version(tree) else None)


def of_another_form(data: bytes) -> bytes | None:
    """The same JSON with every name in it foreign; None when it is no JSON object."""
    return _changed(data, lambda tree: {"format": "unknown", "content": {"of": _renamed(tree)}})


def _changed(data: bytes, change: Callable[[Tree], Tree | None]) -> bytes | None:
    try:
        text = data.decode()
        tree = json.loads(text)
    except ValueError:
        return None
    if not isinstance(tree, dict):
        return None
    seals = find_seals(tree)
    fresh = change(json.loads(text))
    if fresh is None:
        return None
    for seal in seals:
        seal.put(fresh)
    return (json.dumps(fresh) + "\n").encode()


def _set_version(tree: Tree) -> bool:
    """Raise the version nearest to the root; whether there was one."""
    level: list[Tree] = [tree]
    while level:
        for node in level:
            for name in VERSIONS:
                if type(node.get(name)) is int:
                    node[name] = FAR_VERSION
                    return True
        level = [child for node in level for child in node.values() if isinstance(child, dict)]
    return False


def _renamed(tree: Tree) -> Tree:
    return {f"new_{name}": value for name, value in tree.items()}


@dataclass(frozen=True, slots=True)
class Seal:
    """A checksum beside what it is over: the name of both, how it is made.

    `over` is None where the sum is over all the other names of the object.
    """

    name: str
    over: str | None
    algorithm: str
    sort_keys: bool
    separators: tuple[str, str]
    ensure_ascii: bool

    def sum(self, tree: Tree) -> str:
        """The sum of what stands in a tree."""
        if self.over is None:
            body: object = {name: value for name, value in tree.items() if name != self.name}
        else:
            body = tree[self.over]
        text = json.dumps(
            body,
            sort_keys=self.sort_keys,
            separators=self.separators,
            ensure_ascii=self.ensure_ascii,
        )
        return hashlib.new(self.algorithm, text.encode()).hexdigest()

    def put(self, tree: Tree) -> None:
        """Write the right sum into a tree that still has both names."""
        if self.name in tree and (self.over is None or self.over in tree):
            tree[self.name] = self.sum(tree)


def find_seals(tree: Tree) -> list[Seal]:
    """Find the checksums in an object that are right, and how they are made."""
    found = []
    for name, value in tree.items():
        if not isinstance(value, str) or len(value) not in ALGORITHMS:
            continue
        others: list[str | None] = [None, *(other for other in tree if other != name)]
        separators = ((",", ":"), (", ", ": "))
        ways = itertools.product(others, (True, False), separators, (True, False))
        for over, sort_keys, separator, ensure_ascii in ways:
            seal = Seal(name, over, ALGORITHMS[len(value)], sort_keys, separator, ensure_ascii)
            if seal.sum(tree) == value:
                found.append(seal)
                break
    return found
