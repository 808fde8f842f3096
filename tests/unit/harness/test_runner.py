"""Whole runs: the real broker process, and tiny bots that do one thing each."""

import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from harness.bot_life import Limits
from harness.case import Case, Crash
from harness.downtime import Downtime, FillOrder, ManualOrder, OrderChoice
from harness.errors import UserError
from harness.history import History
from harness.judge import judge
from harness.points import FailPoint, Quiet, answered, processed, received
from harness.result import Result, Verdict
from harness.runner import run_case
from harness.targets import BotSpec
from tests.unit.harness.scenarios_for_tests import CRASH, STORY, small_case
from tests.unit.harness.stories import OPEN

# A bot on the real client. What it does at its second bar stands in place of ACT.
BOT = """
import os, sys
if sys.argv[1] == "state":
    print('{"positions": {}, "intents": []}')
    sys.exit()
import asyncio
asyncio.set_event_loop(asyncio.new_event_loop())
from ib_insync import IB, MarketOrder, Stock
argument = dict(zip(sys.argv[2::2], sys.argv[3::2]))
ib = IB()
ib.connect("127.0.0.1", int(argument["--port"]), clientId=int(argument["--client-id"]))
stock = Stock("TSLA", "SMART", "USD")
ib.qualifyContracts(stock)
passed = []
def act(bars, fresh):
    passed.append(1)
    if len(passed) == 2:
        ACT
SUBSCRIBE
ib.run()
"""
SUBSCRIBE = 'ib.reqRealTimeBars(stock, 5, "TRADES", False).updateEvent += act'
OPEN_PRICE = Decimal(445)
QUICK = Limits(ready=15.0, quiet=15.0, patience=0.3)


def bot(folder: Path, act: str = "pass", *, subscribe: str = SUBSCRIBE) -> BotSpec:
    path = folder / "bot.py"
    path.write_text(BOT.replace("ACT", act).replace("SUBSCRIBE", subscribe))
    return BotSpec.choose(str(path))


def run(case: Case, spec: BotSpec, folder: Path, *, limits: Limits = QUICK) -> Result:
    path = run_case(case, spec, folder / "run", limits=limits)
    return judge(STORY, History.read(path))


def history_of(folder: Path) -> History:
    return History.read(folder / "run" / "history.jsonl")


def test_a_bot_that_does_nothing_wrong_is_killed_restarted_and_passes(tmp_path: Path) -> None:
    result = run(small_case(crashes=(CRASH,)), bot(tmp_path), tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    history = history_of(tmp_path)
    assert [life.number for life in history.lives] == [1, 2]
    assert [state.when for state in history.states] == ["after kill", "end"]
    kill, restart = history.kills[0].seq, history.lives[1].first_seq
    bars = [bar.seq for bar in history.of_kind("bar")]
    assert len([seq for seq in bars if seq < kill]) == 3
    assert len([seq for seq in bars if kill < seq < restart]) == 1
    assert len(bars) == 6


def test_the_same_case_writes_the_same_bytes(tmp_path: Path) -> None:
    spec = bot(tmp_path, 'ib.placeOrder(stock, MarketOrder("BUY", 1))')
    case = small_case(crashes=(Crash(point=processed("placeOrder")),))
    texts = []
    for name in ("one", "two"):
        path = run_case(case, spec, tmp_path / name, limits=QUICK)
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    assert b'"kind":"killed"' in texts[0]


def test_no_port_path_or_process_id_is_in_a_history(tmp_path: Path) -> None:
    act = 'raise SystemExit("port " + argument["--port"] + " in " + argument["--state-dir"])'
    run(small_case(crashes=()), bot(tmp_path, act), tmp_path)
    text = (tmp_path / "run" / "history.jsonl").read_text()
    assert "port PORT in FOLDER/state" in text
    assert str(tmp_path) not in text


def test_a_bot_that_ends_by_itself_fails_and_is_no_exception(tmp_path: Path) -> None:
    result = run(small_case(), bot(tmp_path, "os._exit(3)"), tmp_path)
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].invariant == "TheBotStays"
    assert "exit code 3" in result.findings[0].sentence


def test_a_bot_that_never_goes_quiet_proves_nothing(tmp_path: Path) -> None:
    limits = Limits(ready=15.0, quiet=4.0, patience=0.3)
    result = run(small_case(), bot(tmp_path, "while True: pass"), tmp_path, limits=limits)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the bot was not quiet within 4 s: its threads are running" in result.reasons[0]


def test_a_bot_that_never_asks_for_bars_is_not_back_in_business(tmp_path: Path) -> None:
    limits = Limits(ready=15.0, quiet=15.0, patience=0.1)
    result = run(small_case(), bot(tmp_path, subscribe=""), tmp_path, limits=limits)
    assert result.verdict is Verdict.FAIL
    assert "BackInBusiness" in [finding.invariant for finding in result.findings]


def test_a_market_that_goes_on_is_given_to_a_bot_that_waits_for_it(tmp_path: Path) -> None:
    asks = f"while ib.reqCurrentTime().second < 10: ib.sleep(0.01)\n{SUBSCRIBE}"
    run(small_case(crashes=()), bot(tmp_path, subscribe=asks), tmp_path)
    history = history_of(tmp_path)
    # It needs two bars; on a busy machine it may be given another before it asks.
    assert len(history.of_kind("waited_for")) >= 2
    assert history.lives[0].ready_seq is not None


def test_an_order_that_was_lost_on_the_way_never_reaches_the_books(tmp_path: Path) -> None:
    spec = bot(tmp_path, 'ib.placeOrder(stock, MarketOrder("BUY", 1))')
    lost = Crash(point=received("placeOrder"), arrives=False)
    run(small_case(crashes=(lost,)), spec, tmp_path)
    history = history_of(tmp_path)
    first = next(order for order in history.messages if order.message == "placeOrder")
    assert first.lost
    assert history.kills[0].point.endswith("the bytes in flight were lost")
    assert [fill.seq for fill in history.fills if fill.seq < history.lives[1].first_seq] == []


