"""Storage faults as values and as damage to bytes: what they do, to which file, and to no other."""

import hashlib
import json

import pytest

from harness.errors import UserError
from harness.faults.catalog import BY_STORE, every_fault
from harness.faults.damage import damaged, flipped, torn
from harness.faults.dates import (
    find_seals,
    of_another_day,
    of_another_form,
    of_another_version,
    shift_days,
)
from harness.faults.roles import newest_file, newest_key, role_of_file, role_of_key
from harness.faults.storage import (
    FAULT,
    Empty,
    Shape,
    Stale,
    Torn,
    Unit,
    parse_storage_fault,
)

DATA = bytes(range(1, 251)) * 40  # 10,000 bytes without a zero


def spans(data: bytes) -> list[tuple[int, int]]:
    """Where zeros stand in a row."""
    found: list[tuple[int, int]] = []
    for place, byte in enumerate(data):
        if byte == 0 and found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        elif byte == 0:
            found.append((place, place + 1))
    return found


@pytest.mark.parametrize(
    ("shape", "unit", "size", "zeros"),
    [
        ("prefix", "512", 9728, []),
        ("prefix", "4096", 8192, []),
        ("prefix", "thirds", 6668, []),
        ("suffix", "512", 10000, [(0, 512)]),
        ("suffix", "4096", 10000, [(0, 4096)]),
        ("suffix", "thirds", 10000, [(0, 3334)]),
        ("hole", "512", 10000, [(5120, 5632)]),
        ("hole", "4096", 10000, [(4096, 8192)]),
        ("hole", "thirds", 10000, [(3334, 6668)]),
        ("zeros", "512", 10000, [(512, 10000)]),
        ("zeros", "4096", 10000, [(4096, 10000)]),
        ("zeros", "thirds", 10000, [(3334, 10000)]),
    ],
)
def test_a_write_is_torn_at_the_ends_of_its_blocks(
    shape: Shape, unit: Unit, size: int, zeros: list[tuple[int, int]]
) -> None:
    after, words = torn(Torn(role="state", shape=shape, unit=unit), DATA)
    assert (len(after), spans(after)) == (size, zeros)
    assert all(now == then for now, then in zip(after, DATA, strict=False) if now)
    assert str(zeros[0][1] if zeros else size) in words


@pytest.mark.parametrize("unit", ["512", "4096", "thirds"])
@pytest.mark.parametrize("shape", ["prefix", "suffix", "hole", "zeros"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 511, 512, 513, 1024, 4096, 4097])
def test_a_file_of_any_size_can_be_torn(shape: Shape, unit: Unit, size: int) -> None:
    data = DATA[:size]
    after, _ = torn(Torn(role="state", shape=shape, unit=unit), data)
    assert len(after) == size or shape == "prefix"
    assert after != data or not size, "a tear that changes nothing"


def test_one_bit_is_flipped_and_the_seed_alone_decides_which() -> None:
    after, words = flipped(DATA, seed=7)
    differ = [place for place, byte in enumerate(DATA) if byte != after[place]]
    assert len(differ) == 1
    place = differ[0]
    assert (DATA[place] ^ after[place]).bit_count() == 1
    assert f"byte {place} of 10000" in words
    assert flipped(DATA, seed=7)[0] == after
    assert len({flipped(DATA, seed=seed)[0] for seed in range(20)}) == 20
    assert flipped(b"", seed=7)[0] == b""


def test_an_empty_file_has_no_bytes() -> None:
    assert damaged(Empty(role="state"), DATA) == (b"", "0 of 10000 bytes are left")


def test_every_fault_has_one_word_that_leads_back_to_it_and_a_value_that_does() -> None:
    faults = every_fault()
    assert len({fault.slug for fault in faults}) == len(faults) > 150
    for fault in faults:
        assert parse_storage_fault(fault.slug) == fault
        assert FAULT.validate_json(fault.model_dump_json()) == fault
        assert fault.describe()
    assert len({fault.describe() for fault in faults}) == len(faults)


@pytest.mark.parametrize(
    "word",
    [
        *("", "torn", "torn.state.prefix", "torn.state.sideways.512", "torn.moon.prefix.512"),
        *("flip.state.-1", "flip.state.07", "flip.folder.1", "empty.redis", "stale.state.x"),
        *("read-only.state", "future.state.tomorrow", "torn.state.prefix.512.x"),
    ],
)
def test_a_word_that_names_no_fault_is_refused_with_those_that_do(word: str) -> None:
    with pytest.raises(UserError, match="names no storage fault"):
        parse_storage_fault(word)


