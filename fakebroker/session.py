"""One API client: its id, what it has subscribed to, and what it may see and touch.

Everything here dies with the connection, as at TWS: only orders, executions and positions outlive
a client, and those are the exchange's (tws-protocol.md section 3.3).
"""

from dataclasses import dataclass, field

from fakebroker.account_feeds import AccountFeeds
from fakebroker.exchange.orders import OrderView
from fakebroker.marketdata.subscriptions import Subscriptions
from fakebroker.protocol.connection import Connection
from fakebroker.protocol.requests import ReqAccountUpdatesMulti, ReqRealTimeBars

# Client 0 is TWS's own: manual orders carry it, and a client 0 that asks is bound to them.
TWS_CLIENT_ID = 0


@dataclass(slots=True)
class Session:
    """One TCP connection from connect to disconnect."""

    number: int
    connection: Connection = field(default_factory=Connection)
    client_id: int | None = None
    ready: bool = False
    closed: bool = False
    deaf: bool = False
    silent: int | None = None
    """The fault that keeps its socket open and unread."""
    positions: bool = False
    account_updates: str | None = None
    """The account that reqAccountUpdates has subscribed to; TWS has one at a time."""
    accounts_multi: dict[int, ReqAccountUpdatesMulti] = field(default_factory=dict)
    bars: dict[int, ReqRealTimeBars] = field(default_factory=dict)
    market: Subscriptions = field(default_factory=Subscriptions)
    feeds: AccountFeeds = field(default_factory=AccountFeeds)
    auto_bind: bool = False
    """Whether manual orders get an id of this client 0 (section 3.3)."""

    @property
    def subscriptions(self) -> int:
        """How many requests of this client go on until it cancels them."""
        own = len(self.accounts_multi) + len(self.bars)
        return own + len(self.market) + len(self.feeds)

    def owns(self, order: OrderView) -> bool:
        """Say whether the order was placed under this client's id."""
        return self.ready and order.client_id == self.client_id

    def shown_order_id(self, order: OrderView) -> int:
        """Return the order id this client sees: foreign manual orders show 0 (section 3.3)."""
        return order.order_id if order.client_id != TWS_CLIENT_ID or self.owns(order) else 0
