"""Storage faults in whole runs: tiny bots that keep one file, and what they make of its loss."""

from pathlib import Path

import pytest

from harness.bot_life import Limits
from harness.faults.storage import parse_storage_fault
from harness.history import History
from harness.judge import judge
from harness.result import Result, Verdict
from harness.runner import run_case
from harness.targets import BotSpec
from tests.unit.harness.scenarios_for_tests import CRASH, STORY, small_case

QUICK = Limits(ready=15.0, quiet=15.0, patience=0.3)
# A bot that counts its bars in a file, and says which number it began with. LOAD is how it reads.
BOT = """
import os, pathlib, sys
argument = dict(zip(sys.argv[2::2], sys.argv[3::2]))
path = pathlib.Path(argument["--state-dir"]) / "count.json"
if sys.argv[1] == "state":
    print('{"positions": {}, "intents": []}')
    sys.exit()
import asyncio
asyncio.set_event_loop(asyncio.new_event_loop())
from ib_insync import IB, Stock
count = 0
if path.exists():
    LOAD
    print(f"began with {count}", file=sys.stderr)
ib = IB()
ib.connect("127.0.0.1", int(argument["--port"]), clientId=int(argument["--client-id"]))
stock = Stock("TSLA", "SMART", "USD")
ib.qualifyContracts(stock)
def act(bars, fresh):
    global count
    count += 1
    try:
        path.write_text(str(count))
    except OSError as error:
        print(f"cannot save: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(1)
ib.reqRealTimeBars(stock, 5, "TRADES", False).updateEvent += act
ib.run()
"""
CAREFUL = """
    try:
        count = int(path.read_text())
    except ValueError as error:
        print("the state is damaged:", error, file=sys.stderr)
        sys.exit(2)
"""
CARELESS = "count = int(path.read_text())"


def play(slug: str, folder: Path, *, load: str = CAREFUL) -> tuple[Result, History]:
    """Run the bot through one kill and the fault."""
    path = folder / "bot.py"
    path.write_text(BOT.replace("    LOAD\n", load if load is CAREFUL else f"    {load}\n"))
    crash = CRASH.model_copy(update={"storage": parse_storage_fault(slug)})
    spec = BotSpec.choose(str(path))
    history = run_case(small_case(crashes=(crash,)), spec, folder / "run", limits=QUICK)
    read = History.read(history)
    return judge(STORY, read), read


def began_with(folder: Path) -> list[str]:
    lines = (folder / "run" / "bot.log").read_text().splitlines()
    return [line for line in lines if line.startswith("began with")]


def test_a_bot_that_refuses_a_damaged_state_with_words_passes(tmp_path: Path) -> None:
    result, history = play("empty.state", tmp_path)
    assert (result.verdict, result.findings) == (Verdict.PASS, ())
    assert history.exits[0].code == 2
    told = history.of_kind("storage")[0].data
    kill, launch = history.kills[0].seq, history.lives[1].first_seq
    assert kill < history.of_kind("storage")[0].seq < launch
    assert (told["fault"], told["role"], told["name"]) == ("empty.state", "state", "count.json")


def test_a_bot_that_dies_of_a_damaged_state_fails(tmp_path: Path) -> None:
    result, _ = play("empty.state", tmp_path, load=CARELESS)
    assert result.verdict is Verdict.FAIL
    assert {finding.invariant for finding in result.findings} == {"TheBotStays", "BackInBusiness"}


def test_a_bot_that_cannot_save_may_end_and_its_folder_is_free_again(tmp_path: Path) -> None:
    result, history = play("read-only", tmp_path)
    assert (result.verdict, result.findings) == (Verdict.PASS, ())
    assert (history.exits[0].code, history.exits[0].last_words) == (
        1,
        "cannot save: Permission denied",
    )
    (tmp_path / "run" / "state" / "new").write_text("x")


def test_a_fault_whose_file_is_not_there_does_not_happen_and_is_told(tmp_path: Path) -> None:
    result, history = play("missing.wal", tmp_path)
    assert (result.verdict, result.unfit) == (Verdict.INCONCLUSIVE, True)
    assert result.reasons == ("it did not fit: there is no wal",)
    assert history.of_kind("skipped")[0].data["reason"] == "there is no wal"
    assert not history.of_kind("storage")


@pytest.mark.parametrize(("slug", "count"), [("stale.state.1", 2), ("stale.state.2", 1)])
def test_an_older_state_is_that_of_so_many_steps_ago(slug: str, count: int, tmp_path: Path) -> None:
    _, history = play(slug, tmp_path)
    assert began_with(tmp_path) == [f"began with {count}"]
    assert len(history.of_kind("storage")) == 1
