"""What people and the exchange do to orders and positions while the bot is dead.

Orders are chosen by what they are (symbol, type, side, leg) and not by id, because ids belong to
the run; positions are read from the books when it happens. What does not fit the books then makes
the run INCONCLUSIVE, unless the act is optional.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from harness.downtime.deed import Deed
from harness.values import Value

Part = Annotated[Decimal, Field(gt=0, lt=1)]
"""A part of something; what it comes to is rounded down to whole shares, at least one."""
Price = Annotated[Decimal, Field(gt=0)]
HALF = Decimal("0.5")


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


class FillOrder(Deed):
    """A working order is filled, whatever the market says.

    Attributes:
        order: which one.
        price: at what, in US dollars; None takes the order's own limit, its stop price or, where
            it has neither, the last price.
        shares: how many; None fills all that remain.
        part: how many of those that remain, in place of `shares`; some are always left.
    """

    kind: Literal["fill"] = "fill"
    order: OrderChoice
    price: Price | None = None
    shares: Decimal | None = Field(default=None, gt=0)
    part: Part | None = None

    def describe(self) -> str:
        """Say what happens, in plain words."""
        partly = " partly" if self.part is not None else ""
        price = f" at {self.price}" if self.price is not None else ""
        return f"{self.order.describe()} is{partly} filled{price}"


class CancelOrder(Deed):
    """A working order is cancelled at the broker, or in TWS by hand."""

    kind: Literal["cancel"] = "cancel"
    order: OrderChoice
    by_hand: bool = False

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{self.order.describe()} is cancelled{' by hand' if self.by_hand else ''}"


class ExpireOrder(Deed):
    """The time in force of a working order is over."""

    kind: Literal["expire"] = "expire"
    order: OrderChoice

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{self.order.describe()} expires"


class RejectOrder(Deed):
    """A working order is rejected after all."""

    kind: Literal["reject"] = "reject"
    order: OrderChoice

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"{self.order.describe()} is rejected"


class ManualOrder(Deed):
    """Somebody sends a market order from TWS by hand."""

    kind: Literal["manual"] = "manual"
    symbol: str
    action: Literal["BUY", "SELL"]
    quantity: Decimal = Field(gt=0)

    def describe(self) -> str:
        """Say what happens, in plain words."""
        return f"somebody sends {self.action} {self.quantity} {self.symbol} MKT by hand"


class ManualTrade(Deed):
    """Somebody trades what is held by hand, with a market order from TWS.

    Attributes:
        symbol: what is held.
        change: "flip" ends with as much on the other side.
        part: of the shares that are held, how many are added or taken off.
    """

    kind: Literal["manual_trade"] = "manual_trade"
    symbol: str
    change: Literal["close", "reduce", "add", "flip"]
    part: Part = HALF

    def describe(self) -> str:
        """Say what happens, in plain words."""
        words = {"close": "closes", "reduce": "reduces", "add": "adds to", "flip": "flips"}
        return f"somebody {words[self.change]} the {self.symbol} position by hand"


class CorrectFill(Deed):
    """The exchange corrects the day's last execution of a symbol, or takes it back.

    Attributes:
        symbol: what was traded.
        leg: only executions of orders whose orderRef ends so.
        shares_by: added to its shares.
        price_by: added to its price, in US dollars.
        busted: it is taken back; the two above are then ignored.
    """

    kind: Literal["correct"] = "correct"
    symbol: str
    leg: str | None = None
    shares_by: Decimal = Decimal(0)
    price_by: Decimal = Decimal(0)
    busted: bool = False

    def describe(self) -> str:
        """Say what happens, in plain words."""
        which = f"the last {self.symbol} {f'{self.leg} ' if self.leg else ''}execution"
        if self.busted:
            return f"{which} is taken back"
        shares = f" by {self.shares_by:+} shares" if self.shares_by else ""
        price = f" by {self.price_by:+} $" if self.price_by else ""
        return f"{which} is corrected{shares}{price}"
