"""Everything the exchange remembers, in one place that can be copied.

The book looks things up and never decides anything: changes come from `turn.py` and
`exchange.py`. Orders stay in it for good, because an id that was used once is used for ever;
the lists it gives out are those of the day.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from fakebroker.exchange.account import Account
from fakebroker.exchange.events import ExecutionRecord
from fakebroker.exchange.hours import EXCHANGE_ZONE
from fakebroker.exchange.orders import Order
from fakebroker.settings import BrokerSettings

# Execution ids look like IB's, 0000e0d5.67fe667b.01.01; these are the parts of a recorded one.
FIRST_STEM = 0xE0D5
FIRST_EXECUTION = 0x67FE667B
PART_MODULUS = 2**32


@dataclass(frozen=True, slots=True)
class BookedExecution:
    """An execution with what it cost; when a client learns of the cost is not known here.

    `realized_pnl` is net of commissions, None if the execution closed nothing.
    """

    execution: ExecutionRecord
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None
    earlier: tuple["BookedExecution", ...] = ()
    """What it was before each of its corrections, the first one first."""


@dataclass(frozen=True, slots=True)
class Change:
    """An order before and after an input; both are copies, and nobody changes them."""

    before: Order
    after: Order


@dataclass(frozen=True, slots=True)
class Received:
    """What an input of a client did, so that it can be taken back (`recall.py`)."""

    time: datetime
    execution_count: int
    """How many executions there had been when it came."""
    placed: tuple[int, ...]
    """permIds of new orders."""
    changed: tuple[Change, ...]


@dataclass(slots=True, kw_only=True)
class Book:
    """The state of the exchange."""

    account: Account
    """The first account; it has the orders that name none."""
    default_price: Decimal | None
    next_perm_id: int
    stem: int
    """First part of execution ids."""
    execution_count: int = 0
    day: date | None = None
    """The day in New York; None before the first input."""
    orders: dict[int, Order] = field(default_factory=dict)
    """By permId, which is also the order of their arrival."""
    open_perm_ids: list[int] = field(default_factory=list)
    """permIds of the orders that were live when last looked at, so that a long day stays fast."""
    perm_ids: dict[tuple[int, int], int] = field(default_factory=dict)
    """permId by (client id, order id)."""
    highest_order_ids: dict[int, int] = field(default_factory=dict)
    """The highest order id that was received, by client id."""
    executions: dict[str, BookedExecution] = field(default_factory=dict)
    """By execution id, in the order of the fills, of all days."""
    prices: dict[str, Decimal] = field(default_factory=dict)
    """Last price by market key, where a bar has come."""
    extra_accounts: dict[str, Account] = field(default_factory=dict)
    """The further accounts of the login, by code."""
    halted: frozenset[str] = frozenset()
    """Market keys of what is not traded now."""
    received: deque[Received] = field(default_factory=deque)
    """What clients did last, the oldest first."""

    @classmethod
    def empty(cls, settings: BrokerSettings) -> "Book":
        """Return the book of a broker that starts."""
        return cls(
            account=Account(settings.account, settings.cash),
            default_price=settings.price_without_tape,
            next_perm_id=settings.first_perm_id,
            stem=(FIRST_STEM + settings.seed) % PART_MODULUS,
            extra_accounts={
                row.account: Account(row.account, row.cash) for row in settings.accounts
            },
        )

    def copy(self) -> "Book":
        """Return a book that shares nothing that can change."""
        return replace(
            self,
            account=self.account.copy(),
            orders={perm_id: order.copy() for perm_id, order in self.orders.items()},
            open_perm_ids=list(self.open_perm_ids),
            perm_ids=dict(self.perm_ids),
            highest_order_ids=dict(self.highest_order_ids),
            executions=dict(self.executions),
            prices=dict(self.prices),
            extra_accounts={code: row.copy() for code, row in self.extra_accounts.items()},
            received=deque(self.received),
        )

    def accounts(self) -> tuple[Account, ...]:
        """Return all accounts, the first one first."""
        return (self.account, *self.extra_accounts.values())

    def account_codes(self) -> tuple[str, ...]:
        """Return the codes of all accounts, the first one first."""
        return (self.account.account, *self.extra_accounts)

    def account_of(self, code: str) -> Account:
        """Return the books of an account; of the first one where no code is given."""
        return self.extra_accounts.get(code, self.account)

    def add(self, order: Order) -> None:
        """Enter a new order; one placed by hand has order id 0 and no client to find it by."""
        self.orders[order.perm_id] = order
        self.open_perm_ids.append(order.perm_id)
        if order.order_id:
            self.perm_ids[order.client_id, order.order_id] = order.perm_id

    def forget(self, order: Order) -> None:
        """Remove an order as if it had never come; its ids stay used."""
        del self.orders[order.perm_id]
        key = (order.client_id, order.order_id)
        if self.perm_ids.get(key) == order.perm_id:
            # Where the id was given twice, it names the older order again.
            older = [row.perm_id for row in self.orders.values() if row.key == key]
            self.perm_ids.pop(key)
            if older:
                self.perm_ids[key] = older[-1]
        self.open_perm_ids = [each for each in self.open_perm_ids if each != order.perm_id]

    def take_perm_id(self) -> int:
        """Return a permId that no order has."""
        self.next_perm_id += 1
        return self.next_perm_id - 1

    def take_exec_id(self) -> str:
        """Return an execution id that no execution has."""
        part = (FIRST_EXECUTION + self.execution_count) % PART_MODULUS
        self.execution_count += 1
        return f"{self.stem:08x}.{part:08x}.01.01"

    def find(self, client_id: int, order_id: int) -> Order | None:
        """Return the order that this client placed under this id."""
        perm_id = self.perm_ids.get((client_id, order_id))
        return None if perm_id is None else self.orders[perm_id]

    def live(self) -> list[Order]:
        """Return the live orders by permId."""
        found = [self.orders[perm_id] for perm_id in self.open_perm_ids]
        live = [order for order in found if order.live]
        # No transition leads out of a stage that is done, so what is dropped comes back only where
        # an input is taken back, which puts it into the list again.
        self.open_perm_ids = [order.perm_id for order in live]
        return live

    def at_exchange(self) -> list[Order]:
        """Return the orders that the market can act on, by permId."""
        return [order for order in self.live() if order.at_exchange]

    def of_today(self, order: Order) -> bool:
        """Say whether the order is live or ended today."""
        return order.done_time is None or day_of(order.done_time) == self.day

    def price(self, symbol: str) -> Decimal | None:
        """Return the last price, None where the stock has no market yet."""
        return self.prices.get(symbol, self.default_price)

    def prices_known(self) -> dict[str, Decimal]:
        """Return the last price of everything that was priced or ordered, by symbol."""
        known = dict(self.prices)
        if self.default_price is not None:
            for order in self.orders.values():
                known.setdefault(order.symbol, self.default_price)
        return dict(sorted(known.items()))


def day_of(time: datetime) -> date:
    """Return the exchange's day of an aware time."""
    return time.astimezone(EXCHANGE_ZONE).date()
