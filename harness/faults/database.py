"""A bot's SQLite database made one of another day, version or form; and held locked for a while.

Changed through SQLite itself, so that it is a sound database with other contents. The reference
bot's database has a checksum over its rows, which is made anew; another bot's would be found wrong,
and the fault is damage then.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.faults.dates import FAR_VERSION, VERSIONS, shift_days

PATIENCE_SECONDS = 10.0
Rows = list[sqlite3.Row]
FOR_PEOPLE = frozenset(
    {
        *("checksum", "bar_symbols", "save_number"),
        *("circuit_breaker_count", "daily_pnl", "daily_trade_count"),
    }
)
"""The rows of the reference bot's `bot_state` that are no field of its checkpoint."""


@contextlib.contextmanager
def held_database(path: Path, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold SQLite's write lock on a database; others that write get "database is locked".

    A bot waits for it as long as its busy timeout says (sqlite3's default is 5 s of the machine).

    Args:
        path: the database.
        patience: how long to wait for somebody who writes just now, in seconds.

    Raises:
        HarnessError: the database is not there, is none, or somebody writes to it just now.
    """
    try:
        with contextlib.closing(connect(path, patience=patience)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise HarnessError(f"cannot hold the bot's database {path.name}: {error}") from error


def database_of_another_day(path: Path, days: int) -> None:
    """Move every date in every text of a database.

    Raises:
        HarnessError: it is no database.
    """

    def change(connection: sqlite3.Connection) -> None:
        connection.create_function("moved", 1, lambda text: shift_days(text, days))
        for table, columns in tables_of(connection).items():
            for column in columns:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = moved("{column}") '
                    f"WHERE typeof(\"{column}\") = 'text'"
                )

    changed(path, change)


def database_of_another_version(path: Path) -> None:
    """Give a database the version 99, in `user_version` and in every row (key, value) that has one.

    Raises:
        HarnessError: it is no database.
    """

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA user_version={FAR_VERSION}")
        for table, columns in tables_of(connection).items():
            if {"key", "value"} <= set(columns):
                for name in VERSIONS:
                    connection.execute(
                        f'UPDATE "{table}" SET value = ? WHERE key = ?',
                        (str(FAR_VERSION), name),
                    )

    changed(path, change)


def database_of_another_form(path: Path) -> None:
    """Give every table of a database a name that nobody knows.

    Raises:
        HarnessError: it is no database.
    """

    def change(connection: sqlite3.Connection) -> None:
        for table in tables_of(connection):
            connection.execute(f'ALTER TABLE "{table}" RENAME TO "new_{table}"')

    changed(path, change)


def changed(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """Change a database in one transaction, seal it again, and leave nothing in its WAL.

    Raises:
        HarnessError: it is no database.
    """
    try:
        with contextlib.closing(connect(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            sealed = reference_sum(connection) is not None
            change(connection)
            if sealed and (fresh := reference_sum(connection, check=False)) is not None:
                connection.execute("UPDATE bot_state SET value = ? WHERE key = 'checksum'", [fresh])
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise HarnessError(f"cannot change the bot's database {path.name}: {error}") from error


def connect(path: Path, *, patience: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """Open a database that is there, with transactions as we say them."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    made = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience)
    made.row_factory = sqlite3.Row
    return made


def tables_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The tables of a database, each with its columns."""
    named = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {
        str(name): [str(row["name"]) for row in connection.execute(f'PRAGMA table_info("{name}")')]
        for name in sorted(row["name"] for row in named)
    }


def reference_sum(connection: sqlite3.Connection, *, check: bool = True) -> str | None:
    """The checksum of the reference bot's rows, as its `tables.py` makes it.

    Args:
        connection: the database.
        check: answer only where the stored sum is the right one.

    Returns:
        the sum; None where the database is not the reference bot's.
    """
    if "bot_state" not in tables_of(connection):
        return None
    values = {row["key"]: row["value"] for row in rows_of(connection, "bot_state")}
    try:
        text = json.dumps(reference_tree(connection, values), sort_keys=True, separators=(",", ":"))
    except (sqlite3.Error, KeyError, IndexError, ValueError):
        return None
    found = hashlib.sha256(text.encode()).hexdigest()
    return found if not check or found == values.get("checksum") else None


def reference_tree(connection: sqlite3.Connection, values: dict[str, str]) -> dict[str, Any]:
    """The reference bot's checkpoint as one tree.

    Raises:
        sqlite3.Error, KeyError, IndexError, ValueError: it is not the reference bot's.
    """

    def listed(table: str, order: str) -> list[Any]:
        ordered = sorted(rows_of(connection, table), key=lambda row: row[order])
        return [json.loads(row["data"]) for row in ordered]

    def keyed(table: str, name: str) -> dict[str, Any]:
        return {row[name]: json.loads(row["data"]) for row in rows_of(connection, table)}

    tree: dict[str, Any] = {
        key: json.loads(value)
        for key, value in values.items()
        if key not in FOR_PEOPLE and not key.startswith("last_signal:")
    }
    tree["intents"] = listed("order_intents", "number")
    tree["positions"] = keyed("live_positions", "trade_id")
    tree["executions"] = keyed("trades", "exec_stem")
    tree["equity_curve"] = listed("equity_curve", "number")
    tree["order_audit"] = listed("order_audit_log", "place")
    bars = sorted(rows_of(connection, "bars"), key=lambda row: row["number"])
    tree["bars"] = {
        symbol: [json.loads(row["data"]) for row in bars if row["symbol"] == symbol]
        for symbol in json.loads(values["bar_symbols"])
    }
    tree["breakouts"], tree["sma"] = {}, {}
    for row in rows_of(connection, "strategy_state"):
        field, _, key = row["strategy_name"].partition(":")
        tree[field][key] = json.loads(row["state"])
    return tree


def rows_of(connection: sqlite3.Connection, table: str) -> Rows:
    """Every row of a table."""
    return connection.execute(f'SELECT * FROM "{table}"').fetchall()
