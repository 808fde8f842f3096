"""Puts the faked clock in place before a Python program begins, and hands on to its own site.

The harness puts this folder into PYTHONPATH of a bot that is to have the clock. The interpreter
imports a module of this name at its start; the one that it would have found without us is found
and run here, and nothing of us is left on the program's path.
"""

import importlib.machinery
import importlib.util
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow
CLOCK = os.path.join(os.path.dirname(FOLDER), "faked_clock.py")  # noqa: PTH118, PTH120 - the same
CLOCK_MODULE = "crashgate_faked_clock"


def install() -> None:
    """Load the clock by its path, replace the functions of time, and take the harness's clock."""
    loader = importlib.machinery.SourceFileLoader(CLOCK_MODULE, CLOCK)
    spec = importlib.util.spec_from_loader(CLOCK_MODULE, loader)
    assert spec is not None, "a loader that is given makes a spec"
    module = importlib.util.module_from_spec(spec)
    sys.modules[CLOCK_MODULE] = module
    loader.exec_module(module)
    module.install()
    module.take()


def hand_on() -> None:
    """Run the sitecustomize that lies behind us on the path, where there is one."""
    sys.path[:] = [place for place in sys.path if place != FOLDER]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


install()
hand_on()
