"""What the broker, the market and people do while the bot is dead.

First the `acts`, in their order, at the time of the crash; then the tape is played up to `until`.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from harness.downtime.acts import CancelOrder, FillOrder, ManualOrder, OrderChoice
from harness.points.quiet import clock_of
from harness.values import Value

Act = Annotated[FillOrder | CancelOrder | ManualOrder, Field(discriminator="kind")]


class Downtime(Value):
    """The time between a kill and the restart.

    Attributes:
        until: exchange time up to which the tape is played; None restarts the bot at once.
        acts: what people do at the broker meanwhile, in order, before the tape goes on.
    """

    kind: Literal["downtime"] = "downtime"
    until: AwareDatetime | None = None
    acts: tuple[Act, ...] = ()

    def describe(self) -> str:
        """Say what happens, in plain words."""
        parts = [act.describe() for act in self.acts]
        if self.until is not None:
            parts.append(f"the market goes on until {clock_of(self.until)}")
        return ", then ".join(parts) or "restarted at once"


__all__ = ["Act", "CancelOrder", "Downtime", "FillOrder", "ManualOrder", "OrderChoice"]
