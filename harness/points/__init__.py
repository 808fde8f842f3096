"""Where a crash happens: an exact event, never a moment on a clock.

Three kinds, a closed union: a message on the wire, the passage of a named failpoint of the bot,
and the quiet after a bar. Each says in plain words where it is (`describe()`).
"""

from typing import Annotated

from pydantic import Field

from harness.points.failpoint import FailPoint
from harness.points.quiet import Quiet
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

CrashPoint = Annotated[WirePoint | FailPoint | Quiet, Field(discriminator="kind")]

__all__ = [
    "CrashPoint",
    "Direction",
    "FailPoint",
    "Moment",
    "Quiet",
    "WirePoint",
    "answered",
    "processed",
    "received",
    "sent",
    "unsent",
]
