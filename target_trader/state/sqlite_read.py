"""Reads the state out of SQLite files without lock and without changing a byte of them.

The database is believed when it is whole, its rows fit their checksum, and it is not older than
its backup: one that is older was put there by somebody, or has lost its WAL. What must not be
forgotten, halts above all, is then in the backup.

It asks SQLite itself: SQLAlchemy's part in a few SELECTs took longer than all the rest of them.
"""

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from target_trader.errors import DamagedStateError, StateVersionError
from target_trader.state.checkpoint import Checkpoint, checksum
from target_trader.state.codec import checkpoint_of
from target_trader.state.migrations import version_of
from target_trader.state.store import Loaded, Source, older_words
from target_trader.state.tables import BOT_STATE, TABLES, Row, compact, to_tree

DATABASE = "trader.db"
BACKUP = "trader.db.bak"
SAVE_NUMBER = "save_number"
"""The row of `bot_state` that counts the saves; it is no part of the checkpoint."""


def read_sqlite_state(folder: Path) -> Loaded:
    """Read the database, or its backup, without lock and without changing anything.

    Raises:
        StateVersionError: it is of a version that this bot cannot read.
    """
    return read_folder(folder)[0]


@dataclass(frozen=True, slots=True)
class Stored:
    """What one database holds.

    `version` is the one that was stored, before any upgrade. `number` counts the saves, 0 where
    they were not counted yet.
    """

    checkpoint: Checkpoint
    version: int
    number: int


def read_folder(folder: Path) -> tuple[Loaded, int | None]:
    """Read a folder; also return the version of the copy that was believed."""
    # The backup first: of a bot that saves meanwhile it must not look newer than the database.
    second, first = read_copy(folder / BACKUP), read_copy(folder / DATABASE)
    problems: list[str] = []
    match first, second:
        case StateVersionError(), _:
            raise first
        case Stored(), Stored() if second.number > first.number:
            problems.append(older_words(DATABASE, first.number, backup=second.number))
        case Stored(), _:
            return Loaded(first.checkpoint, Source.MAIN), first.version
        case DamagedStateError(), _:
            problems.append(str(first))
        case None, _:
            pass
    match second:
        case StateVersionError():
            raise second
        case Stored():
            problems = problems or [f"{DATABASE} is missing or empty"]
            return Loaded(second.checkpoint, Source.BACKUP, tuple(problems)), second.version
        case DamagedStateError():
            problems.append(str(second))
        case None:
            pass
    aside = sorted(path.name for path in folder.glob(f"{DATABASE}.damaged*"))
    if aside and not problems:
        # A bot that died between putting it aside and its first save must not start clean.
        problems.append(f"{DATABASE} was damaged, is kept as {aside[-1]}, and has no successor")
    return Loaded(None, Source.NONE, tuple(problems)), None


def read_copy(path: Path) -> Stored | DamagedStateError | StateVersionError | None:
    """Read one file, or say why it cannot be believed; None when there is nothing in it."""
    if not path.exists():
        return None
    try:
        return read_database(path)
    except StateVersionError as error:
        return error
    except (DamagedStateError, sqlite3.DatabaseError) as error:
        return DamagedStateError(f"{path.name} cannot be believed: {error}")


def read_database(path: Path) -> Stored | None:
    """Read one file; None when no save has ever been committed to it.

    Raises:
        DamagedStateError: the file is damaged, a row is missing or a field is wrong.
        sqlite3.DatabaseError: SQLite cannot read it.
        StateVersionError: it is of a version that this bot cannot read.
    """
    # Without a WAL file there is nothing to take in, and `immutable` keeps SQLite from making one.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        # One transaction: the tables must be those of one moment.
        connection.execute("BEGIN")
        return read_checkpoint(connection, name=path.name)


def read_checkpoint(connection: sqlite3.Connection, *, name: str) -> Stored | None:
    """Read the checkpoint in a transaction that has begun; None when there is none.

    Raises:
        DamagedStateError: the file is damaged, a row is missing or a field is wrong.
        StateVersionError: it is of a version that this bot cannot read.
    """
    # A row for each fault that it finds.
    verdict = first_column(connection, "PRAGMA quick_check")
    if verdict != ["ok"]:
        raise DamagedStateError(f"quick_check says {'; '.join(map(str, verdict))}")
    names = set(first_column(connection, "SELECT name FROM sqlite_master"))
    if BOT_STATE.name not in names:
        return None
    rows: dict[str, list[Row]] = {
        table.name: stored_rows(connection, table.name) if table.name in names else []
        for table in TABLES
    }
    try:
        version = version_of(version_row(rows[BOT_STATE.name]), name=name)
        tree, claimed = to_tree(rows)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedStateError(f"a row is missing or wrong: {error!r}") from error
    if checksum(compact(tree)) != claimed:
        raise DamagedStateError("the rows do not match their checksum")
    return Stored(checkpoint_of(tree, name=name), version, number_of(rows[BOT_STATE.name]))


def version_row(rows: list[Row]) -> dict[str, Any]:
    """Return the one field of a checkpoint that decides how the others are read."""
    return {row["key"]: json.loads(row["value"]) for row in rows if row["key"] == "version"}


def first_column(connection: sqlite3.Connection, question: str) -> list[Any]:
    """Return the first value of every row."""
    return [row[0] for row in connection.execute(question)]


def stored_rows(connection: sqlite3.Connection, name: str) -> list[Row]:
    """Read one table, whatever columns it has."""
    found = connection.execute(f"SELECT * FROM {name}")
    columns = [column[0] for column in found.description]
    return [dict(zip(columns, row, strict=True)) for row in found]


def number_of(rows: list[Row]) -> int:
    """Return the number of the save that rows of `bot_state` are of, 0 when it was not counted."""
    found = [row["value"] for row in rows if row["key"] == SAVE_NUMBER]
    return int(found[0]) if found and found[0].isdecimal() else 0
