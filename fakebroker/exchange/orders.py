"""An order's life: the book's own entry, the frozen view that others get, and one table.

`TRANSITIONS` is the only place that says what may happen to an order when; a missing row is a bug
and raises `TransitionError`. What a client sees as status follows from the stage alone. This file
knows no other order: brackets and OCA groups are in `groups.py`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from fakebroker.exchange.errors import TransitionError
from fakebroker.exchange.instruments import market_key
from fakebroker.values import Action, Contract, OrderStatus, OrderTerms

ZERO = Decimal(0)
EIGHT_PLACES = Decimal("1E-8")


class OrderType(StrEnum):
    """The order types of this market; every other one is refused with 387."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"
    TRAIL = "TRAIL"
    TRAIL_LIMIT = "TRAIL LIMIT"
    MARKET_IF_TOUCHED = "MIT"
    LIMIT_IF_TOUCHED = "LIT"
    MARKET_ON_CLOSE = "MOC"
    LIMIT_ON_CLOSE = "LOC"


class OrderEvent(StrEnum):
    """What happened to an order, for journals and answers."""

    ACCEPTED = "accepted"
    """It is in the book (also one that waits for its family's transmit=1)."""
    MODIFIED = "modified"
    """Its owner changed it."""
    ACTIVATED = "activated"
    """What it waited for came: transmit=1 of its family, or a fill of its parent."""
    TRIGGERED = "triggered"
    """The market touched its trigger price: it works at the exchange now."""
    REDUCED = "reduced"
    """It became smaller because of another order (OCA types 2 and 3, or its parent's end)."""
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FILLED = "filled"
    """An execution was booked; the order's view says whether anything is left."""
    BUSTED = "busted"
    """An execution was taken back."""
    PENDING = "pending"
    """It is on its way to IB (`pending_submit`)."""
    CANCEL_REQUESTED = "cancel requested"
    """A cancel is on its way to IB (`pending_cancel`)."""
    LOST = "lost"
    """It came too late before a restart, and is as if it had never come."""
    RESTORED = "restored"
    """A modify or cancel came too late before a restart: it is as it was before."""


