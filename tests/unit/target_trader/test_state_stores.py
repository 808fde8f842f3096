"""The promises of a store, kept by all three: what was saved is there, what is damaged is said."""

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from target_trader.errors import StateLockedError, StateVersionError, TraderError
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.choice import open_store, read_state
from target_trader.state.store import Loaded, Source, StateStore
from tests.support.checkpoints import ATTEMPT, DAY, NOW, STEM, TRADE, bar_at, full_checkpoint
from tests.support.stores import redis_url

ALL = pytest.mark.parametrize("kind", list(StoreKind))

SAVE_TWICE = """
import sys
from pathlib import Path
from datetime import date, datetime, UTC
from target_trader.failpoints import arm
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import new_checkpoint
from target_trader.state.choice import open_store
store = open_store(StoreKind(sys.argv[1]), Path(sys.argv[2]))
first = new_checkpoint(date(2025, 10, 6), now=datetime(2025, 10, 6, 14, 0, tzinfo=UTC))
store.save(first)
arm(sys.argv[3])
first.attempts["TSLA|LONG|444.77"] = 1
store.save(first)
print("saved")
"""


def opened(kind: StoreKind, folder: Path) -> StateStore:
    """Open a store of a folder; in Redis each folder has a name of its own."""
    return open_store(kind, folder, redis_url=url_of(kind, folder))


def read(kind: StoreKind, folder: Path) -> Loaded:
    return read_state(kind, folder, redis_url=url_of(kind, folder))


def url_of(kind: StoreKind, folder: Path) -> str | None:
    return redis_url(folder) if kind is StoreKind.REDIS else None


