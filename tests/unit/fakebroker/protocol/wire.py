"""Both ends of the wire joined in memory: ib_insync's own encoder and decoder, and ours."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from ib_insync import Order as IbOrder
from ib_insync import Stock
from ib_insync.client import Client
from ib_insync.contract import Contract as IbContract
from ib_insync.decoder import Decoder

from fakebroker.protocol import Connection, Event, encode, frame
from fakebroker.protocol.fields import join_fields
from fakebroker.protocol.replies import Margins, OpenOrder, Reply
from fakebroker.protocol.requests import PlaceOrder
from fakebroker.values import Action, Contract, OrderStatus, OrderTerms

TESLA = Contract(
    "TSLA",
    con_id=76792991,
    primary_exchange="NASDAQ",
    local_symbol="TSLA",
    trading_class="NMS",
)
MARGINS = Margins(
    init_before=Decimal(1),
    maint_before=Decimal(2),
    equity_before=Decimal(3),
    init_change=Decimal(4),
    maint_change=Decimal(5),
    equity_change=Decimal(6),
    init_after=Decimal(7),
    maint_after=Decimal(8),
    equity_after=Decimal(9),
)
MARKET_ORDER = OrderTerms(Action.BUY, Decimal(100), "MKT", account="DU1234567")


class Listener:
    """Stands where ib_insync's wrapper stands and keeps what its decoder says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.ib = SimpleNamespace(TimezoneTWS="")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name, args))


def opening(server_version: int) -> bytes:
    """Return what a client sends up to and including startApi."""
    offer = f"v157..{server_version}".encode()
    return b"API\0" + frame(offer) + frame(b"71\0002\0001\0\0")


def ready_connection(server_version: int) -> Connection:
    """Return a connection on which startApi has been received."""
    connection = Connection()
    connection.receive(opening(server_version))
    return connection


def spoken(server_version: int, say: Callable[[Client], object]) -> list[str]:
    """Return the fields of what ib_insync's client sends, its socket cut off."""
    client: Any = Client(SimpleNamespace())
    client._serverVersion = server_version
    client.connState = Client.CONNECTED
    sent: list[str] = []
    client.sendMsg = sent.append
    say(client)
    (message,) = sent
    return message.split("\0")[:-1]


def received(server_version: int, fields: list[str]) -> Event:
    """Return the one event of a message on a ready connection."""
    payload = "".join(f"{field}\0" for field in fields).encode()
    (event,) = ready_connection(server_version).receive(frame(payload))
    return event


def heard(server_version: int, say: Callable[[Client], object]) -> Event:
    """Return what we understand of what ib_insync sends."""
    return received(server_version, spoken(server_version, say))


def placed(server_version: int, order: IbOrder, contract: IbContract | None = None) -> PlaceOrder:
    """Return what we understand of an order that ib_insync places."""
    what = contract or Stock("TSLA", "SMART", "USD")
    event = heard(server_version, lambda client: client.placeOrder(7, what, order))
    assert isinstance(event, PlaceOrder), event
    return event


def understood(reply: Reply, server_version: int) -> list[tuple[str, tuple[Any, ...]]]:
    """Return what ib_insync's decoder tells its wrapper about a reply."""
    payload = join_fields(encode(reply, server_version))
    fields = payload.decode(errors="backslashreplace").split("\0")[:-1]
    listener = Listener()
    decoder: Any = Decoder
    decoder(listener, server_version).interpret(fields)
    return listener.calls


def told(reply: Reply, server_version: int) -> tuple[Any, ...]:
    """Return the arguments of the one call that a reply makes to the wrapper."""
    ((_, arguments),) = understood(reply, server_version)
    return arguments


def open_order(request: PlaceOrder, status: OrderStatus = OrderStatus.SUBMITTED) -> OpenOrder:
    """Return the openOrder that answers a placeOrder."""
    return OpenOrder(
        order_id=request.order_id,
        contract=request.contract,
        terms=request.terms,
        client_id=1,
        perm_id=1376327563,
        status=status,
    )
