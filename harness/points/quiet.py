"""A crash between two events of the market: the bot has digested one and waits for the next."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field

from harness.values import Value

NEW_YORK = ZoneInfo("America/New_York")


def clock_of(moment: datetime) -> str:
    """Say an aware time as the exchange's clock shows it, "10:15:00"."""
    return moment.astimezone(NEW_YORK).strftime("%H:%M:%S")


class Quiet(Value):
    """When the bot is quiet after the bar that starts at `after_bar` was played.

    `events` is how many things that are no bar have happened since (a late position, an expiry).
    """

    kind: Literal["quiet"] = "quiet"
    after_bar: AwareDatetime
    events: int = Field(default=0, ge=0)

    def describe(self) -> str:
        """Say where the point is, in plain words."""
        more = f" and {self.events} more events" if self.events else ""
        return f"quiet after the {clock_of(self.after_bar)} bar{more}"
