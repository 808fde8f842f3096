"""What a dead bot has left on disk and in Redis, as one digest: equal remains, equal recoveries.

Of a file its path, mode, content and other names count; when it was changed and who owned it do
not, because two runs never agree in them. Of a SQLite database what SQLite itself recovers counts:
frames of its log that no commit follows are never read again (https://sqlite.org/walformat.html),
and the index of the log is made anew by whoever opens it first.
"""

import contextlib
import hashlib
import itertools
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SQLITE_MAGIC = b"SQLite format 3\0"
LOG, INDEX = "-wal", "-shm"
NAME = b"NAME"
NOTHING: Mapping[str, bytes] = {}
Part = tuple[list[str | int], bytes]


def remains_of(
    folder: Path,
    *,
    values: Mapping[str, bytes] = NOTHING,
    exact: bool = False,
    names: Sequence[str] = (),
) -> str:
    """A digest of everything that a bot has on disk and in Redis while it does not run.

    Args:
        folder: the bot's state folder; one that is not there has nothing in it.
        values: those of its Redis by key, as `read_values` reads them.
        exact: take the bytes of SQLite's files as they are: somebody is about to damage them.
        names: regular expressions for what only names one process, as `BotSpec` has them; each
            place where one fits counts as the same.

    Returns:
        hexadecimal digits.
    """
    digest = hashlib.sha256()
    patterns = [re.compile(name.encode()) for name in names]
    keys: list[Part] = [(["key", key], value) for key, value in sorted(values.items())]
    for told, found in itertools.chain(_parts(folder, exact=exact), keys):
        content = found
        for pattern in patterns:
            content = pattern.sub(NAME, content)
        digest.update(json.dumps([*told, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def _parts(folder: Path, *, exact: bool) -> Iterator[Part]:
    """Everything in a folder in the order of its paths: what is told of it, and its content."""
    if not folder.is_dir():
        return
    paths = sorted(folder.rglob("*"))
    databases = {
        path: recovered
        for path in paths
        if not exact and (recovered := recovered_database(path, scratch=folder.parent))
    }
    beside = {path.with_name(path.name + end): path for path in databases for end in (LOG, INDEX)}
    first_names: dict[tuple[int, int], str] = {}
    for path in paths:
        name, stat = path.relative_to(folder).as_posix(), path.lstat()
        told: list[str | int] = [name, stat.st_mode]
        if path.is_symlink():
            yield [*told, "link", path.readlink().as_posix()], b""
        elif not path.is_file() or path in beside:
            yield told, b""
        else:
            first = first_names.setdefault((stat.st_dev, stat.st_ino), name)
            yield [*told, first], databases.get(path) or path.read_bytes()


def recovered_database(path: Path, *, scratch: Path) -> bytes | None:
    """The pages of a SQLite database as the next one who opens it finds them.

    Args:
        path: the database.
        scratch: a folder in which a copy is made and opened.

    Returns:
        None when it is no database, or when SQLite cannot read it: then its bytes are what counts.
    """
    if not path.is_file() or path.is_symlink() or not _is_database(path):
        return None
    if not path.with_name(path.name + LOG).exists():
        return path.read_bytes()
    with tempfile.TemporaryDirectory(dir=scratch) as room, contextlib.suppress(sqlite3.Error):
        copy = Path(room, "copy")
        shutil.copyfile(path, copy)
        shutil.copyfile(path.with_name(path.name + LOG), copy.with_name(copy.name + LOG))
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            return connection.serialize()
    return None


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
