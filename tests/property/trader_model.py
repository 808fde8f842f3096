"""A broker's account as a list of trades, to hold against the bot's books.

It knows nothing of `target_trader` but the values that the bot is told (`picture.py`). What it
holds and what it has earned is added up anew from its executions, by IB's rules: a correction
repeats an execId with the last part raised, a bust takes the execution away, the position lags
the fill, commissions come late, and realised P&L is net of all commissions
(tws-protocol.md sections 3.5 and 3.6).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from target_trader.picture import BrokerExecution, BrokerOrder, BrokerPosition, Picture

ZERO = Decimal(0)
CENT = Decimal("0.01")
CLIENT = 2001
BY_HAND = 0
"""The client id of an order that a person gives in TWS."""


@dataclass
class PaperOrder:
    """An order in the account, working or done. Prices and shares as IB writes them."""

    order_id: int
    perm_id: int
    ref: str
    symbol: str
    action: str
    kind: str
    quantity: Decimal
    limit: Decimal | None = None
    stop: Decimal | None = None
    group: str = ""
    parent_id: int = 0
    client_id: int = CLIENT
    filled: Decimal = ZERO
    status: str = "Submitted"

    @property
    def live(self) -> bool:
        return self.status == "Submitted"

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    def told(self) -> BrokerOrder:
        """Tell the order; a completed one carries neither order id nor client id."""
        return BrokerOrder(
            order_id=self.order_id if self.live else 0,
            client_id=self.client_id if self.live else 0,
            perm_id=self.perm_id,
            order_ref=self.ref,
            symbol=self.symbol,
            action=self.action,
            order_type=self.kind,
            quantity=self.quantity if self.live else ZERO,
            filled=self.filled,
            limit_price=self.limit,
            stop_price=self.stop,
            status=self.status,
            oca_group=self.group,
            parent_id=self.parent_id if self.live else 0,
        )


@dataclass
class PaperFill:
    """One execution; `revision` counts its corrections."""

    number: int
    time: datetime
    order: PaperOrder
    shares: Decimal
    price: Decimal
    fee: Decimal
    revision: int = 1

    @property
    def stem(self) -> str:
        return f"0000e0d5.67fe{self.number:04x}.01"

    @property
    def exec_id(self) -> str:
        return f"{self.stem}.{self.revision:02d}"

    @property
    def signed(self) -> Decimal:
        return self.shares if self.order.action == "BUY" else -self.shares


@dataclass
class Tally:
    """What the fills of one symbol add up to: shares held and what they have cost in dollars."""

    held: Decimal = ZERO
    cost: Decimal = ZERO

    def take(self, fill: PaperFill) -> Decimal | None:
        """Add one fill; return what it has realised, None when it only opens."""
        if self.held * fill.signed >= 0:
            self.held += fill.signed
            self.cost += fill.signed * fill.price + fill.fee
            return None
        average = self.cost / self.held
        closing = min(abs(fill.signed), abs(self.held))
        way = 1 if self.held > 0 else -1
        realized = (fill.price - average) * closing * way - fill.fee
        self.held -= closing * way
        self.cost = average * self.held
        opening = (abs(fill.signed) - closing) * -way
        self.held += opening
        self.cost += opening * fill.price
        return realized.quantize(CENT)


@dataclass
class PaperAccount:
    """The account. `now` moves only when it is told to."""

    now: datetime
    opening: dict[str, Tally] = field(default_factory=dict)
    orders: list[PaperOrder] = field(default_factory=list)
    fills: list[PaperFill] = field(default_factory=list)
    positions: list[tuple[datetime, dict[str, BrokerPosition]]] = field(default_factory=list)
    made: int = 0
    late: dict[int, datetime] = field(default_factory=dict)
    closing: set[int] = field(default_factory=set)
    under_way: list[tuple[datetime, PaperOrder]] = field(default_factory=list)

    def advance(self, time: timedelta) -> None:
        """Let time pass; what was under way for long enough arrives."""
        self.now += time
        for due, order in list(self.under_way):
            if due <= self.now:
                self.under_way.remove((due, order))
                self.accept(order)

    def start_with(self, symbol: str, shares: Decimal, price: Decimal) -> None:
        """Hold shares since an earlier day: their executions are told no more."""
        self.opening[symbol] = Tally(shares, shares * price)
        self.note()

    def accept(self, order: PaperOrder) -> None:
        """Take an order into the book."""
        order.perm_id = 5000 + len(self.orders)
        self.orders.append(order)

    def by_id(self, order_id: int) -> PaperOrder | None:
        """Return the live order of the bot with this id."""
        found = [
            each
            for each in self.orders
            if each.order_id == order_id and each.client_id == CLIENT and each.live
        ]
        return found[-1] if found else None

    def fillable(self) -> list[PaperOrder]:
        """Return the live orders that may trade: a child only after its parent has."""
        return [each for each in self.orders if each.live and self.released(each)]

    def released(self, order: PaperOrder) -> bool:
        """Tell whether an exit has something to close, and the parent of a child has traded."""
        if order.ref.endswith("|entry"):
            return True
        return self.to_close(order) is None or self.to_close(order) != ZERO

    def to_close(self, order: PaperOrder) -> Decimal | None:
        """Return what the trade of an exit still holds; None when its entry is not known."""
        trade = order.ref.rpartition("|")[0]
        family = [each for each in self.orders if trade and each.ref.startswith(f"{trade}|")]
        if not any(each.ref.endswith("|entry") for each in family):
            return None
        entered = sum((each.filled for each in family if each.ref.endswith("|entry")), ZERO)
        return max(ZERO, 2 * entered - sum((each.filled for each in family), ZERO))

    def fill(self, order: PaperOrder, shares: Decimal, price: Decimal, fee: Decimal) -> PaperFill:
        """Fill an order; its OCA group is reduced by as much (ocaType 2)."""
        self.made += 1
        most = order.remaining
        if not order.ref.endswith("|entry"):
            to_close = self.to_close(order)
            most = most if to_close is None else min(most, to_close)
        made = PaperFill(self.made, self.now, order, min(shares, most), price, fee)
        order.filled += made.shares
        for each in self.orders:
            if each.live and order.group and each.group == order.group and each is not order:
                each.quantity = max(each.filled, each.quantity - made.shares)
                self.finish(each, "Cancelled")
        self.finish(order, "Filled")
        self.fills.append(made)
        self.note()
        return made

    def finish(self, order: PaperOrder, status: str) -> None:
        """End an order that has nothing left."""
        if order.live and order.remaining <= 0:
            order.status = status

    def end(self, order: PaperOrder, status: str = "Cancelled") -> None:
        """End an order; the children of one that has not traded go with it."""
        order.status = status
        for each in self.orders:
            if each.live and each.parent_id == order.order_id and order.filled == 0:
                each.status = "Cancelled"

    def correct(self, fill: PaperFill, shares: Decimal, price: Decimal) -> None:
        """Replace an execution; the order and everything realised since follow."""
        order = fill.order
        shares = min(shares, fill.shares + order.remaining) if order.ref else shares
        order.filled += shares - fill.shares
        order.quantity = max(order.quantity, order.filled)
        fill.shares, fill.price, fill.revision = shares, price, fill.revision + 1
        self.finish(order, "Filled")
        self.note()

    def bust(self, fill: PaperFill) -> None:
        """Take an execution back."""
        self.fills.remove(fill)
        fill.order.filled -= fill.shares
        self.note()

    def played(self) -> tuple[dict[str, Tally], dict[int, Decimal | None]]:
        """Add everything up: tallies by symbol, and what each fill has realised."""
        tallies = {symbol: replace(each) for symbol, each in self.opening.items()}
        realized = {
            each.number: tallies.setdefault(each.order.symbol, Tally()).take(each)
            for each in self.fills
        }
        return tallies, realized

    def held(self, symbol: str) -> Decimal:
        """Return the signed shares of a symbol."""
        return self.played()[0].get(symbol, Tally()).held

    def realized(self) -> Decimal:
        """Return what all fills have earned, in dollars, net of commissions."""
        return sum((each or ZERO for each in self.played()[1].values()), ZERO)

    def note(self) -> None:
        """Note what is held from now on, for whoever is told of it late."""
        rows = {
            symbol: BrokerPosition(
                symbol,
                tally.held,
                (tally.cost / tally.held).quantize(Decimal("0.0001")) if tally.held else ZERO,
            )
            for symbol, tally in self.played()[0].items()
        }
        self.positions.append((self.now, rows))
        self.closing |= {number for number, earned in self.played()[1].items() if earned}

    def told(self, fill: PaperFill, *, paid: bool) -> BrokerExecution:
        """Tell an execution, with its commission and P&L when they are `paid`.

        As the bot's translation does: a realised P&L of 0 cannot be told from an unset one. A fill
        that has once closed something goes on to be told with a figure, whatever is corrected.
        """
        realized = self.played()[1].get(fill.number) or None
        if realized is None and fill.number in self.closing:
            realized = ZERO
        return BrokerExecution(
            exec_id=fill.exec_id,
            time=fill.time,
            symbol=fill.order.symbol,
            side="BOT" if fill.order.action == "BUY" else "SLD",
            shares=fill.shares,
            price=fill.price,
            order_id=fill.order.order_id,
            client_id=fill.order.client_id,
            perm_id=fill.order.perm_id,
            order_ref=fill.order.ref,
            commission=fill.fee if paid else None,
            realized_pnl=realized if paid else None,
        )

    def picture(self, *, lag: timedelta = timedelta(0)) -> Picture:
        """Answer all questions at once; the positions are those of `lag` ago."""
        shown: dict[str, BrokerPosition] = {}
        for since, rows in self.positions:
            if since <= self.now - lag:
                shown = rows
        return Picture(
            positions=tuple(shown.values()),
            open_orders=tuple(each.told() for each in self.orders if each.live),
            completed_orders=tuple(each.told() for each in self.orders if not each.live),
            executions=tuple(
                self.told(each, paid=self.late.get(each.number, self.now) <= self.now)
                for each in self.fills
            ),
        )
