"""States that an older bot has written: the files in golden/version_1 are that bot's own."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from target_trader.errors import DamagedStateError, StateVersionError
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import VERSION, Checkpoint, HaltKind
from target_trader.state.choice import open_store, read_state
from target_trader.state.codec import checkpoint_of
from target_trader.state.migrations import STEPS, upgrade, version_of
from target_trader.state.store import Source
from tests.support.checkpoints import ATTEMPT, NOW, STEM, TRADE

GOLDEN = Path(__file__).with_name("golden") / "version_1"
STATE = "trader_state_20251006.json"
FILES = {StoreKind.JSON: STATE, StoreKind.SQLITE: "trader.db"}
KEPT = {StoreKind.JSON: "trader_state_20251006.v1.json", StoreKind.SQLITE: "trader.db.v1"}
ON_DISK = pytest.mark.parametrize("kind", sorted(FILES))


def put_old_state(kind: StoreKind, folder: Path) -> Path:
    """Put the state of version 1 into a folder; return its file."""
    path = folder / FILES[kind]
    if kind is StoreKind.JSON:
        shutil.copyfile(GOLDEN / STATE, path)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript((GOLDEN / "trader.db.sql").read_text())
    return path


def check_contents(checkpoint: Checkpoint | None) -> None:
    """Check that nothing of the old state was lost."""
    assert checkpoint is not None
    assert checkpoint.version == VERSION
    assert checkpoint.attempts == {ATTEMPT: 2}
    assert checkpoint.positions[TRADE].stop_order_id == 12345
    assert checkpoint.executions[STEM].order_id == 12344
    assert [intent.order_id for intent in checkpoint.intents] == [12345]
    assert [bar.time for bar in checkpoint.bars["TSLA"]] == [NOW]
    (halt,) = checkpoint.halts
    assert (halt.kind, halt.since) == (HaltKind.ENTRIES, NOW)
    assert "attempts of today are unknown" in halt.reason
    breakout = checkpoint.breakouts["TSLA"].breakout
    assert breakout is not None
    assert breakout.bar == 22, "seen 25 bars, held for 3"


@ON_DISK
def test_a_state_of_version_1_is_read_without_changing_it(kind: StoreKind, tmp_path: Path) -> None:
    path = put_old_state(kind, tmp_path)
    before = path.read_bytes()
    loaded = read_state(kind, tmp_path)
    assert loaded.source is Source.MAIN
    assert loaded.problems == ()
    check_contents(loaded.checkpoint)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


@ON_DISK
def test_a_bot_upgrades_a_state_of_version_1_and_keeps_the_old_file(
    kind: StoreKind, tmp_path: Path
) -> None:
    path = put_old_state(kind, tmp_path)
    before = path.read_bytes()
    store = open_store(kind, tmp_path)
    upgraded = store.load().checkpoint
    check_contents(upgraded)
    assert upgraded is not None
    store.save(upgraded)
    upgraded.attempts["TSLA|SHORT|432.50"] = 1
    store.save(upgraded)
    store.close()
    loaded = read_state(kind, tmp_path)
    assert loaded.source is Source.MAIN
    assert loaded.checkpoint == upgraded
    kept = tmp_path / KEPT[kind]
    if kind is StoreKind.JSON:
        assert kept.read_bytes() == before
    else:
        with closing(sqlite3.connect(kept)) as connection:
            query = "SELECT value FROM bot_state WHERE key = 'version'"
            assert connection.execute(query).fetchone() == ("1",)


@ON_DISK
def test_a_damaged_state_of_version_1_is_lost_and_not_upgraded(
    kind: StoreKind, tmp_path: Path
) -> None:
    path = put_old_state(kind, tmp_path)
    if kind is StoreKind.JSON:
        path.write_text(path.read_text().replace(f'"{ATTEMPT}": 2', f'"{ATTEMPT}": 0'))
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE bot_state SET value = '{}' WHERE key = 'attempts'")
            connection.commit()
    loaded = read_state(kind, tmp_path)
    assert loaded.state_was_lost
    assert "checksum" in loaded.problems[0]


@pytest.mark.parametrize(
    ("version", "words"),
    [(99, "newer bot"), (0, "no such version"), ("two", "no such version"), (True, "no such")],
)
def test_a_version_that_is_not_known_is_refused_with_what_to_do(
    version: object, words: str
) -> None:
    with pytest.raises(StateVersionError, match=words) as caught:
        version_of({"version": version}, name="the file")
    assert f"the file has version {version}" in str(caught.value)
    assert f"this bot reads version {VERSION}" in str(caught.value)
    assert "Nothing was changed" in str(caught.value)


def test_a_state_without_a_version_is_damaged() -> None:
    with pytest.raises(DamagedStateError, match="no version"):
        version_of({}, name="the file")


def test_every_older_version_has_its_step() -> None:
    assert sorted(STEPS) == list(range(1, VERSION))


def test_an_old_state_without_a_field_of_its_version_is_damaged() -> None:
    with pytest.raises(DamagedStateError, match="a field of the old version"):
        checkpoint_of({"version": 1}, name="the file")


def test_a_symbol_without_a_breakout_is_upgraded_as_it_is() -> None:
    memory = {"bars_seen": 25, "breakout": None}
    old = {"version": 1, "saved_at": "x", "halted": None, "breakouts": {"TSLA": memory}}
    assert upgrade(old, name="x")["breakouts"] == {"TSLA": memory}


def test_an_upgrade_leaves_the_old_tree_alone() -> None:
    old = {"version": 1, "saved_at": "x", "halted": None, "breakouts": {}}
    assert upgrade(old, name="x") == {
        "version": 2,
        "saved_at": "x",
        "halts": [],
        "breakouts": {},
    }
    assert old == {"version": 1, "saved_at": "x", "halted": None, "breakouts": {}}