def test_every_store_has_the_faults_of_its_files() -> None:
    told = {
        store: {str(fault.model_dump().get("role", "folder")) for fault in faults}
        for store, faults in BY_STORE.items()
    }
    assert told == {
        "json": {"state", "backup", "lock", "folder"},
        "sqlite": {"database", "wal", "backup", "lock", "folder"},
        "redis": {"key", "backup-key", "lock-key", "redis", "witness", "lock", "folder"},
    }


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("trader_state_20251006.json", "state"),
        ("trader_state_20251006.bak.json", "backup"),
        ("trader_state_20251006.tmp", "temp"),
        ("trader_state_20251006.bak.tmp", "temp"),
        ("trader_state_20251006.damaged", None),
        ("trader_state_20251006.v1.json", None),
        ("trader.db", "database"),
        ("trader.db-wal", "wal"),
        ("trader.db-shm", None),
        ("trader.db.bak", "backup"),
        ("trader.db.damaged", None),
        ("trader.lock", "lock"),
        ("redis_ps60.witness.json", "witness"),
        ("bot.pid", "lock"),
        ("tradesv3.sqlite", "database"),
        ("tradesv3.sqlite-journal", "journal"),
        ("events.jsonl", "journal"),
        ("positions.json", "state"),
        ("bot_state", "state"),
        ("bot.log", None),
        ("README", None),
    ],
)
def test_a_file_is_told_by_its_name(name: str, role: str | None) -> None:
    assert role_of_file(name) == role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("target_trader:ps60:state", "key"),
        ("target_trader:ps60:backup", "backup-key"),
        ("target_trader:ps60:owner", "lock-key"),
        ("target_trader:ps60:token", "lock-key"),
        ("target_trader:ps60:state:damaged", None),
        ("target_trader:ps60:state:v1", None),
        ("positions", "key"),
    ],
)
def test_a_key_is_told_by_its_name(name: str, role: str | None) -> None:
    assert role_of_key(name) == role


def test_of_several_files_the_newest_days_is_meant() -> None:
    names = ["s_20251003.json", "s_20251006.json", "sub/s_20251004.json", "s_20251006.bak.json"]
    assert newest_file(names, "backup") == "s_20251006.bak.json"
    assert newest_file(names[:2], "state") == "s_20251006.json"
    assert newest_file(names, "wal") is None
    assert newest_key(["a:state", "a:backup"], "key") == "a:state"
    assert newest_key([], "key") is None


def test_dates_are_moved_and_numbers_that_only_look_like_them_are_not() -> None:
    text = "2025-10-06T10:00 PS60|TSLA|L|20251006|1|entry 1202510061 2025-1006 20251306 445.25"
    assert shift_days(text, -1) == (
        "2025-10-05T10:00 PS60|TSLA|L|20251005|1|entry 1202510061 2025-1006 20251306 445.25"
    )
    assert shift_days("20251001 2024-02-28 2025-02-30", 1) == "20251002 2024-02-29 2025-02-30"


def sealed(tree: object) -> bytes:
    body = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    total = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"checkpoint": tree, "checksum": total}).encode()


TREE = {"version": 2, "day": "2025-10-06", "who": "Zoë"}


def test_a_changed_file_gets_a_right_checksum_where_it_had_one() -> None:
    for data, other in (
        (of_another_day(sealed(TREE), 1), {**TREE, "day": "2025-10-07"}),
        (of_another_version(sealed(TREE)), {**TREE, "version": 99}),
    ):
        assert data is not None
        assert json.loads(data) == json.loads(sealed(other))


def test_a_checksum_beside_everything_else_is_found_as_well() -> None:
    tree: dict[str, object] = {"a": 1, "day": "2025-10-06"}
    tree["md5"] = hashlib.md5(json.dumps(tree).encode(), usedforsecurity=False).hexdigest()
    data = of_another_day(json.dumps(tree).encode(), 1)
    assert data is not None
    after = json.loads(data)
    rest = json.dumps({"a": 1, "day": "2025-10-07"}).encode()
    assert after["md5"] == hashlib.md5(rest, usedforsecurity=False).hexdigest()


def test_a_checksum_that_is_wrong_is_left_wrong() -> None:
    tree = {"checkpoint": TREE, "checksum": "0" * 64}
    assert find_seals(tree) == []
    data = of_another_day(json.dumps(tree).encode(), 1)
    assert data is not None
    assert json.loads(data)["checksum"] == "0" * 64


def test_the_version_nearest_to_the_root_is_raised() -> None:
    tree = {"old": {"deep": {"version": 1}}, "meta": {"schema_version": 3}}
    data = of_another_version(json.dumps(tree).encode())
    assert data is not None
    assert json.loads(data) == {"old": {"deep": {"version": 1}}, "meta": {"schema_version": 99}}


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[1]", b'{"a": 1'])
def test_what_is_no_json_object_cannot_be_of_the_future(data: bytes) -> None:
    assert of_another_version(data) is None
    assert of_another_form(data) is None
    assert of_another_day(data, 1) is None


def test_another_form_keeps_none_of_the_names() -> None:
    data = of_another_form(sealed(TREE))
    assert data is not None
    assert set(json.loads(data)) == {"format", "content"}
    assert "checksum" not in json.loads(data)["content"]["of"]


def test_a_copy_of_no_steps_ago_is_the_bots_own_backup() -> None:
    assert "own backup" in Stale(role="state", back=0).describe()
    assert "the last step" in Stale(role="state", back=1).describe()
    assert "the last 3 steps" in Stale(role="state", back=3).describe()