class Stage(StrEnum):
    """Where an order is. The stage decides what can happen and what status clients see."""

    NEW = "new"
    HELD = "held"
    """transmit=0: in TWS, not at IB."""
    CHILD = "child"
    """Transmitted, waits for its parent's first fill."""
    ARMED = "armed"
    """A stop, trail or if-touched order before its trigger."""
    LOCATING = "locating"
    """A short sale that waits for shares to borrow: Inactive, and not for good (0b.24)."""
    ROUTED = "routed"
    """A market order; a recorded one stayed PreSubmitted until its fill (section 3.4). Also a
    limit order that waits for the market's opening, and what waits for an auction."""
    WORKING = "working"
    """At the exchange: a limit order, or one that was triggered."""
    CANCELLING = "cancelling"
    """A cancel is in flight; it can still fill."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Trigger(StrEnum):
    """What can befall an order in the eyes of the table."""

    HOLD = "hold"
    ATTACH = "attach"
    ARM = "arm"
    ROUTE = "route"
    LOCATE = "locate"
    WORK = "work"
    MODIFY = "modify"
    REDUCE = "reduce"
    FILL_PART = "fill part"
    FILL_REST = "fill rest"
    REQUEST_CANCEL = "request cancel"
    CANCEL = "cancel"
    REJECT = "reject"


STATUS = {
    Stage.NEW: OrderStatus.API_PENDING,
    # What both client libraries show for an order that nobody has confirmed [A].
    Stage.HELD: OrderStatus.PENDING_SUBMIT,
    Stage.CHILD: OrderStatus.PRE_SUBMITTED,
    Stage.LOCATING: OrderStatus.INACTIVE,
    Stage.ARMED: OrderStatus.PRE_SUBMITTED,
    Stage.ROUTED: OrderStatus.PRE_SUBMITTED,
    Stage.WORKING: OrderStatus.SUBMITTED,
    Stage.CANCELLING: OrderStatus.PENDING_CANCEL,
    Stage.FILLED: OrderStatus.FILLED,
    Stage.CANCELLED: OrderStatus.CANCELLED,
    Stage.REJECTED: OrderStatus.INACTIVE,
}

WHY_HELD = {Stage.CHILD: "child", Stage.LOCATING: "locate"}

AT_EXCHANGE = (Stage.ARMED, Stage.ROUTED, Stage.WORKING, Stage.CANCELLING)
DONE = (Stage.FILLED, Stage.CANCELLED, Stage.REJECTED)

TRANSITIONS: dict[tuple[Stage, Trigger], Stage] = {
    (Stage.NEW, Trigger.HOLD): Stage.HELD,
    (Stage.NEW, Trigger.ATTACH): Stage.CHILD,
    (Stage.NEW, Trigger.ARM): Stage.ARMED,
    (Stage.NEW, Trigger.ROUTE): Stage.ROUTED,
    (Stage.NEW, Trigger.WORK): Stage.WORKING,
    (Stage.NEW, Trigger.LOCATE): Stage.LOCATING,
    (Stage.NEW, Trigger.REJECT): Stage.REJECTED,
    (Stage.HELD, Trigger.ATTACH): Stage.CHILD,
    (Stage.HELD, Trigger.ARM): Stage.ARMED,
    (Stage.HELD, Trigger.ROUTE): Stage.ROUTED,
    (Stage.HELD, Trigger.WORK): Stage.WORKING,
    (Stage.HELD, Trigger.LOCATE): Stage.LOCATING,
    (Stage.HELD, Trigger.MODIFY): Stage.HELD,
    (Stage.HELD, Trigger.CANCEL): Stage.CANCELLED,
    # Margin is looked at when the family is transmitted, not when a leg is laid down.
    (Stage.HELD, Trigger.REJECT): Stage.REJECTED,
    (Stage.CHILD, Trigger.ARM): Stage.ARMED,
    (Stage.CHILD, Trigger.ROUTE): Stage.ROUTED,
    (Stage.CHILD, Trigger.WORK): Stage.WORKING,
    (Stage.CHILD, Trigger.LOCATE): Stage.LOCATING,
    (Stage.CHILD, Trigger.MODIFY): Stage.CHILD,
    (Stage.CHILD, Trigger.REDUCE): Stage.CHILD,
    (Stage.CHILD, Trigger.CANCEL): Stage.CANCELLED,
    # An order that IB has can be rejected later, by hand or by the exchange.
    (Stage.CHILD, Trigger.REJECT): Stage.REJECTED,
    (Stage.LOCATING, Trigger.ARM): Stage.ARMED,
    (Stage.LOCATING, Trigger.ROUTE): Stage.ROUTED,
    (Stage.LOCATING, Trigger.WORK): Stage.WORKING,
    (Stage.LOCATING, Trigger.MODIFY): Stage.LOCATING,
    (Stage.LOCATING, Trigger.REDUCE): Stage.LOCATING,
    (Stage.LOCATING, Trigger.CANCEL): Stage.CANCELLED,
    (Stage.LOCATING, Trigger.REJECT): Stage.REJECTED,
    (Stage.ARMED, Trigger.WORK): Stage.WORKING,
    (Stage.ARMED, Trigger.MODIFY): Stage.ARMED,
    (Stage.ARMED, Trigger.REDUCE): Stage.ARMED,
    # A person may fill a stop by hand before the market has triggered it.
    (Stage.ARMED, Trigger.FILL_PART): Stage.ARMED,
    (Stage.ARMED, Trigger.FILL_REST): Stage.FILLED,
    (Stage.ARMED, Trigger.REQUEST_CANCEL): Stage.CANCELLING,
    (Stage.ARMED, Trigger.CANCEL): Stage.CANCELLED,
    (Stage.ARMED, Trigger.REJECT): Stage.REJECTED,
    # The market opens for a limit order.
    (Stage.ROUTED, Trigger.WORK): Stage.WORKING,
    (Stage.ROUTED, Trigger.MODIFY): Stage.ROUTED,
    (Stage.ROUTED, Trigger.REDUCE): Stage.ROUTED,
    (Stage.ROUTED, Trigger.FILL_PART): Stage.ROUTED,
    (Stage.ROUTED, Trigger.FILL_REST): Stage.FILLED,
    (Stage.ROUTED, Trigger.REQUEST_CANCEL): Stage.CANCELLING,
    (Stage.ROUTED, Trigger.CANCEL): Stage.CANCELLED,
    (Stage.ROUTED, Trigger.REJECT): Stage.REJECTED,
    (Stage.WORKING, Trigger.MODIFY): Stage.WORKING,
    (Stage.WORKING, Trigger.REDUCE): Stage.WORKING,
    # A partial fill keeps the status name (section 0b.14).
    (Stage.WORKING, Trigger.FILL_PART): Stage.WORKING,
    (Stage.WORKING, Trigger.FILL_REST): Stage.FILLED,
    (Stage.WORKING, Trigger.REQUEST_CANCEL): Stage.CANCELLING,
    (Stage.WORKING, Trigger.CANCEL): Stage.CANCELLED,
    (Stage.WORKING, Trigger.REJECT): Stage.REJECTED,
    # A stop may be triggered, and any order filled, while its cancel is in flight (0b.11).
    (Stage.CANCELLING, Trigger.WORK): Stage.CANCELLING,
    (Stage.CANCELLING, Trigger.REDUCE): Stage.CANCELLING,
    (Stage.CANCELLING, Trigger.FILL_PART): Stage.CANCELLING,
    (Stage.CANCELLING, Trigger.FILL_REST): Stage.FILLED,
    (Stage.CANCELLING, Trigger.CANCEL): Stage.CANCELLED,
    (Stage.CANCELLING, Trigger.REJECT): Stage.REJECTED,
}


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order at one instant.

    `terms` are the effective ones: quantity and prices after every modify and OCA reduction, the
    account filled in, the trailing stop price where it stands now. What is shared by all clients
    keys on `perm_id`; `order_id` means something only together with `client_id` (section 3.2).
    """

    perm_id: int
    order_id: int
    client_id: int
    contract: Contract
    terms: OrderTerms
    status: OrderStatus
    filled: Decimal
    remaining: Decimal
    """Shares not filled; `filled + remaining == terms.quantity` always, also when cancelled."""
    avg_fill_price: Decimal
    last_fill_price: Decimal
    parent_perm_id: int | None
    working: bool
    """At the exchange: could fill without any other order filling first."""
    transmitted: bool
    """False while the order waits in TWS for its family's transmit=1."""
    live: bool
    """Not yet filled, cancelled or rejected."""
    why_held: str
    placed_time: datetime
    done_time: datetime | None
    done_reason: str
    """Why it was cancelled or rejected, as the error text had it; else empty."""


