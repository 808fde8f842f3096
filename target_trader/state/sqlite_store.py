"""The state in SQLite through SQLAlchemy: one transaction per save, only changed rows written.

Position, executions, counters and intents change in the same transaction, so that no crash can
separate a fill from the position that it makes. The journal is a WAL with synchronous FULL: a
commit is one append and one fdatasync, where a rollback journal takes two files and, for the
folder's sake, EXTRA; with NORMAL the last commits, the intents of orders that have been sent, may
roll back in a power cut (crash-model.md section 4.10).

`trader.db.bak` is a whole copy for the day on which the database cannot be believed. It is made
within the save itself whenever an attempt, a halt or the circuit breaker has changed, and else
once a minute: falling back on it gives no attempt back, and what else it lacks the broker tells.
"""

import logging
import os
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, bindparam, create_engine, delete, event, insert
from sqlalchemy.exc import SQLAlchemyError

from target_trader.failpoints import failpoint
from target_trader.log import tell
from target_trader.state.checkpoint import VERSION, Checkpoint
from target_trader.state.lock import FolderLock, prepare_folder, sync_folder
from target_trader.state.sqlite_read import (
    BACKUP,
    DATABASE,
    SAVE_NUMBER,
    Stored,
    number_of,
    read_copy,
    read_folder,
)
from target_trader.state.store import Loaded, Source, free_name
from target_trader.state.tables import (
    BOT_STATE,
    KEYS,
    METADATA,
    TABLES,
    Rows,
    compact,
    key_of,
    to_rows,
)

BACKUP_EVERY = timedelta(minutes=1)


class SqliteStore:
    """Keeps the checkpoint in `trader.db`; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self.folder = folder
        self.lock = FolderLock(folder)
        self.guard = Lock()
        self.path = folder / DATABASE
        self.engine = writing_engine(self.path)
        self.known: dict[str, Rows] | None = None
        self.backed_up: tuple[datetime, str] | None = None
        (folder / f"{BACKUP}.tmp").unlink(missing_ok=True)

    def load(self) -> Loaded:
        """Read the database, or its backup when it cannot be believed; that one is put aside.

        A database of an older version is copied before it is upgraded.

        Raises:
            StateVersionError: it is of a version that this bot cannot read.
        """
        with self.guard:
            loaded, version = read_folder(self.folder)
            if loaded.source is not Source.MAIN and loaded.problems and self.path.exists():
                self.set_aside()
            if version not in {None, VERSION}:
                believed = DATABASE if loaded.source is Source.MAIN else BACKUP
                kept = free_name(self.folder / f"{DATABASE}.v{version}")
                copy_database(self.folder / believed, kept)
                words = f"{believed} has version {version} and becomes version {VERSION}"
                words += f"; the old one is kept as {kept.name}"
                tell("state_upgraded", words, level=logging.WARNING, kept=kept.name)
            return loaded

    def set_aside(self) -> None:
        """Keep the damaged database for a person to look at, and make room for a new one."""
        self.engine.dispose()
        kept = free_name(self.folder / f"{DATABASE}.damaged")
        # The database last: without it the files beside it mean nothing, the reverse is a trap.
        for suffix in ("-wal", "-shm", ""):
            source = self.folder / f"{DATABASE}{suffix}"
            if source.exists():
                source.replace(self.folder / f"{kept.name}{suffix}")
        sync_folder(self.folder)
        words = f"The damaged database is kept as {kept.name}"
        tell("damaged_kept", words, level=logging.ERROR, kept=kept.name)
        self.engine = writing_engine(self.path)
        self.known = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write what changed since the last save, in one transaction.

        Raises:
            OSError: the disk refused; what was saved before is still there.
        """
        with self.guard:
            wanted = to_rows(checkpoint)
            try:
                with self.engine.connect() as connection, connection.begin():
                    known = self.known if self.known is not None else prepared(connection)
                    number_save(wanted[BOT_STATE.name], self.next_number(known))
                    keep_times(known[BOT_STATE.name], wanted[BOT_STATE.name])
                    for table in TABLES:
                        change = (known[table.name], wanted[table.name])
                        write_changes(connection, table.name, change)
                    failpoint("sqlite.before_commit")
            except SQLAlchemyError as error:
                self.known = None
                # SQLAlchemy's own words are many lines, with the whole statement.
                cause = getattr(error, "orig", None) or error
                raise OSError(f"{DATABASE} could not be written: {cause}") from error
            if self.known is None:
                # The first commit made the file; its name is durable only with the folder.
                sync_folder(self.folder)
            self.known = wanted
            failpoint("sqlite.committed")
            self.back_up(checkpoint)

    def next_number(self, known: dict[str, Rows]) -> int:
        """Return the number of the save that follows; always higher than the backup's."""
        last = number_of(list(known[BOT_STATE.name].values()))
        if self.known is None:
            backup = read_copy(self.folder / BACKUP)
            last = max(last, backup.number if isinstance(backup, Stored) else 0)
        return last + 1

    def back_up(self, checkpoint: Checkpoint) -> None:
        """Copy the database when what must not be forgotten has changed, or a minute is over.

        Raises:
            OSError: the disk refused; the copy before is still there.
        """
        kept = checkpoint.model_dump(mode="json", include={"attempts", "halts", "circuit_breaker"})
        facts = compact(kept)
        if self.backed_up is not None:
            at, before = self.backed_up
            if facts == before and abs(checkpoint.saved_at - at) < BACKUP_EVERY:
                return
        try:
            copy_database(self.path, self.folder / BACKUP)
        except sqlite3.Error as error:
            raise OSError(f"{BACKUP} could not be written: {error}") from error
        self.backed_up = (checkpoint.saved_at, facts)

    def close(self) -> None:
        """Close the database and release the folder."""
        self.engine.dispose()
        self.lock.release()


