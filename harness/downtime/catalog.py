"""Every downtime that is worth trying, by its slug; a slug is a word of a replay token.

All acts are optional: a sweep plays each downtime at every point where its `needs` are met in the
clean run, and a crash may have left the broker without them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from fakebroker.faults.field import GatewayRestart
from fakebroker.faults.wire import RefuseConnections
from harness.downtime import Act, Downtime
from harness.downtime.acts import (
    CancelOrder,
    CorrectFill,
    ExpireOrder,
    FillOrder,
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
from harness.errors import UserError

Needs = Literal["nothing", "position", "entry", "stop", "partial", "target"]
"""What the broker must have for a downtime to matter: a position, or a working order of a leg."""
PART = Decimal("0.4")
"""Of 100 shares 40, so that what is filled and what is left differ."""
CENTS = Decimal("0.05")
RESTART = timedelta(seconds=20)
"""How long a gateway that restarts refuses; four bars of five seconds."""
HOUR_SECONDS = 3600
OVER_AN_HOUR = HOUR_SECONDS + 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One downtime of the catalogue.

    Attributes:
        title: what happens, in half a line.
        acts: what happens, for a symbol.
        needs: what the broker must have.
    """

    title: str
    acts: Callable[[str], tuple[Act, ...]]
    needs: Needs = "nothing"

    def downtime(self, symbol: str) -> Downtime:
        """The downtime for a symbol."""
        return Downtime(acts=self.acts(symbol))


def leg(symbol: str, name: str) -> OrderChoice:
    """The working order of a leg."""
    return OrderChoice(symbol=symbol, leg=name)


def fills(name: str, part: Decimal | None = None) -> Callable[[str], tuple[Act, ...]]:
    """The order of a leg fills at its own price, wholly or in part."""
    return lambda symbol: (FillOrder(order=leg(symbol, name), part=part, optional=True),)


def cancelled(name: str, *, by_hand: bool = False) -> Callable[[str], tuple[Act, ...]]:
    """The order of a leg is cancelled."""
    return lambda symbol: (CancelOrder(order=leg(symbol, name), by_hand=by_hand, optional=True),)


def expired(name: str) -> Callable[[str], tuple[Act, ...]]:
    """The order of a leg expires."""
    return lambda symbol: (ExpireOrder(order=leg(symbol, name), optional=True),)


def rejected(name: str) -> Callable[[str], tuple[Act, ...]]:
    """The order of a leg is rejected."""
    return lambda symbol: (RejectOrder(order=leg(symbol, name), optional=True),)


def by_hand(change: Literal["close", "reduce", "add", "flip"]) -> Callable[[str], tuple[Act, ...]]:
    """Somebody trades what is held."""
    return lambda symbol: (ManualTrade(symbol=symbol, change=change, part=PART, optional=True),)


def corrected(
    *, shares_by: int = 0, price_by: Decimal = Decimal(0), busted: bool = False
) -> Callable[[str], tuple[Act, ...]]:
    """The day's last execution is changed or taken back."""
    shares = Decimal(shares_by)
    return lambda symbol: (
        CorrectFill(
            symbol=symbol, shares_by=shares, price_by=price_by, busted=busted, optional=True
        ),
    )


def gap(*, jumps: bool = True) -> Callable[[str], tuple[Act, ...]]:
    """The price moves a dollar beyond the stop."""
    return lambda symbol: (
        PriceMoves(symbol=symbol, beyond=leg(symbol, "stop"), jumps=jumps, optional=True),
    )


def always(*acts: Act) -> Callable[[str], tuple[Act, ...]]:
    """The same for every symbol."""
    return lambda _: acts


