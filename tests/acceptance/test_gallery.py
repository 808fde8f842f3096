"""Twenty and more broken traders, each caught by the law that its bug breaks."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.gate import run_and_judge, run_scenario
from harness.result import Result, Verdict
from harness.scenario import Scenario
from harness.targets import BotSpec
from harness.targets.launcher import ForkLauncher
from harness.targets.process import Launcher
from tests.support.gallery import EXHIBITS, GALLERY, Exhibit

BROKEN_AT_LEAST = 20
ALONE = os.environ.get("GALLERY") == "alone"


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with ForkLauncher() as forks:
        yield forks


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda each: f"{each.bug}-{each.file}")
def test_a_broken_trader_is_caught_for_the_right_reason(
    exhibit: Exhibit, launcher: Launcher, tmp_path: Path
) -> None:
    broken, scenario = BotSpec.choose(str(exhibit.path)), exhibit.scenario

    caught = run_scenario(
        scenario, exhibit.store, bot=broken, folder=tmp_path / "broken", launcher=launcher
    )
    sound = run_scenario(
        scenario,
        exhibit.store,
        bot=BotSpec.reference(),
        folder=tmp_path / "sound",
        launcher=launcher,
    )
    assert caught.verdict is Verdict.FAIL, told(caught)
    assert exhibit.says in " ".join(reasons_of(caught, exhibit.because_of)), told(caught)
    assert sound.verdict is Verdict.PASS, told(sound)


@pytest.mark.skipif(not ALONE, reason="takes a minute; set GALLERY=alone")
@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda each: f"{each.bug}-{each.file}")
def test_a_broken_trader_looks_sound_while_nothing_crashes(
    exhibit: Exhibit, launcher: Launcher, tmp_path: Path
) -> None:
    broken = BotSpec.choose(str(exhibit.path))
    alone = without_crash(exhibit, broken, tmp_path / "alone", launcher)
    assert (alone.verdict is Verdict.PASS) is exhibit.sound_alone, told(alone)


def without_crash(exhibit: Exhibit, bot: BotSpec, folder: Path, launcher: Launcher) -> Result:
    """The same day without the crash, judged by the laws alone."""
    scenario = exhibit.scenario
    laws = Scenario(
        name=scenario.name, title=scenario.title, story=scenario.story, build=scenario.build
    )
    case = laws.case(exhibit.store).clean()
    return run_and_judge(laws, case, bot=bot, folder=folder, launcher=launcher)


def reasons_of(result: Result, law: str) -> list[str]:
    return [finding.sentence for finding in result.findings if finding.invariant == law]


def told(result: Result) -> str:
    found = [f"{each.invariant}: {each.sentence}" for each in result.findings]
    return "\n".join([result.verdict, *found, *result.reasons])


def test_every_broken_trader_is_shown_once_and_says_which_bug_it_has() -> None:
    files = sorted(path.stem for path in GALLERY.glob("*.py") if path.stem != "__init__")
    assert sorted(each.file for each in EXHIBITS) == files
    assert len(files) >= BROKEN_AT_LEAST
    for each in EXHIBITS:
        said = " ".join(each.path.read_text(encoding="utf-8").split())
        assert f"({each.bug} in the catalogue of recovery bugs.)" in said
