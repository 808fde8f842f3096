"""A system call of the bot that fails while it runs: the disk is full, the device is broken.

The supervisor answers the call with the error in the place of the kernel, so the call has no
effect. Numbers count from 1 over one life of the bot, `life` is which.
"""

from typing import Literal

from pydantic import Field

from harness.points.syscall import Call
from harness.points.words import ordinal
from harness.values import Value

ErrorName = Literal["ENOSPC", "EIO", "EINTR", "EDQUOT"]
WORDS: dict[ErrorName, str] = {
    "ENOSPC": "the disk is full",
    "EIO": "the device fails",
    "EINTR": "a signal interrupts it",
    "EDQUOT": "the quota is used up",
}


class CallFault(Value):
    """`times` calls on a role of file fail with an errno, from the `occurrence`-th on."""

    kind: Literal["call-fault"] = "call-fault"
    call: Call
    role: str = Field(pattern=r"^[A-Za-z][A-Za-z ]*$")
    occurrence: int = Field(default=1, ge=1)
    errno: ErrorName
    times: int = Field(default=1, ge=1)
    life: int = Field(default=1, ge=1)

    def describe(self) -> str:
        """Say what fails, in plain words."""
        which = f"the {ordinal(self.occurrence)} {self.call} of the {self.role}"
        more = f" and the next {self.times - 1}" if self.times > 1 else ""
        return f"{which}{more} fails: {WORDS[self.errno]} ({self.errno})"
