"""The reference bot while its database is locked or its Redis is away, and one that does not care.

The short day's entry is sent at the end of the bar of 10:00:25. A bot that cannot save it waits, or
ends loudly and is started again; it never sends what it cannot remember.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.explore.trial import Trial
from harness.history import Event, History
from harness.itinerary import Depth
from harness.judge import judge
from harness.result import Result, Verdict
from harness.sameness import first_difference
from harness.sweep import Sweep
from harness.targets import BotSpec
from harness.workshop import Workshop, workshop
from scenarios.test_every_point import SCENARIO
from tests.support.commands import Run

CARELESS = "scenarios/gallery/ignores_failed_saves.py"
BEFORE, ENTRY, AFTER, LATER = (f"20251006T1000{second}" for second in (20, 25, 30, 35))


@dataclass(frozen=True, slots=True)
class Played:
    """One trial: its history, what the law says of it, and what the bot said."""

    result: Result
    history: History
    folder: Path
    log: str

    @property
    def outage(self) -> tuple[Event, Event]:
        """Its beginning and its end."""
        (began,), (ended,) = self.history.of_kind("outage"), self.history.of_kind("outage_over")
        return began, ended

    def orders(self, after: int, before: int) -> int:
        """How many orders the broker received between two places in the history."""
        return sum(
            message.message == "placeOrder" and after < message.seq < before
            for message in self.history.messages
        )


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as tools:
        yield tools


def sweep_of(shop: Workshop, store: str, bot: str | None = None) -> Sweep:
    return shop.sweep(SCENARIO, store, bot=BotSpec.choose(bot), depth=Depth())


def played(sweep: Sweep, text: str) -> Played:
    path = sweep.play(Trial.parse(text))
    history = History.read(path)
    return Played(
        result=judge(SCENARIO, history, clean=sweep.clean),
        history=history,
        folder=path.parent,
        log=(path.parent / "bot.log").read_text(encoding="utf-8"),
    )


def passed(sweep: Sweep, text: str) -> Played:
    """Play a trial that the bot survives, twice with the same bytes."""
    run, again = played(sweep, text), sweep.play(Trial.parse(text))
    assert (run.result.verdict, run.result.findings, run.result.reasons) == (Verdict.PASS, (), ())
    assert first_difference(run.folder / "history.jsonl", again) is None
    return run


def test_a_bot_that_gets_its_lock_in_time_has_waited_with_its_orders(shop: Workshop) -> None:
    sweep = sweep_of(shop, "sqlite")
    run = passed(sweep, f"outage=locked-database.{BEFORE}.{ENTRY}")
    began, ended = run.outage
    assert run.orders(began.seq, ended.seq) == 0
    assert run.orders(ended.seq, len(run.history.events)) == run.orders(0, 10**9)
    clean = [each.time for each in sweep.clean.messages if each.message == "placeOrder"]
    assert [each.time for each in run.history.messages if each.message == "placeOrder"] == clean
    assert not run.history.exits


def test_a_bot_that_does_not_get_its_lock_ends_loudly_and_is_started_again(shop: Workshop) -> None:
    run = passed(sweep_of(shop, "sqlite"), f"outage=locked-database.{BEFORE}.{AFTER}")
    began, ended = run.outage
    (gone,) = run.history.exits
    assert began.seq < gone.seq < ended.seq < run.history.lives[1].first_seq
    assert gone.code == 1
    assert gone.last_words.endswith("trader.db could not be written: database is locked")
    assert run.orders(began.seq, ended.seq) == 0


def test_a_bot_is_killed_while_it_waits_for_its_lock(shop: Workshop) -> None:
    lock = f"outage=locked-database.{BEFORE}.{AFTER}"
    run = passed(sweep_of(shop, "sqlite"), f"{lock}/kill=quiet.{ENTRY}")
    began, ended = run.outage
    (kill,) = run.history.kills
    assert began.seq < kill.seq < ended.seq
    assert run.orders(0, kill.seq) == 0
    assert not run.history.exits


def test_a_bot_whose_redis_is_down_ends_loudly_and_is_started_again(shop: Workshop) -> None:
    run = passed(sweep_of(shop, "redis"), f"outage=redis-outage.{BEFORE}.{AFTER}.nothing")
    began, ended = run.outage
    (gone,) = run.history.exits
    assert began.seq < gone.seq < ended.seq < run.history.lives[1].first_seq
    assert "does not answer after 3 tries" in gone.last_words
    assert "REDIS_PORT" in gone.last_words
    assert run.orders(began.seq, ended.seq) == 0


def test_a_bot_whose_redis_restarts_finds_it_again(shop: Workshop) -> None:
    run = passed(sweep_of(shop, "redis"), f"outage=redis-outage.{BEFORE}.{BEFORE}.nothing")
    began, ended = run.outage
    assert ended.seq == began.seq + 1
    assert not run.history.exits
    assert run.orders(ended.seq, len(run.history.events)) == run.orders(0, 10**9)
    clients = (run.folder / "redis.clients").read_text(encoding="ascii").splitlines()
    came = [line for line in clients if line.startswith("+")]
    assert len(came) == 2, "the bot, and who read its state at the end"


def test_a_bot_whose_redis_has_lost_its_last_second_writes_it_again(shop: Workshop) -> None:
    run = passed(sweep_of(shop, "redis"), f"outage=redis-outage.{ENTRY}.{ENTRY}.last-second")
    (lost,) = run.history.of_kind("storage")
    assert lost.data["done"] == "2 of 4 values are lost or older"
    assert run.orders(0, lost.seq) > 0
    assert not run.history.exits
    end = run.history.final_state
    assert end is not None
    assert len(end.belief.executions or ()) == len(run.history.fills)


def test_a_bot_whose_redis_has_lost_everything_writes_it_again(shop: Workshop) -> None:
    run = passed(sweep_of(shop, "redis"), f"outage=redis-outage.{ENTRY}.{ENTRY}.everything")
    (lost,) = run.history.of_kind("storage")
    assert lost.data["done"] == "4 of 4 values are lost or older"
    assert "has restarted and lost what it had acknowledged" in run.log
    assert not run.history.exits


def test_a_bot_that_dies_while_redis_loses_its_last_second_finds_out(shop: Workshop) -> None:
    down = f"outage=redis-outage.{ENTRY}.{LATER}.last-second"
    run = passed(sweep_of(shop, "redis"), f"{down}/kill=quiet.{ENTRY}")
    after_kill, end = run.history.states
    (lost,) = run.history.of_kind("storage")
    assert after_kill.seq < lost.seq < run.history.lives[1].first_seq
    assert after_kill.belief.intents
    assert "saves are lost" in run.log
    assert len(end.belief.executions or ()) == len(run.history.fills)


def test_a_bot_that_sends_what_it_could_not_save_is_caught(shop: Workshop) -> None:
    """With SQLite; the gallery runs the same bot with Redis."""
    trial = f"outage=locked-database.{BEFORE}.{LATER}/kill=quiet.{AFTER}"
    run = played(sweep_of(shop, "sqlite", CARELESS), trial)
    assert run.result.verdict is Verdict.FAIL
    assert run.result.findings[0].invariant == "IntentBeforeSend"
    sound = played(sweep_of(shop, "sqlite"), trial)
    assert (sound.result.verdict, sound.result.findings) == (Verdict.PASS, ())


def test_a_sweep_of_a_store_has_its_outages(shop: Workshop) -> None:
    for store, count in (("json", 0), ("sqlite", 12), ("redis", 24)):
        planned = sweep_of(shop, store).plan()
        assert sum(bool(trial.outages) for trial in planned) == count


@pytest.mark.parametrize(
    ("store", "word", "says"),
    [
        ("json", f"redis-outage.{BEFORE}.{AFTER}.nothing", "take the store 'redis'"),
        ("redis", f"redis-outage.{AFTER}.{BEFORE}.nothing", "cannot end before it begins"),
        ("sqlite", "locked-database.20251006T110000.20251006T110005", "outside the market's day"),
    ],
)
def test_an_outage_that_cannot_be_is_a_message_and_exit_code_2(
    run: Run, store: str, word: str, says: str
) -> None:
    result = run("crashgate", "replay", f"every-point/{store}/outage={word}@123abc")
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_lock_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.lock_holder", str(tmp_path / "none.db")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "cannot hold the bot's database none.db" in ended.stderr