def test_an_order_that_arrives_after_the_kill_is_filled_while_the_bot_is_dead(
    tmp_path: Path,
) -> None:
    spec = bot(tmp_path, 'ib.placeOrder(stock, MarketOrder("BUY", 1))')
    run(small_case(crashes=(Crash(point=received("placeOrder")),)), spec, tmp_path)
    history = history_of(tmp_path)
    assert history.kills[0].seq < history.fills[0].seq < history.lives[1].first_seq


def test_an_answered_order_is_filled_before_the_kill(tmp_path: Path) -> None:
    spec = bot(tmp_path, 'ib.placeOrder(stock, MarketOrder("BUY", 1))')
    result = run(small_case(crashes=(Crash(point=answered("placeOrder")),)), spec, tmp_path)
    history = history_of(tmp_path)
    assert history.fills[0].seq < history.kills[0].seq
    assert "Protected" in [finding.invariant for finding in result.findings]


def test_a_failpoint_that_the_bot_does_not_know_is_never_reached(tmp_path: Path) -> None:
    case = small_case(crashes=(Crash(point=FailPoint(name="no.such.place")),))
    result = run(case, bot(tmp_path), tmp_path)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "never reached: at the 1st passage of no.such.place" in result.reasons[0]


def test_a_failpoint_kill_stands_before_the_lost_connection(tmp_path: Path) -> None:
    dies = 'os.write(2, b"failpoint my.place: kill\\n"); os.kill(os.getpid(), 9)'
    case = small_case(crashes=(Crash(point=FailPoint(name="my.place")),))
    result = run(case, bot(tmp_path, dies), tmp_path)
    history = history_of(tmp_path)
    kill = history.kills[0]
    assert (kill.how, result.kill_points) == ("failpoint", ("at the 1st passage of my.place",))
    following = history.at(kill.seq + 1)
    assert (following.kind, following.data["event"]) == ("session", "disconnected")


def test_a_sigkill_without_the_failpoints_line_is_no_planned_kill(tmp_path: Path) -> None:
    case = small_case(crashes=(Crash(point=FailPoint(name="my.place")),))
    result = run(case, bot(tmp_path, "os.kill(os.getpid(), 9)"), tmp_path)
    assert result.findings[0].invariant == "TheBotStays"
    assert "signal 9" in result.findings[0].sentence


def test_an_act_of_the_downtime_that_does_not_fit_proves_nothing(tmp_path: Path) -> None:
    fill = FillOrder(order=OrderChoice(symbol="TSLA", order_type="STP"), price=OPEN_PRICE)
    crash = Crash(point=Quiet(after_bar=OPEN), downtime=Downtime(acts=(fill,)))
    result = run(small_case(crashes=(crash,)), bot(tmp_path), tmp_path)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the TSLA STP order was to be found at the broker, and 0 orders fit" in result.reasons[0]


def test_a_hand_made_order_of_the_downtime_is_in_the_books(tmp_path: Path) -> None:
    buy = ManualOrder(symbol="TSLA", action="BUY", quantity=OPEN_PRICE)
    crash = Crash(point=Quiet(after_bar=OPEN), downtime=Downtime(acts=(buy,)))
    run(small_case(crashes=(crash,)), bot(tmp_path), tmp_path)
    history = history_of(tmp_path)
    assert [fill.client_id for fill in history.fills] == [0]
    assert history.kills[0].seq < history.fills[0].seq < history.lives[1].first_seq


def test_a_case_that_ends_early_plays_no_later_bar(tmp_path: Path) -> None:
    ends = small_case(crashes=()).tape[3].time
    run(small_case(crashes=(), ends_at=ends), bot(tmp_path), tmp_path)
    assert len(history_of(tmp_path).of_kind("bar")) == 3


def test_a_bot_behind_a_shell_is_killed_with_its_shell(tmp_path: Path) -> None:
    bot(tmp_path)
    inner = (
        f"{sys.executable} {tmp_path / 'bot.py'} trade --port {{port}} --client-id {{client_id}}"
    )
    spec = BotSpec.choose(command=f"sh -c '{inner}; true'")
    result = run(small_case(crashes=(CRASH,)), spec, tmp_path)
    assert result.verdict is Verdict.PASS
    assert any(words.startswith("PositionAgrees") for words in result.unjudged)


@pytest.mark.parametrize("printed", ["hello", "", "[7]", "null"])
def test_a_state_command_that_prints_no_belief_is_a_finding_against_the_bot(
    tmp_path: Path, printed: str
) -> None:
    spec = bot(tmp_path)
    spec = spec.model_copy(update={"state": (sys.executable, "-c", f"print({printed!r})")})
    result = run(small_case(crashes=(CRASH,)), spec, tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.FAIL, ())
    assert {finding.invariant for finding in result.findings} == {"CheckpointReadable"}
    assert "ended with exit code 0: the bot's state command printed no belief" in (
        result.findings[0].sentence
    )
    assert [event.data["when"] for event in history_of(tmp_path).of_kind("unreadable")] == [
        "after kill",
        "end",
    ]


def test_a_folder_that_holds_a_run_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run" / "state").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot use the folder .*: File exists"):
        run_case(small_case(), bot(tmp_path), tmp_path / "run")


def test_a_history_says_first_which_case_it_is(tmp_path: Path) -> None:
    run(small_case(crashes=()), bot(tmp_path), tmp_path)
    first = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert (first["kind"], first["scenario"], first["store"]) == ("case", "story", "json")
