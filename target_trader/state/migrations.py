"""Older states made new: one step for each version, applied to the plain tree before validation.

A step changes the tree and nothing on a disk; the store keeps the old copy and writes the new form
with its next save. A version that is newer, or that never was, is refused and not guessed at.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from target_trader.errors import DamagedStateError, StateVersionError
from target_trader.state.checkpoint import VERSION

Tree = dict[str, Any]


def version_of(tree: Tree, *, name: str) -> int:
    """Return the version of a stored checkpoint.

    Raises:
        DamagedStateError: it has none.
        StateVersionError: this bot cannot read it; the text says which it can.
    """
    if "version" not in tree:
        raise DamagedStateError(f"{name} is not a complete state file: it has no version")
    version = tree["version"]
    if type(version) is int and (version == VERSION or version in STEPS):
        return version
    if type(version) is int and version > VERSION:
        advice = "it was written by a newer bot: start that one"
    else:
        advice = "no such version was ever written: the file is not this bot's"
    raise StateVersionError(
        f"{name} has version {version}; this bot reads version {VERSION} and upgrades version "
        f"{', '.join(map(str, sorted(STEPS)))}. Nothing was changed; {advice}, or give this bot "
        "another --state-dir"
    )


def upgrade(tree: Tree, *, name: str) -> Tree:
    """Return the tree in the present version; the one that was given stays as it is.

    Raises:
        StateVersionError: this bot cannot read its version.
        KeyError: the old tree lacks a field that its version has.
    """
    version = version_of(tree, name=name)
    if version == VERSION:
        return tree
    fresh = copy.deepcopy(tree)
    while version != VERSION:
        fresh = STEPS[version](fresh)
        version += 1
        fresh["version"] = version
    return fresh


def from_1_to_2(tree: Tree) -> Tree:
    """One `halted` text becomes a list of halts; a breakout learns the number of its bar.

    Version 1 did not write when it halted: the halt is dated by the save. Everything else that is
    new has a default. A bar's number is counted back from the bars that have held since.
    """
    reason = tree.pop("halted")
    halt = {"kind": "ENTRIES", "reason": reason, "since": tree["saved_at"]}
    tree["halts"] = [halt] if reason is not None else []
    for memory in tree["breakouts"].values():
        breakout = memory["breakout"]
        if breakout is not None:
            breakout["bar"] = max(0, memory["bars_seen"] - breakout["bars_held"])
    return tree


STEPS: Mapping[int, Callable[[Tree], Tree]] = {1: from_1_to_2}
