"""What a dead bot has left: what counts of it, and what does not."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.faults.keys import connected, read_values
from harness.redis_process import running_redis
from harness.remains import remains_of
from harness.targets import BotSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    (state / "state.json").write_text("one")
    return state


def test_the_same_remains_have_the_same_digest_whenever_they_were_written(folder: Path) -> None:
    first = remains_of(folder)
    os.utime(folder / "state.json", (1, 1))
    assert remains_of(folder) == first
    assert remains_of(folder / "nowhere") != first


@pytest.mark.parametrize(
    "change",
    [
        lambda state: (state / "state.json").write_text("two"),
        lambda state: (state / "state.json").chmod(0o400),
        lambda state: (state / "state.json").rename(state / "other.json"),
        lambda state: (state / "more").touch(),
        lambda state: (state / "inner").mkdir(),
        lambda state: (state / "link").symlink_to("state.json"),
        lambda state: (state / "backup").write_text("one"),
        lambda state: (state / "backup").hardlink_to(state / "state.json"),
    ],
    ids=["content", "mode", "name", "file", "folder", "symlink", "copy", "link"],
)
def test_whatever_a_bot_could_see_changes_the_digest(folder: Path, change: object) -> None:
    before = remains_of(folder)
    assert callable(change)
    change(folder)
    assert remains_of(folder) != before


def test_a_link_is_not_a_copy(folder: Path) -> None:
    (folder / "backup").hardlink_to(folder / "state.json")
    linked = remains_of(folder)
    (folder / "backup").unlink()
    (folder / "backup").write_text("one")
    assert remains_of(folder) != linked


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as bot:
        bot.execute("PRAGMA journal_mode=WAL")
        bot.execute("PRAGMA cache_size=1")
        bot.execute("CREATE TABLE t (x)")
        yield bot


def test_frames_that_no_commit_follows_do_not_count_and_those_of_a_commit_do(folder: Path) -> None:
    log = folder / "state.db-wal"
    with database(folder) as bot:
        before, size = remains_of(folder), log.stat().st_size
        exactly = remains_of(folder, exact=True)
        bot.execute("BEGIN")
        # More than fits the cache, so that pages go into the log before the commit.
        bot.executemany("INSERT INTO t VALUES (?)", [(bytes(4000),) for _ in range(50)])
        assert log.stat().st_size > size, "nothing was spilled: this test shows nothing"
        assert remains_of(folder) == before
        assert remains_of(folder, exact=True) != exactly
        bot.execute("COMMIT")
        after = remains_of(folder)
        assert after != before
        # The last frame is the commit: torn, the transaction never was.
        whole = log.read_bytes()
        log.write_bytes(whole[:-1])
        assert remains_of(folder) == before
        log.write_bytes(whole)
        assert remains_of(folder) == after


def test_a_database_is_read_without_being_touched(folder: Path) -> None:
    with database(folder) as bot:
        bot.execute("INSERT INTO t VALUES (1)")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        names = sorted(path.name for path in folder.parent.iterdir())
        remains_of(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert sorted(path.name for path in folder.parent.iterdir()) == names


def test_a_damaged_database_counts_by_its_bytes(folder: Path) -> None:
    with database(folder) as bot:
        bot.execute("INSERT INTO t VALUES (1)")
        bot.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        bot.execute("INSERT INTO t VALUES (2)")
        whole = (folder / "state.db").read_bytes()
        found = []
        for byte in (b"\0", b"\1"):
            (folder / "state.db").write_bytes(whole[:20] + byte * 60 + whole[80:])
            found.append(remains_of(folder))
        assert found[0] != found[1]


def test_what_only_names_a_process_does_not_count(folder: Path) -> None:
    owner = BotSpec.reference().names
    found = []
    for words in (
        "0123456789abcdef here pid 7 /a",
        "fedcba9876543210 here pid 8 /b",
        "fedcba98 pid 8",
    ):
        (folder / "owner").write_text(f"state 1 {words}")
        found.append((remains_of(folder, names=owner), remains_of(folder)))
    assert found[0][0] == found[1][0] != found[2][0]
    assert found[0][1] != found[1][1]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


def test_every_value_of_a_redis_counts(folder: Path, redis_url: str) -> None:
    with connected(redis_url) as client:
        seen = [remains_of(folder, values=read_values(redis_url))]
        for change in (
            lambda: client.set("state", "1"),
            lambda: client.set("state", "2"),
            lambda: client.hset("more", "field", "1"),
            lambda: client.hset("more", "field", "2"),
            lambda: client.rename("state", "other"),
        ):
            change()  # type: ignore[no-untyped-call]
            seen.append(remains_of(folder, values=read_values(redis_url)))
        assert len(set(seen)) == len(seen)
        assert remains_of(folder, values=read_values(redis_url)) == seen[-1]
