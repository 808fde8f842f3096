"""The state in SQLite through SQLAlchemy: one transaction per save, only changed rows written.

Position, executions, counters and intents change in the same transaction, so that no crash can
separate a fill from the position that it makes.
"""

import sqlite3
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from target_trader.errors import DamagedStateError
from target_trader.failpoints import failpoint
from target_trader.log import LOG
from target_trader.state.checkpoint import VERSION, Checkpoint, checksum
from target_trader.state.lock import FolderLock, prepare_folder, sync_folder
from target_trader.state.store import Loaded, Source
from target_trader.state.tables import BOT_STATE, METADATA, TABLES, Rows, key_of, to_json, to_rows

DATABASE = "trader.db"


class SqliteStore:
    """Keeps the checkpoint in `trader.db`."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self.folder = folder
        self.lock = FolderLock(folder)
        self.path = folder / DATABASE
        self.engine = writing_engine(self.path)
        self.known: dict[str, Rows] | None = None

    def load(self) -> Loaded:
        """Read the database; one that cannot be believed is put aside and named."""
        if not self.path.exists():
            return Loaded(None, Source.NONE)
        try:
            with self.engine.connect() as connection:
                checkpoint = read_checkpoint(connection)
        except (DamagedStateError, SQLAlchemyError) as error:
            problem = f"{DATABASE} cannot be believed: {error}"
            self.set_aside()
            return Loaded(None, Source.NONE, (problem,))
        if checkpoint is None:
            return Loaded(None, Source.NONE)
        return Loaded(checkpoint, Source.MAIN)

    def set_aside(self) -> None:
        """Keep the damaged database for a person to look at, and make room for a new one.

        There is no backup copy to fall back on: a database is written in place, so a copy would
        be as old as the last start, and believing it would give used attempts back.
        """
        self.engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            source = self.folder / f"{DATABASE}{suffix}"
            if source.exists():
                source.replace(self.folder / f"{DATABASE}{suffix}.damaged")
        sync_folder(self.folder)
        LOG.error("The damaged database is kept as %s.damaged", DATABASE)
        self.engine = writing_engine(self.path)
        self.known = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write what changed since the last save, in one transaction."""
        wanted = to_rows(checkpoint)
        try:
            with self.engine.connect() as connection, connection.begin():
                known = self.known
                if known is None:
                    METADATA.create_all(connection)
                    known = {table.name: stored_rows(connection, table.name) for table in TABLES}
                for table in TABLES:
                    write_changes(connection, table.name, (known[table.name], wanted[table.name]))
                failpoint("sqlite.before_commit")
        except SQLAlchemyError as error:
            self.known = None
            raise OSError(f"{DATABASE} could not be written: {error}") from error
        if self.known is None:
            # The first commit made the file; its name is durable only with the folder.
            sync_folder(self.folder)
        self.known = wanted
        failpoint("sqlite.committed")

    def close(self) -> None:
        """Close the database and release the folder."""
        self.engine.dispose()
        self.lock.release()


def writing_engine(path: Path) -> Engine:
    """Make the engine of the one writer."""
    engine = create_engine(f"sqlite+pysqlite:///{path}")

    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        # WAL, because a commit is one append and one fdatasync instead of two files and a
        # folder. FULL, because with NORMAL the last commits may roll back in a power cut, and
        # they are the intents of orders that have been sent.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # SQLAlchemy begins the transaction itself (below); pysqlite would begin it late.
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin)
    return engine


def stored_rows(connection: Connection, name: str) -> Rows:
    """Read one table, rows by primary key."""
    table = METADATA.tables[name]
    rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    return {key_of(table, row): row for row in rows}


def write_changes(connection: Connection, name: str, change: tuple[Rows, Rows]) -> None:
    """Turn the rows `change[0]` of a table into the rows `change[1]`."""
    table = METADATA.tables[name]
    before, after = change
    stale = [key for key, row in before.items() if after.get(key) != row]
    for key in stale:
        columns = zip(table.primary_key.columns, key, strict=True)
        connection.execute(delete(table).where(*[column == value for column, value in columns]))
    fresh = [dict(row) for key, row in after.items() if before.get(key) != row]
    if fresh:
        connection.execute(insert(table), fresh)


def read_checkpoint(connection: Connection) -> Checkpoint | None:
    """Read a checkpoint; None when no save has ever been committed.

    Raises:
        DamagedStateError: the file is damaged, a row is missing or a field is wrong.
    """
    verdict = connection.execute(text("PRAGMA quick_check")).scalar_one()
    if verdict != "ok":
        raise DamagedStateError(f"quick_check says {verdict}")
    names = set(connection.execute(text("SELECT name FROM sqlite_master")).scalars())
    if BOT_STATE.name not in names:
        return None
    rows: dict[str, list[Any]] = {
        table.name: list(stored_rows(connection, table.name).values()) for table in TABLES
    }
    try:
        body, claimed = to_json(rows)
        if checksum(body) != claimed:
            raise DamagedStateError("the rows do not match their checksum")
        checkpoint = Checkpoint.model_validate_json(body)
    except (ValueError, KeyError, ValidationError) as error:
        raise DamagedStateError(f"a row is missing or wrong: {error}") from error
    if checkpoint.version != VERSION:
        raise DamagedStateError(f"version {checkpoint.version}; this bot reads version {VERSION}")
    return checkpoint


def read_sqlite_state(folder: Path) -> Loaded:
    """Read the database without lock and without changing it."""
    path = folder / DATABASE
    if not path.exists():
        return Loaded(None, Source.NONE)
    # Without a WAL file there is nothing to take in, and `immutable` keeps SQLite from making one.
    mode = "mode=ro" if path.with_name(f"{DATABASE}-wal").exists() else "mode=ro&immutable=1"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            checkpoint = read_checkpoint(connection)
    except (DamagedStateError, DatabaseError) as error:
        return Loaded(None, Source.NONE, (f"{DATABASE} cannot be believed: {error}",))
    finally:
        engine.dispose()
    if checkpoint is None:
        return Loaded(None, Source.NONE)
    return Loaded(checkpoint, Source.MAIN)