@dataclass(slots=True, kw_only=True)
class Order:
    """The book's entry of one order. Changes its stage only through `move`."""

    perm_id: int
    order_id: int
    client_id: int
    contract: Contract
    terms: OrderTerms
    placed_time: datetime
    parent_perm_id: int | None = None
    stage: Stage = Stage.NEW
    triggered: bool = False
    filled: Decimal = ZERO
    value: Decimal = ZERO
    """Sum of shares times price of the executions, in US dollars."""
    commission: Decimal = ZERO
    last_fill_price: Decimal = ZERO
    split_index: int = 0
    """How many sizes of `fill_split` were used up."""
    bar_shares: Decimal = ZERO
    """Shares it got in the bar that is being played."""
    cancel_bars_left: int = 0
    shown_stage: Stage | None = None
    """What clients see while a cancel is in flight, None is that (`pending_cancel`)."""
    limit_offset: Decimal | None = None
    """Distance of a trailing limit from its stop, in US dollars."""
    expires: datetime | None = None
    """When it lapses, None where the day's end or nothing ends it."""
    bars_to_wait: int = 0
    """Bars until it has reached the exchange (`fill_latency_bars`)."""
    wait_until: datetime | None = None
    """When it has reached the exchange (`fill_latency`)."""
    locate_bars_left: int = 0
    split_next: bool = False
    """The next modify leaves this order alive beside a new one (0b.25)."""
    late_cancels: int = 0
    """Cancels that came after it was done; the second and later ones answer 10147."""
    done_time: datetime | None = None
    done_reason: str = ""

    @property
    def symbol(self) -> str:
        """What it trades, by the name that tapes and prices have for it."""
        return market_key(self.contract)

    @property
    def key(self) -> tuple[int, int]:
        """Client id and order id, which is how its client names it."""
        return self.client_id, self.order_id

    @property
    def order_type(self) -> OrderType:
        """The type; admission has checked that it is one of ours."""
        return OrderType(self.terms.order_type)

    @property
    def quantity(self) -> Decimal:
        """Shares, after modify and reduction."""
        return self.terms.quantity

    @property
    def remaining(self) -> Decimal:
        """Shares not filled."""
        return self.terms.quantity - self.filled

    @property
    def live(self) -> bool:
        """Whether anything can still happen to it."""
        return self.stage not in DONE

    @property
    def at_exchange(self) -> bool:
        """Whether the market can act on it."""
        return self.stage in AT_EXCHANGE

    @property
    def transmitted(self) -> bool:
        """Whether IB has it."""
        return self.stage not in (Stage.NEW, Stage.HELD)

    @property
    def signed(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.terms.action is Action.BUY else -1

    @property
    def goes_to(self) -> Trigger:
        """How it enters the market once nothing holds it back."""
        match self.order_type:
            case _ if self.terms.tif == "OPG":
                return Trigger.ROUTE
            case OrderType.MARKET | OrderType.MARKET_ON_CLOSE | OrderType.LIMIT_ON_CLOSE:
                return Trigger.ROUTE
            case OrderType.LIMIT:
                return Trigger.WORK
            case _:
                return Trigger.ARM

    def move(self, trigger: Trigger) -> None:
        """Change the stage as the table says.

        Raises:
            TransitionError: The table has no row for this stage and trigger.
        """
        stage = TRANSITIONS.get((self.stage, trigger))
        if stage is None:
            raise TransitionError(
                f"order {self.perm_id}: {trigger.value!r} cannot happen to an order that is "
                f"{self.stage.value!r}; a row in TRANSITIONS would have to allow it"
            )
        self.stage = stage

    def resize(self, quantity: Decimal) -> None:
        """Set the effective quantity, in shares."""
        self.terms = replace(self.terms, quantity=quantity)

    def view(self) -> OrderView:
        """Return what others may see of it."""
        average = tidy(self.value / self.filled) if self.filled else ZERO
        in_flight = self.stage is Stage.CANCELLING
        return OrderView(
            perm_id=self.perm_id,
            order_id=self.order_id,
            client_id=self.client_id,
            contract=self.contract,
            terms=self.terms,
            status=STATUS[self.shown_stage if in_flight and self.shown_stage else self.stage],
            filled=self.filled,
            remaining=self.remaining,
            avg_fill_price=average,
            last_fill_price=self.last_fill_price,
            parent_perm_id=self.parent_perm_id,
            working=self.at_exchange,
            transmitted=self.transmitted,
            live=self.live,
            why_held=WHY_HELD.get(self.stage, ""),
            placed_time=self.placed_time,
            done_time=self.done_time,
            done_reason=self.done_reason,
        )

    def copy(self) -> "Order":
        """Return an entry that shares nothing that can change."""
        return replace(self)


def tidy(value: Decimal) -> Decimal:
    """Return a quotient with at most eight places and no trailing zeros, as IB's averages."""
    if value == value.to_integral_value():
        return value.quantize(Decimal(1))
    return value.quantize(EIGHT_PLACES).normalize()
