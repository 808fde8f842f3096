"""target_trader/README.md says what the reference bot is and does; its commands are run here."""

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakebroker.control import ControlClient
from harness.broker_process import running_broker
from harness.case import Case
from harness.redis_process import RedisProcess, running_redis
from harness.targets.process import Child, launch
from harness.targets.quiet import Quieted, Watch
from harness.targets.sockets import LoopbackQueues
from scenarios.day import BREAKOUT, WARM_UP, WATCHLIST, at, walk
from target_trader import reconcile
from target_trader.settings import Library, Policy, StoreKind
from target_trader.state.checkpoint import Checkpoint
from tests.support.trader_days import interpreter

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "target_trader"
README = (SOURCE / "README.md").read_text(encoding="utf-8")
DEADLINE_SECONDS = 60
COMMANDS = re.findall(r"^\$ python -m target_trader (.+)$", README, flags=re.MULTILINE)
TRADE = next(each for each in COMMANDS if each.startswith("trade "))
READING = [each for each in COMMANDS if each.split()[0] in {"state", "history", "report"}]
REPAIRING = [each for each in COMMANDS if each.split()[0] in {"resume", "reset-breaker"}]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
EXAMPLES = [text for kind, text in BLOCKS if kind == "toml"]
[SHOWN_LOG] = [text.splitlines() for kind, text in BLOCKS if not kind and "RECOVERED" in text]
HALT_LITERAL_LETTERS = 12


