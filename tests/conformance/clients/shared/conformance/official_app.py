"""A client of IB's own Python API that writes down every callback, and what orders it sends.

A callback is kept with its arguments by their names, so that one script reads every version of the
API.
"""

import inspect
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from conformance.reporting import (
    HOST,
    SYMBOL,
    StepError,
    deadline_seconds,
)
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

OWN, OTHER, WATCHER = 1, 2, 3
BID, ASK, LAST = 1, 2, 4
Check = Callable[[Any], object]


class Callback(SimpleNamespace):
    """One callback: its name and its arguments."""

    name: str


class App(EWrapper, EClient):
    """A client that writes down every callback."""

    def __init__(self, port: int, client_id: int) -> None:
        EClient.__init__(self, self)
        self.port, self.client = port, client_id
        self.heard: list[Callback] = []
        self.changed = threading.Condition()
        self.next_id = 0
        self.requests = 1000
        for name, function in inspect.getmembers(EWrapper, inspect.isfunction):
            if not name.startswith("_") and name not in ("logAnswer", "winError"):
                setattr(self, name, self.writer(name, function))

    def writer(self, name: str, function: Callable[..., object]) -> Callable[..., None]:
        names = list(inspect.signature(function).parameters)[1:]

        def write(*values: object, **named: object) -> None:
            with self.changed:
                arguments = dict(zip(names, values, strict=False)) | named
                self.heard.append(Callback(name=name, **arguments))
                self.changed.notify_all()

        return write

    def start(self) -> "App":
        """Connect and wait until the broker has said what it says unasked."""
        self.connect(HOST, self.port, self.client)
        threading.Thread(target=self.run, daemon=True).start()
        self.next_id = self.wait("nextValidId").orderId
        self.wait("managedAccounts")
        return self

    def close(self) -> None:
        """Disconnect; the socket is gone for good when the library's reader has let go of it."""
        reader = self.reader
        self.disconnect()
        if reader is not None:
            reader.join(deadline_seconds())

    def take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def request_id(self) -> int:
        self.requests += 1
        return self.requests

    def mark(self) -> int:
        return len(self.heard)

    def wait(self, name: str, check: Check = lambda _: True, *, since: int = 0) -> Callback:
        """Return the first such callback from a mark on; fail at the deadline."""
        return self.wait_for(name, 1, check, since=since)[0]

    def wait_for(
        self, name: str, number: int, check: Check = lambda _: True, *, since: int = 0
    ) -> list[Callback]:
        """Return the first so many such callbacks from a mark on; fail at the deadline."""
        end = time.monotonic() + deadline_seconds()
        with self.changed:
            while len(found := self.since(since, name, check)) < number:
                left = end - time.monotonic()
                if left <= 0:
                    raise StepError(f"no {name}; heard {self.described(since)}")
                self.changed.wait(left)
        return found[:number]

    def since(self, mark: int, name: str, check: Check = lambda _: True) -> list[Callback]:
        return [item for item in self.heard[mark:] if item.name == name and check(item)]

    def described(self, mark: int) -> str:
        def one(item: Callback) -> str:
            if item.name == "error":
                return f"error {item.reqId} {item.errorCode} {item.errorString}"
            return f"{item.name} {getattr(item, 'status', '')}".strip()

        return "; ".join(one(item) for item in self.heard[mark:][-12:]) or "nothing"

    def status(self, order_id: int, status: str, *, since: int = 0) -> Callback:
        wanted = {"orderId": order_id, "status": status}
        return self.wait(
            "orderStatus",
            lambda s: {"orderId": s.orderId, "status": s.status} == wanted,
            since=since,
        )

    def error_of(self, req_id: int, *, since: int = 0) -> Callback:
        return self.wait("error", lambda e: e.reqId == req_id, since=since)

    def ask(self, request: Callable[..., object], end: str, *arguments: object) -> list[Callback]:
        """Send a request with a new id and return all callbacks until the one that ends it."""
        req_id, mark = self.request_id(), self.mark()
        request(req_id, *arguments)
        self.wait(end, lambda item: getattr(item, "reqId", req_id) == req_id, since=mark)
        return [item for item in self.heard[mark:] if getattr(item, "reqId", None) == req_id]

    def listing(self, request: Callable[..., object], end: str, *arguments: object) -> int:
        """Send a request without an id; return the mark from which its answer stands."""
        mark = self.mark()
        request(*arguments)
        self.wait(end, since=mark)
        return mark


def stock(symbol: str = SYMBOL) -> Contract:
    contract = Contract()
    contract.symbol, contract.secType = symbol, "STK"
    contract.exchange, contract.currency = "SMART", "USD"
    return contract


def order(action: str, quantity: int, kind: str, **terms: object) -> Order:
    made = Order()
    made.action, made.totalQuantity, made.orderType = action, Decimal(quantity), kind
    made.eTradeOnly = made.firmQuoteOnly = False
    for name, value in terms.items():
        setattr(made, name, value)
    return made
