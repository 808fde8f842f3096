"""Picks the store by its name: to write (one bot, locked) or only to read."""

from pathlib import Path
from typing import assert_never

from target_trader.settings import StoreKind
from target_trader.state.json_store import JsonStore, read_json_state
from target_trader.state.sqlite_store import SqliteStore, read_sqlite_state
from target_trader.state.store import Loaded, StateStore


def open_store(kind: StoreKind, folder: Path) -> StateStore:
    """Open a state folder for writing, creating it when it is missing.

    Raises:
        StateLockedError: another bot has it.
        TraderError: the folder cannot be used.
    """
    match kind:
        case StoreKind.JSON:
            return JsonStore(folder)
        case StoreKind.SQLITE:
            return SqliteStore(folder)
        case _:
            assert_never(kind)


def read_state(kind: StoreKind, folder: Path) -> Loaded:
    """Read what a folder holds without lock and without changing a byte of it."""
    match kind:
        case StoreKind.JSON:
            return read_json_state(folder)
        case StoreKind.SQLITE:
            return read_sqlite_state(folder)
        case _:
            assert_never(kind)
