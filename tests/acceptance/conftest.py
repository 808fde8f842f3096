"""The commands of this environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Run

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 150


@pytest.fixture
def run() -> Run:
    """Run a command in the repository with this environment's programs, as a person would."""

    def run_command(*command: str) -> subprocess.CompletedProcess[str]:
        programs = Path(sys.executable).parent
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        variables["PATH"] = f"{programs}{os.pathsep}{variables['PATH']}"
        program = programs / command[0]
        first = str(program) if program.exists() else command[0]
        return subprocess.run(
            [first, *command[1:]],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    return run_command
