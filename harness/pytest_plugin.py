"""The pytest face of the harness: options, the fixture `crashgate`, and the table at the end.

pytest loads this file in every project where crashgate is installed, so it imports nothing of the
harness until a scenario uses the fixture. What a run has shown travels in the test report's user
properties, which pytest-xdist and JUnit files carry along.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.result import Result
    from harness.scenario import Scenario
    from harness.targets import BotSpec

PREFIX = "crashgate_"
COLUMNS = ("scenario", "store", "killed", "verdict")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the gate."""
    group = parser.getgroup("crashgate", "crash-recovery gate")
    group.addoption("--bot", help="a bot's Python file or module; default: the reference bot")
    group.addoption(
        "--bot-command",
        help="command line of any bot, with {port} {state_dir} {store} {client_id} {watchlist} "
        "{redis_url}",
    )
    group.addoption("--bot-state-command", help="prints what that bot believes, as JSON")
    group.addoption(
        "--crash-seed", type=int, default=0, help="draws the choices; 0 takes the plain ones"
    )
    group.addoption("--crash-keep", help="folder in which the files of every run are kept")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a bot that is not there before anything runs."""
    given = [config.getoption(name) for name in ("bot", "bot_command", "bot_state_command")]
    if given != [None, None, None]:
        chosen_bot(config)


def chosen_bot(config: pytest.Config) -> BotSpec:
    """The bot of the options.

    Raises:
        pytest.UsageError: the options do not name a bot that can be started.
    """
    from harness.errors import UserError
    from harness.targets import BotSpec

    try:
        return BotSpec.choose(
            config.getoption("bot"),
            command=config.getoption("bot_command"),
            state_command=config.getoption("bot_state_command"),
        )
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


class Gate:
    """What the fixture `crashgate` gives to a test."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, *, bot: BotSpec) -> None:
        self._node = request.node
        self._folder = folder
        self._bot = bot
        self._seed: int = request.config.getoption("crash_seed")
        self._runs = 0

    def run(self, scenario: Scenario, store: str) -> Result:
        """Run a scenario with a store and judge it; fail the test unless it passes."""
        return self.settle(self._run(scenario, store, bot=self._bot))

    def must_fail(self, scenario: Scenario, store: str, *, bot: str, because_of: str) -> Result:
        """Run a broken bot, the canary; fail the test unless the named invariant catches it.

        A gate that passes everything is worth nothing, so each of its runs shows that it can fail.
        """
        from harness.errors import UserError
        from harness.result import Verdict
        from harness.targets import BotSpec

        try:
            broken = BotSpec.choose(bot)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        result = self._run(scenario, store, bot=broken)
        caught = result.verdict is Verdict.FAIL and any(
            finding.invariant == because_of for finding in result.findings
        )
        verdict = f"FAIL, as it must ({because_of})" if caught else f"{result.verdict}, NOT CAUGHT"
        self._record(
            f"canary: {scenario.name}", store, " and ".join(result.kill_points), verdict=verdict
        )
        if not caught:
            found = ", ".join(finding.invariant for finding in result.findings) or "nothing"
            reasons = "; ".join(result.reasons) or "none"
            pytest.fail(
                f"the canary {bot} lives: {scenario.title} / {store} should fail because of "
                f"{because_of}; verdict {result.verdict}, found {found}, reasons: {reasons}",
                pytrace=False,
            )
        return result

    def _run(self, scenario: Scenario, store: str, *, bot: BotSpec) -> Result:
        from harness.errors import HarnessError, UserError
        from harness.gate import run_scenario

        self._runs += 1
        folder = self._folder / (store if self._runs == 1 else f"{store}-{self._runs}")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return run_scenario(scenario, store, bot=bot, folder=folder, seed=self._seed)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        except HarnessError as error:
            self._record(scenario.name, store, "", verdict="INCONCLUSIVE")
            pytest.fail(f"INCONCLUSIVE  {scenario.title} / {store}\n  {error}", pytrace=False)

    def judge(self, scenario: Scenario, history: Path) -> Result:
        """Judge a stored history; fail the test unless it passes."""
        from harness.errors import UserError
        from harness.gate import judge_stored

        try:
            result = judge_stored(scenario, history)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        return self.settle(result)

    def settle(self, result: Result) -> Result:
        """Record a result, and fail the test with the text that teaches unless it is a PASS."""
        from harness.history import History
        from harness.report.terminal import report
        from harness.result import Verdict

        killed = " and ".join(result.kill_points)
        self._record(result.scenario, result.store, killed, verdict=result.verdict.value)
        self._node.user_properties.append((PREFIX + "token", result.token))
        if result.verdict is not Verdict.PASS:
            history = History.read(Path(result.history))
            text = report(result, history, bot_options=self._bot.options)
            pytest.fail(text, pytrace=False)
        return result

    def _record(self, scenario: str, store: str, killed: str, *, verdict: str) -> None:
        values = (scenario, store, killed, verdict)
        self._node.user_properties.extend(
            (PREFIX + name, value) for name, value in zip(COLUMNS, values, strict=True)
        )


@pytest.fixture
def crashgate(request: pytest.FixtureRequest, tmp_path: Path) -> Gate:
    """Run scenarios against the chosen bot and judge them.

    `crashgate.run(SCENARIO, store)` fails the test on FAIL and on INCONCLUSIVE.
    """
    keep = request.config.getoption("crash_keep")
    folder = tmp_path if keep is None else Path(keep).resolve() / slug(request.node.name)
    return Gate(request, folder, bot=chosen_bot(request.config))


def slug(name: str) -> str:
    """A test's name as a folder's name."""
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name).strip(
        "-"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was killed where, and the verdicts."""
    rows: list[tuple[str, str, str, str]] = []
    for reports in terminalreporter.stats.values():
        for test in reports:
            if getattr(test, "when", None) == "call":
                rows += rows_of(test.user_properties)
    if not rows:
        return
    from harness.report.terminal import summary

    terminalreporter.section("crashgate")
    for line in summary(sorted(rows)).splitlines():
        terminalreporter.write_line(line)


def rows_of(properties: list[tuple[str, object]]) -> list[tuple[str, str, str, str]]:
    """The runs that a test has recorded."""
    told = {
        name: [str(value) for key, value in properties if key == PREFIX + name] for name in COLUMNS
    }
    return list(zip(told["scenario"], told["store"], told["killed"], told["verdict"], strict=True))
