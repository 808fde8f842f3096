"""What tests with a real ib_insync share: placing orders, and waiting for what comes of it."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

from ib_insync import IB, Client, LimitOrder, MarketOrder, Order, Stock, Trade, util

from fakebroker.control_messages import BookOrder
from tests.support.brokers import DEADLINE_SECONDS, RunningBroker, wait_until

Connect = Callable[..., IB]
Start = Callable[..., RunningBroker]
SHORT = timedelta(seconds=7)


def place(ib: IB, order: Order) -> Trade:
    [contract] = ib.qualifyContracts(Stock("TSLA", "SMART", "USD"))
    return ib.placeOrder(contract, order)


def resting(ib: IB, **fields: object) -> Trade:
    """Place an order that the market does not reach, and see it acknowledged."""
    trade = place(ib, LimitOrder("BUY", 10, 50.0, **fields))
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")
    return trade


def bought(ib: IB, quantity: int = 100, **fields: object) -> Trade:
    """Buy at the market and see it filled."""
    trade = place(ib, MarketOrder("BUY", quantity, **fields))
    wait_until(ib, trade.isDone)
    return trade


def errors_of(ib: IB) -> list[tuple[int, int]]:
    """Collect request or order id and code of all errors from here on."""
    errors: list[tuple[int, int]] = []
    ib.errorEvent += lambda req_id, code, *_: errors.append((req_id, code))
    return errors


def codes_of(ib: IB) -> list[int]:
    """Collect the codes of all errors from here on."""
    codes: list[int] = []
    ib.errorEvent += lambda _req_id, code, *_: codes.append(code)
    return codes


def orders(broker: RunningBroker) -> tuple[BookOrder, ...]:
    return broker.control.books().orders


def settle(ib: IB) -> None:
    """Wait until everything that the broker has said before has been read."""
    ib.reqCurrentTime()


def wait_until_gone(ib: IB) -> None:
    """Wait until the client has noticed that its connection is over."""
    # A wait that is going on when the socket ends is itself ended with this error.
    with contextlib.suppress(ConnectionError):
        wait_until(ib, lambda: not ib.isConnected())
    assert not ib.isConnected()


def step_past(broker: RunningBroker, seconds: float) -> None:
    """Move exchange time on by at least so many seconds."""
    end = broker.control.status().now + timedelta(seconds=seconds)
    while broker.control.status().now < end:
        assert broker.control.step().kind != "end"


def first_id(broker: RunningBroker) -> object:
    """Return what nextValidId last said."""
    sent = [r for r in broker.records("sent") if r["message"] == "nextValidId"]
    fields = sent[-1]["fields"]
    assert isinstance(fields, dict)
    return fields["order_id"]


def play_bars(broker: RunningBroker, count: int) -> None:
    """Play so many bars, and whatever falls due before them."""
    goal = broker.control.status().bars_played + count
    while broker.control.status().bars_played < goal:
        assert broker.control.step().kind != "end"


def sent(broker: RunningBroker, *messages: str) -> list[str]:
    """The names of the messages that were sent, of these kinds, in their order."""
    return [str(r["message"]) for r in broker.records("sent") if r["message"] in messages]


def refusal(broker: RunningBroker, client_id: int) -> list[tuple[int, int]]:
    """Try to connect, and return the errors that came before the broker ended the connection.

    The client itself would sit out its time limit after that, so its attempt is given up.
    """
    late = IB()
    errors = errors_of(late)
    attempt = util.getLoop().create_task(
        late.connectAsync("127.0.0.1", broker.port, clientId=client_id, timeout=DEADLINE_SECONDS)
    )
    with contextlib.suppress(ConnectionError):
        wait_until(late, lambda: errors and late.client.connState == Client.DISCONNECTED)
    attempt.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionError):
        util.run(attempt)
    return errors
