"""Under which client library the reference bot runs in the tests, and which Python has it.

TRADER_TEST_LIBRARY=ib_async runs every day of tests/unit/target_trader under ib_async.
"""

import os
import sys

from target_trader.settings import Library
from tests.support.client_environments import ROOT, python_of


def chosen_library() -> Library:
    """Return the library that this test run asks for, ib_insync unless it says otherwise."""
    return Library(os.environ.get("TRADER_TEST_LIBRARY", Library.IB_INSYNC))


def interpreter(library: Library) -> str:
    """Return a Python that has the library, and not the other."""
    return sys.executable if library is Library.IB_INSYNC else str(python_of("trader_ib_async"))


def library_environment(library: Library) -> dict[str, str]:
    """Return the variables with which that Python finds the bot, and the bot its library.

    Nothing for ib_insync: its environment has the project installed.
    """
    if library is Library.IB_INSYNC:
        return {}
    return {"PYTHONPATH": str(ROOT), "TARGET_TRADER_LIBRARY": library.value}
