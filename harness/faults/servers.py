"""What fails beside a bot that runs, for a while: its database is locked, its Redis is down.

Values only. `database.py` holds the lock, `redis_process.py` stops and starts Redis. Whoever does
it writes into the history, source "harness", when it begins:

    outage    life, fault (slug), words, blocks (true: the bot cannot save)

and `outage_over` with life and fault when it ends. A bot that cannot save must not send what it
cannot remember: it waits, or it ends loudly (`loud_halt.py`).
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from harness.points.quiet import NEW_YORK, clock_of
from harness.values import Value

Loses = Literal["nothing", "last-second", "everything"]
CLOCK = "%Y%m%dT%H%M%S"


class LockedDatabase(Value):
    """Somebody else holds the write lock of the bot's database.

    From when the bot is quiet after the bar of `after_bar` until the bar of `until` has been
    digested, or the bot has ended.
    """

    kind: Literal["locked-database"] = "locked-database"
    after_bar: AwareDatetime
    until: AwareDatetime

    def describe(self) -> str:
        """Say what fails, in plain words."""
        return f"the database is locked from {clock_of(self.after_bar)} to {clock_of(self.until)}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        begins, ends = (each.astimezone(NEW_YORK) for each in (self.after_bar, self.until))
        return f"locked-database.{begins:{CLOCK}}.{ends:{CLOCK}}"


class RedisOutage(Value):
    """Redis is stopped when the bot is quiet after the bar of `after_bar`.

    It is started again, on the same port, when the bot is quiet after the bar of `until`; at once
    where that is the same. It `loses` nothing, what was written since the market's last step
    ("last-second"), or all of it.
    """

    kind: Literal["redis-outage"] = "redis-outage"
    after_bar: AwareDatetime
    until: AwareDatetime
    loses: Loses = "nothing"

    def describe(self) -> str:
        """Say what fails, in plain words."""
        lost = {"nothing": "", "last-second": " and has lost its last second"}
        what = lost.get(self.loses, " and has lost everything")
        if self.after_bar == self.until:
            return f"Redis restarts at {clock_of(self.until)}{what}"
        return f"Redis is down from {clock_of(self.after_bar)} to {clock_of(self.until)}{what}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        begins, ends = (each.astimezone(NEW_YORK) for each in (self.after_bar, self.until))
        return f"redis-outage.{begins:{CLOCK}}.{ends:{CLOCK}}.{self.loses}"


ServerFault = Annotated[LockedDatabase | RedisOutage, Field(discriminator="kind")]
