"""The promises of a store, kept by both: what was saved is there, what is damaged is said."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.clock import NEW_YORK
from target_trader.errors import StateLockedError, TraderError
from target_trader.names import IntentState, Leg, Side
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import (
    BarRecord,
    BookedExecution,
    Breakout,
    BreakoutKind,
    BreakoutMemory,
    Checkpoint,
    ContractRecord,
    Intent,
    PartialRecord,
    Position,
    checksum,
    new_checkpoint,
)
from target_trader.state.choice import open_store, read_state
from target_trader.state.sqlite_store import SqliteStore
from target_trader.state.store import Source

NOW = datetime(2025, 10, 6, 10, 5, 50, tzinfo=NEW_YORK)
DAY = date(2025, 10, 6)
BOTH = pytest.mark.parametrize("kind", list(StoreKind))
TRADE = "PS60|TSLA|L|20251006|1"

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


def full_position() -> Position:
    """A trade whose partial is taken."""
    return Position(
        trade_id=TRADE,
        symbol="TSLA",
        side=Side.LONG,
        contract=ContractRecord(symbol="TSLA", con_id=76792991),
        pivot=Decimal("444.77"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
        planned_entry=Decimal("445.25"),
        initial_stop=Decimal("443.37"),
        partial_price=Decimal("447.13"),
        planned_shares=Decimal(100),
        entry_reason="WEAK break",
        signal_time=NOW,
        stop_price=Decimal("445.25"),
        stop_order_id=12345,
        entry_time=NOW,
        shares=Decimal(100),
        closed_shares=Decimal(50),
        remaining=Decimal("0.5"),
        partials_taken=[PartialRecord(time=NOW, price=Decimal("447.13"), shares=Decimal(50))],
    )


def full_intent() -> Intent:
    """A working stop."""
    return Intent(
        order_ref=f"{TRADE}|stop",
        trade_id=TRADE,
        leg=Leg.STOP,
        symbol="TSLA",
        side=Side.LONG,
        action="SELL",
        order_type="STP",
        quantity=Decimal(50),
        stop_price=Decimal("445.25"),
        order_id=12345,
        perm_id=1500000002,
        state=IntentState.WORKING,
        planned_at=NOW,
    )


def full_checkpoint() -> Checkpoint:
    """A checkpoint in which every kind of record occurs."""
    checkpoint = new_checkpoint(DAY, now=NOW)
    checkpoint.attempts["TSLA|LONG|444.77"] = 2
    checkpoint.session.filter_blocks["max_attempts"] = 1
    checkpoint.positions[TRADE] = full_position()
    checkpoint.intents.append(full_intent())
    checkpoint.executions["0000e0d5.67fe667b.01"] = BookedExecution(
        exec_id="0000e0d5.67fe667b.01.01",
        time=NOW,
        symbol="TSLA",
        side="BOT",
        shares=Decimal(100),
        price=Decimal("445.25"),
        order_id=12344,
        client_id=2001,
        perm_id=1500000001,
        order_ref=f"{TRADE}|entry",
        trade_id=TRADE,
        leg=Leg.ENTRY,
        commission=Decimal("1.00"),
    )
    price = Decimal("445.25")
    checkpoint.bars["TSLA"] = [
        BarRecord(time=NOW, open=price, high=price, low=price, close=price, volume=Decimal(900))
    ]
    checkpoint.breakouts["TSLA"] = BreakoutMemory(
        bars_seen=25,
        last_bar=NOW,
        pending=Side.LONG,
        breakout=Breakout(
            side=Side.LONG,
            bar_time=NOW,
            price=price,
            kind=BreakoutKind.STRONG,
            volume_ratio=Decimal("1.75"),
            candle_close=price,
        ),
    )
    return checkpoint


@BOTH
def test_what_was_saved_is_loaded_by_the_next_life(kind: StoreKind, tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = open_store(kind, tmp_path / "state")
    store.save(checkpoint)
    store.close()
    again = open_store(kind, tmp_path / "state")
    loaded = again.load()
    again.close()
    assert loaded.source is Source.MAIN
    assert loaded.problems == ()
    assert loaded.checkpoint == checkpoint
    assert loaded.checkpoint is not None
    assert str(loaded.checkpoint.positions[TRADE].stop_price) == "445.25"


@BOTH
def test_the_newest_of_many_saves_is_loaded(kind: StoreKind, tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = open_store(kind, tmp_path)
    for number in range(5):
        checkpoint.session.trades_today = number
        checkpoint.positions[TRADE].stop_order_id = number
        if number == 4:
            checkpoint.intents.clear()
            del checkpoint.executions["0000e0d5.67fe667b.01"]
        store.save(checkpoint)
    store.close()
    loaded = read_state(kind, tmp_path)
    assert loaded.checkpoint == checkpoint


@BOTH
def test_a_folder_without_state_is_a_clean_start_and_not_a_loss(
    kind: StoreKind, tmp_path: Path
) -> None:
    store = open_store(kind, tmp_path / "a" / "b")
    loaded = store.load()
    store.close()
    assert loaded.checkpoint is None
    assert not loaded.state_was_lost
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@BOTH
def test_a_second_bot_is_refused_while_the_first_lives(kind: StoreKind, tmp_path: Path) -> None:
    first = open_store(kind, tmp_path)
    with pytest.raises(StateLockedError, match="in use by another bot"):
        open_store(kind, tmp_path)
    first.close()
    open_store(kind, tmp_path).close()


@BOTH
def test_a_state_folder_that_is_a_file_is_refused_in_words(kind: StoreKind, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(TraderError, match="cannot be used"):
        open_store(kind, tmp_path / "state")


@pytest.mark.parametrize(
    ("kind", "failpoint", "attempts"),
    [
        (StoreKind.JSON, "state.temp_written", {}),
        (StoreKind.JSON, "state.temp_synced", {}),
        (StoreKind.JSON, "state.backed_up", {}),
        (StoreKind.JSON, "state.renamed", {"TSLA|LONG|444.77": 1}),
        (StoreKind.SQLITE, "sqlite.before_commit", {}),
        (StoreKind.SQLITE, "sqlite.committed", {"TSLA|LONG|444.77": 1}),
    ],
)
def test_a_kill_inside_a_save_leaves_the_old_state_or_the_new(
    kind: StoreKind, failpoint: str, attempts: dict[str, int], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SAVE_TWICE, kind.value, str(tmp_path), f"{failpoint}=1*kill"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stderr == f"failpoint {failpoint}: kill\n"
    loaded = read_state(kind, tmp_path)
    assert loaded.source is Source.MAIN
    assert loaded.problems == ()
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.attempts == attempts


@BOTH
def test_reading_the_state_changes_no_byte_of_it(kind: StoreKind, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-c", SAVE_TWICE, kind.value, str(tmp_path)),
        "sqlite.committed=1*kill;state.renamed=1*kill",
    ]
    subprocess.run(command, capture_output=True, timeout=60, check=False)
    (tmp_path / "trader_state_20251006.tmp").write_text("torn")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert read_state(kind, tmp_path).checkpoint is not None
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # The shared-memory index of a WAL is rebuilt from it and holds no state.
    before.pop("trader.db-shm", None)
    after.pop("trader.db-shm", None)
    assert after == before


def test_a_leftover_temporary_file_is_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "trader_state_20251006.tmp").write_text("half a sta")
    open_store(StoreKind.JSON, tmp_path).close()
    assert not list(tmp_path.glob("*.tmp"))


def two_saves(folder: Path) -> Checkpoint:
    """Save a checkpoint with one attempt, then the same with two; return the first."""
    checkpoint = full_checkpoint()
    checkpoint.attempts["TSLA|LONG|444.77"] = 1
    first = checkpoint.model_copy(deep=True)
    store = open_store(StoreKind.JSON, folder)
    store.save(checkpoint)
    checkpoint.attempts["TSLA|LONG|444.77"] = 2
    store.save(checkpoint)
    store.close()
    return first


def damaged(text: str, how: str) -> str:
    """Damage the text of a state file."""
    match how:
        case "torn":
            return text[: len(text) // 2]
        case "edited":
            return text.replace('"TSLA|LONG|444.77": 2', '"TSLA|LONG|444.77": 0')
        case "empty":
            return ""
        case _:
            return "[]"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("torn", "not a complete state file"),
        ("edited", "does not match its own checksum"),
        ("empty", "not a complete state file"),
        ("another JSON", "not a complete state file"),
    ],
)
def test_a_damaged_file_gives_way_to_its_backup_and_is_named(
    how: str, words: str, tmp_path: Path
) -> None:
    first = two_saves(tmp_path)
    main = tmp_path / "trader_state_20251006.json"
    main.write_text(damaged(main.read_text(), how))
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert loaded.checkpoint == first
    assert words in loaded.problems[0]
    assert main.name in loaded.problems[0]


def test_two_damaged_files_are_a_lost_state_and_not_a_clean_start(tmp_path: Path) -> None:
    two_saves(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text("{}")
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint is None
    assert loaded.state_was_lost
    assert len(loaded.problems) == 2


def test_a_state_of_another_version_is_refused_with_both_numbers(tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    checkpoint.version = 99
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(checkpoint)
    store.close()
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint is None
    assert "version 99" in loaded.problems[0]
    assert "version 1" in loaded.problems[0]


def test_the_newest_day_is_read_and_the_older_days_are_kept(tmp_path: Path) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    for number in (6, 7):
        moment = datetime(2025, 10, number, 15, tzinfo=UTC)
        store.save(new_checkpoint(date(2025, 10, number), now=moment))
    store.close()
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.day == date(2025, 10, 7)
    assert (tmp_path / "trader_state_20251006.json").exists()


def test_a_quantity_that_is_not_a_number_is_damage_even_with_a_right_checksum(
    tmp_path: Path,
) -> None:
    two_saves(tmp_path)
    main = tmp_path / "trader_state_20251006.json"
    tree = json.loads(main.read_text())["checkpoint"]
    tree["positions"][TRADE]["shares"] = "many"
    body = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    main.write_text(json.dumps({"checksum": checksum(body), "checkpoint": tree}))
    loaded = read_state(StoreKind.JSON, tmp_path)
    assert loaded.source is Source.BACKUP
    assert f"positions.{TRADE}.shares" in loaded.problems[0]


def test_a_failed_fsync_fails_the_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(full_checkpoint())

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        store.save(new_checkpoint(DAY, now=NOW))
    monkeypatch.undo()
    store.close()
    assert read_state(StoreKind.JSON, tmp_path).checkpoint == full_checkpoint()


def test_a_save_syncs_the_new_file_before_its_name_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(full_checkpoint())
    main = tmp_path / "trader_state_20251006.json"
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


def test_only_changed_rows_are_written(tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(checkpoint)
    connection = sqlite3.connect(tmp_path / "trader.db")
    connection.executescript(
        "CREATE TABLE writes(name TEXT);"
        + "".join(
            f"CREATE TRIGGER t_{table} AFTER INSERT ON {table} "
            f"BEGIN INSERT INTO writes VALUES ('{table}'); END;"
            for table in ("bot_state", "order_intents", "live_positions", "trades", "bars")
        )
    )
    connection.commit()
    checkpoint.positions[TRADE].stop_order_id = 7
    checkpoint.saved_at = NOW + timedelta(seconds=10)
    store.save(checkpoint)
    written = {row[0] for row in connection.execute("SELECT name FROM writes")}
    connection.close()
    store.close()
    assert written == {"bot_state", "live_positions"}


def test_sqlite_is_set_to_lose_no_commit_in_a_power_cut(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    store.close()


@pytest.mark.parametrize(
    "damage", ["UPDATE trades SET data = '{}'", "DELETE FROM bot_state WHERE key = 'attempts'"]
)
def test_a_damaged_database_is_lost_loudly_and_kept_aside(damage: str, tmp_path: Path) -> None:
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(full_checkpoint())
    store.close()
    connection = sqlite3.connect(tmp_path / "trader.db")
    connection.execute(damage)
    connection.commit()
    connection.close()
    assert read_state(StoreKind.SQLITE, tmp_path).state_was_lost
    again = open_store(StoreKind.SQLITE, tmp_path)
    assert again.load().state_was_lost
    again.save(new_checkpoint(DAY, now=NOW))
    again.close()
    assert (tmp_path / "trader.db.damaged").exists()
    assert read_state(StoreKind.SQLITE, tmp_path).checkpoint == new_checkpoint(DAY, now=NOW)


def test_a_database_that_is_garbage_is_lost_loudly(tmp_path: Path) -> None:
    (tmp_path / "trader.db").write_bytes(b"this is not a database, whatever its name" * 100)
    store = open_store(StoreKind.SQLITE, tmp_path)
    loaded = store.load()
    store.save(full_checkpoint())
    store.close()
    assert loaded.state_was_lost
    assert read_state(StoreKind.SQLITE, tmp_path).checkpoint == full_checkpoint()