def section(title: str) -> str:
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows_of(text: str) -> list[str]:
    """The lines of the tables in a text."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("|")]


# The story of the page: killed with a position, half of it sold while the bot is dead.


@dataclass(frozen=True, slots=True)
class Story:
    """What is left of it: a folder to run the page's commands in, and the second life's log."""

    folder: Path
    log: list[str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Trade, SIGKILL, let the partial fill, start again, stop; with the page's own command."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "watchlist.json").write_text(json.dumps(WATCHLIST))
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:08:15", "447.20"), ("10:11:00", "447.00"))
    case = Case(scenario="readme", store="json", tape=tape, watchlist=WATCHLIST)
    with running_broker(case, folder) as broker:
        command = trade_command(broker.port, folder)
        first = launch(command, folder / "first.log")
        follow(first, broker.control, bars=case.bars_through(at("10:07:00")))
        first.end()
        for _ in range(case.bars_through(at("10:09:55")) - case.bars_through(at("10:07:00"))):
            broker.control.step()
        second = launch(command, folder / "second.log")
        follow(second, broker.control, bars=0)
        os.kill(second.pid, signal.SIGTERM)
        assert second.exits_within(DEADLINE_SECONDS)
        assert second.exit_code() == 0
        second.end()
    log = (folder / "second.log").read_text(encoding="utf-8")
    return Story(folder, log.replace(str(broker.port), "7497").splitlines())


def trade_command(port: int, folder: Path) -> list[str]:
    """The command of the page with another port, for the files of a folder."""
    words = shlex.split(TRADE.replace("7497", str(port)))
    for option in ("--state-dir", "--watchlist"):
        place = words.index(option) + 1
        words[place] = str(folder / words[place])
    return [sys.executable, "-m", "target_trader", *words]


def follow(
    bot: Child, control: ControlClient, *, bars: int, redis: RedisProcess | None = None
) -> None:
    """Wait until the bot trades, then play so many bars, each when it is quiet."""
    queues = LoopbackQueues()
    watch = Watch(bot, control, queues=queues, neighbour=redis)
    try:
        while not control.status().subscriptions:
            assert isinstance(watch.settle(seconds=DEADLINE_SECONDS), Quieted), bot.last_lines()
        for _ in range(bars):
            control.step()
            assert isinstance(watch.settle(seconds=DEADLINE_SECONDS), Quieted), bot.last_lines()
    finally:
        queues.close()


def run_trader(arguments: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "target_trader", *shlex.split(arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


# The tests


def test_the_page_is_short_and_names_what_is_there() -> None:
    assert len(README.splitlines()) < 325
    named = set(re.findall(r"`((?:target_trader|docs|tests|benchmarks)/[\w/.-]+)`", README))
    assert named
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
    assert len(COMMANDS) == len(READING) + len(REPAIRING) + 1 == 6


def test_the_log_of_a_restart_has_the_lines_of_the_page(story: Story) -> None:
    assert story.log == SHOWN_LOG


@pytest.mark.parametrize("arguments", READING)
def test_the_commands_that_read_the_state_do_what_the_page_says(
    story: Story, arguments: str
) -> None:
    result = run_trader(arguments, folder=story.folder)
    assert (result.returncode, result.stderr) == (0, "")
    told = {"state": '"attempts"', "history": '"event_count"', "report": "policy SYNC_TO_BROKER"}
    assert told[arguments.split()[0]] in result.stdout


@pytest.mark.parametrize("arguments", REPAIRING)
def test_the_commands_that_a_person_gives_after_a_halt_run_on_a_stopped_bot(
    story: Story, arguments: str
) -> None:
    result = run_trader(arguments, folder=story.folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_the_table_of_who_wins_is_that_of_the_code() -> None:
    assert rows_of(section("Who wins what")) == rows_of(str(reconcile.__doc__))


def test_every_field_of_the_checkpoint_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", "".join(rows_of(section("What it remembers")))))
    assert sorted(set(Checkpoint.model_fields) - explained) == []


def test_the_sequence_diagram_names_the_steps_of_the_code() -> None:
    diagram = section("A restart").split("```mermaid\n")[1].split("```")[0]
    steps = re.findall(r": ([A-Za-z]+)\.(\w+):", diagram)
    assert len(steps) >= 8
    for owner, name in steps:
        assert is_in_code(owner, name), f"{owner}.{name}"


def is_in_code(owner: str, name: str) -> bool:
    """Tell whether a class of the bot, or a module of it, has this function."""
    for path in SOURCE.rglob("*.py"):
        tree: ast.AST = ast.parse(path.read_text(encoding="utf-8"))
        holders = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
        bodies = [each.body for each in holders if each.name == owner]
        if path.stem == owner and isinstance(tree, ast.Module):
            bodies.append(tree.body)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if any(isinstance(each, functions) and each.name == name for b in bodies for each in b):
            return True
    return False


@pytest.mark.parametrize("name", [*Policy, *StoreKind])
def test_every_policy_and_store_is_explained(name: str) -> None:
    titles = section("Which policy") + section("Which store").replace("JSON", "json")
    assert name in titles.replace("SQLite", "sqlite").replace("Redis", "redis")


def test_every_file_of_a_state_folder_is_explained(story: Story) -> None:
    named = re.findall(r"`([\w.*-]+)`", "".join(rows_of(section("Files"))))
    patterns = [
        re.escape(each)
        .replace(r"\*", ".*")
        .replace("YYYYMMDD", r"\d{8}")
        .replace("NAME", r"[\w.-]+")
        for each in named
    ]
    there = sorted(path.name for path in (story.folder / "state").iterdir())
    assert len(there) >= 3
    strange = [name for name in there if not any(re.fullmatch(each, name) for each in patterns)]
    assert strange == []


def test_every_halt_reason_is_explained() -> None:
    told = section("When it halts")
    literals = [words for path in SOURCE.rglob("*.py") for words in halt_literals(path)]
    assert len(literals) >= 3
    assert sorted(words for words in literals if words not in told) == []


def halt_literals(path: Path) -> list[str]:
    """The longest fixed words of each reason that is given to a `halt(...)` in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr != "halt":
            continue
        texts = [
            each.value.strip(" :,")
            for each in ast.walk(node.args[0])
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        found += [max(texts, key=len).removesuffix(" of")] if texts else []
    return [words for words in found if len(words) >= HALT_LITERAL_LETTERS]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_configuration_examples_are_valid(number: int, tmp_path: Path) -> None:
    (tmp_path / "trader.toml").write_text(EXAMPLES[number])
    result = run_trader("config --config trader.toml", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    for line in EXAMPLES[number].splitlines():
        if " = " in line:
            assert line in result.stdout


def test_the_example_with_ib_async_and_redis_trades_and_is_read_back(tmp_path: Path) -> None:
    [example] = [text for text in EXAMPLES if 'store = "redis"' in text]
    (tmp_path / "watchlist.json").write_text(json.dumps(WATCHLIST))
    tape = walk("TSLA", *WARM_UP, *BREAKOUT, ("10:08:15", "447.20"), ("10:11:00", "447.00"))
    case = Case(scenario="readme", store="redis", tape=tape, watchlist=WATCHLIST)
    python = interpreter(Library.IB_ASYNC)
    with running_broker(case, tmp_path) as broker, running_redis(tmp_path) as redis:
        changed = example.replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}")
        (tmp_path / "trader.toml").write_text(changed)
        config = ("--config", str(tmp_path / "trader.toml"), "--state-dir", str(tmp_path / "state"))
        place = ("--port", str(broker.port), "--watchlist", str(tmp_path / "watchlist.json"))
        command = [python, "-m", "target_trader", "trade", *config, *place]
        bot = launch(command, tmp_path / "bot.log", environment={"PYTHONPATH": str(ROOT)})
        follow(bot, broker.control, bars=case.bars_through(at("10:07:00")), redis=redis)
        os.kill(bot.pid, signal.SIGTERM)
        assert bot.exits_within(DEADLINE_SECONDS)
        assert bot.exit_code() == 0, bot.last_lines()
        bot.end()
        result = run_trader(shlex.join(["state", *config]), folder=tmp_path)
        executions = [each.exec_id for each in broker.control.books().executions]
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["executions"] == sorted(executions) != []