DOWNTIMES: Mapping[str, Entry] = {
    "nothing": Entry("nothing happens", always()),
    "stop-fills": Entry("the stop fills", fills("stop"), "stop"),
    "stop-fills-partly": Entry("the stop fills in part", fills("stop", PART), "stop"),
    "entry-fills": Entry("the entry fills", fills("entry"), "entry"),
    "entry-fills-partly": Entry("the entry fills in part", fills("entry", PART), "entry"),
    "partial-fills": Entry("the partial exit fills", fills("partial"), "partial"),
    "partial-fills-partly": Entry(
        "the partial exit fills in part", fills("partial", PART), "partial"
    ),
    "target-fills": Entry("the target fills", fills("target"), "target"),
    "stop-cancelled": Entry("the broker cancels the stop", cancelled("stop"), "stop"),
    "stop-cancelled-by-hand": Entry(
        "somebody cancels the stop by hand", cancelled("stop", by_hand=True), "stop"
    ),
    "stop-expired": Entry("the stop expires", expired("stop"), "stop"),
    "stop-rejected": Entry("the stop is rejected", rejected("stop"), "stop"),
    "entry-cancelled": Entry("the broker cancels the entry", cancelled("entry"), "entry"),
    "entry-expired": Entry("the entry expires", expired("entry"), "entry"),
    "entry-rejected": Entry("the entry is rejected", rejected("entry"), "entry"),
    "partial-cancelled": Entry(
        "the broker cancels the partial exit", cancelled("partial"), "partial"
    ),
    "manual-close": Entry("somebody closes the position", by_hand("close"), "position"),
    "manual-reduce": Entry("somebody sells a part of the position", by_hand("reduce"), "position"),
    "manual-add": Entry("somebody adds to the position", by_hand("add"), "position"),
    "manual-flip": Entry("somebody turns the position over", by_hand("flip"), "position"),
    "execution-corrected": Entry(
        "the price of the last execution is corrected", corrected(price_by=CENTS), "position"
    ),
    "shares-corrected": Entry(
        "the last execution loses ten shares", corrected(shares_by=-10), "position"
    ),
    "execution-busted": Entry(
        "the last execution is taken back", corrected(busted=True), "position"
    ),
    "gap-through-stop": Entry("the price gaps through the stop", gap(), "stop"),
    "price-through-stop": Entry("the price walks through the stop", gap(jumps=False), "stop"),
    "gateway-restarts": Entry(
        "the gateway restarts and is back before the bot",
        always(
            BrokerFault(fault=GatewayRestart(seconds=RESTART, lost_seconds=timedelta(0))),
            MarketGoesOn(seconds=int(RESTART.total_seconds())),
        ),
    ),
    "gateway-forgets": Entry(
        "the gateway restarts and has lost what came in its last second",
        always(
            BrokerFault(fault=GatewayRestart(seconds=RESTART)),
            MarketGoesOn(seconds=int(RESTART.total_seconds())),
        ),
    ),
    "unreachable-then-back": Entry(
        "the broker cannot be reached at the restart and comes back later",
        always(BrokerFault(fault=RefuseConnections(seconds=RESTART))),
    ),
    "seconds": Entry("the market goes on for five seconds", always(MarketGoesOn(seconds=5))),
    "a-minute": Entry("the market goes on for a minute", always(MarketGoesOn(seconds=60))),
    "an-hour": Entry(
        "over an hour passes without trading", always(TimePasses(seconds=OVER_AN_HOUR))
    ),
    "day-rolls-over": Entry("the next day comes", always(DaysPass(to="the next trading day"))),
    "a-weekend": Entry("the next week comes", always(DaysPass(to="the next week"))),
    "clocks-change": Entry(
        "the clocks change before the restart", always(DaysPass(to="after the clocks change"))
    ),
}


def downtime_of(slug: str, symbol: str) -> Downtime:
    """The downtime of a slug.

    Raises:
        UserError: there is no such slug.
    """
    if slug not in DOWNTIMES:
        raise UserError(f"there is no downtime {slug!r}; there are {', '.join(DOWNTIMES)}")
    return DOWNTIMES[slug].downtime(symbol)
