"""The client library: ib_insync, or ib_async with TARGET_TRADER_LIBRARY=ib_async.

Only the chosen one is imported: both bring a package `eventkit`, so that they cannot live in one
environment. Everything else takes the library's names from here; its types are ib_insync's, which
ib_async kept. A library that is not there stops only what talks to a broker: its names are empty
stand-ins then, and `require_library` says in words what to install.

eventkit asks for the current event loop while it is imported; from Python 3.14 on there is none
unless somebody has set one. So a loop is set for the import and taken away again.
"""

import asyncio
import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

from target_trader.errors import TraderError
from target_trader.settings import Library

VARIABLE = "TARGET_TRADER_LIBRARY"
NAMES = (
    "IB",
    "BarData",
    "CommissionReport",
    "Contract",
    "Fill",
    "Order",
    "Position",
    "RealTimeBar",
    "RealTimeBarList",
    "Stock",
    "Trade",
)
CHOSEN = os.environ.get(VARIABLE, Library.IB_INSYNC.value)
MISSING: str | None = None

if TYPE_CHECKING:
    import ib_insync as client
else:
    loop_of_import = asyncio.new_event_loop()
    asyncio.set_event_loop(loop_of_import)
    try:
        client = importlib.import_module(CHOSEN if CHOSEN in set(Library) else Library.IB_INSYNC)
    except ImportError as error:
        MISSING = str(error)
        client = SimpleNamespace(**dict.fromkeys(NAMES, object))
    finally:
        asyncio.set_event_loop(None)
        loop_of_import.close()

IB = client.IB
BarData = client.BarData
CommissionReport = client.CommissionReport
Contract = client.Contract
Fill = client.Fill
Order = client.Order
RealTimeBar = client.RealTimeBar
RealTimeBarList = client.RealTimeBarList
Stock = client.Stock
Trade = client.Trade
IbPosition = client.Position


def require_library(wanted: Library, environment: Mapping[str, str]) -> None:
    """See to it that the wanted library is the imported one.

    Which one is imported is decided before an option or a file is read, because the modules of a
    bot take their names from here. If it was the other one, the process begins again, in the same
    pid and with the same arguments, with the variable set.

    Raises:
        TraderError: the library is not installed; says what to install.
    """
    if wanted.value == CHOSEN:
        if MISSING is not None:
            raise TraderError(f"{wanted} cannot be imported ({MISSING}): {advice(wanted)}")
        return
    if importlib.util.find_spec(wanted.value) is None:
        raise TraderError(f"{wanted} is not installed: {advice(wanted)}")
    again = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, again, {**environment, VARIABLE: wanted.value})


def advice(wanted: Library) -> str:
    """Say what to install for a library."""
    other = next(each for each in Library if each is not wanted)
    version = {Library.IB_INSYNC: "0.9.86", Library.IB_ASYNC: "2.1.0"}[wanted]
    return (
        f"run the bot in an environment that has {wanted}=={version} in place of {other} "
        f"(both bring a package eventkit, so one environment cannot hold both), or choose {other} "
        f"with --library, library in [broker], or {VARIABLE}"
    )
