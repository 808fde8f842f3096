"""The JSON store: files of a day, damaged ones and what the folder keeps."""

import json
import os
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, checksum, new_checkpoint
from target_trader.state.choice import open_store, read_state
from target_trader.state.store import Source
from tests.support.checkpoints import ATTEMPT, DAY, NOW, TRADE, full_checkpoint

MAIN = "trader_state_20251006.json"
BACKUP = "trader_state_20251006.bak.json"


def two_saves(folder: Path) -> Checkpoint:
    """Save a checkpoint with one attempt, then the same with two; return the first."""
    checkpoint = full_checkpoint()
    checkpoint.attempts[ATTEMPT] = 1
    first = checkpoint.model_copy(deep=True)
    store = open_store(StoreKind.JSON, folder)
    store.save(checkpoint)
    checkpoint.attempts[ATTEMPT] = 2
    store.save(checkpoint)
    store.close()
    return first


def damaged(text: str, how: str) -> str:
    """Damage the text of a state file."""
    match how:
        case "torn":
            return text[: len(text) // 2]
        case "edited":
            return text.replace(f'"{ATTEMPT}":2', f'"{ATTEMPT}":0')
        case "empty":
            return ""
        case "a list inside":
            return '{"checkpoint": [], "checksum": ""}'
        case _:
            return "[]"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("torn", "not a complete state file"),
        ("edited", "does not match its own checksum"),
        ("empty", "not a complete state file"),
        ("a list inside", "not a complete state file"),
        ("another JSON", "not a complete state file"),
    ],
)
def test_a_damaged_file_gives_way_to_its_backup_and_is_named(
    how: str, words: str, tmp_path: Path
) -> None:
    first = two_saves(tmp_path)
    main = tmp_path / MAIN
    main.write_text(damaged(main.read_text(), how))
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert loaded.checkpoint == first
    assert words in loaded.problems[0]
    assert main.name in loaded.problems[0]


def test_a_damaged_file_does_not_push_out_the_backup_that_was_believed(tmp_path: Path) -> None:
    first = two_saves(tmp_path)
    (tmp_path / MAIN).write_text("torn")
    store = open_store(StoreKind.JSON, tmp_path)
    assert store.load().source is Source.BACKUP
    store.save(full_checkpoint())
    store.close()
    assert (tmp_path / "trader_state_20251006.damaged").read_text() == "torn"
    (tmp_path / MAIN).write_text("torn again")
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint == first
    again = open_store(StoreKind.JSON, tmp_path)
    again.load()
    again.save(full_checkpoint())
    again.close()
    assert (tmp_path / "trader_state_20251006.damaged.2").read_text() == "torn again"


def test_a_damaged_file_is_still_known_as_lost_by_the_life_after_the_next(tmp_path: Path) -> None:
    (tmp_path / MAIN).write_text("torn")
    for _ in range(2):
        store = open_store(StoreKind.JSON, tmp_path)
        assert store.load().state_was_lost
        store.close()


def test_two_damaged_files_are_a_lost_state_and_not_a_clean_start(tmp_path: Path) -> None:
    two_saves(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text("{}")
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint is None
    assert loaded.state_was_lost
    assert len(loaded.problems) == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    two_saves(tmp_path)
    (tmp_path / MAIN).write_bytes(b"\xff\xfe\xff")
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert f"{MAIN} cannot be read" in loaded.problems[0]


def test_the_newest_day_is_read_and_the_older_days_are_kept(tmp_path: Path) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    for number in (6, 7):
        moment = datetime(2025, 10, number, 15, tzinfo=UTC)
        store.save(new_checkpoint(date(2025, 10, number), now=moment))
    store.close()
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.day == date(2025, 10, 7)
    assert (tmp_path / MAIN).exists()


def test_the_newest_thirty_days_and_everything_damaged_are_kept(tmp_path: Path) -> None:
    (tmp_path / "trader_state_20250801.damaged").write_text("torn")
    store = open_store(StoreKind.JSON, tmp_path)
    for number in range(33):
        day = date(2025, 9, 1) + timedelta(days=number)
        for _ in range(2):
            store.save(new_checkpoint(day, now=datetime(2025, 9, 1, tzinfo=UTC)))
    store.close()
    kept = sorted(path.name for path in tmp_path.glob("trader_state_*"))
    assert kept[0] == "trader_state_20250801.damaged"
    assert kept[1] == "trader_state_20250904.bak.json"
    assert kept[-1] == "trader_state_20251003.json"
    assert len(kept) == 1 + 2 * 30


def test_a_quantity_that_is_not_a_number_is_damage_even_with_a_right_checksum(
    tmp_path: Path,
) -> None:
    two_saves(tmp_path)
    main = tmp_path / MAIN
    tree = json.loads(main.read_text())["checkpoint"]
    tree["positions"][TRADE]["shares"] = "many"
    body = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    main.write_text(json.dumps({"checksum": checksum(body), "checkpoint": tree}))
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert f"positions.{TRADE}.shares" in loaded.problems[0]


def test_a_leftover_temporary_file_is_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "trader_state_20251006.tmp").write_text("half a sta")
    (tmp_path / "trader_state_20251006.bak.tmp").write_text("half a sta")
    open_store(StoreKind.JSON, tmp_path).close()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(("code", "words"), [(28, "No space left"), (5, "Input/output error")])
def test_a_failed_fsync_fails_the_save(
    code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(full_checkpoint())

    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=words):
        store.save(new_checkpoint(DAY, now=NOW))
    monkeypatch.undo()
    store.close()
    assert not list(tmp_path.glob("*.tmp"))
    assert read_state(StoreKind.JSON, tmp_path).checkpoint == full_checkpoint()


def test_a_save_syncs_the_new_file_before_its_name_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(full_checkpoint())
    main = tmp_path / MAIN
    old = main.stat().st_ino
    synced = []

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        renamed = main.stat().st_ino != old
        synced.append(("folder" if stat.S_ISDIR(status.st_mode) else "file", renamed))

    monkeypatch.setattr(os, "fsync", note)
    store.save(full_checkpoint())
    monkeypatch.undo()
    store.close()
    assert synced == [("file", False), ("folder", True)]


def test_the_backup_is_the_state_of_one_save_before(tmp_path: Path) -> None:
    first = two_saves(tmp_path)
    (tmp_path / MAIN).unlink()
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert loaded.checkpoint == first
    assert MAIN in loaded.problems[0]
    assert (tmp_path / BACKUP).exists()
