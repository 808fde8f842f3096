"""The command line: what it prints, its exit codes, and no traceback for a user's mistake."""

from pathlib import Path

import pytest
from typer import Exit

from harness import cli
from harness.errors import UserError
from harness.result import Result, Verdict
from harness.targets import BotSpec, Session
from tests.unit.harness.stories import ENTRY, Story
from tests.unit.harness.test_runner import bot

QUIET = "quiet.20251006T100000"
SCENARIO_FILE = """
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo
from fakebroker.market.tape import Bar
from harness.case import Crash
from harness.points import Quiet
from harness.scenario import CaseParts, Scenario

OPEN = datetime(2025, 10, 6, 10, 0, tzinfo=ZoneInfo("America/New_York"))

def build(choices):
    price = Decimal("445")
    times = [OPEN + timedelta(seconds=5 * n) for n in range(4)]
    tape = tuple(Bar("TSLA", time, price, price, price, price, price) for time in times)
    crash = Crash(point=Quiet(after_bar=OPEN))
    return CaseParts(tape=tape, watchlist={}, crashes=(crash,), broker=choices.settings())

SCENARIO = Scenario(name="calm-day", title="a calm day", story="Calm.", build=build)
"""


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    folder = tmp_path / "stories"
    folder.mkdir()
    (folder / "test_calm.py").write_text(SCENARIO_FILE)
    return folder


