"""A gate that is killed in the middle leaves no process and no file behind."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60
LOOK_SECONDS = 0.05
PROGRAMS = ("fakebroker", "target_trader", "janitor.py")


@pytest.mark.parametrize("way", [(), ("--exec",)], ids=["forked", "executed"])
def test_a_gate_killed_in_the_middle_leaves_nothing(tmp_path: Path, way: tuple[str, ...]) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    own = f"--basetemp={tmp_path / 'pytest'}"  # What pytest keeps of its own tests is its business.
    command = [sys.executable, "-m", "pytest", "-q", "scenarios/test_every_point.py", own, *way]
    variables = {**os.environ, "TMPDIR": str(runs)}
    gate = psutil.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)

    family = family_of(gate, runs)
    gate.kill()
    gate.wait(DEADLINE_SECONDS)

    _gone, alive = psutil.wait_procs(family, timeout=DEADLINE_SECONDS)
    assert alive == []
    assert list(runs.iterdir()) == []


def family_of(gate: psutil.Popen, folder: Path) -> list[psutil.Process]:
    """The processes of a gate, once all of them run and the bot has begun to write."""
    for _ in range(int(DEADLINE_SECONDS / LOOK_SECONDS)):
        children = gate.children(recursive=True)
        words = [command_of(child) for child in children]
        running = all(any(name in line for line in words) for name in PROGRAMS)
        if running and any(log.stat().st_size for log in folder.glob("crashgate-*/**/bot.log")):
            return children
        try:
            gate.wait(LOOK_SECONDS)
        except psutil.TimeoutExpired:
            continue
        raise AssertionError("the gate ended before its bot was seen")
    raise AssertionError(f"no broker and bot within {DEADLINE_SECONDS} s")


def command_of(process: psutil.Process) -> str:
    """A process's command line; empty when it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