def writing_engine(path: Path) -> Engine:
    """Make the engine of the one writer."""
    engine = create_engine(f"sqlite+pysqlite:///{path}")

    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # SQLAlchemy begins the transaction itself (below); pysqlite would begin it late.
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin)
    return engine


def copy_database(source: Path, target: Path) -> None:
    """Put a whole and durable copy of a database, with what is in its WAL, in the target's place.

    Raises:
        sqlite3.Error: SQLite cannot copy it.
        OSError: the disk refused.
    """
    temp = target.with_name(f"{target.name}.tmp")
    try:
        temp.unlink(missing_ok=True)
        reading, writing = sqlite3.connect(source), sqlite3.connect(temp)
        try:
            reading.backup(writing)
            # One file that can be read without anything beside it.
            writing.execute("PRAGMA journal_mode=DELETE")
        finally:
            writing.close()
            reading.close()
        descriptor = os.open(temp, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temp.replace(target)
    except (OSError, sqlite3.Error):
        temp.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def prepared(connection: Connection) -> dict[str, Rows]:
    """Make the tables and return their rows; tables of an older form are made anew, empty."""
    form = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if form != VERSION:
        METADATA.drop_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    METADATA.create_all(connection)
    rows: dict[str, Rows] = {}
    for table in TABLES:
        stored = connection.exec_driver_sql(f"SELECT * FROM {table.name}").mappings()
        rows[table.name] = {key_of(table, row): row for row in map(dict, stored)}
    return rows


def number_save(rows: Rows, number: int) -> None:
    """Add the number of a save to the rows of `bot_state`; it is no part of the checkpoint."""
    stamp = next(iter(rows.values()))["updated_at"]
    rows[SAVE_NUMBER,] = {"key": SAVE_NUMBER, "value": str(number), "updated_at": stamp}


def keep_times(before: Rows, after: Rows) -> None:
    """Leave the time at a value of `bot_state` that has not changed."""
    for key, row in after.items():
        old = before.get(key)
        if old is not None and old["value"] == row["value"]:
            after[key] = old


def write_changes(connection: Connection, name: str, change: tuple[Rows, Rows]) -> None:
    """Turn the rows `change[0]` of a table into the rows `change[1]`."""
    table = METADATA.tables[name]
    before, after = change
    stale = [key for key, row in before.items() if after.get(key) != row]
    if stale:
        # One statement for all of them: SQLAlchemy takes far longer to begin one than SQLite.
        found = [table.c[column] == bindparam(f"old_{column}") for column in KEYS[name]]
        names = [f"old_{column}" for column in KEYS[name]]
        olds = [dict(zip(names, key, strict=True)) for key in stale]
        connection.execute(delete(table).where(*found), olds)
    fresh = [dict(row) for key, row in after.items() if before.get(key) != row]
    if fresh:
        connection.execute(insert(table), fresh)
