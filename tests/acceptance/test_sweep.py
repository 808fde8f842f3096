"""Sweeps with real processes: they repeat, forked or executed, and they find what is wrong."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.dart import Dart
from harness.explore.plan import spread
from harness.explore.trial import Trial
from harness.itinerary import Depth
from harness.points import FailPoint, Quiet, Side, SystemCall, WirePoint
from harness.result import Verdict
from harness.sameness import first_difference
from harness.scenario import STORES
from harness.sequels import Sequels
from harness.sweep import Sweep
from harness.targets import BotSpec
from harness.token import Token
from harness.workshop import Workshop, workshop
from scenarios.test_every_point import SCENARIO
from tests.support.commands import Run

BROKEN = Path("scenarios/gallery/intent_after_send.py")
FIRST_SEND = "send.broker-socket.1.20251006T100030"
"""With which this trader enters; what it remembers of it comes later."""
DIGITS = re.compile(r"\d+")
"""Times and ports are other ones in each run."""
SPREAD = 4
DARTS = 3
OURS = frozenset({"landed", "case"})
"""What a dart's run and its replay tell differently: where it landed, and which case it was."""


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as tools:
        yield tools


def sweep_of(shop: Workshop, store: str) -> Sweep:
    return shop.sweep(SCENARIO, store, bot=BotSpec.reference(), depth=Depth())


def log_of(history: Path) -> str:
    return (history.parent / "bot.log").read_text(encoding="utf-8")


def events(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line["kind"] not in OURS]
    return [{name: value for name, value in line.items() if name != "seq"} for line in kept]


@pytest.mark.parametrize("store", STORES)
def test_cases_repeat_byte_for_byte(shop: Workshop, store: str) -> None:
    sweep = sweep_of(shop, store)
    for kill in spread(sweep.learned().kills, SPREAD):
        result = sweep.run_twice(Trial(kills=(kill,)))
        assert (result.verdict, result.reasons) == (Verdict.PASS, ()), str(kill)


@pytest.mark.parametrize("store", STORES)
def test_a_branch_has_the_history_of_a_real_kill(shop: Workshop, store: str) -> None:
    sweep = sweep_of(shop, store)
    calls = [kill for kill in sweep.learned().kills if isinstance(kill.point, SystemCall)]
    sides = [[kill for kill in calls if kill.point.side is side] for side in Side]  # type: ignore[union-attr]
    chosen = sorted((kill for kills in sides for kill in spread(kills, 2)), key=calls.index)
    quiet = [kill for kill in sweep.learned().kills if isinstance(kill.point, Quiet)]
    passages = [kill for kill in sweep.learned().kills if isinstance(kill.point, FailPoint)]
    messages = [kill for kill in sweep.learned().kills if isinstance(kill.point, WirePoint)]
    for kill in (*chosen, quiet[-3], *spread(passages, SPREAD), *spread(messages, SPREAD)):
        case = SCENARIO.case(store, trial=str(Trial(kills=(kill,))))
        branch = sweep._branch(case)
        assert branch is not None, str(kill)
        assert first_difference(sweep.play(Trial(kills=(kill,))), branch) is None, str(kill)
        assert not (branch.parent / "tape.csv").exists(), "it began in the middle"


@pytest.mark.parametrize(
    "trial",
    [
        "with=client-id-stuck/kill=quiet.20251006T100025",
        "kill=unsent.contractDetailsEnd.1+order-lost",
    ],
)
def test_a_fault_of_the_broker_repeats_byte_for_byte(shop: Workshop, trial: str) -> None:
    """One is armed before the case is told; one ends a connection with orders under way."""
    result = sweep_of(shop, "json").run_twice(Trial.parse(trial))
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())


