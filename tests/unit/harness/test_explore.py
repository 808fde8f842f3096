"""What a clean run teaches, the plan that is made of it, and how a failure is made small."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from harness.errors import UserError
from harness.explore.learned import (
    CallSeen,
    call_kills,
    calls_of,
    passage_kills,
    quiet_kills,
    wire_kills,
)
from harness.explore.plan import (
    Learned,
    Menu,
    bars_before,
    deep_trials,
    fail_trials,
    learn,
    learned_where,
    plain_trials,
    sample,
    several_trials,
    spread,
    standings_at,
    trouble_trials,
    word_trials,
)
from harness.explore.shrink import shrink
from harness.explore.standing import Standing
from harness.explore.swarm import FLOCK, depth_of, draw_trial, flocks, words_of_flock
from harness.explore.trial import Kill, Trial, spell
from harness.points import Quiet, processed
from harness.points.slugs import parse_point, slug_of
from harness.vocabulary import works
from tests.unit.harness.stories import ENTRY, OPEN, Story

LATER = OPEN + timedelta(seconds=5)
WRITE = CallSeen("write", "temporary file", 1, OPEN, can_be_short=True)
RENAME = CallSeen("rename", "state file", 1, OPEN, can_be_short=False)
SEND = CallSeen("send", "broker socket", 1, OPEN, can_be_short=False)
NEXT_WRITE = CallSeen("write", "temporary file", 1, LATER, can_be_short=False)


def told(story: Story, *calls: CallSeen) -> Story:
    lines = [
        [each.call, each.role, each.occurrence, each.time.isoformat(), each.can_be_short]
        for each in calls
    ]
    story.add("harness", "calls", life=1, calls=lines)
    return story


def sides(kills: tuple[Kill, ...]) -> list[str]:
    return [slug_of(kill.point).rpartition(".")[0] for kill in kills]


def test_each_call_is_a_point_and_the_state_after_it_is_that_before_the_next() -> None:
    kills = call_kills((WRITE, RENAME, NEXT_WRITE))
    assert sides(kills) == [
        "before.write.temporary-file.1",
        "short.write.temporary-file.1",
        "before.rename.state-file.1",
        "after.rename.state-file.1",
        "before.write.temporary-file.1",
        "after.write.temporary-file.1",
    ]


def test_every_side_and_every_send_has_its_after() -> None:
    assert "after.send.broker-socket.1" in sides(call_kills((SEND, RENAME)))
    everything = sides(call_kills((WRITE, RENAME), every_side=True))
    assert everything.count("after.write.temporary-file.1") == 1


def test_calls_are_read_back_from_a_history() -> None:
    history = told(Story().case(), WRITE, RENAME).history()
    assert calls_of(history) == (WRITE, RENAME)


def test_messages_are_points_at_their_moments_and_feeds_are_merged() -> None:
    story = Story().case()
    story.add("broker", "received", session=1, message="placeOrder", occurrence=1, fields={})
    for number in range(1, 4):
        story.add("broker", "sent", session=1, message="accountValue", occurrence=number, fields={})
    slugs = [str(kill) for kill in wire_kills(story.history())]
    assert slugs == [
        "received.placeOrder.1+lost",
        "received.placeOrder.1",
        "processed.placeOrder.1",
        "answered.placeOrder.1",
        "unsent.accountValue.1",
        "sent.accountValue.1",
    ]
    assert len(wire_kills(story.history(), every_side=True)) == 10


def test_passages_are_counted_by_name() -> None:
    story = Story().case()
    names = ["fill.saved", "intents.saved", "fill.saved"]
    story.add("harness", "passages", life=1, names=names, recovered=2)
    slugs = [str(kill) for kill in passage_kills(story.history())]
    assert slugs == ["passage.fill.saved.1", "passage.intents.saved.1", "passage.fill.saved.2"]
    assert [str(kill) for kill in passage_kills(story.history(), recovery=True)] == slugs[:2]


def test_what_the_broker_had_is_known_at_each_point() -> None:
    story = Story().case().start().bar()
    early = CallSeen("write", "state file", 1, OPEN, can_be_short=False)
    story.order(1, "BUY", 100, ref=ENTRY).fill(1, "BOT", 100, "445.25", ref=ENTRY)
    late = CallSeen("write", "state file", 1, OPEN + timedelta(minutes=1), can_be_short=False)
    learned = learn(told(story, early, late).history())
    standings = {str(kill): standing for kill, standing in learned.standings.items()}
    assert "before.write.state-file.1.20251006T100000" not in standings
    [after] = standings["before.write.state-file.1.20251006T100100"]
    assert after.positions == (("TSLA", Decimal(100)),)
    assert after.working == ("entry",)
    assert not after.flat


def test_a_day_can_be_swept_only_where_the_broker_surely_has_something() -> None:
    waits, held = Standing(working=("entry",)), Standing((("TSLA", Decimal(100)),), ("stop",))
    may_be, surely, partly, gone = KILLS[:4]
    standings = {may_be: (waits, held), surely: (waits,), partly: (waits, waits), gone: (held,)}
    learned = Learned(KILLS, standings, bars=dict.fromkeys(KILLS, 1))
    waiting = learned_where(learned, works("entry"))
    assert waiting.kills == (surely, partly)
    assert waiting.standings == {surely: (waits,), partly: (waits, waits)}
    assert [str(each) for each in plain_trials(waiting)] == [f"kill={surely}", f"kill={partly}"]


def test_all_that_the_broker_had_in_the_instant_of_a_crash_is_told() -> None:
    """A call's place within its instant is not known, so a word must fit before and after it."""
    story = Story().case().start().bar().order(1, "BUY", 100, ref=ENTRY)
    story.fill(1, "BOT", 100, "445.25", ref=ENTRY)
    filled_at = datetime.fromisoformat(story.lines[-1]["time"])
    same = CallSeen("write", "state file", 1, filled_at, can_be_short=False)
    learned = learn(told(story, same).history())
    had = [each for kill, each in learned.standings.items() if "write" in str(kill)]
    assert had
    assert {tuple(standing.flat for standing in each) for each in had} == {(True, False)}


