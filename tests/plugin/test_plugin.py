"""The plugin in a pytest of its own: texts, table, properties, and bad options.

The runner is replaced by one that writes a small history, so that these tests need no processes;
everything after it (judgement, report, properties, table) is the real thing.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HELPERS = Path(__file__).parents[1] / "unit" / "harness"

CONFTEST = """
import harness.gate
from stories import Story

def fake_run(case, bot, folder, *, launcher):
    story = Story().case(crashes=[c.describe() for c in case.crashes], scenario=case.scenario)
    story.lines[0]["store"] = case.store
    story.start().bracket().killed(case.crashes[0].describe()).start().bar()
    if case.store == "sqlite":
        story.order(9, "SELL", 150, ref="PS60|TSLA|L|20251006|1|exit")
        story.fill(9, "SLD", 150, "444.10", ref="PS60|TSLA|L|20251006|1|exit")
    path = folder / "history.jsonl"
    path.write_text(story.end().text() if case.seed == 0 else story.text())
    return path

harness.gate.run_case = fake_run
"""
SCENARIOS = """
import pytest
from harness.gate_fixture import Gate
from scenarios_for_tests import STORY

@pytest.mark.parametrize("store", ["json", "sqlite"])
def test_story(crashgate: Gate, store: str) -> None:
    crashgate.run(STORY, store)
"""


@pytest.fixture
def gate(pytester: pytest.Pytester) -> pytest.Pytester:
    for name in ("stories", "scenarios_for_tests"):
        text = (HELPERS / f"{name}.py").read_text().replace("from tests.unit.harness.", "from ")
        (pytester.path / f"{name}.py").write_text(text)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_story=SCENARIOS)
    return pytester


def test_a_pass_passes_and_a_fail_fails_with_the_text_that_teaches(gate: pytest.Pytester) -> None:
    result = gate.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED  a small story / sqlite / killed quiet after the 10:00:10 bar",
            "  The bot sold 150 TSLA although the account was LONG 100*It is now SHORT 50 TSLA.",
            "*bot     restarted",
            "*filled: SLD 150 TSLA @ 444.10*<- NoFlip broken",
            "  broker: SHORT 50 TSLA, no stop*bot: does not say*at risk: $22,205",
            "  replay: crashgate replay story/json@123abc",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py:" not in result.stdout.str()


def test_the_table_names_scenario_kill_and_verdict(gate: pytest.Pytester) -> None:
    result = gate.runpytest_subprocess()
    result.stdout.fnmatch_lines(
        [
            "*= crashgate =*",
            "scenario  store *killed *verdict",
            "story *json *quiet after the 10:00:10 bar*PASS",
            "story *quiet after the 10:00:10 bar*FAIL",
        ]
    )


def test_the_table_is_the_same_under_xdist(gate: pytest.Pytester) -> None:
    alone, spread = gate.runpytest_subprocess(), gate.runpytest_subprocess("-n", "2")

    def table(output: str) -> list[str]:
        return re.findall(r"^(?:scenario|story) .*$", output, re.MULTILINE)

    assert table(spread.stdout.str()) == table(alone.stdout.str())
    assert len(table(alone.stdout.str())) == 3


def test_junit_has_the_properties_and_the_text(gate: pytest.Pytester) -> None:
    gate.runpytest_subprocess("--junitxml=out.xml")
    root = ET.fromstring((gate.path / "out.xml").read_text())
    verdicts = [
        found.get("value")
        for found in root.iter("property")
        if found.get("name") == "crashgate_verdict"
    ]
    assert verdicts == ["PASS", "FAIL"]
    failure = next(root.iter("failure")).text or ""
    assert "It is now SHORT 50 TSLA." in failure
    assert "crashgate replay" in failure


def test_an_inconclusive_run_fails_and_says_that_it_proves_nothing(gate: pytest.Pytester) -> None:
    result = gate.runpytest_subprocess("--crash-seed", "3", "-k", "json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  a small story / json / *",
            "  The run proves nothing, which is not a pass:",
            "    the history stops before the run's end*",
            "story *INCONCLUSIVE",
        ]
    )


def test_kept_files_lie_where_they_were_asked_for(gate: pytest.Pytester) -> None:
    gate.runpytest_subprocess("--crash-keep", "kept", "-k", "json")
    assert (gate.path / "kept" / "test_story-json" / "json" / "history.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bot", "nobody.py"], "--bot nobody.py: there is no such file"),
        (["--bot", "no_such_module"], "neither a file nor a module"),
        (["--bot-command", "bot {prt}"], "unknown placeholder {prt}; known are {port}"),
        (["--bot-command", "no-such-bot {port}"], "there is no program 'no-such-bot'"),
        (["--bot-state-command", "bot"], "belongs to --bot-command"),
        (["--clock", "real:0"], "the speed must lie between 0.001 and 100000"),
    ],
)
def test_a_bot_that_cannot_be_started_is_a_usage_error(
    gate: pytest.Pytester, arguments: list[str], words: str
) -> None:
    result = gate.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_a_bots_options_stand_in_the_replay_line(gate: pytest.Pytester) -> None:
    Path(gate.path / "my_bot.py").touch()
    result = gate.runpytest_subprocess("--bot", "my_bot.py")
    result.stdout.fnmatch_lines(["  replay: crashgate replay story/json@123abc --bot my_bot.py"])


CANARY = """
from harness.gate_fixture import Gate
from scenarios_for_tests import STORY

