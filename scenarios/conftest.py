"""How the gate is run: more processes than cores, because a run waits for its bot half the time."""

import os
import sys

import pytest

PROCESSES_A_CORE = 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return PROCESSES_A_CORE * cores