def test_the_log_of_a_branch_at_a_failpoint_is_that_of_a_real_kill(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    trial = Trial.parse("kill=passage.state.renamed.3")
    branch = sweep._branch(SCENARIO.case("json", trial=str(trial)))
    assert branch is not None
    here, there = [DIGITS.sub("0", log_of(path)) for path in (branch, sweep.play(trial))]
    assert "failpoint state.renamed: kill" in here.splitlines()
    assert here == there


FIRSTS = {
    "json": "processed.placeOrder.2",
    "sqlite": "passage.order.sent.stop.1",
    "redis": "after.send.Redis-socket.3.20251006T100030",
}


@pytest.mark.parametrize("store", STORES)
def test_a_branch_in_a_recovery_has_the_history_of_two_real_kills(
    shop: Workshop, store: str
) -> None:
    sweep = shop.sweep(SCENARIO, store, bot=BotSpec.reference(), depth=Depth(depth=2))
    once = Trial.parse(f"kill={FIRSTS[store]}")
    for second in spread(sweep.recovery_of(once), SPREAD):
        twice = Trial(kills=(*once.kills, second))
        branch = sweep._branch(SCENARIO.case(store, trial=str(twice)))
        assert branch is not None, str(twice)
        assert sweep._trunks[2].case.crashes != (), "a run that has crashed once is held"
        played = sweep.play(twice)
        assert first_difference(played, branch) is None, str(twice)
        here, there = [DIGITS.sub("0", log_of(path)) for path in (branch, played)]
        assert here == there, str(twice)


def test_behind_what_is_new_come_the_crashes_inside_its_recovery(shop: Workshop) -> None:
    sweep = shop.sweep(SCENARIO, "json", bot=BotSpec.reference(), depth=Depth(depth=2))
    write, sync = [
        Trial.parse(f"kill={side}.temporary-file.3.20251006T100030")
        for side in ("after.write", "before.fsync")
    ]
    # A SIGKILL leaves what was written; whether it was synced makes no difference.
    inside = sweep.recovery_of(write)
    course = sweep.course((write, sync))
    assert next(course) == write
    assert sweep.run(write).verdict is Verdict.PASS
    assert next(course) == Trial(kills=(*write.kills, inside[0]))
    for number, second in enumerate(inside[1:], start=2):
        sweep.run(Trial(kills=(*write.kills, inside[number - 2])))
        assert next(course) == Trial(kills=(*write.kills, second))
        if number == SPREAD:
            break
    course = sweep.course([sync])
    assert next(course) == sync
    assert sweep.run(sync).foretold
    assert next(course, None) is None


def test_a_budget_is_for_all_depths_together(shop: Workshop) -> None:
    depth = Depth(depth=3, budget=7)
    sweep = shop.sweep(SCENARIO, "json", bot=BotSpec.reference(), depth=depth)
    assert len(sweep.plan()) == 2, "each may be followed by two more"
    ran = []
    for trial in sweep.course([Trial(kills=sweep.learned().kills[-1:])]):
        assert sweep.run(trial).verdict is Verdict.PASS, str(trial)
        ran.append(len(trial.kills))
    assert ran == [1, 2, 3]


def test_failpoints_have_a_run_of_their_own_to_branch_off(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    calls = [kill for kill in sweep.learned().kills if isinstance(kill.point, SystemCall)]
    first, last = Trial(kills=(calls[0],)), Trial(kills=(calls[-1],))
    passages = [
        Trial.parse(f"kill=passage.{name}.1") for name in ("order.sent.entry", "fill.saved")
    ]
    sweep.close()
    runs = [
        sweep._trunk_at(SCENARIO.case("json", trial=str(trial)))
        for trial in (first, *passages, last)
    ]
    assert None not in runs
    assert runs[0] is not runs[1], "the bot does not tell its failpoints in the first"
    assert runs[1] is runs[2] is runs[3]
    branch = sweep._branch(SCENARIO.case("json", trial=str(last)))
    assert branch is not None
    assert first_difference(sweep.play(last), branch) is None
    assert DIGITS.sub("0", log_of(branch)) == DIGITS.sub("0", log_of(sweep.play(last)))


def test_a_bot_without_failpoints_begins_at_the_beginning(tmp_path: Path) -> None:
    mute = BotSpec.reference().model_copy(update={"failpoints": None})
    trial = Trial.parse("kill=passage.order.sent.entry.1")
    with workshop(tmp_path / "mute") as shop:
        sweep = shop.sweep(SCENARIO, "json", bot=mute, depth=Depth())
        assert sweep._trunk_at(SCENARIO.case("json", trial=str(trial))) is None
        result = sweep.run(trial)
    assert (result.verdict, result.kill_points) == (
        Verdict.PASS,
        ("at the 1st passage of order.sent.entry",),
    )


def test_a_bot_that_tells_no_passage_begins_at_the_beginning(tmp_path: Path) -> None:
    reference = BotSpec.reference()
    deaf = ("env", "-u", "FAILPOINTS", *reference.trade)
    bot = reference.model_copy(update={"trade": deaf})
    trial = Trial.parse("kill=passage.order.sent.entry.1")
    with workshop(tmp_path / "deaf") as shop:
        sweep = shop.sweep(SCENARIO, "json", bot=bot, depth=Depth())
        assert sweep._trunk_at(SCENARIO.case("json", trial=str(trial))) is None
        result = sweep.run(trial)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "never reached: at the 1st passage of order.sent.entry" in result.reasons[0]


def test_what_a_branch_finds_is_shown_by_a_real_kill(tmp_path: Path) -> None:
    with workshop(tmp_path / "broken") as shop:
        sweep = shop.sweep(SCENARIO, "json", bot=BotSpec.choose(str(BROKEN)), depth=Depth())
        trials = [Trial.parse(f"kill={side}.{FIRST_SEND}") for side in ("before", "after")]
        before, after = [sweep.run(trial) for trial in trials]
        assert before.verdict is Verdict.PASS, before.findings
        assert after.verdict is Verdict.FAIL
        assert "IntentBeforeSend" in [finding.invariant for finding in after.findings]
        assert (Path(after.history).parent / "tape.csv").exists(), "it began at the beginning"


def test_a_branch_that_differs_from_the_kill_is_no_finding(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(shop, "json")
    kill = Trial.parse("kill=quiet.20251006T100025")
    wrong = sweep.play(Trial.parse("kill=quiet.20251006T100030/end=20251006T100040"))
    monkeypatch.setattr(sweep, "_branch", lambda _case, **_known: wrong)
    result = sweep.run(kill)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "two runs of the case differ: line 1 is" in result.reasons[-1]


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_forked_bot_has_the_history_of_an_executed_one(
    shop: Workshop, store: str, tmp_path: Path
) -> None:
    forked = sweep_of(shop, store)
    kill = spread(forked.learned().kills, 3)[1]
    with workshop(tmp_path / "executed", executes=True) as other:
        executed = sweep_of(other, store)
        assert executed.learned().kills == forked.learned().kills
        trial = Trial(kills=(kill,))
        here, there = forked.play(trial), executed.play(trial)
        assert first_difference(here, there) is None


def test_a_random_kill_becomes_a_point_that_repeats_it(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    draw = random.Random(20251006)
    for _ in range(DARTS):
        dart = Dart(step=draw.randrange(1, 24), seconds=draw.random() / 200)
        trial, thrown = sweep.throw(dart)
        assert trial is not None, dart
        assert events(sweep.play(trial)) == events(thrown), f"{dart}: {trial}"


def test_a_crash_inside_the_recovery_is_survived(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    trial = Trial.parse("kill=processed.placeOrder.1")
    second = sweep.recovery_of(trial)
    assert len(second) > SPREAD
    for kill in spread(second, SPREAD):
        result = sweep.run(trial.model_copy(update={"kills": (*trial.kills, kill)}))
        assert result.verdict is Verdict.PASS, (str(kill), result.findings, result.reasons)
        assert len(result.kill_points) == 2


def test_a_broken_trader_is_found_and_its_failure_made_small(run: Run, tmp_path: Path) -> None:
    with workshop(tmp_path / "broken") as shop:
        sweep = shop.sweep(SCENARIO, "json", bot=BotSpec.choose(str(BROKEN)), depth=Depth())
        trial = Trial.parse("with=statuses-twice/kill=passage.order.sent.partial.1")
        found = sweep.run(trial)
        assert found.verdict is Verdict.FAIL
        shutil.rmtree(tmp_path / "broken")
    result = run("crashgate", "shrink", found.token, "--bot", str(BROKEN))
    assert result.returncode == 1, result.stderr
    assert "statuses-twice" not in result.stdout
    [replay] = [line for line in result.stdout.splitlines() if "replay: " in line]
    token = Token.parse(replay.split()[3])
    assert len(Trial.parse(token.trial).kills) == 1
    assert Trial.parse(token.trial).ends is not None
    again = run("crashgate", *replay.split()[2:])
    assert again.returncode == 1
    assert replay in again.stdout


def test_a_trial_that_passes_cannot_be_shrunk(run: Run) -> None:
    case = SCENARIO.case("json", trial="kill=processed.placeOrder.1")
    result = run("crashgate", "shrink", str(Token.of(case)))
    assert result.returncode == 2
    assert "does not fail" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_followed_is_told_of_a_crash_that_left_the_same(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    kills = [kill for kill in sweep.learned().kills if isinstance(kill.point, WirePoint)]
    statuses = [kill for kill in kills if kill.point.message == "orderStatus"]  # type: ignore[union-attr]
    results = {kill: sweep.run(Trial(kills=(kill,))) for kill in statuses[:SPREAD]}
    assert {result.verdict for result in results.values()} == {Verdict.PASS}
    told = [kill for kill, result in results.items() if result.foretold]
    assert told, "whether the bot has heard of a status changes nothing that it leaves"
    assert len(told) < len(results), "somebody has to play it first"
    assert sweep.run_twice(Trial(kills=(told[0],))).reasons == (), "it would be played so"


def test_a_crash_that_is_another_in_all_but_its_name_is_not_played(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    calls = [kill for kill in sweep.learned().kills if isinstance(kill.point, SystemCall)]
    synced = [kill for kill in calls if kill.point.call == "fsync"]  # type: ignore[union-attr]
    after = calls[calls.index(synced[0]) + 1]
    first = sweep.run(Trial(kills=(synced[0],)))
    runs = sweep._runs
    second = sweep.run(Trial(kills=(after,)))
    assert second.foretold
    assert sweep._runs == runs, "nothing was started"
    assert second.kill_points == (after.point.describe(),)
    assert second.token != first.token
    assert Token.parse(second.token).trial == str(Trial(kills=(after,)))


def test_what_is_told_and_does_not_pass_is_played(tmp_path: Path) -> None:
    with workshop(tmp_path / "broken") as shop:
        sweep = shop.sweep(SCENARIO, "json", bot=BotSpec.choose(str(BROKEN)), depth=Depth())
        played, again = [sweep.run(Trial.parse(f"kill=after.{FIRST_SEND}")) for _ in range(2)]
    for result in (played, again):
        assert result.verdict is Verdict.FAIL
        assert not result.foretold
        kinds = {event["kind"] for event in events(Path(result.history))}
        assert "foretold" not in kinds


def test_what_follows_differs_and_is_told_so(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(shop, "json")
    trial = Trial.parse("kill=quiet.20251006T100105")
    assert sweep.run_twice(trial).verdict is Verdict.PASS
    known = Sequels.known

    def wrong(sequels: Sequels, remains: str) -> list[str] | None:
        lines = known(sequels, remains)
        return lines if lines is None else [*lines[:-2], lines[-1]]

    monkeypatch.setattr(Sequels, "known", wrong)
    result = sweep.run_twice(trial)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "two runs of the case differ" in result.reasons[0]


def test_a_message_that_never_comes_is_told_and_no_traceback(shop: Workshop) -> None:
    sweep = sweep_of(shop, "json")
    trial = Trial.parse("kill=processed.placeOrder.99")
    for result in (sweep.run(trial), sweep.run_twice(trial)):
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "was never reached" in " ".join(result.reasons)
