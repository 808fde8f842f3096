"""How the gate is run: more processes than cores, because a run waits for its bot now and then.

Neighbours stay in one process, which has learned their day, as long as none is idle.
"""

import math
import os
import sys

import pytest
from xdist.scheduler import WorkStealingScheduling

PROCESSES_A_CORE = 1.5


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return math.ceil(PROCESSES_A_CORE * cores)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Which process takes what, unless `--dist` says so."""
    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None
