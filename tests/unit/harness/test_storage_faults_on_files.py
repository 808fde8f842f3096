"""Storage faults on real folders, databases and a real Redis."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.faults import read_only
from harness.faults.apply import apply_storage_fault, needs_copies
from harness.faults.copies import KEPT, Copies, read_files
from harness.faults.database import held_database
from harness.faults.keys import dump_keys, read_strings, write_string
from harness.faults.memory import Applied, Memory, NotThere
from harness.faults.play import play_storage_fault
from harness.faults.read_only import humble_command, make_writable
from harness.faults.storage import parse_storage_fault
from harness.redis_process import RedisProcess, running_redis
from harness.targets.process import run_to_end
from target_trader.errors import StateVersionError
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.json_store import JsonStore, read_json_state
from target_trader.state.sqlite_read import read_sqlite_state
from target_trader.state.sqlite_store import SqliteStore
from target_trader.state.store import Source
from tests.unit.harness.stories import OPEN

TODAY = date(2025, 10, 6)
MAIN, BACKUP = "trader_state_20251006.json", "trader_state_20251006.bak.json"


def apply(slug: str, memory: Memory) -> Applied:
    outcome = apply_storage_fault(parse_storage_fault(slug), memory)
    assert isinstance(outcome, Applied), outcome
    return outcome


def skipped(slug: str, memory: Memory) -> str:
    outcome = apply_storage_fault(parse_storage_fault(slug), memory)
    assert isinstance(outcome, NotThere), outcome
    return outcome.reason


def checkpoint(attempts: int = 1) -> Checkpoint:
    made = new_checkpoint(TODAY, now=OPEN)
    made.attempts = {"TSLA|LONG|444.77": attempts}
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder of a JSON store that has saved twice."""
    made = tmp_path / "state"
    store = JsonStore(made)
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    store.close()
    return made


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The state folder of an SQLite store whose bot was killed: a WAL is there."""
    made = tmp_path / "state"
    store = SqliteStore(made)
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name, data in read_files(made).items():
        (killed / name).write_bytes(data)
    store.close()
    return killed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """An empty Redis."""
    with running_redis(tmp_path) as process:
        yield process


def test_damage_is_done_to_the_file_of_the_role_and_to_no_other(folder: Path) -> None:
    before = read_files(folder)
    done = apply("torn.state.prefix.thirds", Memory(folder, OPEN))
    after = read_files(folder)
    assert done == Applied(
        "state", MAIN, f"{len(after[MAIN])} of {len(before[MAIN])} bytes are left"
    )
    assert before[MAIN].startswith(after[MAIN])
    assert {name for name in before if before[name] != after[name]} == {MAIN}


def test_a_file_that_is_gone_is_gone(folder: Path) -> None:
    assert apply("missing.backup", Memory(folder, OPEN)).name == BACKUP
    assert set(read_files(folder)) == {MAIN, "trader.lock"}
    assert skipped("missing.backup", Memory(folder, OPEN)) == "there is no backup"
    assert skipped("empty.lock", Memory(folder, OPEN)).endswith(
        "the same with the fault as without it"
    )


def test_everything_can_be_gone(folder: Path) -> None:
    apply("missing.folder", Memory(folder, OPEN))
    assert list(folder.iterdir()) == []
    assert "the same" in skipped("missing.folder", Memory(folder, OPEN))


def test_the_bots_own_backup_is_put_in_the_place_of_the_file(folder: Path) -> None:
    apply("stale.state.0", Memory(folder, OPEN))
    loaded = read_json_state(folder)
    assert loaded.source is Source.MAIN
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.attempts == {"TSLA|LONG|444.77": 1}


def test_an_older_version_comes_from_the_copies(folder: Path) -> None:
    copies = Copies()
    store = JsonStore(folder)
    for attempts in (3, 4, 5):
        store.save(checkpoint(attempts))
        copies.take(OPEN + timedelta(seconds=attempts), folder)
    store.save(checkpoint(6))
    store.close()
    memory = Memory(folder, OPEN, copies)
    for slug, attempts in (("stale.state.1", 5), ("stale.folder.3", 3), ("stale.state.2", 4)):
        assert "2025-10-06" in apply(slug, memory).done or slug == "stale.folder.3"
        loaded = read_json_state(folder)
        assert loaded.checkpoint is not None
        assert loaded.checkpoint.attempts == {"TSLA|LONG|444.77": attempts}
    assert skipped("stale.state.4", memory) == "there is no copy of 4 steps ago"
    assert skipped("stale.state.2", memory).endswith("the same with the fault as without it")
    assert skipped("stale.wal.1", memory) == "there is no wal"


def test_copies_are_few_and_an_earlier_days_last_one_stays(folder: Path) -> None:
    copies = Copies()
    friday = OPEN - timedelta(days=3)
    for second in range(5):
        copies.take(friday + timedelta(seconds=second), folder)
    for second in range(KEPT + 9):
        copies.take(OPEN + timedelta(seconds=second), folder)
    assert len(copies.newest) == KEPT
    assert copies.ago(KEPT + 1) is None
    assert copies.ago(0) is None
    earlier = copies.day_before(OPEN)
    assert earlier is not None
    assert earlier.time == friday + timedelta(seconds=4)
    assert copies.day_before(friday) is None


def test_copies_are_asked_for_where_a_fault_needs_them() -> None:
    needy = ["stale.folder.1", "yesterday.state"]
    assert all(needs_copies(parse_storage_fault(slug)) for slug in needy)
    assert not any(
        needs_copies(parse_storage_fault(slug)) for slug in ("stale.state.0", "empty.wal")
    )
    assert not needs_copies(None)


def test_yesterdays_file_is_the_one_of_yesterday_where_there_was_one(folder: Path) -> None:
    copies = Copies()
    copies.take(OPEN - timedelta(days=1), folder)
    yesterday = read_files(folder)
    store = JsonStore(folder)
    store.save(checkpoint(7))
    store.close()
    apply("yesterday.folder", Memory(folder, OPEN, copies))
    assert read_files(folder) == yesterday


def test_else_yesterdays_file_has_all_its_dates_a_day_back(folder: Path) -> None:
    apply("yesterday.state", Memory(folder, OPEN))
    assert "holds the state of 2025-10-05" in read_json_state(folder).problems[0]
    (folder / MAIN).rename(folder / "trader_state_20251005.json")
    (folder / BACKUP).unlink()
    loaded = read_json_state(folder)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())
    assert loaded.checkpoint is not None
    assert (loaded.checkpoint.day, loaded.checkpoint.saved_at) == (
        TODAY - timedelta(days=1),
        OPEN - timedelta(days=1),
    )


def test_yesterdays_folder_has_yesterdays_names(folder: Path) -> None:
    done = apply("yesterday.folder", Memory(folder, OPEN))
    assert done.done == "all dates of 2 files are a day back"
    assert sorted(read_files(folder)) == [
        "trader.lock",
        "trader_state_20251005.bak.json",
        "trader_state_20251005.json",
    ]
    assert read_json_state(folder).problems == ()


def test_a_temporary_file_is_left_under_both_common_names(folder: Path) -> None:
    size = len((folder / MAIN).read_bytes())
    apply("leftover.state", Memory(folder, OPEN))
    for name in ("trader_state_20251006.tmp", "trader_state_20251006.json.tmp"):
        assert len((folder / name).read_bytes()) == size // 3


def test_a_state_of_the_future_is_sound_and_of_the_future(folder: Path) -> None:
    apply("future.state.date", Memory(folder, OPEN))
    assert "holds the state of 2025-10-07" in read_json_state(folder).problems[0]
    tomorrow = folder / "trader_state_20251007.json"
    (folder / MAIN).rename(tomorrow)
    loaded = read_json_state(folder)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())
    apply("future.state.version", Memory(folder, OPEN))
    with pytest.raises(StateVersionError, match="version 99"):
        read_json_state(folder)
    apply("future.state.schema", Memory(folder, OPEN))
    assert "checkpoint" not in json.loads(tomorrow.read_bytes())
    tomorrow.write_bytes(b"\0\0")
    assert "nothing in it" in skipped("future.state.version", Memory(folder, OPEN))


def test_a_database_of_another_day_is_sound_and_of_another_day(database: Path) -> None:
    for slug, days in (("yesterday.database", -1), ("future.database.date", 0)):
        apply(slug, Memory(database, OPEN))
        loaded = read_sqlite_state(database)
        assert (loaded.source, loaded.problems) == (Source.MAIN, ())
        assert loaded.checkpoint is not None
        assert loaded.checkpoint.day == TODAY + timedelta(days=days)
        assert loaded.checkpoint.attempts == {"TSLA|LONG|444.77": 2}


def test_a_database_of_another_version_or_form_is_seen_as_such(database: Path) -> None:
    apply("future.database.version", Memory(database, OPEN))
    with pytest.raises(StateVersionError, match="version 99"):
        read_sqlite_state(database)
    apply("future.database.schema", Memory(database, OPEN))
    with sqlite3.connect(database / "trader.db") as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "new_bot_state" in names
    assert "bot_state" not in names


def test_a_foreign_database_is_changed_without_a_checksum(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bot.sqlite") as connection:
        connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('version', '3'), ('day', '2025-10-06')")
    connection.close()
    apply("future.database.version", Memory(tmp_path, OPEN))
    apply("yesterday.database", Memory(tmp_path, OPEN))
    with sqlite3.connect(tmp_path / "bot.sqlite") as connection:
        rows = dict(connection.execute("SELECT key, value FROM meta"))
    assert rows == {"version": "99", "day": "2025-10-05"}


def test_a_database_that_is_none_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bot.db").write_bytes(b"no database" * 100)
    with pytest.raises(HarnessError, match=r"bot\.db"):
        apply_storage_fault(parse_storage_fault("future.database.date"), Memory(tmp_path, OPEN))


def test_a_wal_that_is_gone_takes_its_commits_with_it(database: Path) -> None:
    wal = (database / "trader.db-wal").stat().st_size
    assert apply("missing.wal", Memory(database, OPEN)).done == f"{wal} bytes are gone"
    loaded = read_sqlite_state(database)
    assert loaded.source is Source.BACKUP


def test_a_database_is_locked_for_others_while_it_is_held_and_not_after(database: Path) -> None:
    path = database / "trader.db"
    with held_database(path):
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HarnessError, match="locked"), held_database(path, patience=0):
            pytest.fail("it was held twice")
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(HarnessError, match=r"none\.db"), held_database(database / "none.db"):
        pytest.fail("there is no such database")


WRITE = "import sys; open(sys.argv[1], 'w').write('x')"


def write_as_bot(path: Path) -> tuple[int, str]:
    command = humble_command((sys.executable, "-c", WRITE, str(path)))
    code, _, words = run_to_end(command, seconds=20)
    return code, words


def test_nothing_can_be_made_or_changed_in_a_read_only_folder(folder: Path) -> None:
    done = apply("read-only", Memory(folder, OPEN))
    assert done.blocks
    for path in (folder / "new", folder / MAIN):
        code, words = write_as_bot(path)
        assert code == 1
        assert "PermissionError" in words
    make_writable(folder)
    assert write_as_bot(folder / "new") == (0, "")
    assert write_as_bot(folder / MAIN) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a power over files to keep")
def test_a_folder_that_is_not_read_only_for_its_bot_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_only, "humble_command", lambda command: command)
    with pytest.raises(HarnessError, match="does not bite"):
        apply_storage_fault(parse_storage_fault("read-only"), Memory(folder, OPEN))
    (folder / "new").write_text("x")
    assert not (folder / "crashgate-probe").exists()


def test_a_program_that_is_not_there_is_said_by_its_name() -> None:
    code, _, words = run_to_end(humble_command(("/no/such/program",)), seconds=20)
    assert code == 127
    assert "cannot start /no/such/program" in words


def test_values_in_redis_are_harmed_like_files(tmp_path: Path, server: RedisProcess) -> None:
    url = server.url
    for name in ("state", "backup", "owner", "state:damaged"):
        write_string(url, f"bot:{name}", name.encode() * 10)
    memory = Memory(tmp_path, OPEN, redis_url=url)
    assert apply("empty.key", memory).name == "bot:state"
    assert apply("torn.backup-key.prefix.thirds", memory).name == "bot:backup"
    assert apply("missing.lock-key", memory).name == "bot:owner"
    assert read_strings(url) == {
        "bot:state": b"",
        "bot:backup": b"backup" * 6 + b"back",
        "bot:state:damaged": b"state:damaged" * 10,
    }
    assert apply("missing.redis", memory).done == "all 3 are gone"
    assert dump_keys(url) == {}
    assert skipped("empty.key", memory) == "there is no key"
    assert skipped("missing.redis", Memory(tmp_path, OPEN)) == "the bot has no Redis"
    assert skipped("empty.key", Memory(tmp_path, OPEN)) == "there is no key"


def test_a_redis_can_be_put_back_as_it_was(tmp_path: Path, server: RedisProcess) -> None:
    url, copies = server.url, Copies()
    for value in (b"one", b"two"):
        write_string(url, "bot:state", value)
        write_string(url, "bot:token", value)
        copies.take(OPEN, tmp_path, redis_url=url)
    write_string(url, "bot:state", b"three")
    memory = Memory(tmp_path, OPEN, copies, url)
    apply("stale.key.2", memory)
    assert read_strings(url) == {"bot:state": b"one", "bot:token": b"two"}
    apply("stale.redis.2", memory)
    assert read_strings(url) == {"bot:state": b"one", "bot:token": b"one"}
    assert skipped("stale.redis.2", memory).endswith("the same with the fault as without it")
    assert skipped("stale.key.2", memory).endswith("the same with the fault as without it")


def test_what_is_no_plain_value_is_kept_over_a_restart_of_the_whole(server: RedisProcess) -> None:
    import redis

    with redis.Redis.from_url(server.url) as client:
        client.hset("bot:positions", mapping={"TSLA": "100"})
        write_string(server.url, "bot:state", b"\xff\x00")
        held, port = dump_keys(server.url), server.port
        server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert server.client_ports() == ()
        server.start(held)
        assert server.port == port
        assert client.hgetall("bot:positions") == {b"TSLA": b"100"}
    assert read_strings(server.url) == {"bot:state": b"\xff\x00"}
    server.stop()
    server.start({})
    assert dump_keys(server.url) == {}
    server.await_goodbye()


def test_a_redis_that_is_down_is_an_error_of_the_harness(
    tmp_path: Path, server: RedisProcess
) -> None:
    server.stop()
    with pytest.raises(HarnessError, match="the run's Redis"):
        apply_storage_fault(
            parse_storage_fault("missing.redis"), Memory(tmp_path, OPEN, redis_url=server.url)
        )
    server.start({})


def test_a_fault_is_written_down_whether_it_happened_or_not(folder: Path) -> None:
    told: list[tuple[str, datetime, dict[str, object]]] = []

    def note(kind: str, now: datetime, **fields: object) -> None:
        told.append((kind, now, fields))

    memory = Memory(folder, OPEN)
    for slug in ("missing.backup", "missing.wal"):
        assert not play_storage_fault(parse_storage_fault(slug), memory, life=2, note=note)
    assert play_storage_fault(parse_storage_fault("read-only"), memory, life=2, note=note)
    make_writable(folder)
    kinds = [(kind, fields["fault"]) for kind, _, fields in told]
    assert kinds == [
        ("storage", "missing.backup"),
        ("skipped", "missing.wal"),
        ("storage", "read-only"),
    ]
    assert told[0][2]["name"] == BACKUP
    assert told[1][2]["reason"] == "there is no wal"
    assert [fields.get("blocks") for _, _, fields in told] == [False, None, True]
    assert str(folder) not in json.dumps([fields for _, _, fields in told])
