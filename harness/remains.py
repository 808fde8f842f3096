"""What a dead bot has left on disk and in Redis, as one digest: equal remains, equal recoveries.

Of a file its path, mode, content and other names count; when it was changed and who owned it do
not, because two runs never agree in them. Of a SQLite database what SQLite itself recovers counts:
frames of its log that no commit follows are never read again (https://sqlite.org/walformat.html),
and the index of the log is made anew by whoever opens it first.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISLNK, S_ISREG

SQLITE_MAGIC = b"SQLite format 3\0"
LOG, INDEX = "-wal", "-shm"
NAME = b"NAME"
NOTHING: Mapping[str, bytes] = {}
CONTENTS_MAX = 64
"""How many files and databases are remembered; they have some tens of kilobytes at most."""
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
    keys: list[Part] = [(["key", key], value) for key, value in sorted(values.items())]
    for told, found in itertools.chain(_parts(folder, exact=exact), keys):
        content = _nameless(found, tuple(names))
        digest.update(json.dumps([*told, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


@functools.lru_cache(maxsize=CONTENTS_MAX)
def _nameless(content: bytes, names: tuple[str, ...]) -> bytes:
    """A content without what only names one process; a sweep meets the same ones all the time."""
    for name in names:
        content = re.sub(name.encode(), NAME, content)
    return content


def _parts(folder: Path, *, exact: bool) -> Iterator[Part]:
    """Everything in a folder in the order of its paths: what is told of it, and its content."""
    if not folder.is_dir():
        return
    found = sorted(_below(str(folder)))
    files = {name: Path(folder, name).read_bytes() for name, stat in found if S_ISREG(stat.st_mode)}
    recovered = {} if exact else _recovered(files, scratch=folder.parent)
    beside = {name + end for name in recovered for end in (LOG, INDEX)}
    first_names: dict[tuple[int, int], str] = {}
    for name, stat in found:
        told: list[str | int] = [name, stat.st_mode]
        if S_ISLNK(stat.st_mode):
            yield [*told, "link", Path(folder, name).readlink().as_posix()], b""
        elif name not in files or name in beside:
            yield told, b""
        else:
            first = first_names.setdefault((stat.st_dev, stat.st_ino), name)
            yield [*told, first], recovered.get(name) or files[name]


def _below(folder: str, above: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Every path in a folder and below, from the folder on, with what there is; links stay."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield above + entry.name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, f"{above}{entry.name}/")


def _recovered(files: Mapping[str, bytes], *, scratch: Path) -> dict[str, bytes]:
    """The pages of the SQLite databases among some files, as the next who opens one finds them.

    Args:
        files: the content of each by its name.
        scratch: a folder in which copies are made and opened.

    Returns:
        by the name; without those that SQLite cannot read, of which the bytes are what counts.
    """
    pages: dict[str, bytes] = {}
    for name, content in files.items():
        if not content.startswith(SQLITE_MAGIC):
            continue
        log = files.get(name + LOG)
        whole = content if log is None else RECOVERY.of(content, log, scratch=scratch)
        if whole is not None:
            pages[name] = whole
    return pages


class Recovery:
    """Lets SQLite recover databases, each once; a sweep meets the same ones again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes | None] = {}

    def of(self, content: bytes, log: bytes, *, scratch: Path) -> bytes | None:
        """The pages of a database with its write-ahead log; None when SQLite cannot read it."""
        key = hashlib.sha256(content).digest() + hashlib.sha256(log).digest()
        if key not in self._known:
            if len(self._known) >= CONTENTS_MAX:
                self._known.clear()
            self._known[key] = recovered_database(content, log, scratch=scratch)
        return self._known[key]


def recovered_database(content: bytes, log: bytes, *, scratch: Path) -> bytes | None:
    """Recover a copy of a database; None when SQLite cannot read it."""
    with tempfile.TemporaryDirectory(dir=scratch) as room, contextlib.suppress(sqlite3.Error):
        copy = Path(room, "copy")
        copy.write_bytes(content)
        copy.with_name(copy.name + LOG).write_bytes(log)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            return connection.serialize()
    return None


RECOVERY = Recovery()
