"""What the broker says, as values: one picture of positions, orders and executions.

The picture is taken by `gateway.py` and judged by `reconcile.py`; between them there is no
ib_insync object that could change under the hand of the judge. `translate.py` makes the values.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order in the broker's book, working or done.

    A completed order has neither order id nor client id (tws-protocol.md section 2.7): both are
    0 then, and `quantity` may be 0 as well.
    """

    order_id: int
    client_id: int
    perm_id: int
    order_ref: str
    symbol: str
    action: str
    order_type: str
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    oca_group: str = ""
    parent_id: int = 0


@dataclass(frozen=True, slots=True)
class BrokerExecution:
    """One fill as the broker tells it. `realized_pnl` None: the broker has not said."""

    exec_id: str
    time: datetime
    symbol: str
    side: str
    shares: Decimal
    price: Decimal
    order_id: int
    client_id: int
    perm_id: int
    order_ref: str
    commission: Decimal | None = None
    realized_pnl: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """What the broker holds in one stock; negative when short. `average_cost` per share."""

    symbol: str
    quantity: Decimal
    average_cost: Decimal
    con_id: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the broker said in answer to one round of questions."""

    positions: tuple[BrokerPosition, ...] = ()
    open_orders: tuple[BrokerOrder, ...] = ()
    completed_orders: tuple[BrokerOrder, ...] = ()
    executions: tuple[BrokerExecution, ...] = ()

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed position in a symbol, 0 when the broker lists none."""
        held = (each.quantity for each in self.positions if each.symbol == symbol)
        return sum(held, Decimal(0))

    def average_cost(self, symbol: str) -> Decimal:
        """Return the average cost of a position per share, 0 when the broker lists none."""
        costs = [each.average_cost for each in self.positions if each.symbol == symbol]
        return costs[0] if costs else Decimal(0)
