"""Picks the store by its name: to write (one bot, locked) or only to read."""

import os
from pathlib import Path
from typing import assert_never

from target_trader.errors import TraderError
from target_trader.settings import StoreKind
from target_trader.state.json_store import JsonStore, read_json_state
from target_trader.state.sqlite_read import read_sqlite_state
from target_trader.state.sqlite_store import SqliteStore
from target_trader.state.store import Loaded, StateStore


def open_store(kind: StoreKind, folder: Path, *, redis_url: str | None = None) -> StateStore:
    """Open a state folder for writing, creating it when it is missing.

    Args:
        kind: which store.
        folder: the state folder; the Redis store keeps its lock and its witness there.
        redis_url: where Redis is; None takes the environment variable REDIS_URL.

    Raises:
        StateLockedError: another bot has it.
        TraderError: the folder cannot be used, or Redis is not named or not reached.
    """
    match kind:
        case StoreKind.JSON:
            return JsonStore(folder)
        case StoreKind.SQLITE:
            return SqliteStore(folder)
        case StoreKind.REDIS:
            # The client takes a tenth of a second to import, which the other stores need not pay.
            from target_trader.state.redis_store import RedisStore

            return RedisStore(folder, chosen_url(redis_url))
        case _:
            assert_never(kind)


def read_state(kind: StoreKind, folder: Path, *, redis_url: str | None = None) -> Loaded:
    """Read what a folder holds without lock and without changing a byte of it.

    Raises:
        StateVersionError: the state is of a version that this bot cannot read.
        TraderError: Redis is not named or not reached.
    """
    match kind:
        case StoreKind.JSON:
            return read_json_state(folder)
        case StoreKind.SQLITE:
            return read_sqlite_state(folder)
        case StoreKind.REDIS:
            from target_trader.state.redis_store import read_redis_state

            return read_redis_state(folder, chosen_url(redis_url))
        case _:
            assert_never(kind)


def chosen_url(given: str | None) -> str:
    """Return the URL that was given, or the one of the environment.

    Raises:
        TraderError: there is neither.
    """
    url = given or os.environ.get("REDIS_URL")
    if not url:
        raise TraderError(
            "the store redis needs to know where Redis is: give --redis-url, or set REDIS_URL, "
            "for example redis://127.0.0.1:6379/0/my-account"
        )
    return url
