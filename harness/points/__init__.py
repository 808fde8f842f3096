"""Where a crash happens: an exact event, never a moment on a clock.

Four kinds, a closed union: a system call of the bot, a message on the wire, the passage of a named
failpoint of the bot, and the quiet between two events.
Each says in plain words where it is (`describe()`).
"""

from typing import Annotated

from pydantic import Field

from harness.points.failpoint import FailPoint
from harness.points.quiet import Quiet
from harness.points.syscall import Side, SystemCall
from harness.points.wire import (
    Direction,
    Moment,
    WirePoint,
    answered,
    processed,
    received,
    sent,
    unsent,
)

CrashPoint = Annotated[WirePoint | FailPoint | Quiet | SystemCall, Field(discriminator="kind")]

__all__ = [
    "CrashPoint",
    "Direction",
    "FailPoint",
    "Moment",
    "Quiet",
    "Side",
    "SystemCall",
    "WirePoint",
    "answered",
    "processed",
    "received",
    "sent",
    "unsent",
]
