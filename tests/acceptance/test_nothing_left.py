"""A gate that is killed in the middle leaves no process behind."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60
LOOK_SECONDS = 0.05


def test_a_gate_killed_in_the_middle_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "scenarios/test_third_attempt.py"]
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    gate = psutil.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)

    family = family_of(gate)
    gate.kill()
    gate.wait(DEADLINE_SECONDS)

    _gone, alive = psutil.wait_procs(family, timeout=DEADLINE_SECONDS)
    assert alive == []


def family_of(gate: psutil.Popen) -> list[psutil.Process]:
    """The broker and the bot of a gate, once both of them run."""
    for _ in range(int(DEADLINE_SECONDS / LOOK_SECONDS)):
        children = gate.children(recursive=True)
        words = [command_of(child) for child in children]
        if all(any(name in line for line in words) for name in ("fakebroker", "target_trader")):
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
