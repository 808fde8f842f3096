"""What the market and time do while the bot is dead, and what goes wrong at the broker."""

from datetime import timedelta
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from fakebroker.faults import AnyFault
from fakebroker.faults.base import describe_when
from harness.downtime.acts import OrderChoice, Price
from harness.downtime.dates import Arrival
from harness.downtime.deed import Deed

DOLLAR = Decimal(1)


class PriceMoves(Deed):
    """The market trades at another price, off the tape; the next bar is the tape's again.

    Attributes:
        symbol: what trades.
        to: the price in US dollars; None is `by` dollars beyond where `beyond` is triggered.
        beyond: a stop.
        by: how far beyond it.
        jumps: as a gap, so that a stop fills where the price lands; else through every price on
            the way.
    """

    kind: Literal["price"] = "price"
    symbol: str
    to: Price | None = None
    beyond: OrderChoice | None = None
    by: Price = DOLLAR
    jumps: bool = True

    @model_validator(mode="after")
    def _has_one_goal(self) -> Self:
        if (self.to is None) == (self.beyond is None):
            raise ValueError("say where the price goes with either `to` or `beyond`")
        return self

    def describe(self) -> str:
        """Say what happens, in plain words."""
        how = "gaps" if self.jumps else "goes"
        if self.beyond is None:
            return f"the price of {self.symbol} {how} to {self.to}"
        return f"the price of {self.symbol} {how} {self.by} beyond {self.beyond.describe()}"


class MarketGoesOn(Deed):
    """The tape is played for so many seconds of exchange time."""

    kind: Literal["market"] = "market"
    seconds: int = Field(gt=0)

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"the market goes on for {timedelta(seconds=self.seconds)}"


class TimePasses(Deed):
    """So much time passes in which nothing trades; the rest of the tape comes as much later.

    `seconds` must be whole bars of the tape.
    """

    kind: Literal["time"] = "time"
    seconds: int = Field(gt=0)

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{timedelta(seconds=self.seconds)} pass without trading"


class DaysPass(Deed):
    """Time passes up to the same clock time of a later day, and the tape goes on there."""

    kind: Literal["days"] = "days"
    to: Arrival

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"time passes until {self.to}"


class BrokerFault(Deed):
    """A fault is armed at the broker; one that waits for a message meets the restarted bot."""

    kind: Literal["fault"] = "fault"
    fault: AnyFault

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"fault {self.fault.name} ({describe_when(self.fault.when)})"
