"""Every knob of the fake broker, as one frozen value that can be read from JSON.

Defaults are the ordinary day of tws-protocol.md; the section that a knob comes from stands beside
it. A field that is spelt wrongly is an error, never a silent default. Delays are seconds in JSON
(or ISO 8601 durations). What a knob does is done elsewhere; this file only names it.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NO_DELAY = timedelta(0)
Delay = Annotated[timedelta, Field(ge=NO_DELAY)]
Shares = Annotated[Decimal, Field(gt=0, multiple_of=1)]


class CommissionPolicy(BaseModel):
    """What IB charges for an order of US stock: its fixed schedule, exact, per order.

    The minimum and the maximum hold for the order as a whole, so a later execution of the same
    order is charged only what the whole order has come to cost more. Where the maximum is lower
    than the minimum, the maximum is charged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_share: Annotated[Decimal, Field(ge=0)] = Decimal("0.005")
    """US dollars a share."""
    minimum: Annotated[Decimal, Field(ge=0)] = Decimal("1.00")
    """US dollars an order, at least."""
    maximum_fraction: Annotated[Decimal, Field(ge=0)] = Decimal("0.01")
    """Part of the trade's value that is charged at most."""


class BrokerSettings(BaseModel):
    """How this broker behaves. Numbers of sections are those of tws-protocol.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Annotated[str, Field(pattern=r"^[A-Z]{1,3}\d{4,9}$")] = "DU1234567"
    """The one account (managedAccounts, section 1)."""
    cash: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    """US dollars at the start."""
    first_order_id: Annotated[int, Field(ge=1, lt=2**31)] = 1
    """What nextValidId says to a client id that was never seen (section 3.1)."""
    first_perm_id: Annotated[int, Field(ge=1, lt=2**31)] = 1_500_000_001
    """permId of the first order; later ones count up, so that a run repeats (section 3.2)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Gives the stem of execution ids. Nothing in the books is drawn at random."""

    fill_split: tuple[Shares, ...] = ()
    """Shares of the consecutive executions that a market order is cut into; () is one (0b.14)."""
    liquidity_per_bar: Shares | None = None
    """Shares that one order can get in one bar; the rest waits (0b.14). None is no limit."""
    price_without_tape: Annotated[Decimal, Field(gt=0)] | None = None
    """Last price of every stock that no bar has priced; None is no market until the first bar."""
    cancel_after_bars: Annotated[int, Field(ge=0)] = 0
    """A client's cancel takes hold after so many further bars of its stock; until then the order
    is PendingCancel and may still fill (0b.11, section 3.4). 0 is at once."""
    commission: CommissionPolicy = CommissionPolicy()
    """What an order costs."""

    position_delay: Delay = timedelta(seconds=1)
    """How long positions and account values lag the fill (0b.15, section 3.5; assumed size)."""
    commission_delay: Delay = NO_DELAY
    """How long commissionReport lags the fill (0b.12, section 3.5; 10 s were seen)."""
    release_delay: Delay = NO_DELAY
    """How long a vanished client's id stays taken: error 326 until then (0b.10, section 1)."""
    push_open_orders_on_connect: bool = True
    """Send openOrder and orderStatus of the client's live orders unasked on connect (0b.23)."""
    exec_filter_zero_means_all: bool = True
    """reqExecutions with clientId 0: fills of all clients; False: of client 0 (section 3.6)."""
    list_untransmitted: bool = False
    """Tell and list orders that wait for transmit=1 as if they were at IB (0b.16, section 3.3)."""
    drop_status: bool = False
    """A market order that fills sends no orderStatus (0b.13, section 3.4)."""
    dup_status: bool = False
    """Every orderStatus is sent twice (0b.13, section 3.4)."""
