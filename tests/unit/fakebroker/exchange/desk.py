"""A short way to say what is done to an exchange; time runs by itself, one second a step."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    Filled,
    OrderChanged,
    Refused,
)
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderView
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms

START = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
TSLA = Contract(symbol="TSLA")
CLIENT = 7


def dec(value: str | int | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def order_terms(
    side: str, quantity: int | str, order_type: str = "MKT", **fields: object
) -> OrderTerms:
    """Return terms; prices may be given as text."""
    prices = ("limit_price", "aux_price", "trail_stop_price", "trailing_percent")
    exact = {k: dec(v) if k in prices else v for k, v in fields.items()}  # type: ignore[arg-type]  # prices are text here
    return OrderTerms(
        action=Action(side),
        quantity=Decimal(quantity),
        order_type=order_type,
        **exact,  # type: ignore[arg-type]  # field types are the caller's word
    )


def amounts(*values: str | int) -> tuple[Decimal, ...]:
    """Return numbers to compare with the books' own."""
    return tuple(Decimal(value) for value in values)


def make_bar(
    opened: str | int,
    high: str | int,
    low: str | int,
    close: str | int,
    *,
    symbol: str = "TSLA",
    time: datetime = START,
) -> Bar:
    """Return a bar of a thousand shares."""
    return Bar(
        symbol,
        time,
        open=Decimal(opened),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(close),
        volume=Decimal(1000),
    )


class Desk:
    """An exchange, its clock and one client."""

    def __init__(self, settings: BrokerSettings | None = None) -> None:
        self.exchange = Exchange(settings or BrokerSettings())
        self.now = START
        self.events: list[ExchangeEvent] = []

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def told(self, events: Iterable[ExchangeEvent]) -> list[ExchangeEvent]:
        new = list(events)
        self.events += new
        return new

    def place(
        self,
        order_id: int,
        side: str,
        quantity: int | str,
        order_type: str = "MKT",
        *,
        client: int = CLIENT,
        contract: Contract = TSLA,
        **fields: object,
    ) -> list[ExchangeEvent]:
        terms = order_terms(side, quantity, order_type, **fields)
        return self.told(self.exchange.place(client, order_id, contract, terms, now=self.tick()))

    def cancel(self, order_id: int, client: int = CLIENT) -> list[ExchangeEvent]:
        return self.told(self.exchange.cancel(client, order_id, now=self.tick()))

    def bar(
        self,
        opened: str | int,
        high: str | int,
        low: str | int,
        close: str | int,
        symbol: str = "TSLA",
    ) -> list[ExchangeEvent]:
        bar = make_bar(opened, high, low, close, symbol=symbol, time=self.now)
        return self.told(self.exchange.on_bar(bar, now=self.tick()))

    def price(self, price: str | int) -> list[ExchangeEvent]:
        """Let the market stand at one price."""
        return self.bar(price, price, price, price)

    def view(self, order_id: int, client: int = CLIENT) -> OrderView:
        view = self.exchange.order(client, order_id)
        assert view is not None
        return view

    def status(self, order_id: int, client: int = CLIENT) -> str:
        return self.view(order_id, client).status.value

    def held(self, symbol: str = "TSLA") -> Decimal:
        rows = [row for row in self.exchange.positions() if row.contract.symbol == symbol]
        return rows[0].quantity if rows else Decimal(0)


def fills(events: Iterable[ExchangeEvent]) -> list[tuple[int, str, str, str]]:
    """Return (order id, side, shares, price) of each execution."""
    found = [event.execution for event in events if isinstance(event, Filled)]
    return [(row.order_id, row.side, str(row.shares), str(row.price)) for row in found]


def changes(events: Iterable[ExchangeEvent]) -> list[tuple[int, str]]:
    """Return (order id, what happened) of each change of an order."""
    return [
        (event.order.order_id, event.event.value)
        for event in events
        if isinstance(event, OrderChanged)
    ]


def refusals(events: Iterable[ExchangeEvent]) -> list[int]:
    """Return the codes of the refusals."""
    return [event.code for event in events if isinstance(event, Refused)]


def commissions(events: Iterable[ExchangeEvent]) -> list[Decimal]:
    """Return what each execution cost."""
    return [event.commission for event in events if isinstance(event, Commissioned)]
