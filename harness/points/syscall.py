"""A crash at a system call of the bot: the n-th of a kind on a role of file, at a market time.

The number counts within one life of the bot and within one instant of the market, over all its
threads. So a change in the bot that saves once more at one bar leaves the points of all other bars
where they are. A native stack, which crash-model.md names, would tell less: that of a Python bot
is the interpreter's own and the same for every line.
"""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from harness.points.quiet import clock_of
from harness.points.words import ordinal
from harness.values import Value

Call = Literal[
    "open",
    "write",
    "pwrite",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "symlink",
    "unlink",
    "mkdir",
    "rmdir",
    "truncate",
    "allocate",
    "copy",
    "send",
]


class Side(StrEnum):
    """On which side of the call's effect the bot dies."""

    BEFORE = "before"
    """The call has not happened."""
    AFTER = "after"
    """The call has happened and has not returned."""
    SHORT = "short"
    """A write that is cut at the end of a page: its first bytes are written, the rest is not."""


class SystemCall(Value):
    """The `occurrence`-th `call` on a `role` of file while the market stands at `time`."""

    kind: Literal["call"] = "call"
    call: Call
    role: str = Field(pattern=r"^[A-Za-z][A-Za-z ]*$")
    occurrence: int = Field(ge=1)
    time: AwareDatetime
    side: Side = Side.BEFORE

    def describe(self) -> str:
        """Say where the point is, in plain words."""
        where = {
            Side.BEFORE: "before",
            Side.AFTER: "after",
            Side.SHORT: "at the first page's end in",
        }[self.side]
        way = "to" if self.call == "send" else "of"
        which = f"the {ordinal(self.occurrence)} {self.call} {way} the {self.role}"
        return f"{where} {which} at {clock_of(self.time)}"
