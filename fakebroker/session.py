"""One API client: its id, what it has subscribed to, and what it may see and touch.

Everything here dies with the connection, as at TWS: only orders, executions and positions outlive
a client, and those are the exchange's (tws-protocol.md section 3.3).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fakebroker.account_feeds import AccountFeeds
from fakebroker.exchange.account import AccountValue
from fakebroker.exchange.orders import OrderView
from fakebroker.marketdata.subscriptions import Subscriptions
from fakebroker.protocol.connection import Connection
from fakebroker.protocol.requests import ReqAccountUpdatesMulti, ReqRealTimeBars

# Client 0 is TWS's own: manual orders carry it, and a client 0 that asks is bound to them.
TWS_CLIENT_ID = 0
ACCOUNT_UPDATES = -1
"""Stands for reqAccountUpdates, which has no request id."""


@dataclass(slots=True)
class Session:
    """One TCP connection from connect to disconnect."""

    number: int
    connection: Connection = field(default_factory=Connection)
    client_id: int | None = None
    ready: bool = False
    closed: bool = False
    """Whether we have ended the connection; what still comes of it is never read."""
    deaf: bool = False
    """Whether what comes is lost, and told as lost, up to the end of a client that has died."""
    silent: int | None = None
    """The fault that keeps its socket open and unread."""
    positions: bool = False
    account_updates: str | None = None
    """The account that reqAccountUpdates has subscribed to; TWS has one at a time."""
    accounts_multi: dict[int, ReqAccountUpdatesMulti] = field(default_factory=dict)
    told_values: dict[tuple[int, str, str, str], str] = field(default_factory=dict)
    """Account values as this client has heard them last, by `ACCOUNT_UPDATES` or the request's id,
    account, key and currency: TWS tells again only what has changed (section 3.5)."""
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

    def news(
        self, feed: int, account: str, values: Iterable[AccountValue]
    ) -> Iterator[AccountValue]:
        """Yield the values of an account that a feed has not told yet, and take them as told."""
        for value in values:
            key = (feed, account, value.key, value.currency)
            if self.told_values.get(key) != value.value:
                self.told_values[key] = value.value
                yield value

    def forget_values(self, feed: int) -> None:
        """Let a feed tell everything anew."""
        self.told_values = {key: told for key, told in self.told_values.items() if key[0] != feed}

    def owns(self, order: OrderView) -> bool:
        """Say whether the order was placed under this client's id."""
        return self.ready and order.client_id == self.client_id

    def shown_order_id(self, order: OrderView) -> int:
        """Return the order id this client sees: foreign manual orders show 0 (section 3.3)."""
        return order.order_id if order.client_id != TWS_CLIENT_ID or self.owns(order) else 0
