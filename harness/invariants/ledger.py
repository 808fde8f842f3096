"""The broker's books, replayed from a history up to any quiet moment.

A quiet moment is when the bot is alive, ready and waiting, and has had its chance to react: when
it reports ready, before each further bar, and at the end. What a bot does between a fill and the
next quiet moment is its own business; what is true at a quiet moment is judged. A bot that is cut
off from the broker, or whose broker is cut off from IB, cannot react and is not judged then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from harness.history import Event, Fill, History, OrderRecord
from harness.history.records import ENTRY_LEG, EXIT_LEGS
from harness.invariants.link import Link

BUST_GRACE = timedelta(minutes=1)
ENDS = ("books", "ended")
QUIET = ("bar", *ENDS)


@dataclass(slots=True)
class Ledger:
    """Positions, orders and prices after the events applied so far.

    Attributes:
        positions: shares by symbol, negative when short.
        last_fills: the latest execution by symbol.
        orders: the latest record of each order, by permanent id.
        prices: the latest price by symbol, from bars and executions.
        closing: permanent ids of orders that were meant to reduce a position.
        traded: symbols in which an API client has placed an order.
        life: the number of the bot's current process, 0 before the first.
        ready: whether that process is alive and has reported ready.
        link: its connections to the broker.
        busts: when an execution in a symbol was last taken back.
    """

    positions: dict[str, Decimal] = field(default_factory=dict)
    last_fills: dict[str, Fill] = field(default_factory=dict)
    orders: dict[int, OrderRecord] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=dict)
    closing: set[int] = field(default_factory=set)
    traded: dict[str, bool] = field(default_factory=dict)
    life: int = 0
    ready: bool = False
    link: Link = field(default_factory=Link)
    busts: dict[str, datetime] = field(default_factory=dict)

    def position(self, symbol: str) -> Decimal:
        """Shares held of a symbol, negative when short."""
        return self.positions.get(symbol, Decimal(0))

    def settled(self, symbol: str, now: datetime) -> bool:
        """Whether the bot can know its position in a symbol.

        TWS does not tell that an execution was taken back. It is missing from the next list, and
        only a position that is no longer young shows that it is not merely late.
        """
        busted = self.busts.get(symbol)
        return busted is None or now - busted >= BUST_GRACE

    def apply_fill(self, fill: Fill) -> None:
        """Book an execution."""
        self.positions[fill.symbol] = fill.position_after
        self.last_fills[fill.symbol] = fill
        self.prices[fill.symbol] = fill.price

    def apply_order(self, order: OrderRecord) -> None:
        """Book what happened to an order."""
        before = self.orders.get(order.perm_id)
        if before is None and self._means_to_close(order):
            self.closing.add(order.perm_id)
        if before is not None and order.event == "busted":
            gone = before.filled - order.filled
            held = self.position(order.symbol)
            self.positions[order.symbol] = held - gone if order.action == "BUY" else held + gone
            self.busts[order.symbol] = order.time
        self.orders[order.perm_id] = order
        if order.by_bot:
            self.traded[order.symbol] = True

    def _means_to_close(self, order: OrderRecord) -> bool:
        if order.leg == ENTRY_LEG:
            return False
        if order.leg in EXIT_LEGS or order.parent_perm_id is not None:
            return True
        held = self.position(order.symbol)
        return (held > 0 and order.action == "SELL") or (held < 0 and order.action == "BUY")

    def working(self, symbol: str) -> list[OrderRecord]:
        """Orders of a symbol that can still be filled, oldest first."""
        return [
            order
            for order in self.orders.values()
            if order.symbol == symbol and self.fillable(order) > 0
        ]

    def fillable(self, order: OrderRecord) -> Decimal:
        """Shares that an order can fill now: a child no more than its parent has filled."""
        if order.done or not order.transmitted:
            return Decimal(0)
        parent = self.orders.get(order.parent_perm_id or 0)
        if parent is None or parent.done:
            return order.remaining
        return max(Decimal(0), min(order.remaining, parent.filled - order.filled))

    def closing_orders(self, symbol: str) -> list[OrderRecord]:
        """Working orders on the side that reduces the position of a symbol."""
        held = self.position(symbol)
        side = "SELL" if held > 0 else "BUY"
        return [order for order in self.working(symbol) if held and order.action == side]


@dataclass(frozen=True, slots=True)
class Moment:
    """A quiet moment: the books then, and the event at which it was (`seq`)."""

    seq: int
    time: datetime
    ledger: Ledger


def replay(history: History, *, messages: bool = False) -> Iterator[tuple[Event, Ledger]]:
    """Each event with the ledger as it stands before the event is applied.

    Args:
        history: the run.
        messages: also the messages on the wire. They move nothing, and are most of a history.

    The ledger is one object that moves on; look at it before asking for the next event.
    """
    fills = {fill.seq: fill for fill in history.fills}
    orders = {order.seq: order for order in history.orders}
    ledger = Ledger()
    for event in history.events if messages else history.turns:
        yield event, ledger
        ledger.link.apply(event)
        if event.seq in fills:
            ledger.apply_fill(fills[event.seq])
        elif event.seq in orders:
            ledger.apply_order(orders[event.seq])
        elif event.kind == "bar":
            ledger.prices[str(event.data["symbol"])] = Decimal(str(event.data["close"]))
        elif event.kind == "launched":
            ledger.life += 1
            ledger.ready = False
        elif event.kind == "ready":
            ledger.ready = True
        elif event.kind in {"killed", "exited"}:
            ledger.ready = False


def quiet_moments(history: History) -> Iterator[Moment]:
    """The quiet moments of a history; the ledger in each moves on with the next one."""
    for event, ledger in replay(history):
        if event.kind != "ready" and not (event.kind in QUIET and ledger.ready):
            continue
        if ledger.link.stands(at_end=event.kind in ENDS):
            yield Moment(seq=event.seq, time=event.time, ledger=ledger)


def orders_at_end(history: History) -> list[OrderRecord]:
    """The orders that can still be filled when the history ends, oldest first."""
    ledger = Ledger()
    for _event, state in replay(history):
        ledger = state
    return [order for order in ledger.orders.values() if ledger.fillable(order) > 0]
