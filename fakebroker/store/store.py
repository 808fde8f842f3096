"""The one file of the books: opened by one broker at a time, written after every input.

A write is one transaction with the rows that changed, done before the answers of the input leave.
So whenever the process is killed, the file holds the books as they were after an input whose
answers may have left, never between two. A killed process loses nothing that was written; for a
power cut SQLite promises whole transactions, not the last one (WAL, synchronous NORMAL).
"""

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, NullPool, create_engine, select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from fakebroker.durable import Durable
from fakebroker.market.tape import Tape
from fakebroker.settings import BrokerSettings
from fakebroker.store import tables
from fakebroker.store.rows import PARTS, Part, Rows, encode, read_durable, token

FILE_NAME: Final = "books.sqlite"
LOCK_NAME: Final = "lock"
OPEN_TO_OTHERS: Final = 0o077
SQLITE_MAGIC: Final = b"SQLite format 3\0"
SCHEMA_VERSION_AT: Final = slice(60, 64)
APPLICATION_ID_AT: Final = slice(68, 72)
ORIGIN_SETTINGS: Final = ("account", "accounts", "cash", "seed", "first_order_id", "first_perm_id")
"""What the books rest on and must stay; every other setting may change from run to run."""
NO_TAPE: Final = "no tape"


class StoreError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class Store:
    """The books on disk, and whether anything was kept in them yet."""

    def __init__(self, folder: Path, settings: BrokerSettings, tape: Tape | None) -> None:
        """Open the books in a folder, which is made when it is not there.

        Raises:
            StoreError: The folder is another broker's, open to other users, or its file is
                damaged, foreign, or was begun with other settings or another tape. The file is
                then as it was.
        """
        self._lock = _lock_folder(folder)
        self._seen: dict[str, dict[Hashable, Hashable]] = {part.name: {} for part in PARTS}
        path = folder / FILE_NAME
        try:
            begun_with = _origin(settings, tape)
            if not path.exists():
                _create(path, begun_with)
            _check_header(path)
            with _told(path):
                self.kept = _read(path, settings, begun_with)
                self._engine = _engine(path, mode="rw")
                self._connection = self._engine.connect()
        except BaseException:
            os.close(self._lock)
            raise
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another broker have the folder."""
        self._connection.close()
        self._engine.dispose()
        os.close(self._lock)

    def keep(self, state: Durable) -> None:
        """Write what has changed since the last time, all of it or nothing.

        Raises:
            StoreError: The disk does not take it.
        """
        changes = [change for part in PARTS if (change := self._changes(part, state)) is not None]
        if not changes:
            return
        with _told(self._path), self._connection.begin():
            for change in changes:
                change.write(self._connection)
        for change in changes:
            self._seen[change.part.name] = change.seen

    def _changes(self, part: Part, state: Durable) -> "_Change | None":
        seen = self._seen[part.name]
        present = part.of(state)
        tokens: dict[Hashable, Hashable] = {key: token(value) for key, value in present.items()}
        if tokens == seen:
            return None
        written = {
            encode(part.key, key): encode(part.value, present[key])
            for key, mark in tokens.items()
            if key not in seen or seen[key] != mark
        }
        gone = [encode(part.key, key) for key in seen if key not in tokens]
        return _Change(part, written, gone, tokens)


class _Change:
    """Rows of one part that are to be written and deleted."""

    def __init__(
        self,
        part: Part,
        written: dict[str, str],
        gone: list[str],
        seen: dict[Hashable, Hashable],
    ) -> None:
        self.part = part
        self.seen = seen
        self._written = written
        self._gone = gone

    def write(self, connection: Connection) -> None:
        table = self.part.table
        fixed = {"field": self.part.name} if table is tables.mappings else {}
        for key in self._gone:
            here = [table.c[name] == value for name, value in {**fixed, "key": key}.items()]
            connection.execute(table.delete().where(*here))
        if self._written:
            # An update in place keeps the row's number, and with it the order of the rows.
            new = insert(table)
            upsert = new.on_conflict_do_update(
                index_elements=[*fixed, "key"], set_={"entry": new.excluded.entry}
            )
            rows = [{**fixed, "key": key, "entry": text} for key, text in self._written.items()]
            connection.execute(upsert, rows)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the rows complain about into words for a person."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        raise StoreError(f"the books in {path} cannot be used: {reason}; {_WAY_OUT}") from error
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        reason = f"{error.title}: {item['msg']}: {str(item['input'])[:80]!r}"
        raise StoreError(f"the books in {path} are damaged: {reason}; {_WAY_OUT}") from error
    except KeyError as error:
        raise StoreError(f"the books in {path} lack {error}; {_WAY_OUT}") from error


_WAY_OUT: Final = "restore the folder from a copy, or name a new --state-dir"


def _lock_folder(folder: Path) -> int:
    """Make the folder if need be, check that it is private, and return its lock's descriptor."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        if mode & OPEN_TO_OTHERS:
            raise StoreError(
                f"--state-dir {folder} is open to other users (mode {mode & 0o777:o}): "
                f"chmod 700 it, or name a new folder"
            )
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"cannot use --state-dir {folder}: {error.strerror or error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(
            f"--state-dir {folder} belongs to a broker that is running: "
            f"end it, or name another folder"
        ) from error
    return lock


