"""The pytest face of the harness: options, the fixture `crashgate`, and the table at the end.

pytest loads this file in every project where crashgate is installed, so it imports nothing of the
harness until a scenario uses the fixture. What a run has shown travels in the test report's user
properties, which pytest-xdist and JUnit files carry along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.user_properties import COLUMNS, PREFIX, SWEPT

if TYPE_CHECKING:
    from harness.gate_fixture import Gate
    from harness.targets import BotSpec
    from harness.token import Token
    from harness.workshop import Workshop

SEQUELS = "crashgate_sequels"
SHARED = pytest.StashKey[str]()


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
    group.addoption("--clock", help="that bot's clock: lockstep, faked, real or real:SPEED")
    group.addoption(
        "--crash-seed", type=int, default=0, help="draws the choices; 0 takes the plain ones"
    )
    group.addoption("--crash-budget", type=int, help="trials of a sweep at most, for each store")
    group.addoption(
        "--crash-depth",
        type=int,
        default=1,
        help="crashes in a row; from 2 on sweeps also crash inside the recovery",
    )
    group.addoption(
        "--exhaustive",
        action="store_true",
        help="sweep both sides of every point, and everything else wherever it matters",
    )
    group.addoption("--replay", metavar="TOKEN", help="run only the case that a failure printed")
    group.addoption(
        "--check-determinism",
        action="store_true",
        help="run every case twice; histories that differ are INCONCLUSIVE",
    )
    group.addoption(
        "--exec", action="store_true", help="start every process anew instead of forking it"
    )
    group.addoption("--crash-keep", help="folder in which the files of every run are kept")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a bot, a token or a number that cannot be used before anything runs."""
    options = ("bot", "bot_command", "bot_state_command", "clock")
    if any(config.getoption(name) is not None for name in options):
        chosen_bot(config)
    if config.getoption("replay") is not None:
        wanted_token(config)
    for name, least in (("crash_seed", 0), ("crash_budget", 1), ("crash_depth", 1)):
        number = config.getoption(name)
        if number is not None and number < least:
            option = "--" + name.replace("_", "-")
            raise pytest.UsageError(f"{option} {number} is too small: give {least} or more")


def wanted_token(config: pytest.Config) -> Token | None:
    """The token of --replay, None without it.

    Raises:
        pytest.UsageError: it is no token.
    """
    from harness.errors import UserError
    from harness.token import Token

    text = config.getoption("replay")
    try:
        return None if text is None else Token.parse(text)
    except UserError as error:
        raise pytest.UsageError(f"--replay: {error}") from error


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - pytest-xdist has no types
    """Give the workers of pytest-xdist a common folder, which vanishes with this process."""
    if not node.config.stash.get(SHARED, None):
        from harness.janitor import private_folder

        shared = contextlib.ExitStack()
        node.config.stash[SHARED] = str(shared.enter_context(private_folder()))
        node.config.add_cleanup(shared.close)
    node.workerinput[SEQUELS] = node.config.stash[SHARED]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A sweep takes as long as it has points: a time limit for tests must not cut it off."""
    if not config.pluginmanager.hasplugin("timeout"):
        return
    for item in items:
        if "crashgate" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(0))


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
            clock=config.getoption("clock"),
        )
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def crashgate_tools(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """What all runs of this process share: how programs are started, and a folder that vanishes."""
    from harness.workshop import workshop

    told = getattr(request.config, "workerinput", {}).get(SEQUELS)
    with workshop(
        executes=request.config.getoption("exec"), sequels=None if told is None else Path(told)
    ) as tools:
        yield tools


@pytest.fixture
def crashgate(request: pytest.FixtureRequest, tmp_path: Path) -> Gate:
    """Run and sweep scenarios against the chosen bot and judge them.

    `crashgate.run(SCENARIO, store)` fails the test on FAIL and on INCONCLUSIVE, and so does
    `crashgate.sweep(SCENARIO, store)` for each point at which the bot is killed.
    """
    from harness.gate_fixture import Gate

    keep = request.config.getoption("crash_keep")
    folder = tmp_path if keep is None else Path(keep).resolve() / slug(request.node.name)
    tools = request.getfixturevalue("crashgate_tools")
    return Gate(
        request,
        folder,
        bot=chosen_bot(request.config),
        tools=tools,
        replay=wanted_token(request.config),
    )


def slug(name: str) -> str:
    """A test's name as a folder's name."""
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name).strip(
        "-"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was killed where, the verdicts, and how much of each sweep was covered."""
    rows: list[tuple[str, str, str, str]] = []
    swept: list[str] = []
    for reports in terminalreporter.stats.values():
        for test in reports:
            # Subtests carry their test's properties too; only the test itself is read.
            if getattr(test, "when", None) == "call" and not hasattr(test, "context"):
                rows += rows_of(test.user_properties)
                swept += [str(value) for key, value in test.user_properties if key == SWEPT]
    if not rows and not swept:
        return
    from harness.report.terminal import coverage, summary

    terminalreporter.section("crashgate")
    lines = summary(sorted(rows)).splitlines() if rows else []
    for line in (*lines, *coverage(sorted(swept)).splitlines()):
        terminalreporter.write_line(line)


def rows_of(properties: list[tuple[str, object]]) -> list[tuple[str, str, str, str]]:
    """The runs that a test has recorded."""
    told = {
        name: [str(value) for key, value in properties if key == PREFIX + name] for name in COLUMNS
    }
    return list(zip(told["scenario"], told["store"], told["killed"], told["verdict"], strict=True))