def test_a_bot_that_is_quiet_after_a_bar_has_had_all_that_followed_it() -> None:
    """A bar is named by its start, and what follows it happens after its end."""
    story = Story().case().start().bar().order(1, "BUY", 100, ref=ENTRY)
    history = story.fill(1, "BOT", 100, "445.25", ref=ENTRY).history()
    kill = Kill(point=Quiet(after_bar=OPEN))
    [had] = standings_at(history, (kill,))[kill]
    assert not had.flat
    assert bars_before(history, (kill,)) == {kill: 1}


KILLS = tuple(
    Kill(point=Quiet(after_bar=OPEN + timedelta(seconds=5 * number))) for number in range(100)
)


def test_a_plan_takes_words_where_they_matter_each_elsewhere() -> None:
    menu = [
        Menu("stop-fills", KILLS[:10], 4),
        Menu("manual-close", (), 4),
        Menu("pacing", KILLS, 1),
    ]
    trials = word_trials(menu)
    words = [trial.kills[0].words for trial in trials]
    assert words == [("stop-fills",)] * 4 + [("pacing",)]
    bare = [trial.kills[0].model_copy(update={"words": ()}) for trial in trials[:4]]
    assert len(set(bare)) == 4
    assert set(bare) <= set(KILLS[:10])
    assert word_trials(menu) == trials
    assert len(word_trials([Menu("pacing", KILLS, None)])) == len(KILLS)
    deep = deep_trials(Trial(kills=KILLS[:1]), KILLS[1:8])
    assert [trial.kills for trial in deep] == [(KILLS[0], kill) for kill in KILLS[1:8]]


def test_calls_fail_first_in_the_middle_or_last_in_each_way_they_can() -> None:
    calls = [CallSeen("fsync", "state file", n, OPEN, can_be_short=False) for n in range(1, 10)]
    faults = [spell(trial.fails[0]) for trial in fail_trials([*calls, SEND])]
    assert faults == ["EIO.fsync.state-file.1", "EINTR.fsync.state-file.5"]
    for count, second in ((1, 1), (2, 2)):
        few = [spell(trial.fails[0]) for trial in fail_trials(calls[:count])]
        assert few == ["EIO.fsync.state-file.1", f"EINTR.fsync.state-file.{second}"]
    # Another kind of call begins elsewhere.
    other = [replace(call, call="fdatasync") for call in calls]
    assert spell(fail_trials([*calls, *other])[-1].fails[0]) == "EIO.fdatasync.state-file.5"
    assert len(fail_trials(calls, every_call=True)) == 18


def test_troubles_of_the_broker_meet_crashes_between_bars() -> None:
    passage = Kill(point=processed("placeOrder"))
    trials = trouble_trials(("statuses-twice",), [passage, *KILLS])
    assert {trial.troubles for trial in trials} == {("statuses-twice",)}
    assert all(isinstance(trial.kills[0].point, Quiet) for trial in trials)


@pytest.mark.parametrize(("count", "expected"), [(None, 100), (7, 7), (1000, 100)])
def test_a_spread_is_even_and_has_no_doubles(count: int | None, expected: int) -> None:
    for seed in (0, 1, 2):
        chosen = spread(KILLS, count, seed=seed)
        assert len(set(chosen)) == expected
        assert list(chosen) == sorted(chosen, key=KILLS.index)


def test_a_day_of_several_crashes_has_one_after_every_bar_or_some() -> None:
    quiet = [Kill.parse(f"quiet.20251006T1000{second:02}") for second in range(0, 60, 5)]
    other = Kill.parse("processed.placeOrder.1")
    days = several_trials([other, *quiet])
    assert [len(day.kills) for day in days] == [12, 6, 2]
    assert days[1].kills == tuple(quiet[1::2])
    assert several_trials([other, quiet[0]]) == ()


def test_a_budget_draws_by_seed() -> None:
    trials = [Trial(kills=(kill,)) for kill in KILLS]
    assert sample(trials, 10, seed=1) == sample(trials, 10, seed=1)
    assert sample(trials, 10, seed=1) != sample(trials, 10, seed=2)
    assert len(sample(trials, None, seed=1)) == 100


