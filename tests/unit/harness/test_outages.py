"""Servers that are away: their words, where a sweep tries them, how they are judged and told."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.case import canonical, case_id
from harness.errors import UserError
from harness.explore.outage_trials import outage_trials
from harness.explore.shrink import shrink
from harness.explore.swarm import FLOCK, draw_trial, flocks
from harness.explore.trial import Kill, Trial
from harness.faults.servers import (
    LockedDatabase,
    RedisOutage,
    ServerFault,
    check_outages,
    parse_server_fault,
)
from harness.history import History
from harness.invariants import intent_before_send, the_bot_stays
from harness.judge import judge
from harness.points import Quiet
from harness.points.quiet import NEW_YORK
from harness.report.timeline import timeline
from harness.result import Verdict
from harness.token import Token
from tests.unit.harness.scenarios_for_tests import STORY, small_case
from tests.unit.harness.stories import ENTRY, OPEN, STOP, Story

STARTS = tuple(OPEN + timedelta(seconds=5 * number) for number in range(20))
LOCK = LockedDatabase(after_bar=STARTS[1], until=STARTS[3])
DOWN = RedisOutage(after_bar=STARTS[1], until=STARTS[3], loses="last-second")
SECONDS = st.integers(0, 100_000)


@st.composite
def faults(draw: st.DrawFn) -> ServerFault:
    begins = datetime(2025, 10, 6, tzinfo=NEW_YORK) + timedelta(seconds=draw(SECONDS))
    lasts = timedelta(seconds=draw(SECONDS))
    if draw(st.booleans()):
        return LockedDatabase(after_bar=begins, until=begins + lasts + timedelta(seconds=1))
    loses = draw(st.sampled_from(["nothing", "last-second", "everything"]))
    told = {"after_bar": begins, "until": begins + lasts, "loses": loses}
    return RedisOutage.model_validate(told)


@given(st.lists(faults(), max_size=3))
def test_an_outage_that_is_spelled_is_read_back_as_it_was(drawn: list[ServerFault]) -> None:
    kills = (Kill(point=Quiet(after_bar=OPEN)),)
    trial = Trial(outages=tuple(drawn), kills=kills)
    assert Trial.parse(str(trial)) == trial
    assert [parse_server_fault(each.slug) for each in drawn] == drawn


def test_a_trial_with_outages_stands_in_a_token() -> None:
    text = (
        "outage=locked-database.20251006T100030.20251006T100045"
        "/outage=redis-outage.20251006T100100.20251006T100100.everything"
        "/kill=quiet.20251006T100035"
    )
    assert str(Trial.parse(text)) == text
    token = f"every-point/redis/{text}@123abc"
    assert str(Token.parse(token)) == token


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("locked-database", "names no outage; outages look like"),
        ("locked-database.20251006T100030.20251006T100045.nothing", "outages look like"),
        ("redis-outage.20251006T100030.20251006T100045", "outages look like"),
        ("redis-outage.20251006T100030.20251006T100045.much", "'nothing', 'last-second' or"),
        ("redis-outage.20251006T100045.20251006T100030.nothing", "cannot end before it begins"),
        ("locked-database.20251006T100030.20251006T100030", "must last over a bar"),
        ("locked-database.20251306T100030.20251006T100030", "does not match format"),
    ],
)
def test_what_is_no_outage_is_refused_with_its_text(word: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        Trial.parse(f"outage={word}")
    assert repr(word) in str(refused.value)


@pytest.mark.parametrize(
    ("outages", "store", "words"),
    [
        ((LOCK,), "redis", "with the store 'redis': take the store 'sqlite'"),
        ((DOWN,), "json", "with the store 'json': take the store 'redis'"),
        (
            (RedisOutage(after_bar=OPEN - timedelta(seconds=5), until=OPEN),),
            "redis",
            "bars start from 20251006T100000 to 20251006T100135",
        ),
        ((DOWN, DOWN), "redis", "before the outage before it is over"),
    ],
)
def test_an_outage_that_cannot_happen_is_refused_with_what_to_do(
    outages: Sequence[ServerFault], store: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        check_outages(outages, store=store, bars=STARTS)


def test_outages_that_follow_each_other_can_happen() -> None:
    again = RedisOutage(after_bar=DOWN.until, until=DOWN.until)
    check_outages((DOWN, again), store="redis", bars=STARTS)


def test_a_case_has_its_outages_and_one_without_keeps_its_hash() -> None:
    word = "outage=redis-outage.20251006T100005.20251006T100010.nothing"
    case = STORY.case("redis", trial=word)
    assert [each.slug for each in case.outages] == [word.removeprefix("outage=")]
    assert case.clean().outages == ()
    plain = small_case(store="redis")
    assert case_id(plain.model_copy(update={"outages": case.outages})) != case_id(plain)
    assert "outages" not in canonical(plain)
    with pytest.raises(UserError, match="take the store 'redis'"):
        STORY.case("json", trial=word)


def traded(*, exits: bool = True) -> History:
    """Twenty bars; the entry fills after the fifth, and the stop after the tenth."""
    story = Story().case().start()
    for number, start in enumerate(STARTS):
        bar = {"symbol": "TSLA", "start": start.isoformat(), "volume": "100"}
        story.add("broker", "bar", **bar, **dict.fromkeys(("open", "high", "low", "close"), "445"))
        if number == 5:
            story.fill(1, "BOT", 100, "445.25", ref=ENTRY)
        if number == 10 and exits:
            story.fill(2, "SLD", 100, "443.37", ref=STOP)
    return story.end().history()


def begins(trials: Sequence[Trial]) -> list[int]:
    found = [STARTS.index(outage.after_bar) for trial in trials for outage in trial.outages]
    return list(dict.fromkeys(found))


def test_a_database_is_locked_before_the_entry_in_the_position_and_across_the_exit() -> None:
    trials = outage_trials(traded(), "sqlite")
    assert begins(trials) == [4, 7, 9]
    assert len(trials) == 12
    assert [str(trial) for trial in trials[:4]] == [
        "outage=locked-database.20251006T100020.20251006T100025",
        "outage=locked-database.20251006T100020.20251006T100030",
        "outage=locked-database.20251006T100020.20251006T100030/kill=quiet.20251006T100025",
        "outage=locked-database.20251006T100020.20251006T100035/kill=quiet.20251006T100030",
    ]


def test_redis_is_away_or_comes_back_poorer_alone_and_with_a_kill() -> None:
    trials = outage_trials(traded(), "redis")
    assert len(trials) == 24
    assert [str(trial) for trial in trials[:8]] == [
        "outage=redis-outage.20251006T100020.20251006T100030.nothing",
        "outage=redis-outage.20251006T100020.20251006T100030.nothing/kill=quiet.20251006T100025",
        "outage=redis-outage.20251006T100020.20251006T100030.last-second",
        "outage=redis-outage.20251006T100020.20251006T100030.last-second"
        "/kill=quiet.20251006T100020",
        "outage=redis-outage.20251006T100025.20251006T100025.last-second",
        "outage=redis-outage.20251006T100025.20251006T100025.last-second"
        "/kill=quiet.20251006T100025",
        "outage=redis-outage.20251006T100025.20251006T100025.everything",
        "outage=redis-outage.20251006T100025.20251006T100025.everything/kill=quiet.20251006T100025",
    ]


def test_a_file_has_no_server_and_every_bar_is_every_bar() -> None:
    assert outage_trials(traded(), "json") == ()
    assert begins(outage_trials(traded(), "sqlite", every_bar=True)) == list(range(17))


def test_a_day_without_an_exit_or_a_trade_has_its_moments_too() -> None:
    assert begins(outage_trials(traded(exits=False), "sqlite")) == [4, 11, 16]
    idle = Story().case().start().bar().end().history()
    assert outage_trials(idle, "sqlite") == ()


def test_a_random_trial_may_be_one_with_an_outage() -> None:
    (flock,) = flocks(1, FLOCK, scenarios=1, stores=1)
    kills = [Kill(point=Quiet(after_bar=start)) for start in STARTS]
    away = [Trial(outages=(LOCK,))]

    def draw(outages: Sequence[Trial]) -> list[Trial]:
        return [
            draw_trial(
                flock, number, kills=kills, words=lambda _kill: (), calls=(), outages=outages
            )
            for number in range(5 * FLOCK)
        ]

    assert draw(away) == draw(away)
    assert away[0] in draw(away)
    assert not any(trial.outages for trial in draw(()))


def test_an_outage_that_is_not_needed_is_dropped_and_one_that_is_stays() -> None:
    kill = Kill(point=Quiet(after_bar=STARTS[2]))
    trial = Trial(outages=(LOCK, DOWN), kills=(kill, kill))
    assert shrink(trial, lambda each: bool(each.kills)).outages == ()
    assert shrink(trial, lambda each: DOWN in each.outages).outages == (DOWN,)
    alone = Trial(outages=(DOWN,))
    assert shrink(alone, lambda each: not each.kills) == alone


def with_outage(story: Story, *, lost: bool = False) -> Story:
    what = {"life": 1, "fault": DOWN.slug, "words": DOWN.describe()}
    story.add("harness", "outage", **what, blocks=True)
    if lost:
        story.add("harness", "storage", **what, role="redis", name="", done="", blocks=False)
    story.add("harness", "outage_over", **what)
    return story


@pytest.mark.parametrize(("lost", "found"), [(True, 0), (False, 1)])
def test_a_record_that_redis_has_lost_was_made_and_one_that_never_was_was_not(
    lost: bool, found: int
) -> None:
    story = Story().start().received(order_id=7, order_ref=ENTRY)
    with_outage(story, lost=lost).killed().state("after kill", intents=[])
    assert len(intent_before_send.check(story.history())) == found


def test_an_order_after_what_was_lost_is_judged() -> None:
    story = with_outage(Story().start(), lost=True).received(order_id=7, order_ref=ENTRY)
    story.killed().state("after kill", intents=[])
    assert len(intent_before_send.check(story.history())) == 1


@pytest.mark.parametrize(("lost", "found"), [(True, []), (False, ["TheBotStays"])])
def test_a_bot_may_refuse_to_go_on_when_its_redis_is_back_and_has_lost_something(
    lost: bool, found: list[str]
) -> None:
    story = with_outage(Story().case().start(), lost=lost).exited(3, "halted: Redis has lost saves")
    assert [each.invariant for each in the_bot_stays.INVARIANT.check(story.history())] == found


def test_a_planned_outage_that_did_not_come_proves_nothing() -> None:
    story = Story()
    names = {"scenario": "story", "store": "redis", "seed": 0, "token": "story/redis@123abc"}
    story.add("harness", "case", **names, crashes=[], bot="bot", outages=[DOWN.describe()])
    result = judge(STORY, story.start().bar().end().history())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the outage never came: Redis is down from 10:00:05 to 10:00:15 and has lost its" in (
        " ".join(result.reasons)
    )
    came = judge(STORY, with_outage(story).history())
    assert not [reason for reason in came.reasons if "outage" in reason]


def test_an_outage_is_told_in_the_story_of_a_failure() -> None:
    lines = [line.what for line in timeline(with_outage(Story().start()).history(), ())]
    assert lines == ["started", DOWN.describe(), f"over: {DOWN.describe()}"]
