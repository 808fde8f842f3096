"""What the broker, the market and people do while the bot is dead.

First the `acts`, in their order; then the tape is played up to `until`.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from harness.downtime.acts import (
    CancelOrder,
    CorrectFill,
    ExpireOrder,
    FillOrder,
    ManualOrder,
    ManualTrade,
    OrderChoice,
    RejectOrder,
)
from harness.downtime.time_acts import (
    BrokerFault,
    DaysPass,
    MarketGoesOn,
    PriceMoves,
    TimePasses,
)
from harness.points.quiet import clock_of
from harness.values import Value

Act = Annotated[
    FillOrder
    | CancelOrder
    | ExpireOrder
    | RejectOrder
    | ManualOrder
    | ManualTrade
    | CorrectFill
    | PriceMoves
    | MarketGoesOn
    | TimePasses
    | DaysPass
    | BrokerFault,
    Field(discriminator="kind"),
]


class Downtime(Value):
    """The time between a kill and the restart.

    Attributes:
        until: exchange time of the tape up to which it is played; None plays nothing more.
        acts: what happens meanwhile, in order, before the tape goes on.
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


__all__ = [
    "Act",
    "BrokerFault",
    "CancelOrder",
    "CorrectFill",
    "DaysPass",
    "Downtime",
    "ExpireOrder",
    "FillOrder",
    "ManualOrder",
    "ManualTrade",
    "MarketGoesOn",
    "OrderChoice",
    "PriceMoves",
    "RejectOrder",
    "TimePasses",
]
