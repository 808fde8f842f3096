"""How the gate is run: a process for each core, which stays there, and a half more that move about.

A run is a bot, a broker and the harness, which take turns: on one core they hand over at once and
find their memory warm. Who is not bound to a core takes what the others leave, as each of them
waits now and then. Neighbours stay in one process, which has learned their day, as long as none is
idle.
"""

import os
import sys

import pytest
from xdist.scheduler import WorkStealingScheduling

WORKER = "PYTEST_XDIST_WORKER"
"""The variable in which xdist tells a process its name: gw0, gw1 ..."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Which process takes what, unless `--dist` says so."""
    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_configure() -> None:
    """Stay on a core, in the first of the processes that xdist has started."""
    number = os.environ.get(WORKER, "").removeprefix("gw")
    if number.isdecimal() and sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(number) :][:1] or cores)
