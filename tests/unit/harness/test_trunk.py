"""Where runs branch off: what is copied, what is told twice, and what may begin in the middle."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.beliefs import Beliefs, Told, memory_of
from harness.branching import before_halt, copy_tree, is_day, log_of_a_kill, without_halts
from harness.case import Case, Crash
from harness.explore.order import Visit, place_of, share, visits
from harness.explore.trial import Kill, Trial
from harness.faults.storage import Stale
from harness.history import History
from harness.history.writer import HistoryWriter
from harness.points import CrashPoint
from harness.points.slugs import parse_point
from harness.points.wire import unsent
from harness.trunk import branches_off
from scenarios.test_every_point import SCENARIO

CALL = "before.rename.state-file.1.20251006T100145"


def case_of(trial: str) -> Case:
    return SCENARIO.case("json", trial=trial)


def test_two_names_of_one_file_stay_two_names_of_one_in_a_copy(tmp_path: Path) -> None:
    source, target = tmp_path / "state", tmp_path / "copy"
    (source / "inner").mkdir(parents=True, mode=0o700)
    source.chmod(0o700)
    (source / "state.json").write_text("new")
    (source / "state.json").chmod(0o600)
    (source / "backup.tmp").hardlink_to(source / "state.json")
    (source / "inner" / "latest").symlink_to("../state.json")
    copy_tree(source, target)
    assert (target / "state.json").read_text() == "new"
    assert (target / "state.json").samefile(target / "backup.tmp")
    assert not (target / "state.json").samefile(source / "state.json")
    assert (target / "inner" / "latest").readlink() == Path("../state.json")
    assert (target / "state.json").stat().st_mode == (source / "state.json").stat().st_mode
    assert target.stat().st_mode == source.stat().st_mode
    # A rename over another name of the same file does nothing, there as here.
    (target / "backup.tmp").rename(target / "state.json")
    assert (target / "backup.tmp").exists()


@pytest.mark.parametrize(
    ("trial", "wanted"),
    [
        (f"kill={CALL}", True),
        (f"kill={CALL}+stop-fills", True),
        ("kill=quiet.20251006T100145/kill=passage.order.sent.entry.1", True),
        ("kill=processed.placeOrder.1", True),
        ("kill=passage.order.sent.entry.1", True),
        ("kill=processed.placeOrder.1/kill=passage.order.sent.entry.1", True),
        (f"fail=ENOSPC.write.temporary-file.3/kill={CALL}", False),
        ("", False),
    ],
)
def test_a_run_branches_off_wherever_its_first_crash_is(trial: str, wanted: bool) -> None:
    assert branches_off(case_of(trial)) is wanted


def test_a_run_that_needs_an_older_copy_of_the_files_begins_at_the_beginning() -> None:
    plain = Crash(point=parse_point(CALL))
    case = case_of("").model_copy(update={"crashes": (plain,)})
    stale = plain.model_copy(update={"storage": Stale(role="state", back=3)})
    assert branches_off(case)
    assert not branches_off(case.model_copy(update={"crashes": (stale,)}))
    assert not branches_off(case.model_copy(update={"crashes": (plain, stale)}))


@pytest.mark.parametrize(
    ("log", "left"),
    [
        (b"one\nfailpoint a: print\ntwo\n", b"one\ntwo\nfailpoint b: kill\n"),
        (b"failpoint a: print\n\xff\nfailpoint b: pri", b"\xff\nfailpoint b: kill\n"),
        (b"failpoint b: print\nbegun", b"begunfailpoint b: kill\n"),
        (b"", b"failpoint b: kill\n"),
    ],
)
def test_a_log_that_told_its_passages_becomes_that_of_a_bot_that_killed_itself(
    log: bytes, left: bytes
) -> None:
    assert log_of_a_kill(log, parse_point("passage.b.2")) == left


def test_a_log_that_told_its_passages_says_nothing_of_them_after_another_kill() -> None:
    log = b"one\nfailpoint a: print\ntwo"
    assert log_of_a_kill(log, parse_point(CALL)) == b"one\ntwo"


def test_a_history_goes_on_from_the_lines_of_another(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.touch()
    lines = [
        '{"seq":7,"source":"broker","time":"2025-10-06T10:00:00-04:00","kind":"bar"}',
        '{"seq":9,"source":"harness","time":"2025-10-06T10:00:05-04:00","kind":"ready"}',
    ]
    with HistoryWriter(tmp_path / "history.jsonl", journal) as writer:
        writer.go_on_with(lines)
        assert writer.time.isoformat() == "2025-10-06T10:00:05-04:00"
        writer.note("killed", writer.time, life=1)
    told = writer.path.read_text().splitlines()
    assert told[0] == lines[0].replace('"seq":7', '"seq":1')
    assert told[1] == lines[1].replace('"seq":9', '"seq":2')
    assert told[2].startswith('{"seq":3,"source":"harness"')


def test_a_belief_is_known_by_everything_that_is_on_disk(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("one")
    first = memory_of(["bot", "state"], tmp_path)
    assert memory_of(["bot", "state"], tmp_path) == first
    assert memory_of(["bot", "history"], tmp_path) != first
    (tmp_path / "state.json").write_text("two")
    assert memory_of(["bot", "state"], tmp_path) != first
    (tmp_path / "state.json").write_text("one")
    (tmp_path / "more").touch()
    assert memory_of(["bot", "state"], tmp_path) != first


def test_a_command_that_changes_what_it_reads_is_asked_again(tmp_path: Path) -> None:
    beliefs = Beliefs(tmp_path, sweep="json")
    beliefs.learn("a", Told(0, "{}", ""), after="b")
    assert beliefs.known("a") is None
    beliefs.learn("a", Told(0, "{}", ""), after="a")
    assert beliefs.known("a") == Told(0, "{}", "")
    assert Beliefs(tmp_path, sweep="json").known("a") == Told(0, "{}", "")
    assert Beliefs(tmp_path, sweep="redis").known("a") is None


def test_trials_come_in_the_order_of_the_day_and_neighbours_stay_together() -> None:
    kills = [Kill(point=parse_point(f"quiet.20251006T1001{second}")) for second in (10, 20, 30)]
    places: dict[CrashPoint, Visit] = {kill.point: (0, place) for place, kill in enumerate(kills)}
    words = [Trial(kills=(kill.model_copy(update={"words": ("stop-fills",)}),)) for kill in kills]
    plain = [Trial(kills=(kill,)) for kill in kills]
    deep = Trial(kills=(kills[0], kills[1]))
    mixed = [words[2], plain[1], deep, words[0], plain[2], plain[0]]
    ordered = sorted(mixed, key=lambda trial: place_of(trial, places))
    assert ordered == [plain[0], words[0], plain[1], plain[2], words[2], deep]
    parts = [share(ordered, part, 4) for part in range(4)]
    assert [trial for part in parts for trial in part] == ordered
    assert [len(part) for part in parts] == [2, 3, 1, 0], "two crashes take as long as five trials"
    assert share((), 0, 4) == ()


def test_standstills_that_are_over_are_not_told_and_the_last_one_is() -> None:
    def told(*kinds: str) -> list[str]:
        return [f'{{"seq":1,"source":"broker","kind":"{kind}"}}' for kind in kinds]

    lived = told("received", "halted", "sent", "released", "bar", "halted", "order")
    assert without_halts(lived) == told("received", "sent", "bar", "halted", "order")
    over = told("received", "halted", "sent", "released", "bar")
    assert without_halts(over) == told("received", "sent", "bar")
    assert without_halts(told("halted", "order")) == told("halted", "order")


def lines_of(*kinds: str) -> list[str]:
    return [f'"source":"broker","kind":"{kind.partition(" ")[0]}","of":"{kind}"' for kind in kinds]


DAY = lines_of("received order", "order accepted", "sent openOrder", "fill", "sent execDetails")


@pytest.mark.parametrize(
    ("lived", "wanted"),
    [
        (DAY, True),
        ([DAY[0], DAY[1], DAY[3], DAY[2], DAY[4]], True),  # What was sent was held meanwhile.
        ([DAY[0], DAY[1], DAY[3], DAY[4], DAY[2]], False),  # Sent in another order.
        ([DAY[1], DAY[0], *DAY[2:]], False),  # It came after it had been acted on.
        ([*DAY[:3], DAY[4]], False),
        ([*DAY, *lines_of("bar")], False),
    ],
)
def test_a_standstill_may_move_what_was_sent_and_nothing_else(
    lived: list[str], *, wanted: bool
) -> None:
    assert is_day(lived, DAY) is wanted


def test_a_processed_request_holds_its_answers_from_the_moment_at_which_it_came() -> None:
    halt = '"kind":"halted","point":{"direction":"in","moment":"MOMENT"}'
    lines = lines_of("bar", "received order", "order accepted")
    assert before_halt([*lines, halt.replace("MOMENT", "processed")]) == 2
    assert before_halt([*lines, halt.replace("MOMENT", "unsent"), *lines]) == 3
    assert before_halt(lines) == 0
    lost = lines_of("bar", "lost order")
    assert before_halt([*lost, halt.replace("MOMENT", "processed")]) == 0


def test_messages_of_one_instant_are_visited_in_runs_of_their_own() -> None:
    messages = ((0, "openOrder"), (0, "position"), (5, "error"))
    day = day_of([("sent", *message) for message in messages])
    names = ("openOrder", "position", "error")
    wire = [Kill(point=unsent(name)) for name in names]
    again = Kill(point=unsent("openOrder"), words=("stop-fills",))
    other = [Kill(point=parse_point(text)) for text in ("quiet.20251006T100110", CALL)]
    places = visits([*wire, again, *other], day)
    runs = [places[kill.point][0] for kill in (*wire, *other)]
    assert runs[0] == runs[2] == runs[1] - 1, "two messages of one instant need two runs"
    assert len({*runs}) == 4, "calls, quiet and messages have runs of their own"


def test_one_run_stands_still_at_all_points_between_which_nothing_is_sent() -> None:
    asked = [("sent", 0, "positionEnd"), ("received", 0, "placeOrder"), ("sent", 0, "openOrder")]
    names = (
        *("sent.positionEnd.1", "received.placeOrder.1", "processed.placeOrder.1"),
        *("unsent.openOrder.1", "sent.openOrder.1"),
    )
    kills = [Kill(point=parse_point(name)) for name in names]
    places = visits(kills, day_of(asked))
    runs = [places[kill.point][0] for kill in kills]
    assert [run - runs[0] for run in runs] == [0, 0, 0, 1, 2]


def day_of(messages: Sequence[tuple[str, int, str]]) -> History:
    """The history of a day: of each message whether it was sent, its second and its name."""
    return History.of(
        [
            {
                "seq": number,
                "time": f"2025-10-06T10:00:0{second}-04:00",
                "source": "broker",
                "kind": kind,
                "session": 1,
                "client_id": 1,
                "message": name,
                "occurrence": 1,
                "fields": {},
            }
            for number, (kind, second, name) in enumerate(messages)
        ]
    )
