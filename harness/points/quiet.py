"""A crash between two bars: the bot has digested a bar and waits for the next one."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime

from harness.values import Value

NEW_YORK = ZoneInfo("America/New_York")


def clock_of(moment: datetime) -> str:
    """Say an aware time as the exchange's clock shows it, "10:15:00"."""
    return moment.astimezone(NEW_YORK).strftime("%H:%M:%S")


class Quiet(Value):
    """When the bot is quiet after the bar that starts at `after_bar` was played."""

    kind: Literal["quiet"] = "quiet"
    after_bar: AwareDatetime

    def describe(self) -> str:
        """Say where the point is, in plain words."""
        return f"quiet after the {clock_of(self.after_bar)} bar"
