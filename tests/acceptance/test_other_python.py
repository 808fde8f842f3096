"""A token that is made on one minor version of Python replays on another, to the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.scenario import STORES
from harness.token import Token
from scenarios.test_every_point import SCENARIO
from tests.support.commands import Run

OTHER = os.environ.get("OTHER_PYTHON", "")
TRIALS = (
    "kill=before.send.broker-socket.1.20251006T100030",
    "kill=unsent.execDetails.1+stop-fills",
    "kill=quiet.20251006T100045",
    "kill=processed.placeOrder.1/kill=quiet.20251006T100120",
)
REPLAY_SECONDS = 120

pytestmark = pytest.mark.skipif(
    not OTHER,
    reason="needs a second Python with the locked packages: `make test-other-python "
    "OTHER=python3.12` makes one",
)


def history(folder: Path) -> bytes:
    return (folder / "history.jsonl").read_bytes()


def test_the_other_python_is_another() -> None:
    told = subprocess.run([OTHER, "--version"], capture_output=True, text=True, check=True)
    mine = f"Python {sys.version_info.major}.{sys.version_info.minor}."
    assert not told.stdout.startswith(mine), told.stdout


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("trial", TRIALS)
def test_a_token_replays_to_the_same_bytes(
    run: Run, tmp_path: Path, store: str, trial: str
) -> None:
    token = str(Token.of(SCENARIO.case(store, trial=trial)))
    here, there = tmp_path / "here", tmp_path / "there"
    assert run("crashgate", "replay", token, "--keep", str(here)).returncode == 0
    other = subprocess.run(
        [OTHER, "-m", "harness", "replay", token, "--keep", str(there)],
        capture_output=True,
        text=True,
        check=False,
        timeout=REPLAY_SECONDS,
    )
    assert other.returncode == 0, other.stdout + other.stderr
    assert history(there) == history(here)
