"""What the gateway refuses or ends with a code of its own (tws-protocol.md section 3.8).

Data that nobody pays for, subscriptions that end unasked, orders that cannot be touched just now.
Only what happens is said here; which reasons IB has for it is another matter.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fakebroker.faults.base import Counted, FaultBase, Lasting, Window

SECTION = "section 3.8"


class NoMarketData(Lasting):
    """The account may not see a market: reqMktData and tick-by-tick get the code, bars get 420.

    Who has asked for delayed data (reqMarketDataType 3 or 4) gets it, with 10167, unless the code
    is 10168. Code 10167 gives delayed data to everyone. Subscriptions that stand go on.
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["no_market_data"] = "no_market_data"
    symbol: str | None = None
    """Only the data of this symbol; null is all."""
    code: Literal[354, 10089, 10167, 10168] = 354


class BarsPacing(Lasting):
    """More requests for real-time bars within `window` than the most are refused with 420.

    The requests of all clients count together [A].
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["bars_pacing"] = "bars_pacing"
    requests_max: Annotated[int, Field(ge=0)] = 60
    window: Window = timedelta(minutes=10)
    reason: str = "Max number of real time requests has been reached"
    """What follows TWS's words; it is assumed [A]."""


class LiveUpdatesBroken(Lasting):
    """History that is kept up to date gets 10182 and no update any more, nor does new one.

    What was ended stays so; clients have to ask again.
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["live_updates_broken"] = "live_updates_broken"


class BustEvent(FaultBase):
    """Real-time bars and history that is kept up to date get 10225 and stand still.

    They go on when the client asks again, with or without a cancel; ib_insync does it by itself.
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["bust_event"] = "bust_event"
    symbol: str | None = None
    """Only what is subscribed of this symbol; null is all."""
    ticks: bool = False
    """Tick-by-tick data, too; for those no client asks again by itself."""


class PortReset(Lasting):
    """1300 to everyone, then every connection ends and the port refuses for `seconds`.

    The gateway lives on, so nothing is lost, and the port is the same afterwards [A].
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["port_reset"] = "port_reset"
    seconds: Window | None = timedelta(seconds=5)


class AccountUpdatesTaken(Lasting):
    """Another client has the account updates: subscribers get 2100, who asks gets 2101."""

    SEEN: ClassVar[str] = SECTION
    name: Literal["account_updates_taken"] = "account_updates_taken"
    by: Annotated[int, Field(ge=0)] = 0
    """The client that 2101 names."""


class CancelRefused(Counted):
    """A cancel of a live order is refused with 161, and the order works on.

    ib_insync counts the order as cancelled.
    """

    SEEN: ClassVar[str] = SECTION
    name: Literal["cancel_refused"] = "cancel_refused"


class ModifyTooEarly(Lasting):
    """A modify that comes within so long of the placement is refused and changes nothing."""

    SEEN: ClassVar[str] = "sections 3.1, 3.8"
    name: Literal["modify_too_early"] = "modify_too_early"
    within: Window | None = timedelta(seconds=1)
    """Of exchange time; null is ever."""
    code: Literal[103, 2102] = 2102
