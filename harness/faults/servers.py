"""What fails beside a bot that runs, for a while: its database is locked, its Redis is down.

Values and their words:

    locked-database.20251006T100030.20251006T100040
    redis-outage.20251006T100030.20251006T100040.last-second

`harness/outages.py` plays them and writes into the history, source "harness", when one begins:

    outage    life, fault (slug), words, blocks (true: the bot cannot save)

and `outage_over` with life, fault and words when it ends; before it `storage` (`storage.py`) where
Redis has lost something. A bot that cannot save must not send what it cannot remember: it waits, or
it ends loudly (`loud_halt.py`).
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError, model_validator

from harness.errors import UserError
from harness.points.quiet import clock_of
from harness.points.slugs import parse_time, spell_time
from harness.values import Value

Loses = Literal["nothing", "last-second", "everything"]
SHAPE = re.compile(
    r"(?P<kind>locked-database|redis-outage)\.(?P<after_bar>[0-9]{8}T[0-9]{6})"
    r"\.(?P<until>[0-9]{8}T[0-9]{6})(?:\.(?P<loses>[a-z-]+))?",
    re.ASCII,
)


class LockedDatabase(Value):
    """Somebody else holds the write lock of the bot's database.

    From when the bot is quiet after the bar of `after_bar` until the bar of `until` has been
    digested, or the bot has ended.
    """

    kind: Literal["locked-database"] = "locked-database"
    after_bar: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _ends_later(self) -> Self:
        if self.until <= self.after_bar:
            raise ValueError("a lock must last over a bar: let its end be after its beginning")
        return self

    @property
    def store(self) -> str:
        """The store that it can happen to."""
        return "sqlite"

    def describe(self) -> str:
        """Say what fails, in plain words."""
        return f"the database is locked from {clock_of(self.after_bar)} to {clock_of(self.until)}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"locked-database.{spell_time(self.after_bar)}.{spell_time(self.until)}"


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

    @model_validator(mode="after")
    def _ends_later(self) -> Self:
        if self.until < self.after_bar:
            raise ValueError("an outage cannot end before it begins; the same moment is a restart")
        return self

    @property
    def store(self) -> str:
        """The store that it can happen to."""
        return "redis"

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
        begins, ends = spell_time(self.after_bar), spell_time(self.until)
        return f"redis-outage.{begins}.{ends}.{self.loses}"


ServerFault = Annotated[LockedDatabase | RedisOutage, Field(discriminator="kind")]
ADAPTER: TypeAdapter[LockedDatabase | RedisOutage] = TypeAdapter(ServerFault)


def parse_server_fault(slug: str) -> LockedDatabase | RedisOutage:
    """Read the word of an outage.

    Raises:
        UserError: it is none.
    """
    found = SHAPE.fullmatch(slug)
    if found is None or (found["loses"] is None) is (found["kind"] == "redis-outage"):
        raise UserError(
            f"{slug!r} names no outage; outages look like "
            f"locked-database.20251006T100030.20251006T100040 or "
            f"redis-outage.20251006T100030.20251006T100040.nothing (or last-second, everything)"
        )
    told: dict[str, object] = {k: v for k, v in found.groupdict().items() if v is not None}
    try:
        times = {name: parse_time(found[name]) for name in ("after_bar", "until")}
        return ADAPTER.validate_python({**told, **times})
    except (ValidationError, ValueError) as error:
        raise UserError(f"{slug!r} names no outage: {words_of(error)}") from error


def words_of(error: ValueError) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return str(error)


def check_outages(
    outages: Sequence[LockedDatabase | RedisOutage], *, store: str, bars: Sequence[datetime]
) -> None:
    """Make sure that outages can happen in a run.

    Args:
        outages: those of one trial, in their order.
        store: what the bot keeps its state in.
        bars: the starts of the market's bars, in order.

    Raises:
        UserError: one cannot; says which and what to do.
    """
    free = bars[0]
    for outage in outages:
        if outage.store != store:
            raise UserError(
                f"{outage.slug} cannot happen to a bot with the store {store!r}: take the store "
                f"{outage.store!r}, or leave the outage out"
            )
        if not bars[0] <= outage.after_bar <= bars[-1]:
            raise UserError(
                f"{outage.slug} begins outside the market's day: its bars start from "
                f"{spell_time(bars[0])} to {spell_time(bars[-1])}"
            )
        if outage.after_bar < free:
            raise UserError(
                f"{outage.slug} begins before the outage before it is over: put them in the order "
                f"of their times, one after the other"
            )
        free = outage.until