def test_a_failure_is_made_small_in_the_order_faults_crashes_point_market() -> None:
    bars = [kill.point.after_bar for kill in KILLS if isinstance(kill.point, Quiet)]
    culprit = Trial.parse(
        "fail=EIO.fsync.state-file.2/kill=quiet.20251006T100400+stop-fills+torn.state.prefix.512"
        "/kill=processed.placeOrder.1"
    )

    def fails(trial: Trial) -> bool:
        """The bug needs the stop to fill at a crash from 10:01 on, and the market until 10:03."""
        point = trial.kills[0].point
        return (
            isinstance(point, Quiet)
            and "stop-fills" in trial.kills[0].words
            and point.after_bar >= OPEN + timedelta(minutes=1)
            and (trial.ends is None or trial.ends >= OPEN + timedelta(minutes=3))
        )

    least = shrink(culprit, fails, points=KILLS, bars=bars)
    assert not least.fails
    assert [kill.words for kill in least.kills] == [("stop-fills",)]
    point = least.kills[0].point
    assert isinstance(point, Quiet)
    assert OPEN + timedelta(minutes=1) <= point.after_bar < OPEN + timedelta(minutes=2)
    assert least.ends == OPEN + timedelta(minutes=3)


def test_a_failure_that_needs_all_it_has_stays_as_it_is() -> None:
    trial = Trial.parse("kill=processed.placeOrder.1+stop-fills/kill=quiet.20251006T100400")
    assert shrink(trial, lambda each: each == trial) == trial


def test_a_swarm_is_drawn_by_its_seed() -> None:
    first = flocks(7, 50, scenarios=3, stores=3)
    assert first == flocks(7, 50, scenarios=3, stores=3)
    assert first != flocks(8, 50, scenarios=3, stores=3)
    assert [flock.size for flock in first] == [FLOCK, FLOCK, 10]
    words = [f"word-{number}" for number in range(40)]
    assert 5 < len(words_of_flock(first[0], words)) < 35
    assert words_of_flock(first[0], words) != words_of_flock(first[1], words)


def test_the_trials_of_a_flock_differ_and_repeat() -> None:
    (flock,) = flocks(1, FLOCK, scenarios=1, stores=1)

    def at_first(kill: Kill) -> tuple[str, ...]:
        return ("stop-fills",) if kill in KILLS[:50] else ()

    def draw() -> list[str]:
        return [
            str(draw_trial(flock, number, kills=KILLS, words=at_first, calls=(WRITE,)))
            for number in range(FLOCK)
        ]

    assert draw() == draw()
    assert len(set(draw())) > FLOCK / 2
    assert any("fail=" in each for each in draw())
    with_word = [Trial.parse(each).kills[0] for each in draw() if "stop-fills" in each]
    assert with_word
    assert all(at_first(kill.model_copy(update={"words": ()})) for kill in with_word)
    assert {depth_of(flock, number, 3) for number in range(FLOCK)} == {1, 2, 3}


@pytest.mark.parametrize(
    "text",
    [
        "kill=before.rename.state-file.1.20251006T100145",
        "kill=short.write.temporary-file.12.20251006T100145",
        "kill=received.placeOrder.2+lost+stop-fills",
        "kill=passage.intents.saved.2/kill=quiet.20251006T100145.2/end=20251006T100230",
        "fail=ENOSPC.write.temporary-file.3x2.life2/kill=unsent.execDetails.3+flip.state.7",
    ],
)
def test_a_trial_is_spelled_in_one_way(text: str) -> None:
    assert str(Trial.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kill=nowhere.1", "names no point"),
        ("kill=before.rename.state-file.0.20251006T100145", "names no point"),
        ("kill=before.explode.state-file.1.20251006T100145", "names no point"),
        ("kill=before.rename.state-file.1.20251306T100145", "names no point"),
        ("kill=processed.placeOrder.1+Stop", "not a word"),
        ("fail=ENOPE.write.state-file.1", "names no failing call"),
        ("fail=write", "names no failing call"),
        ("end=tomorrow", "no moment"),
        ("spill=x", "no part of a trial"),
    ],
)
def test_what_says_nothing_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Trial.parse(text)


def test_points_have_names_for_people() -> None:
    point = parse_point("before.rename.state-file.2.20251006T100145")
    assert point.describe() == "before the 2nd rename of the state file at 10:01:45"
    short = parse_point("short.write.temporary-file.1.20251006T100145")
    assert "at the first page's end in the 1st write" in short.describe()
    assert parse_point(slug_of(processed("placeOrder", nth=3))) == processed("placeOrder", nth=3)


def test_bars_of_one_instant_are_one_point() -> None:
    assert plain_trials(learn(told(Story().case().bar(), WRITE).history()))
    assert quiet_kills([OPEN, OPEN, LATER]) == (
        Kill(point=Quiet(after_bar=OPEN)),
        Kill(point=Quiet(after_bar=LATER)),
    )