def test_canary(crashgate: Gate) -> None:
    crashgate.must_fail(STORY, "STORE", bot="BOT", because_of="LAW")
"""


@pytest.mark.parametrize(
    ("store", "law", "bot", "outcome", "words"),
    [
        ("sqlite", "NoFlip", "bot.py", "passed", "canary: story *FAIL, as it must (NoFlip)"),
        ("json", "NoFlip", "bot.py", "failed", "the canary bot.py lives: *found nothing*"),
        (
            "sqlite",
            "FillOnce",
            "bot.py",
            "failed",
            "*because of FillOnce; verdict FAIL, found NoF*",
        ),
        ("sqlite", "NoFlip", "gone.py", "failed", "--bot gone.py: there is no such file*"),
    ],
)
def test_a_canary_must_be_caught_by_the_law_that_is_named(
    pytester: pytest.Pytester,
    gate: pytest.Pytester,
    store: str,
    law: str,
    bot: str,
    outcome: str,
    words: str,
) -> None:
    (pytester.path / "bot.py").touch()
    text = CANARY.replace("STORE", store).replace("LAW", law).replace("BOT", bot)
    gate.makepyfile(test_canary=text)
    result = gate.runpytest_subprocess("test_canary.py")
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines([words])


def test_a_project_that_does_not_use_the_plugin_imports_nothing_of_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert 'harness.errors' not in sys.modules\n"
        "    assert 'harness.pytest_plugin' in sys.modules\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    assert (
        "crashgate"
        not in result.stdout.str()
        .split("test session starts")[1]
        .split("plugins:")[-1]
        .partition("\n")[2]
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--replay", "zzz"), "*'zzz' is not a replay token*"),
        (("--crash-depth", "0"), "*--crash-depth 0 is too small*"),
        (("--crash-budget", "0"), "*--crash-budget 0 is too small*"),
        (("--crash-seed", "-1"), "*--crash-seed -1 is too small*"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_before_anything_runs(
    gate: pytest.Pytester, option: tuple[str, str], words: str
) -> None:
    gate.makepyfile(test_story=SCENARIOS)
    result = gate.runpytest_subprocess("test_story.py", *option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([words])


def test_replay_skips_every_case_but_its_own(gate: pytest.Pytester) -> None:
    gate.makepyfile(test_story=SCENARIOS)
    result = gate.runpytest_subprocess("test_story.py", "--replay", "story/sqlite@123abc", "-rs")
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*--replay asks for another case: story/sqlite@123abc*"])


BROKEN_OFF = """
from harness.errors import HarnessError
from harness.sweep import Sweep
from scenarios.test_every_point import SCENARIO

def boom(self, trial):
    raise HarnessError("no process to be had")

def test_a_sweep(crashgate, monkeypatch):
    monkeypatch.setattr(Sweep, "run", boom)
    crashgate.sweep(SCENARIO, "json")
"""


def test_a_trial_that_could_not_be_made_is_never_counted_as_passed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(BROKEN_OFF)
    result = pytester.runpytest_subprocess("--crash-budget", "3", "--maxfail", "2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["every-point  json  0 of * points hit, 0 of 2 trials passed*"])


UNFIT = """
from harness.result import Result, Verdict
from harness.sweep import Sweep
from scenarios.test_every_point import SCENARIO

def run(self, trial):
    told = ("it did not fit: no stop works",)
    return Result(
        title="", scenario="every-point", store="json", token=str(trial),
        verdict=Verdict.INCONCLUSIVE, reasons=told, misfits=told,
    )

def test_a_sweep(crashgate, monkeypatch):
    monkeypatch.setattr(Sweep, "run", run)
    crashgate.sweep(SCENARIO, "json")
"""


def test_a_trial_whose_word_does_not_fit_is_skipped_and_counted_apart(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(UNFIT)
    result = pytester.runpytest_subprocess("--crash-budget", "3", "--maxfail", "2", "-v")
    assert result.ret == pytest.ExitCode.OK
    told = "* 0 of 3 trials passed, 3 did not fit and show nothing; fitted nowhere: *entry-fills*"
    result.stdout.fnmatch_lines(["*SUBSKIPPED*", told])
