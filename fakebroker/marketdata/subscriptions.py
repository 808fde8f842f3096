"""What one client wants to hear of the market. It dies with the connection."""

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

    def __len__(self) -> int:
        """Return how many requests go on until they are cancelled."""
        return len(self.quotes) + len(self.ticks) + len(self.histories)
