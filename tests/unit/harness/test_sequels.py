"""What follows a crash, by what it left: whose sequel is whose, and what cannot have one."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from harness.case import Case
from harness.sameness import first_difference, nameless
from harness.sequels import Sequels, counts_matter, has_sequels, left_behind
from harness.targets import Session
from scenarios.test_every_point import SCENARIO

HERE = "before.rename.state-file.1.20251006T100145"
THERE = "before.fsync.state-file.1.20251006T100145"


def case_of(trial: str) -> Case:
    return SCENARIO.case("sqlite" if "locked-database" in trial else "json", trial=trial)


def session_of(folder: Path) -> Session:
    folder.mkdir(exist_ok=True)
    return Session(port=1, state_dir=str(folder), store="json", watchlist="", redis_url="")


def digest(trial: str, folder: Path, *, life: int = 1, broker: str = "b") -> str:
    case = case_of(trial)
    return left_behind(case, session_of(folder), life=life, broker=broker)


def test_what_is_left_does_not_ask_where_the_bot_died(tmp_path: Path) -> None:
    state = tmp_path / "state"
    here = digest(f"kill={HERE}", state)
    assert digest(f"kill={THERE}", state) == here
    assert digest("kill=processed.placeOrder.1+lost", state) == here


@pytest.mark.parametrize(
    "other",
    [
        f"kill={THERE}+stop-fills",
        f"kill={THERE}+empty.state",
        f"kill={THERE}/kill={HERE}",
        f"with=statuses-twice/kill={THERE}",
        f"kill={THERE}/end=20251006T100230",
    ],
)
def test_what_is_planned_from_there_on_is_part_of_it(tmp_path: Path, other: str) -> None:
    state = tmp_path / "state"
    assert digest(other, state) != digest(f"kill={HERE}", state)


def test_files_broker_and_life_are_part_of_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = digest(f"kill={HERE}/kill={THERE}", state)
    assert digest(f"kill={HERE}/kill={THERE}", state, broker="c") != first
    assert digest(f"kill={HERE}/kill={THERE}", state, life=2) != first
    (state / "state.json").write_text("{}")
    assert digest(f"kill={HERE}/kill={THERE}", state) != first


@pytest.mark.parametrize(
    ("trial", "has"),
    [
        (f"kill={HERE}", True),
        (f"kill={HERE}+stop-fills", True),
        (f"fail=ENOSPC.write.temporary-file.3/kill={HERE}", False),
        (f"outage=locked-database.20251006T100030.20251006T100040/kill={HERE}", False),
    ],
)
def test_a_call_or_a_server_that_fails_has_no_sequel(trial: str, has: bool) -> None:
    assert has_sequels(case_of(trial)) is has


@pytest.mark.parametrize(
    ("trial", "matter"),
    [
        (f"kill={HERE}", False),
        ("kill=processed.placeOrder.1", False),
        (f"kill={HERE}+stop-fills/kill={THERE}", False),
        (f"kill={HERE}/kill=processed.placeOrder.2", True),
        (f"with=statuses-twice/kill={HERE}", True),
        (f"kill={HERE}+half-alive", True),
    ],
)
def test_counts_matter_where_something_goes_by_them(trial: str, matter: bool) -> None:
    assert counts_matter(case_of(trial), 1) is matter


def test_sequels_are_shared_by_folder_and_not_between_sweeps(tmp_path: Path) -> None:
    one = Sequels(tmp_path / "shared", sweep="json")
    assert one.known("remains") is None
    one.learn("remains", ["a", "b"])
    assert one.known("remains") == ["a", "b"]
    assert Sequels(tmp_path / "shared", sweep="json").known("remains") == ["a", "b"]
    assert Sequels(tmp_path / "shared", sweep="redis").known("remains") is None
    assert (tmp_path / "shared").stat().st_mode & 0o077 == 0
    assert len(list((tmp_path / "shared").iterdir())) == 1, "no half-written file is left"


def lines(*texts: str) -> str:
    return "\n".join(f'{{"seq":{n},{text}}}' for n, text in enumerate(texts, start=1)) + "\n"


def test_a_told_history_is_compared_without_numbers_from_where_it_is_told(tmp_path: Path) -> None:
    played, told = tmp_path / "played", tmp_path / "told"
    sent = '"kind":"sent","occurrence":{},"what":"{}"'
    mark = '"kind":"foretold"'
    played.write_text(lines(sent.format(1, "a"), sent.format(2, "b")))
    told.write_text(lines(sent.format(1, "a"), mark, sent.format(7, "b")))
    assert first_difference(played, told) is None
    told.write_text(lines(sent.format(1, "a"), mark, sent.format(7, "c")))
    assert "line 2 is" in str(first_difference(played, told))
    told.write_text(lines(sent.format(9, "a"), mark, sent.format(7, "b")))
    assert "line 1 is" in str(first_difference(played, told))
    told.write_text(lines(sent.format(1, "a"), mark))
    assert "ends after 1 lines" in str(first_difference(played, told))


def test_the_log_of_a_database_counts_as_it_is_where_it_is_damaged_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "state.db", isolation_level=None)) as bot:
        bot.execute("PRAGMA journal_mode=WAL")
        bot.execute("CREATE TABLE t (x)")
        trials = [f"kill={HERE}", f"kill={HERE}+torn.wal.prefix.512", f"kill={HERE}/kill={THERE}"]
        before = [digest(trial, state) for trial in trials]
        with (state / "state.db-wal").open("ab") as log:
            log.write(b"the beginning of a frame")
        after = [digest(trial, state) for trial in trials]
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert same == [True, False, False]


def test_what_cannot_be_kept_is_not_known_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    full = Sequels(tmp_path / "taken" / "shared", sweep="json")
    full.learn("remains", ["a"])
    assert full.known("remains") is None


def test_the_name_of_a_kill_does_not_make_a_run_another(tmp_path: Path) -> None:
    here, there, none = [tmp_path / name for name in ("here", "there", "none")]
    here.write_text(lines('"kind":"case"', '"kind":"bar"', '"kind":"killed","point":"a"'))
    there.write_text(lines('"kind":"case"', '"kind":"bar"', '"kind":"killed","point":"b"'))
    none.write_text(lines('"kind":"case"', '"kind":"tick"'))
    assert nameless(here) == nameless(there) != nameless(none)
