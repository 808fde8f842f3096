"""A main state that is older than its backup is not the last one: what the backup knows must hold.

Each test here forgot a halt before: the bot went on trading after a limit had stopped it.
"""

import shutil
import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.choice import open_store, read_state
from target_trader.state.store import Loaded, Source

NOW = datetime(2025, 10, 6, 10, 0, tzinfo=ZoneInfo("America/New_York"))
TODAY = NOW.date()
NAMES = {StoreKind.JSON: f"trader_state_{TODAY:%Y%m%d}.json", StoreKind.SQLITE: "trader.db"}
BACKUPS = {
    StoreKind.JSON: f"trader_state_{TODAY:%Y%m%d}.bak.json",
    StoreKind.SQLITE: "trader.db.bak",
}
FILES = pytest.mark.parametrize("kind", [StoreKind.JSON, StoreKind.SQLITE])


def at(second: int, *, halted: bool, day: date = TODAY) -> Checkpoint:
    made = new_checkpoint(day, now=NOW + (day - TODAY) + timedelta(seconds=second))
    if halted:
        made.halt("the daily loss is reached", now=made.saved_at)
    return made


def save(kind: StoreKind, folder: Path, *checkpoints: Checkpoint) -> None:
    store = open_store(kind, folder)
    for each in checkpoints:
        store.save(each)
    store.close()


def is_of_the_backup(loaded: Loaded, words: str) -> None:
    assert loaded.source is Source.BACKUP
    assert words in loaded.problems[0]
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.halted == "the daily loss is reached"


def put_back_older(kind: StoreKind, folder: Path) -> None:
    """Save, halt, save once more; then put the first save in the place of the main file."""
    save(kind, folder, at(0, halted=False))
    shutil.copy(folder / NAMES[kind], folder / "kept")
    save(kind, folder, at(5, halted=True), at(10, halted=True))
    shutil.copy(folder / "kept", folder / NAMES[kind])


@FILES
def test_an_older_main_file_that_was_put_back_gives_way_to_its_backup(
    kind: StoreKind, tmp_path: Path
) -> None:
    put_back_older(kind, tmp_path)
    is_of_the_backup(read_state(kind, tmp_path), "it is not the last state")


@FILES
def test_a_save_after_it_keeps_the_older_one_for_a_person_and_is_the_newest(
    kind: StoreKind, tmp_path: Path
) -> None:
    put_back_older(kind, tmp_path)
    store = open_store(kind, tmp_path)
    loaded = store.load()
    assert loaded.checkpoint is not None
    store.save(loaded.checkpoint)
    store.close()
    again = read_state(kind, tmp_path)
    assert (again.source, again.problems) == (Source.MAIN, ())
    assert again.checkpoint == loaded.checkpoint
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_a_database_that_has_lost_its_wal_gives_way_to_its_backup(tmp_path: Path) -> None:
    store = open_store(StoreKind.SQLITE, tmp_path / "state")
    store.save(at(0, halted=False))
    with sqlite3.connect(tmp_path / "state" / "trader.db") as other:
        other.execute("PRAGMA wal_checkpoint")
    other.close()
    store.save(at(5, halted=True))
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "state", killed)
    store.close()
    for name in ("trader.db-wal", "trader.db-shm"):
        (killed / name).unlink()
    is_of_the_backup(read_state(StoreKind.SQLITE, killed), "it is not the last state")


@pytest.mark.parametrize("days", [-1, 1])
def test_a_file_that_holds_another_day_than_its_name_says_gives_way_to_its_backup(
    days: int, tmp_path: Path
) -> None:
    other = TODAY + timedelta(days=days)
    save(StoreKind.JSON, tmp_path / "other", at(0, halted=False, day=other))
    folder = tmp_path / "state"
    save(StoreKind.JSON, folder, at(0, halted=False), at(5, halted=True), at(10, halted=True))
    shutil.copy(
        tmp_path / "other" / f"trader_state_{other:%Y%m%d}.json", folder / NAMES[StoreKind.JSON]
    )
    is_of_the_backup(read_state(StoreKind.JSON, folder), f"holds the state of {other}")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@FILES
@pytest.mark.parametrize("harm", [cut, Path.unlink], ids=["cut", "gone"])
def test_a_backup_that_cannot_be_read_is_no_reason_to_doubt_the_main_file(
    kind: StoreKind, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    save(kind, tmp_path, at(0, halted=False), at(5, halted=True))
    harm(tmp_path / BACKUPS[kind])
    loaded = read_state(kind, tmp_path)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())


@FILES
def test_a_clock_that_was_set_back_does_not_make_the_main_file_the_older_one(
    kind: StoreKind, tmp_path: Path
) -> None:
    save(kind, tmp_path, at(3600, halted=False), at(3590, halted=False))
    loaded = read_state(kind, tmp_path)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.saved_at == NOW + timedelta(seconds=3590)


@FILES
def test_a_bot_that_was_killed_just_after_it_had_begun_anew_is_believed(
    kind: StoreKind, tmp_path: Path
) -> None:
    save(kind, tmp_path, *(at(second, halted=False) for second in range(5)))
    backup = (tmp_path / BACKUPS[kind]).read_bytes()
    (tmp_path / NAMES[kind]).write_bytes(b"damaged")
    store = open_store(kind, tmp_path)
    store.load()
    store.save(at(9, halted=True))
    store.close()
    # The kill came before the backup of that save was made.
    (tmp_path / BACKUPS[kind]).write_bytes(backup)
    loaded = read_state(kind, tmp_path)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.halted is not None