def _origin(settings: BrokerSettings, tape: Tape | None) -> dict[str, str]:
    origin = {name: str(getattr(settings, name)) for name in ORIGIN_SETTINGS}
    digest = NO_TAPE if tape is None else hashlib.sha256(repr(tape).encode()).hexdigest()
    return {**origin, "tape": digest}


def _engine(path: Path, *, mode: str) -> Engine:
    # As a URI: SQLite can then be told never to make a file or, with `ro`, never to write one.
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _create(path: Path, begun_with: dict[str, str]) -> None:
    """Make an empty file of books, whole or not at all."""
    left = path.with_name(f"{FILE_NAME}-wal")
    if left.exists():
        raise StoreError(f"{path} is gone but {left.name} is still there; {_WAY_OUT}")
    draft = path.with_name(f"{FILE_NAME}.new")
    draft.unlink(missing_ok=True)
    engine = _engine(draft, mode="rwc")
    with _told(path), engine.begin() as connection:
        tables.metadata.create_all(connection)
        rows = [{"name": name, "value": value} for name, value in begun_with.items()]
        connection.execute(tables.origin.insert(), rows)
        connection.execute(text(f"PRAGMA application_id = {tables.APPLICATION_ID}"))
        connection.execute(text(f"PRAGMA user_version = {tables.SCHEMA_VERSION}"))
    with _told(path), engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode = WAL"))
    engine.dispose()
    draft.rename(path)


def _check_header(path: Path) -> None:
    """Look at the first bytes of the file, before SQLite may touch it."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    mark = int.from_bytes(header[APPLICATION_ID_AT], "big")
    if not header.startswith(SQLITE_MAGIC) or mark != tables.APPLICATION_ID:
        raise StoreError(f"{path} is not the books of a fakebroker; {_WAY_OUT}")
    version = int.from_bytes(header[SCHEMA_VERSION_AT], "big")
    if version != tables.SCHEMA_VERSION:
        raise StoreError(
            f"{path} has books of version {version}, this fakebroker has version "
            f"{tables.SCHEMA_VERSION}: use the fakebroker that made them, or a new --state-dir"
        )


def _read(path: Path, settings: BrokerSettings, begun_with: dict[str, str]) -> Durable | None:
    """Return what was kept, None when nothing was yet; nothing is written."""
    engine = _engine(path, mode="ro")
    with engine.connect() as connection:
        if (found := connection.scalar(text("PRAGMA quick_check"))) != "ok":
            raise StoreError(f"the books in {path} are damaged: {found}; {_WAY_OUT}")
        origin = tables.origin
        _check_origin(
            path, dict(connection.execute(select(origin.c.name, origin.c.value)).all()), begun_with
        )
        rows: Rows = {part.name: _rows_of(part, connection) for part in PARTS}
    return read_durable(rows, settings) if rows["facts"] else None


def _rows_of(part: Part, connection: Connection) -> dict[str, str]:
    table = part.table
    rows = select(table.c.key, table.c.entry).order_by(text("rowid"))
    if table is tables.mappings:
        rows = rows.where(table.c.field == part.name)
    return {row.key: row.entry for row in connection.execute(rows)}


def _check_origin(path: Path, kept: dict[str, str], given: dict[str, str]) -> None:
    differing = [name for name in given if kept.get(name) != given[name]]
    if differing:
        words = ", ".join(f"{name} {kept.get(name)} (now {given[name]})" for name in differing)
        raise StoreError(
            f"the books in {path} were begun with {words}: "
            f"start with the same again, or name another --state-dir"
        )
