"""How each error code of section 3.8 is provoked: no code is called done that is never sent.

A `Scene` is a broker in memory with one client, which speaks with ib_insync's own encoder. Each way
is a story of a few lines; whether the code comes of it is asked by whoever plays it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ib_insync import Order, Stock
from ib_insync.client import Client

from fakebroker.broker import Broker
from fakebroker.faults import Fault, codes, wire
from fakebroker.faults import field as seen
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.outbox import Effect, Send
from fakebroker.protocol import frame
from fakebroker.protocol.errors import ErrorCode
from fakebroker.settings import BrokerSettings
from tests.support.brokers import tape_text
from tests.unit.fakebroker.protocol.wire import opening, spoken

VERSION: Final = 176
TSLA: Final = Stock("TSLA", "SMART", "USD")
SESSION, OTHER = 1, 2


class Scene:
    """A broker in memory after its first bar, one client, and what that was told."""

    def __init__(self, **settings: object) -> None:
        """With `before_open` the market is closed; the rest are the broker's settings."""
        before_open = settings.pop("before_open", False)
        tape = tape_text().replace("T10:", "T08:") if before_open else tape_text()
        played = parse_tape(tape, name="scene", symbol=None)
        start = played.bars[0].time
        self.messages: list[list[str]] = []
        self.journal = Journal(lambda _: None)
        self.broker = Broker(
            BrokerSettings.model_validate(settings),
            Market(played),
            start=start,
            journal=self.journal,
        )
        self.connect(SESSION)
        self.step()

    def hear(self, effects: list[Effect]) -> list[list[str]]:
        """Take down what was sent to whomever, and return it."""
        sent = [it.data[4:] for it in effects if isinstance(it, Send) and it.data[4:5] != b"v"]
        found = [payload.decode().split("\0")[:-1] for payload in sent]
        self.messages += found
        return found

    def connect(self, session: int) -> None:
        """Let a client with id 1 connect."""
        self.hear(self.broker.connect(session, self.broker.now))
        self.hear(self.broker.receive(session, opening(VERSION), self.broker.now))

    def step(self, count: int = 1) -> list[list[str]]:
        """Play so many events of the market or of time."""
        return [found for _ in range(count) for found in self.hear(self.broker.step()[1])]

    def ask(self, say: Callable[[Client], object]) -> list[list[str]]:
        """Say something as ib_insync does, and return what comes back."""
        payload = "".join(f"{each}\0" for each in spoken(VERSION, say)).encode()
        return self.hear(self.broker.receive(SESSION, frame(payload), self.broker.now))

    def place(self, order_id: int, **fields: object) -> list[list[str]]:
        """Place an order: one share, bought at 50, unless said otherwise."""
        order = Order(action="BUY", totalQuantity=1, orderType="LMT", lmtPrice=50)
        for name, value in fields.items():
            assert hasattr(order, name), f"ib_insync's orders have no {name}"
            setattr(order, name, value)
        return self.ask(lambda client: client.placeOrder(order_id, TSLA, order))

    def data(self, req_id: int = 9) -> list[list[str]]:
        """Subscribe to quotes."""
        return self.ask(lambda it: it.reqMktData(req_id, TSLA, "", False, False, []))

    def bars(self, req_id: int = 9) -> list[list[str]]:
        """Subscribe to real-time bars."""
        return self.ask(lambda it: it.reqRealTimeBars(req_id, TSLA, 5, "TRADES", False, []))

    def history(self, req_id: int = 9, *, symbol: str = "TSLA") -> list[list[str]]:
        """Ask for bars of the past that are kept up to date."""
        stock = Stock(symbol, "SMART", "USD")
        return self.ask(
            lambda it: it.reqHistoricalData(
                req_id, stock, "", "1 D", "1 min", "TRADES", False, 1, True, []
            )
        )

    def inject(self, fault: Fault) -> int:
        """Let something go wrong from here on."""
        number, effects = self.broker.inject(fault, self.broker.now)
        self.hear(effects)
        return number

    def heal(self) -> None:
        """End what goes wrong."""
        self.hear(self.broker.heal(None, self.broker.now))

    def codes(self) -> set[int]:
        """Return the codes of all errors so far."""
        return {int(fields[3]) for fields in self.messages if fields[0] == "4"}


