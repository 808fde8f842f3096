"""The things that a person can do in TWS while the bot is dead.

Orders are chosen by what they are (symbol, type, side, leg) and not by id, because ids belong to
the run; a choice that fits no working order, or more than one, makes the run INCONCLUSIVE.
"""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from harness.values import Value


class OrderChoice(Value):
    """One working order: of `symbol`, and of `order_type`, `action` and `leg` where given.

    `leg` is the last part of the orderRef ("stop"); bots without such refs are found by type.
    """

    symbol: str
    order_type: str | None = None
    action: Literal["BUY", "SELL"] | None = None
    leg: str | None = None

    def describe(self) -> str:
        """Say which order is meant, "the TSLA STP order"."""
        words = (self.symbol, self.action, self.order_type, self.leg)
        return f"the {' '.join(word for word in words if word)} order"


class FillOrder(Value):
    """A working order is filled by hand: `shares` (None: all that remain) at `price`."""

    kind: Literal["fill"] = "fill"
    order: OrderChoice
    price: Decimal
    shares: Decimal | None = Field(default=None, gt=0)

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{self.order.describe()} is filled at {self.price}"


class CancelOrder(Value):
    """A working order is cancelled at the broker."""

    kind: Literal["cancel"] = "cancel"
    order: OrderChoice

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{self.order.describe()} is cancelled"


class ManualOrder(Value):
    """Somebody sends a market order from TWS by hand."""

    kind: Literal["manual"] = "manual"
    symbol: str
    action: Literal["BUY", "SELL"]
    quantity: Decimal = Field(gt=0)

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"somebody sends {self.action} {self.quantity} {self.symbol} MKT by hand"
