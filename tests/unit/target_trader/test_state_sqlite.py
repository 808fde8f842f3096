"""The SQLite store: its tables, what a save writes, and the copy for a bad day."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.choice import open_store, read_state
from target_trader.state.sqlite_store import SqliteStore
from target_trader.state.store import Source
from target_trader.state.tables import TABLES
from tests.support.checkpoints import ATTEMPT, DAY, NOW, TRADE, bar_at, full_checkpoint


def ask(folder: Path, sql: str) -> list[Any]:
    """Ask the database as a person would."""
    with closing(sqlite3.connect(folder / "trader.db")) as connection:
        answer = connection.execute(sql).fetchall()
        connection.commit()
    return answer


def saved(folder: Path, checkpoint: Checkpoint) -> None:
    """Save once and close."""
    store = open_store(StoreKind.SQLITE, folder)
    store.save(checkpoint)
    store.close()


def test_the_tables_are_those_that_a_person_expects(tmp_path: Path) -> None:
    saved(tmp_path, full_checkpoint())
    names = {row[0] for row in ask(tmp_path, "SELECT name FROM sqlite_master WHERE type='table'")}
    assert names == {
        *("bot_state", "order_intents", "trades", "bars", "equity_curve"),
        *("strategy_state", "live_positions", "order_audit_log"),
    }
    for name in sorted(names):
        assert ask(tmp_path, f"SELECT count(*) FROM {name}") >= [(1,)], name


def test_a_person_reads_the_counters_and_the_last_signals_under_their_own_keys(
    tmp_path: Path,
) -> None:
    saved(tmp_path, full_checkpoint())
    values = dict(ask(tmp_path, "SELECT key, value FROM bot_state"))
    assert values["circuit_breaker_count"] == "4"
    assert values["daily_pnl"] == "-250.50"
    assert values["daily_trade_count"] == "5"
    assert values["last_signal:AAPL:10:30"] == "BUY"


def test_what_a_strategy_remembers_stands_in_its_own_table(tmp_path: Path) -> None:
    saved(tmp_path, full_checkpoint())
    rows = ask(tmp_path, "SELECT strategy_name, state, timestamp, version FROM strategy_state")
    told = {name: (json.loads(state), stamp, version) for name, state, stamp, version in rows}
    assert told["breakouts:TSLA"][0]["bars_seen"] == 25
    assert told["sma:TSLA:60"] == (told["sma:TSLA:60"][0], NOW.isoformat(), 2)


def watch_writes(folder: Path) -> None:
    """Let the database note every row that is written."""
    with closing(sqlite3.connect(folder / "trader.db")) as connection:
        connection.executescript(
            "CREATE TABLE writes(name TEXT);"
            + "".join(
                f"CREATE TRIGGER t_{table.name} AFTER INSERT ON {table.name} "
                f"BEGIN INSERT INTO writes VALUES ('{table.name}'); END;"
                for table in TABLES
            )
        )


def test_only_changed_rows_are_written(tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    checkpoint.bars["TSLA"] = [bar_at(5 * number) for number in range(60)]
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(checkpoint)
    watch_writes(tmp_path)
    checkpoint.positions[TRADE].stop_order_id = 7
    checkpoint.saved_at = NOW + timedelta(seconds=10)
    checkpoint.bars["TSLA"] = [*checkpoint.bars["TSLA"][1:], bar_at(300)]
    store.save(checkpoint)
    written = sorted(row[0] for row in ask(tmp_path, "SELECT name FROM writes"))
    store.close()
    # In bot_state: the time of the save, its number and the checksum.
    assert written == ["bars", *["bot_state"] * 3, "live_positions"]


def test_a_value_keeps_the_time_of_its_last_change(tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(checkpoint)
    checkpoint.saved_at = NOW + timedelta(seconds=10)
    checkpoint.session.trades_today = 6
    store.save(checkpoint)
    store.close()
    times = dict(ask(tmp_path, "SELECT key, updated_at FROM bot_state"))
    assert times["daily_trade_count"] == checkpoint.saved_at.isoformat()
    assert times["daily_pnl"] == NOW.isoformat()


def test_sqlite_is_set_to_lose_no_commit_in_a_power_cut(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    store.close()


DAMAGE = [
    "UPDATE trades SET data = '{}'",
    "DELETE FROM bot_state WHERE key = 'attempts'",
    "DELETE FROM bot_state WHERE key = 'version'",
    "UPDATE bot_state SET value = 'x' WHERE key = 'version'",
    "DROP TABLE bars",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_gives_way_to_its_copy_and_is_kept_aside(
    damage: str, tmp_path: Path
) -> None:
    saved(tmp_path, full_checkpoint())
    ask(tmp_path, damage)
    loaded = read_state(StoreKind.SQLITE, tmp_path)
    assert loaded.source is Source.BACKUP
    assert loaded.checkpoint == full_checkpoint()
    assert "trader.db cannot be believed" in loaded.problems[0]
    again = open_store(StoreKind.SQLITE, tmp_path)
    assert again.load() == loaded
    again.save(new_checkpoint(DAY, now=NOW))
    again.close()
    assert (tmp_path / "trader.db.damaged").exists()
    assert read_state(StoreKind.SQLITE, tmp_path).checkpoint == new_checkpoint(DAY, now=NOW)


def test_a_database_and_a_copy_that_are_garbage_are_a_lost_state(tmp_path: Path) -> None:
    for name in ("trader.db", "trader.db.bak"):
        (tmp_path / name).write_bytes(b"this is not a database, whatever its name" * 100)
    store = open_store(StoreKind.SQLITE, tmp_path)
    loaded = store.load()
    store.save(full_checkpoint())
    store.close()
    assert loaded.state_was_lost
    assert len(loaded.problems) == 2
    assert read_state(StoreKind.SQLITE, tmp_path).checkpoint == full_checkpoint()


def test_a_bot_that_dies_before_it_has_saved_leaves_a_lost_state_lost(tmp_path: Path) -> None:
    (tmp_path / "trader.db").write_bytes(b"this is not a database, whatever its name" * 100)
    for _ in range(2):
        store = open_store(StoreKind.SQLITE, tmp_path)
        assert store.load().state_was_lost
        store.close()
    assert read_state(StoreKind.SQLITE, tmp_path).state_was_lost


def test_a_database_that_is_missing_gives_way_to_its_copy(tmp_path: Path) -> None:
    saved(tmp_path, full_checkpoint())
    (tmp_path / "trader.db").unlink()
    loaded = read_state(StoreKind.SQLITE, tmp_path)
    assert loaded.source is Source.BACKUP
    assert "missing" in loaded.problems[0]


def test_the_copy_has_every_attempt_and_is_otherwise_a_minute_old_at_most(tmp_path: Path) -> None:
    checkpoint = full_checkpoint()
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(checkpoint)

    def kept() -> Checkpoint:
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / "trader.db").write_bytes((tmp_path / "trader.db.bak").read_bytes())
        read = read_state(StoreKind.SQLITE, tmp_path / "copy").checkpoint
        assert read is not None
        return read

    checkpoint.session.trades_today, checkpoint.saved_at = 6, NOW + timedelta(seconds=59)
    store.save(checkpoint)
    assert kept().session.trades_today == 5
    checkpoint.attempts[ATTEMPT] = 3
    store.save(checkpoint)
    assert kept() == checkpoint
    checkpoint.session.trades_today, checkpoint.saved_at = 7, NOW + timedelta(seconds=119)
    store.save(checkpoint)
    assert kept().session.trades_today == 7
    store.close()


def test_a_copy_that_cannot_be_written_fails_the_save(tmp_path: Path) -> None:
    (tmp_path / "trader.db.bak").mkdir()
    store = open_store(StoreKind.SQLITE, tmp_path)
    with pytest.raises(OSError, match=r"trader\.db\.bak"):
        store.save(full_checkpoint())
    store.close()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_copy_that_sqlite_cannot_make_fails_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("target_trader.state.sqlite_store.copy_database", refuse)
    store = open_store(StoreKind.SQLITE, tmp_path)
    with pytest.raises(OSError, match="disk is full"):
        store.save(full_checkpoint())
    store.close()


def test_pages_that_do_not_fit_together_are_damage(tmp_path: Path) -> None:
    saved(tmp_path, full_checkpoint())
    path = tmp_path / "trader.db"
    content = bytearray(path.read_bytes())
    # The number of cells of the second page, a leaf: there are not so many.
    content[4096 + 3 : 4096 + 5] = b"\x00\xff"
    path.write_bytes(bytes(content))
    loaded = read_state(StoreKind.SQLITE, tmp_path)
    assert loaded.source is Source.BACKUP
    assert "cannot be believed" in loaded.problems[0]


def test_a_database_to_which_nothing_was_ever_saved_is_a_clean_start(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.engine.connect():
        pass
    loaded = store.load()
    store.close()
    assert (tmp_path / "trader.db").exists()
    assert loaded.checkpoint is None
    assert not loaded.state_was_lost