@dataclass(frozen=True, slots=True)
class Way:
    """Steps to take with a client, and the settings of its broker."""

    steps: tuple[Callable[[Scene], object], ...]
    settings: Mapping[str, object] = field(default_factory=dict)

    def play(self) -> set[int]:
        """Return the codes that were sent."""
        scene = Scene(**self.settings)
        for step in self.steps:
            step(scene)
        return scene.codes()


def way(*steps: Callable[[Scene], object], **settings: object) -> Way:
    """Return a way of these steps."""
    return Way(steps, settings)


def fault(it: Fault) -> Callable[[Scene], object]:
    """Return the step that arms a fault."""
    return lambda scene: scene.inject(it)


def say(what: Callable[[Client], object]) -> Callable[[Scene], object]:
    """Return the step that says something."""
    return lambda scene: scene.ask(what)


def order(order_id: int = 1, **fields: object) -> Callable[[Scene], object]:
    """Return the step that places an order."""
    return lambda scene: scene.place(order_id, **fields)


def at_market(**fields: object) -> Callable[[Scene], object]:
    """Return the step that places a market order."""
    return order(1, orderType="MKT", **fields)


def healed(scene: Scene) -> None:
    """End the faults."""
    scene.heal()


UNASKED = way()
"""Of what is said to everyone on connect."""
UPDATES = say(lambda it: it.reqAccountUpdates(True, ""))
FLAP = seen.FarmFlap
LOST = wire.ConnectivityLost
WAYS: Final[Mapping[ErrorCode, Way]] = {
    ErrorCode.MAX_RATE: way(*[say(lambda it: it.reqIds(1))] * 3, messages_per_second_max=2),
    ErrorCode.MAX_TICKERS: way(lambda it: it.bars(9), lambda it: it.bars(10), subscriptions_max=1),
    ErrorCode.DUPLICATE_ORDER_ID: way(order(5), order(3)),
    ErrorCode.CANNOT_MODIFY_FILLED: way(at_market(), at_market()),
    ErrorCode.MODIFY_MISMATCH: way(order(), order(action="SELL")),
    ErrorCode.PRICE_OFF_TICK: way(order(lmtPrice=50.001)),
    ErrorCode.ORDER_NOT_FOUND: way(order(parentId=77)),
    ErrorCode.NOT_CANCELLABLE: way(
        fault(codes.CancelRefused()), order(), say(lambda it: it.cancelOrder(1, ""))
    ),
    ErrorCode.HISTORICAL_DATA: way(lambda it: it.history(symbol="AAPL")),
    ErrorCode.NO_SECURITY: way(lambda it: it.history(symbol="NO SUCH STOCK")),
    ErrorCode.ORDER_REJECTED: way(order(totalQuantity=1_000_000)),
    ErrorCode.ORDER_CANCELLED: way(order(), say(lambda it: it.cancelOrder(1, ""))),
    ErrorCode.NO_SUCH_REQUEST: way(say(lambda it: it.cancelMktData(99))),
    ErrorCode.REQUEST_UNREADABLE: way(order(2**31)),
    ErrorCode.REQUEST_INVALID: way(order(ocaGroup="g", ocaType=9)),
    ErrorCode.REQUEST_FAILED: way(lambda it: it.data(9), lambda it: it.data(9)),
    ErrorCode.CLIENT_ID_IN_USE: way(lambda it: it.connect(OTHER)),
    ErrorCode.CANNOT_CHANGE_TYPE: way(order(), at_market()),
    ErrorCode.NOT_SUBSCRIBED: way(fault(codes.NoMarketData()), Scene.data),
    ErrorCode.NO_HISTORICAL_QUERY: way(say(lambda it: it.cancelHistoricalData(99))),
    ErrorCode.UNSUPPORTED_ORDER_TYPE: way(order(orderType="NO SUCH TYPE")),
    ErrorCode.ORDER_WARNING: way(order(), market_hours="sessions", before_open=True),
    ErrorCode.LOCATING_SHARES: way(at_market(action="SELL"), locate_after_bars=1),
    ErrorCode.REALTIME_PACING: way(fault(codes.BarsPacing(requests_max=0)), Scene.bars),
    ErrorCode.CONNECTIVITY_LOST: way(fault(LOST())),
    ErrorCode.RESTORED_DATA_LOST: way(fault(LOST(restored=1101)), healed),
    ErrorCode.RESTORED_DATA_KEPT: way(fault(LOST(restored=1102)), healed),
    ErrorCode.PORT_RESET: way(fault(codes.PortReset())),
    ErrorCode.ACCOUNT_SUBSCRIPTION_TAKEN: way(UPDATES, fault(codes.AccountUpdatesTaken())),
    ErrorCode.ACCOUNT_SUBSCRIPTION_REFUSED: way(fault(codes.AccountUpdatesTaken()), UPDATES),
    ErrorCode.CANNOT_MODIFY_YET: way(fault(codes.ModifyTooEarly()), order(), order(lmtPrice=51)),
    ErrorCode.MARKET_FARM_BROKEN: way(fault(FLAP(farm="market")), Scene.step),
    ErrorCode.MARKET_FARM_OK: UNASKED,
    ErrorCode.HISTORICAL_FARM_BROKEN: way(fault(FLAP(farm="historical")), Scene.step),
    ErrorCode.HISTORICAL_FARM_OK: UNASKED,
    ErrorCode.HISTORICAL_FARM_INACTIVE: way(
        fault(FLAP(farm="historical", mode="inactive")), Scene.step
    ),
    ErrorCode.MARKET_FARM_INACTIVE: way(fault(FLAP(farm="market", mode="inactive")), Scene.step),
    ErrorCode.OUTSIDE_RTH_IGNORED: way(
        order(orderType="MOC", outsideRth=True), market_hours="sessions"
    ),
    ErrorCode.SERVER_LINK_BROKEN: way(fault(LOST(code=2110))),
    ErrorCode.SECDEF_FARM_BROKEN: way(fault(FLAP(farm="secdef")), Scene.step),
    ErrorCode.SECDEF_FARM_OK: UNASKED,
    ErrorCode.PARTLY_NOT_SUBSCRIBED: way(fault(codes.NoMarketData(code=10089)), Scene.data),
    ErrorCode.CANCEL_NOT_FOUND: way(say(lambda it: it.cancelOrder(77, ""))),
    ErrorCode.CANCEL_TOO_LATE: way(at_market(), say(lambda it: it.cancelOrder(1, ""))),
    ErrorCode.INVALID_ORDER_ID: way(say(lambda it: it.cancelOrder(0, ""))),
    ErrorCode.DELAYED_DATA: way(fault(codes.NoMarketData(code=10167)), Scene.data),
    ErrorCode.NO_DELAYED_DATA: way(fault(codes.NoMarketData(code=10168)), Scene.data),
    ErrorCode.LIVE_UPDATES_BROKEN: way(Scene.history, fault(codes.LiveUpdatesBroken())),
    ErrorCode.COMPETING_SESSION: way(Scene.data, fault(seen.CompetingSession())),
    ErrorCode.BUST_EVENT: way(Scene.bars, fault(codes.BustEvent())),
    ErrorCode.TIF_PRESET: way(fault(seen.MisleadingStatus()), order()),
}


def is_sent(code: ErrorCode) -> bool:
    """Say whether the way of a code leads to it."""
    return code in WAYS and code.value in WAYS[code].play()
