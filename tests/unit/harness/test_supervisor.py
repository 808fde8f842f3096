"""The supervisor on small programs: what it counts, where it holds them, what is then on disk."""

import signal
import socket
from pathlib import Path

import pytest

from harness.faults.calls import CallFault
from harness.points import FailPoint
from harness.points.syscall import Side, SystemCall
from harness.supervisor.passages import Passages
from harness.supervisor.roles import BROKER_SOCKET
from tests.support.supervised import NOON, supervise

SAVE = """
def save(text):
    with open("state.json.tmp", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename("state.json.tmp", "state.json")
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

save("one")
save("two")
"""
FIRST_SAVE = [
    ("open", "temporary file"),
    ("write", "temporary file"),
    ("fsync", "temporary file"),
    ("rename", "state file"),
    ("fsync", "state folder"),
]


def point(call: str, role: str, occurrence: int, side: Side = Side.BEFORE) -> SystemCall:
    return SystemCall.model_validate(
        {"call": call, "role": role, "occurrence": occurrence, "time": NOON, "side": side}
    )


def names(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_every_call_on_the_state_is_seen_once_and_in_order(tmp_path: Path) -> None:
    run = supervise(SAVE, tmp_path)
    seen = [(each.call, each.role) for each in run.supervisor.passages]
    assert run.code == 0
    assert seen == FIRST_SAVE * 2
    assert [each.occurrence for each in run.supervisor.passages] == [1] * 5 + [2] * 5
    assert names(tmp_path) == {"state.json": "two"}


@pytest.mark.parametrize(
    ("call", "role", "side", "left"),
    [
        ("open", "temporary file", Side.BEFORE, {"state.json": "one"}),
        ("open", "temporary file", Side.AFTER, {"state.json": "one", "state.json.tmp": ""}),
        ("write", "temporary file", Side.BEFORE, {"state.json": "one", "state.json.tmp": ""}),
        ("write", "temporary file", Side.AFTER, {"state.json": "one", "state.json.tmp": "two"}),
        ("rename", "state file", Side.BEFORE, {"state.json": "one", "state.json.tmp": "two"}),
        ("rename", "state file", Side.AFTER, {"state.json": "two"}),
    ],
)
def test_a_kill_lands_exactly_before_or_after_the_effect(
    tmp_path: Path, call: str, role: str, side: Side, left: dict[str, str]
) -> None:
    run = supervise(SAVE, tmp_path, target=point(call, role, 2, side))
    assert run.code == -signal.SIGKILL
    assert names(tmp_path) == left


def test_a_point_that_is_never_reached_holds_nobody(tmp_path: Path) -> None:
    run = supervise(SAVE, tmp_path, target=point("rename", "state file", 3))
    assert run.code == 0
    assert not run.supervisor.held


def test_a_short_write_ends_at_the_page(tmp_path: Path) -> None:
    program = """
file = os.open("state.json", os.O_WRONLY | os.O_CREAT, 0o600)
os.write(file, b"a" * 1000)
os.write(file, b"b" * 9000)
"""
    run = supervise(program, tmp_path, target=point("write", "state file", 2, Side.SHORT))
    assert run.code == -signal.SIGKILL
    assert [each.can_be_short for each in run.supervisor.passages][1:] == [False, True]
    assert (tmp_path / "state.json").read_bytes() == b"a" * 1000 + b"b" * 3096


def test_the_calls_of_all_threads_are_counted_together(tmp_path: Path) -> None:
    program = """
import threading
def work(name):
    for number in range(3):
        os.fsync(descriptor)
descriptor = os.open("state.json", os.O_WRONLY | os.O_CREAT)
threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
[each.start() for each in threads]
[each.join() for each in threads]
"""
    run = supervise(program, tmp_path, target=point("fsync", "state file", 4))
    assert run.supervisor.held
    assert [each.occurrence for each in run.supervisor.passages[1:]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("side", "heard"), [(Side.BEFORE, b"one"), (Side.AFTER, b"onetwo")])
def test_a_send_to_the_broker_is_held_on_either_side(
    tmp_path: Path, side: Side, heard: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import socket
wire = socket.create_connection(("127.0.0.1", {port}))
wire.sendall(b"one")
wire.sendall(b"two")
wire.sendall(b"six")
"""
        run = supervise(
            program,
            tmp_path,
            target=point("send", BROKER_SOCKET, 2, side),
            servers={port: BROKER_SOCKET},
        )
        wire, _ = server.accept()
        with wire:
            wire.settimeout(10)
            received = b""
            while piece := wire.recv(100):
                received += piece
    assert run.code == -signal.SIGKILL
    assert received == heard


def test_a_full_disk_is_told_to_the_program(tmp_path: Path) -> None:
    program = """
def attempt(text):
    try:
        open("state.json", "w").write(text)
    except OSError as error:
        os._exit(error.errno)
attempt("one")
attempt("two")
"""
    fault = CallFault(call="open", role="state file", occurrence=2, errno="ENOSPC")
    run = supervise(program, tmp_path, faults=(fault,))
    assert run.code == 28
    assert run.supervisor.failed == [fault]
    assert names(tmp_path) == {"state.json": "one"}


def test_sqlite_killed_before_every_call_keeps_whole_transactions(tmp_path: Path) -> None:
    program = """
import sqlite3
db = sqlite3.connect("state.db")
db.execute("create table if not exists pair (a, b)")
for number in range(2):
    with db:
        db.execute("insert into pair values (?, 0)", (number,))
        db.execute("update pair set b = a")
"""
    learned = tmp_path / "learned"
    learned.mkdir()
    passages = supervise(program, learned).supervisor.passages
    assert len(passages) > 15
    for number, passage in enumerate(passages):
        folder = tmp_path / str(number)
        folder.mkdir()
        for_this = passage.points()[0]
        run = supervise(program, folder, target=for_this)
        assert run.supervisor.held, for_this.describe()
        rows = read_pairs(folder / "state.db")
        assert all(a == b for a, b in rows), for_this.describe()


def read_pairs(path: Path) -> list[tuple[int, int]]:
    import sqlite3

    db = sqlite3.connect(path)
    try:
        if not db.execute("select 1 from sqlite_master where name = 'pair'").fetchall():
            return []
        return db.execute("select a, b from pair").fetchall()
    finally:
        db.close()


def test_what_happens_outside_the_state_folder_is_nobodys_point(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    run = supervise(f"open({str(outside / 'state.json')!r}, 'w').write('x')", inside)
    assert run.code == 0
    assert run.supervisor.passages == []
    assert [path.name for path in outside.iterdir()] == ["state.json"]


def test_a_program_goes_on_from_point_to_point_as_if_nobody_had_held_it(tmp_path: Path) -> None:
    program = """
file = os.open("state.json", os.O_WRONLY | os.O_CREAT, 0o600)
assert os.write(file, b"a" * 1000) == 1000
assert os.write(file, b"b" * 9000) == 9000
os.fsync(file)
assert os.pwrite(file, b"c" * 5000, 0) == 5000
os.close(file)
"""
    run = supervise(
        program,
        tmp_path,
        target=point("open", "state file", 1),
        then=[
            point("write", "state file", 2),
            point("write", "state file", 2, Side.SHORT),
            point("write", "state file", 2, Side.AFTER),
            point("fsync", "state file", 1),
            point("pwrite", "state file", 1, Side.SHORT),
        ],
    )
    assert run.code == 0
    written = b"a" * 1000 + b"b" * 9000
    assert [look.get("state.json") for look in run.looks] == [
        None,
        written[:1000],
        written[:4096],
        written,
        written,
        b"c" * 4096 + written[4096:],
    ]
    assert (tmp_path / "state.json").read_bytes() == b"c" * 5000 + written[5000:]


def test_what_is_sent_for_a_program_that_goes_on_is_sent_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import socket
wire = socket.create_connection(("127.0.0.1", {port}))
for word in (b"one", b"two", b"six"):
    assert wire.send(word) == 3
"""
        sends = [point("send", BROKER_SOCKET, 2, side) for side in (Side.BEFORE, Side.AFTER)]
        run = supervise(
            program, tmp_path, target=sends[0], then=sends[1:], servers={port: BROKER_SOCKET}
        )
        wire, _ = server.accept()
        with wire:
            wire.settimeout(10)
            received = b""
            while piece := wire.recv(100):
                received += piece
    assert run.code == 0
    assert received == b"onetwosix"
    assert len(run.looks) == 2


def test_a_point_that_lies_behind_is_known(tmp_path: Path) -> None:
    second = point("write", "temporary file", 2)
    run = supervise(SAVE, tmp_path, target=second)
    supervisor = run.supervisor
    assert supervisor.is_past(point("write", "temporary file", 1))
    assert supervisor.is_past(point("fsync", "temporary file", 1))
    assert not supervisor.is_past(second)
    assert not supervisor.is_past(point("write", "temporary file", 2, Side.AFTER))
    assert not supervisor.is_past(point("fsync", "temporary file", 2))


TELLS = """
def passes(name):
    os.write(2, f"failpoint {name}: print\\n".encode())

file = os.open("state.json", os.O_WRONLY | os.O_CREAT, 0o600)
for letter in (b"a", b"b", b"c"):
    passes("saving")
    os.write(file, letter)
    passes("saved")
"""
TOLD = "failpoint saving: print\nfailpoint saved: print\n"


def passage(name: str, occurrence: int = 1) -> FailPoint:
    return FailPoint(name=name, occurrence=occurrence)


def test_a_program_is_held_where_it_tells_of_a_failpoint(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    log = tmp_path / "log"
    third = point("write", "state file", 3)
    same = passage("saved", 2)
    run = supervise(
        TELLS,
        tmp_path / "state",
        target=passage("saving", 2),
        then=[same, same, passage("saving", 3), third, passage("saved", 3)],
        tells=True,
        complaints=log,
    )
    assert run.code == 0
    written = [look["state.json"] for look in run.looks]
    assert written == [b"a", b"ab", b"ab", b"ab", b"ab", b"abc"]
    assert log.read_text() == TOLD * 3, "everything is written once, in the end"


def test_words_on_standard_error_are_no_calls(tmp_path: Path) -> None:
    # The log lies in the state folder, which is the worst that a bot can do.
    run = supervise(TELLS, tmp_path, complaints=tmp_path / "state.txt")
    seen = [(each.call, each.occurrence) for each in run.supervisor.passages]
    assert seen == [("open", 1), ("write", 1), ("write", 2), ("write", 3)]
    assert (tmp_path / "state.txt").read_text() == TOLD * 3
    assert run.supervisor.is_past(passage("saving", 9)), "who is not told cannot hold it there"


def test_a_dead_program_has_not_written_what_it_was_held_in(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = supervise(TELLS, tmp_path, target=passage("saved"), tells=True, complaints=log)
    supervisor = run.supervisor
    assert run.code == -signal.SIGKILL
    assert log.read_text() == "failpoint saving: print\n"
    assert supervisor.stands_at(passage("saved"))
    assert not supervisor.stands_at(passage("saving"))
    assert [supervisor.is_past(passage("saving", number)) for number in (1, 2)] == [True, False]
    assert [supervisor.is_past(passage("saved", number)) for number in (1, 2)] == [False, False]


def test_a_passage_may_be_told_in_pieces() -> None:
    told = Passages()
    pieces = (b"failpoint ", b"fill", b": print", b"\n")
    assert [told.hear(each) for each in pieces] == [None, None, None, ("fill", 1)]
    assert told.has_told(passage("fill"))
    assert told.hear(b"failpoint fill: print\n") == ("fill", 2)
    assert not told.has_told(passage("fill", 3))


def test_at_a_passage_that_was_told_later_nobody_stands() -> None:
    told = Passages()
    assert told.hear(b"failpoint fill: print\nfailpoint save: print\n") is None
    assert told.hear(b"failpoint fill: print\nfailp") is None
    assert told.has_told(passage("fill", 2))
    assert told.has_told(passage("save"))


def test_other_words_are_no_passage() -> None:
    told = Passages()
    words = (b"\n", b"failpoint fill: kill\n", b"\xff failpoint fill: print\n", b"fill\n")
    assert [told.hear(each) for each in words] == [None] * 4
    assert not told.has_told(passage("fill"))
