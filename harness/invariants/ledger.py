"""The broker's books, replayed from a history up to any quiet moment.

A quiet moment is when the bot is alive, ready and waiting, and has had its chance to react: when
it reports ready, before each further bar, and at the end. What a bot does between a fill and the
next quiet moment is its own business; what is true at a quiet moment is judged. A bot that is cut
off from the broker, or whose broker is cut off from IB, cannot react and is not judged then.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from harness.history import Event, Fill, History, OrderRecord
from harness.history.records import ENTRY_LEG, EXIT_LEGS, fillable
from harness.invariants.link import Link

BUST_GRACE = timedelta(minutes=1)
ENDS = ("books", "ended")
QUIET = ("bar", *ENDS)
MOVING = frozenset({"bar", "fill", "order", "launched", "ready", "killed", "exited", "session"})


@dataclass(slots=True)
class Ledger:
    """Positions, orders and prices after the events applied so far; it then stays as it is.

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

    positions: Mapping[str, Decimal] = field(default_factory=dict)
    last_fills: Mapping[str, Fill] = field(default_factory=dict)
    orders: Mapping[int, OrderRecord] = field(default_factory=dict)
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    closing: frozenset[int] = frozenset()
    traded: Mapping[str, bool] = field(default_factory=dict)
    life: int = 0
    ready: bool = False
    link: Link = field(default_factory=Link)
    busts: Mapping[str, datetime] = field(default_factory=dict)

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

    def after(self, event: Event, booked: Fill | OrderRecord | None) -> "Ledger":
        """The ledger after one more event, which books this execution or order, if any."""
        if not moves(event):
            return self
        ledger = self._copy()
        ledger.link.apply(event)
        match booked:
            case Fill():
                ledger.take_fill(booked)
            case OrderRecord():
                ledger.take_order(booked)
            case _:
                ledger.take(event)
        return ledger

    def _copy(self) -> "Ledger":
        """A ledger with the same contents: what changes in it has to be replaced, never filled."""
        return Ledger(
            self.positions,
            self.last_fills,
            self.orders,
            self.prices,
            self.closing,
            self.traded,
            self.life,
            self.ready,
            self.link.copy(),
            self.busts,
        )

    def take(self, event: Event) -> None:
        """Take what is neither an execution nor an order."""
        match event.kind:
            case "bar":
                price = Decimal(str(event.data["close"]))
                self.prices = {**self.prices, str(event.data["symbol"]): price}
            case "launched":
                self.life += 1
                self.ready = False
            case "ready":
                self.ready = True
            case "killed" | "exited":
                self.ready = False
            case _:
                pass

    def take_fill(self, fill: Fill) -> None:
        """Book an execution."""
        self.positions = {**self.positions, fill.symbol: fill.position_after}
        self.last_fills = {**self.last_fills, fill.symbol: fill}
        self.prices = {**self.prices, fill.symbol: fill.price}

    def take_order(self, order: OrderRecord) -> None:
        """Book what happened to an order."""
        before = self.orders.get(order.perm_id)
        if before is None and self._means_to_close(order):
            self.closing |= {order.perm_id}
        if before is not None and order.event == "busted":
            gone = before.filled - order.filled
            held = self.position(order.symbol)
            left = held - gone if order.action == "BUY" else held + gone
            self.positions = {**self.positions, order.symbol: left}
            self.busts = {**self.busts, order.symbol: order.time}
        self.orders = {**self.orders, order.perm_id: order}
        if order.by_bot:
            self.traded = {**self.traded, order.symbol: True}

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
        return fillable(order, self.orders)

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


Steps = tuple[tuple[Event, Ledger], ...]


def replay(history: History, *, messages: bool = False) -> Iterable[tuple[Event, Ledger]]:
    """Each event with the ledger as it stands before the event is applied.

    Args:
        history: the run.
        messages: also the messages on the wire. They move nothing, and are most of a history.
    """
    steps, last = history.once(books_of_turns)
    return with_messages(history, steps, last) if messages else steps


def with_messages(history: History, steps: Steps, last: Ledger) -> Iterator[tuple[Event, Ledger]]:
    """The steps with the messages between them."""
    after = [*(ledger for _, ledger in steps[1:]), last]
    moved = {event.seq: ledger for (event, _), ledger in zip(steps, after, strict=False)}
    ledger = Ledger()
    for event in history.events:
        yield event, ledger
        ledger = moved.get(event.seq, ledger)


def at_end(history: History) -> Ledger:
    """The ledger after the last event."""
    return history.once(books_of_turns)[1]


def books_of_turns(history: History) -> tuple[Steps, Ledger]:
    """Every turn with the ledger before it, and the ledger after the last one."""
    booked: dict[int, Fill | OrderRecord] = {order.seq: order for order in history.orders}
    booked |= {fill.seq: fill for fill in history.fills}
    ledger = Ledger()
    steps: list[tuple[Event, Ledger]] = []
    for event in history.turns:
        steps.append((event, ledger))
        ledger = ledger.after(event, booked.get(event.seq))
    return tuple(steps), ledger


def moves(event: Event) -> bool:
    """Whether an event may change a ledger."""
    return event.kind in MOVING or (event.kind == "sent" and event.data.get("message") == "error")


def quiet_moments(history: History) -> tuple[Moment, ...]:
    """The quiet moments of a history."""
    return history.once(find_quiet_moments)


def find_quiet_moments(history: History) -> tuple[Moment, ...]:
    """Look through the events for the quiet moments."""
    return tuple(
        Moment(seq=event.seq, time=event.time, ledger=ledger)
        for event, ledger in replay(history)
        if (event.kind == "ready" or (event.kind in QUIET and ledger.ready))
        and ledger.link.stands(at_end=event.kind in ENDS)
    )


def orders_at_end(history: History) -> list[OrderRecord]:
    """The orders that can still be filled when the history ends, oldest first."""
    ledger = at_end(history)
    return [order for order in ledger.orders.values() if ledger.fillable(order) > 0]
