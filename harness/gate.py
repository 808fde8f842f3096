"""Runs a scenario and judges it: what the command line, the plugin and replay have in common."""

import shutil
from pathlib import Path

from harness.case import Case
from harness.history import History
from harness.judge import judge
from harness.result import Result
from harness.runner import HISTORY_NAME, RunFolder, run_case
from harness.scenario import Scenario
from harness.targets import BotSpec
from harness.targets.process import EXEC, Launcher


def run_scenario(
    scenario: Scenario,
    store: str,
    *,
    bot: BotSpec,
    folder: Path,
    seed: int = 0,
    launcher: Launcher = EXEC,
) -> Result:
    """Build the case of a store and a seed, run it and judge it.

    Raises:
        UserError: the store is unknown, or the folder or the machine cannot be used.
    """
    case = scenario.case(store, seed=seed)
    return run_and_judge(scenario, case, bot=bot, folder=folder, launcher=launcher)


def run_and_judge(
    scenario: Scenario, case: Case, *, bot: BotSpec, folder: Path, launcher: Launcher = EXEC
) -> Result:
    """Run a case, with a clean run beside it where an expectation compares, and judge it."""
    files = RunFolder(folder)
    clean: History | None = None
    if any(expectation.compares for expectation in scenario.expectations):
        clean = History.read(run_case(case.clean(), bot, files.clean, launcher=launcher))
    path = run_case(case, bot, folder, launcher=launcher)
    result = judge(scenario, History.read(path), clean=clean)
    return result.model_copy(update={"history": str(path)})


def judge_stored(scenario: Scenario, path: Path) -> Result:
    """Judge a stored history again; its clean run is looked for beside it."""
    beside = path.parent / RunFolder(path.parent).clean.name / HISTORY_NAME
    clean = History.read(beside) if beside.is_file() else None
    result = judge(scenario, History.read(path), clean=clean)
    return result.model_copy(update={"history": str(path)})


def forget(folder: Path) -> None:
    """Remove the files of a run that nobody asked to keep."""
    shutil.rmtree(folder)