def crashgate(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["crashgate", *(str(argument) for argument in arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_a_run_prints_its_verdict_and_its_history_can_be_judged_again(
    tmp_path: Path,
    scenarios: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bot(tmp_path)
    where = ("--scenarios", scenarios, "--bot", tmp_path / "bot.py", "--keep", tmp_path / "kept")
    assert crashgate(monkeypatch, "run", "calm-day/json", *where) == 0
    first = capsys.readouterr().out
    assert first == "PASSED  a calm day / json / killed quiet after the 10:00:00 bar\n"
    history = tmp_path / "kept" / "history.jsonl"
    assert crashgate(monkeypatch, "judge", history, "--scenarios", scenarios) == 0
    assert capsys.readouterr().out == first


def test_a_replay_of_a_token_runs_the_same_case(
    tmp_path: Path,
    scenarios: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bot(tmp_path, "os._exit(3)")
    where = ("--scenarios", scenarios, "--bot", tmp_path / "bot.py")
    assert crashgate(monkeypatch, "run", "calm-day/sqlite", "--crash-seed", 7, *where) == 1
    text = capsys.readouterr().out
    assert "The bot ended by itself" in text
    assert f"--bot {tmp_path / 'bot.py'}" in text
    token = text.split("crashgate replay ")[1].split()[0]
    assert token.startswith("calm-day/sqlite/seed=7@")
    assert crashgate(monkeypatch, "replay", token, *where) == 1
    assert capsys.readouterr().out == text


def test_the_list_names_scenarios_and_stores(
    scenarios: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crashgate(monkeypatch, "list", "--scenarios", scenarios) == 0
    assert capsys.readouterr().out == "calm-day  [json sqlite redis]\n    a calm day\n"


def stored(tmp_path: Path, story: Story) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_text(story.text())
    return path


def test_exit_codes_tell_fail_from_inconclusive(
    tmp_path: Path, scenarios: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Story().case(scenario="calm-day").start().order(1, "BUY", 100, ref=ENTRY)
    broken.filled_entry().bar().end()
    path = stored(tmp_path, broken)
    assert crashgate(monkeypatch, "judge", path, "--scenarios", scenarios) == 1
    path = stored(tmp_path, Story().case(scenario="calm-day").start())
    assert crashgate(monkeypatch, "judge", path, "--scenarios", scenarios) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no-such-day/json"], "unknown scenario 'no-such-day'; in {dir} there are: calm"),
        (["run", "calm-day/mongo"], "unknown store 'mongo'; choose one of json, sqlite, redis"),
        (["run", "calm-day/json", "--bot", "gone.py"], "--bot gone.py: there is no such file"),
        (["replay", "calm-day"], "'calm-day' is not a replay token. A token looks like"),
        (["replay", "calm-day/json@000000"], "its tape has changed since the token"),
        (["replay", "calm-day/json/kill=nowhere.1@000000"], "'nowhere.1' names no point"),
        (["replay", f"calm-day/json/kill={QUIET}+magic@000000"], "knows no word 'magic'"),
        (["replay", "calm-day/json/with=magic@000000"], "there is no broker fault 'magic'"),
        (["sweep", "no-such-day"], "unknown scenario 'no-such-day'"),
        (["random"], "no scenario in {dir} is made to be swept"),
        (["shrink", "calm-day/json@000000"], "only the trials of a sweep shrink"),
        (["run", "calm-day/json", "--clock", "fast"], "--clock 'fast': there is no such clock"),
        (["judge", "gone.jsonl"], "cannot read the history gone.jsonl"),
        (["run", "calm-day/json", "--keep", "/proc/nowhere"], "cannot use the folder /proc/no"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    arguments: list[str],
    words: str,
    scenarios: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert crashgate(monkeypatch, *arguments, "--scenarios", scenarios) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("crashgate: ")
    assert words.format(dir=scenarios) in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_scenario_file_that_cannot_be_imported_is_named(
    scenarios: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenarios / "test_broken.py").write_text("import no_such_thing\n")
    assert crashgate(monkeypatch, "list", "--scenarios", scenarios) == 2
    assert (
        "test_broken.py: ModuleNotFoundError: No module named 'no_such" in capsys.readouterr().err
    )


def test_two_scenarios_of_one_name_are_refused(
    scenarios: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenarios / "test_twin.py").write_text(SCENARIO_FILE)
    assert crashgate(monkeypatch, "list", "--scenarios", scenarios) == 2
    assert "another scenario named 'calm-day'" in capsys.readouterr().err


def test_a_scenario_that_another_file_imports_is_one_scenario(
    scenarios: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenarios / "__init__.py").touch()
    (scenarios / "test_again.py").write_text("from stories.test_calm import SCENARIO\n")
    monkeypatch.syspath_prepend(scenarios.parent)
    assert crashgate(monkeypatch, "list", "--scenarios", scenarios) == 0
    assert capsys.readouterr().out == "calm-day  [json sqlite redis]\n    a calm day\n"


def test_a_folder_without_scenarios_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crashgate(monkeypatch, "list", "--scenarios", tmp_path) == 2
    assert "holds no scenario" in capsys.readouterr().err
    assert crashgate(monkeypatch, "list", "--scenarios", tmp_path / "gone") == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_bot_command_is_filled_in_word_by_word(tmp_path: Path) -> None:
    spec = BotSpec.choose(command="sh -c 'exec bot {port}' {state_dir}", state_command="sh {store}")
    session = {"port": 7497, "state_dir": "/a b", "store": "json", "watchlist": "w"}
    told = spec.trade_command(cli_session(**session))
    assert told == ("sh", "-c", "exec bot 7497", "/a b")
    assert spec.state_command(cli_session(**session)) == ("sh", "json")
    assert "--bot-command 'sh -c " in spec.options
    with pytest.raises(UserError, match="give either --bot or --bot-command"):
        BotSpec.choose(str(tmp_path), command="sh")
    with pytest.raises(UserError, match="is empty"):
        BotSpec.choose(command=" ")
    with pytest.raises(UserError, match="cannot be read"):
        BotSpec.choose(command="sh 'unclosed")


def cli_session(**fields: object) -> Session:
    return Session.model_validate(fields)


def result_of(verdict: Verdict, *, misfits: tuple[str, ...] = ()) -> Result:
    return Result(
        title="a calm day",
        scenario="calm-day",
        store="json",
        verdict=verdict,
        reasons=misfits,
        misfits=misfits,
        token="calm-day/json@123abc",
    )


@pytest.mark.parametrize(
    ("others", "told", "code"),
    [
        ((result_of(Verdict.PASS),), "2 trials: 1 PASS, 1 did not fit and show nothing", 0),
        ((), "1 trials: 0 PASS, 1 did not fit and show nothing", 3),
    ],
    ids=["beside a pass", "alone"],
)
def test_a_trial_whose_word_did_not_fit_is_no_pass(
    others: tuple[Result, ...], told: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    unfit = result_of(Verdict.INCONCLUSIVE, misfits=("it did not fit: no stop works",))
    with pytest.raises(Exit) as ended:
        cli.conclude(iter((*others, unfit)), BotSpec.reference(), keep=None)
    assert ended.value.exit_code == code
    first, last = capsys.readouterr().out.splitlines()
    assert first == "calm-day/json@123abc: it did not fit: no stop works"
    assert last == told