@ALL
def test_what_was_saved_is_loaded_by_the_next_life(kind: StoreKind, tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = opened(kind, tmp_path / "state")
    store.save(checkpoint)
    store.close()
    again = opened(kind, tmp_path / "state")
    loaded = again.load()
    again.close()
    assert loaded.source is Source.MAIN
    assert loaded.problems == ()
    assert loaded.checkpoint == checkpoint
    assert loaded.checkpoint is not None
    assert str(loaded.checkpoint.positions[TRADE].stop_price) == "445.25"
    assert loaded.checkpoint.bars["NVDA"] == []


@ALL
def test_the_newest_of_many_saves_is_loaded(kind: StoreKind, tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = opened(kind, tmp_path)
    for number in range(5):
        checkpoint.session.trades_today = number
        checkpoint.positions[TRADE].stop_order_id = number
        checkpoint.bars["TSLA"] = [bar_at(5 * each) for each in range(number, number + 3)]
        if number == 4:
            checkpoint.intents.clear()
            del checkpoint.executions[STEM]
            del checkpoint.sma["TSLA:60"]
        store.save(checkpoint)
    store.close()
    assert read(kind, tmp_path).checkpoint == checkpoint


@ALL
def test_bars_that_stand_out_of_order_or_twice_come_back_as_they_were(
    kind: StoreKind, tmp_path: Path
) -> None:
    checkpoint = full_checkpoint()
    checkpoint.bars["TSLA"] = [bar_at(5), bar_at(0), bar_at(0), bar_at(10)]
    store = opened(kind, tmp_path)
    store.save(checkpoint)
    store.close()
    assert read(kind, tmp_path).checkpoint == checkpoint


@ALL
def test_a_life_that_goes_on_saving_after_its_load_keeps_what_it_loaded(
    kind: StoreKind, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    store.save(full_checkpoint())
    store.close()
    again = opened(kind, tmp_path)
    taken_up = again.load().checkpoint
    assert taken_up is not None
    taken_up.attempts[ATTEMPT] = 3
    again.save(taken_up)
    again.close()
    loaded = read(kind, tmp_path)
    assert loaded.source is Source.MAIN
    assert loaded.checkpoint == taken_up


@ALL
def test_a_folder_without_state_is_a_clean_start_and_not_a_loss(
    kind: StoreKind, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path / "a" / "b")
    loaded = store.load()
    store.close()
    assert loaded.checkpoint is None
    assert not loaded.state_was_lost
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@ALL
def test_a_second_bot_is_refused_while_the_first_lives(kind: StoreKind, tmp_path: Path) -> None:
    first = opened(kind, tmp_path)
    with pytest.raises(StateLockedError, match="in use by another bot"):
        opened(kind, tmp_path)
    first.save(full_checkpoint())
    first.close()
    opened(kind, tmp_path).close()


@ALL
def test_a_state_folder_that_is_a_file_is_refused_in_words(kind: StoreKind, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(TraderError, match="cannot be used"):
        opened(kind, tmp_path / "state")


@pytest.mark.parametrize(
    ("kind", "failpoint", "attempts"),
    [
        (StoreKind.JSON, "state.temp_written", {}),
        (StoreKind.JSON, "state.temp_synced", {}),
        (StoreKind.JSON, "state.backed_up", {}),
        (StoreKind.JSON, "state.renamed", {ATTEMPT: 1}),
        (StoreKind.SQLITE, "sqlite.before_commit", {}),
        (StoreKind.SQLITE, "sqlite.committed", {ATTEMPT: 1}),
        (StoreKind.REDIS, "redis.before_write", {}),
        (StoreKind.REDIS, "redis.written", {ATTEMPT: 1}),
        (StoreKind.REDIS, "redis.witnessed", {ATTEMPT: 1}),
    ],
)
def test_a_kill_inside_a_save_leaves_the_old_state_or_the_new(
    kind: StoreKind, failpoint: str, attempts: dict[str, int], tmp_path: Path
) -> None:
    done = killed_at(kind, tmp_path, f"{failpoint}=1*kill")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stderr.endswith(f"failpoint {failpoint}: kill\n")
    loaded = read(kind, tmp_path)
    assert loaded.source is Source.MAIN
    assert loaded.problems == ()
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.attempts == attempts


def killed_at(kind: StoreKind, folder: Path, failpoints: str) -> subprocess.CompletedProcess[str]:
    """Let another process save twice, and die in the second save."""
    command = [sys.executable, "-c", SAVE_TWICE, kind.value, str(folder), failpoints]
    environment = os.environ | {"REDIS_URL": url_of(kind, folder) or ""}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@ALL
def test_reading_the_state_changes_no_byte_of_it(kind: StoreKind, tmp_path: Path) -> None:
    killed_at(kind, tmp_path, "sqlite.committed=1*kill;state.renamed=1*kill;redis.written=1*kill")
    (tmp_path / "trader_state_20251006.tmp").write_text("torn")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    first = read(kind, tmp_path)
    assert first.checkpoint is not None
    assert read(kind, tmp_path) == first
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # The shared-memory index of a WAL is rebuilt from it and holds no state.
    before.pop("trader.db-shm", None)
    after.pop("trader.db-shm", None)
    assert after == before


@ALL
def test_a_state_of_a_newer_version_is_refused_in_words_and_stays_as_it_is(
    kind: StoreKind, tmp_path: Path
) -> None:
    checkpoint = full_checkpoint()
    checkpoint.version = 99
    store = opened(kind, tmp_path)
    store.save(checkpoint)
    store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = opened(kind, tmp_path)
    with pytest.raises(StateVersionError) as caught:
        again.load()
    again.close()
    with pytest.raises(StateVersionError):
        read(kind, tmp_path)
    words = str(caught.value)
    assert "version 99" in words
    assert "this bot reads version 2" in words
    assert "newer bot" in words
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@ALL
def test_saves_of_several_threads_are_each_whole_and_the_last_one_stays(
    kind: StoreKind, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    numbers = itertools.count()

    def save_some(thread: int) -> None:
        for _ in range(8):
            store.save(marked(thread, next(numbers)))

    store.save(marked(9, 0))
    threads = [threading.Thread(target=save_some, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads) or not seen:
        loaded = read(kind, tmp_path)
        assert loaded.problems == ()
        assert loaded.checkpoint is not None
        assert loaded.checkpoint == marked(*mark_of(loaded.checkpoint))
        seen += 1
    for thread in threads:
        thread.join()
    last = marked(7, 1000)
    store.save(last)
    store.close()
    assert read(kind, tmp_path).checkpoint == last


def marked(thread: int, number: int) -> Checkpoint:
    """A checkpoint whose every part follows from two numbers."""
    checkpoint = full_checkpoint()
    checkpoint.saved_at = NOW + timedelta(minutes=number)
    checkpoint.attempts = {f"thread {thread}": number}
    checkpoint.positions[TRADE].stop_order_id = number
    checkpoint.intents[0].order_id = number
    checkpoint.bars["TSLA"] = [bar_at(5 * number + each) for each in range(thread + 1)]
    return checkpoint


def mark_of(checkpoint: Checkpoint) -> tuple[int, int]:
    """The two numbers of `marked`, from one of its parts."""
    ((words, number),) = checkpoint.attempts.items()
    return int(words.rpartition(" ")[2]), number


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse every write beyond so many bytes of a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@ALL
def test_a_disk_that_is_full_fails_the_save_and_leaves_the_old_state(
    kind: StoreKind, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    first = full_checkpoint()
    store.save(first)
    room = 0 if kind is StoreKind.REDIS else 100
    with files_of_at_most(room), pytest.raises(OSError, match=r".+"):
        store.save(new_checkpoint(DAY, now=NOW))
    left = sorted(path.name for path in tmp_path.glob("*.tmp"))
    loaded = read(kind, tmp_path)
    third = full_checkpoint()
    third.attempts[ATTEMPT] = 3
    store.save(third)
    store.close()
    assert left == []
    if kind is not StoreKind.REDIS:
        # In Redis the save was done, and only its witness failed.
        assert loaded.checkpoint == first
    assert loaded.source is Source.MAIN
    assert read(kind, tmp_path) == Loaded(third, Source.MAIN)
