"""What one client wants to hear of the market. It dies with the connection."""

from collections.abc import Container
from dataclasses import dataclass, field

from fakebroker.marketdata.quotes import Quote
from fakebroker.protocol.requests import ReqHistoricalData, ReqMktData, ReqTickByTickData

LIVE_DATA = 1


@dataclass(slots=True)
class QuoteFeed:
    """A reqMktData; its contract is the qualified one."""

    request: ReqMktData
    delayed: bool
    told: Quote


@dataclass(slots=True)
class TickFeed:
    """A reqTickByTickData; its contract is the qualified one."""

    request: ReqTickByTickData
    told: Quote


@dataclass(slots=True)
class Subscriptions:
    """All of one client, by request id."""

    data_type: int = LIVE_DATA
    """What reqMarketDataType asked for; it holds for the requests that follow."""
    quotes: dict[int, QuoteFeed] = field(default_factory=dict)
    ticks: dict[int, TickFeed] = field(default_factory=dict)
    histories: dict[int, ReqHistoricalData] = field(default_factory=dict)
    """Those that are kept up to date."""
    idle: set[int] = field(default_factory=set)
    """Of bars, too: what stands still until the client asks again (error 10225)."""
    delay_next: bool = False
    """The next reqMktData gets delayed data, whatever was asked for (error 10167)."""

    def told(self, req_id: int) -> bool:
        """Say whether a subscription that stands is told what comes."""
        return req_id not in self.idle

    def taken(self, req_id: int, feeds: Container[int]) -> bool:
        """Say whether a request's id is in use; one that stands still may be asked for again."""
        if req_id in self.idle:
            self.idle.discard(req_id)
            return False
        return req_id in feeds

    def __len__(self) -> int:
        """Return how many requests go on until they are cancelled."""
        return len(self.quotes) + len(self.ticks) + len(self.histories)
