"""The twenty faults that users of real bots have reported, by name.

Each says in `SEEN` which rank of the list it has. What follows in the client libraries is theirs;
here stands only what the gateway does.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fakebroker.faults.base import Counted, Delay, FaultBase, How, Lasting, When, Window
from fakebroker.faults.wire import AT_FILL, Price, Shares


class OrderLostInFlight(Counted):
    """An order is written, the connection dies, the broker never saw it; its id is given again."""

    SEEN: ClassVar[str] = "top 1"
    name: Literal["order_lost_in_flight"] = "order_lost_in_flight"
    how: How = "rst"


class FillsLostInWindow(Lasting):
    """Between 1100 and 1102 fills happen, and nobody is told; only reqExecutions shows them."""

    SEEN: ClassVar[str] = "top 2"
    name: Literal["fills_lost_in_window"] = "fills_lost_in_window"


class UnmanageableOrder(Lasting):
    """Live orders of an earlier session can be neither modified nor cancelled."""

    SEEN: ClassVar[str] = "top 3"
    name: Literal["unmanageable_order"] = "unmanageable_order"
    code: Literal[135, 10147] = 10147


class PartialFillThenCut(Counted):
    """An order is filled in part and the connection dies before the client hears of it."""

    SEEN: ClassVar[str] = "top 4"
    name: Literal["partial_fill_then_cut"] = "partial_fill_then_cut"
    shares: Shares
    how: How = "rst"


class ForeignOrdersWithoutId(Lasting):
    """Orders and fills of other clients are told with order id 0, so they collide."""

    SEEN: ClassVar[str] = "top 5"
    name: Literal["foreign_orders_without_id"] = "foreign_orders_without_id"


class StaleNextId(Counted):
    """nextValidId tells an id that was used: the next order is refused with 103."""

    SEEN: ClassVar[str] = "top 6"
    name: Literal["stale_next_id"] = "stale_next_id"
    back: Annotated[int, Field(ge=1)] = 1
    """How far back; never below 1."""


class ClientIdStuck(FaultBase):
    """The id of a client that has gone stays taken: 326 for whoever asks for it.

    With `client_id` the id is taken at once, whether or not a client went.
    """

    SEEN: ClassVar[str] = "top 7"
    name: Literal["client_id_stuck"] = "client_id_stuck"
    seconds: Window | None = None
    """Counted from when the client went; null is until it is healed."""


class SilentNoAck(Counted):
    """An order gets no callback at all, ever; it is at the broker or it is not."""

    SEEN: ClassVar[str] = "top 8"
    name: Literal["silent_no_ack"] = "silent_no_ack"
    processed: bool = False


class MisleadingStatus(Counted):
    """A live order gets an error after its acknowledgement that clients take for its end."""

    SEEN: ClassVar[str] = "top 9"
    name: Literal["misleading_status"] = "misleading_status"
    code: Annotated[int, Field(ge=1)] = 10349
    text: str = "Order TIF was set to DAY based on order preset."


class DuplicateOrder(Counted):
    """A modify leaves two live orders with two permIds: the protective stop exists twice."""

    SEEN: ClassVar[str] = "top 10"
    name: Literal["duplicate_order"] = "duplicate_order"


class PositionsLag(Lasting):
    """Positions, portfolio and account values that come unasked are `lag` late; null is never."""

    SEEN: ClassVar[str] = "next 1"
    name: Literal["positions_lag"] = "positions_lag"
    lag: Window | None = timedelta(seconds=30)


class CommissionLate(Lasting):
    """Live commission reports are `lag` late; null is never. reqExecutions always has them."""

    SEEN: ClassVar[str] = "next 2"
    name: Literal["commission_late"] = "commission_late"
    lag: Window | None = timedelta(seconds=10)


class GatewayRestart(Lasting):
    """Every connection is reset and the port refuses for `seconds` (section 3.10).

    Orders, modifies and cancels that arrived in the last `lost_seconds` before it are gone as if
    they had never come, unless a fill rests on them. So is the message at which it begins.
    """

    SEEN: ClassVar[str] = "next 3"
    name: Literal["gateway_restart"] = "gateway_restart"
    seconds: Window | None = timedelta(seconds=120)
    lost_seconds: Annotated[Delay, Field(le=timedelta(minutes=1))] = timedelta(seconds=1)
    forget_ids: Annotated[int, Field(ge=0)] = 0
    """How far nextValidId goes back for every client that was connected (section 3.1)."""


class FarmFlap(FaultBase):
    """A data farm breaks or falls asleep and comes back `seconds` later, so many times."""

    SEEN: ClassVar[str] = "next 4"
    name: Literal["farm_flap"] = "farm_flap"
    farm: Literal["market", "historical", "secdef"] = "market"
    mode: Literal["broken", "inactive"] = "broken"
    """`inactive` is the notice that a farm comes back on demand; the secdef farm has none."""
    seconds: Window = timedelta(seconds=5)
    flaps: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _has_a_code(self) -> Self:
        if self.farm == "secdef" and self.mode == "inactive":
            raise ValueError("no code says that the secdef farm is inactive; use mode 'broken'")
        return self


class CompetingSession(Lasting):
    """Another login takes the market data: 10197 for each subscription, and no data."""

    SEEN: ClassVar[str] = "next 5"
    name: Literal["competing_session"] = "competing_session"


class Pacing(Lasting):
    """More messages in a second than the most: error 100, and the third time the connection ends.

    The message that is too much is not processed.
    """

    SEEN: ClassVar[str] = "next 6"
    name: Literal["pacing"] = "pacing"
    messages_per_second_max: Annotated[int, Field(ge=1)] = 50


class CorrectExecution(FaultBase):
    """An execution is corrected: the same id with its last part raised, and the books follow."""

    SEEN: ClassVar[str] = "next 7"
    name: Literal["correct_execution"] = "correct_execution"
    when: When = AT_FILL
    exec_id: str | None = None
    """Null is the last one of the day."""
    shares: Shares | None = None
    """Null leaves them as they are."""
    price: Price | None = None
    """Null leaves it as it is."""


class CompletedWithoutFills(Lasting):
    """Completed orders say that nothing was filled, and reqExecutions lists no fills."""

    SEEN: ClassVar[str] = "next 8"
    name: Literal["completed_without_fills"] = "completed_without_fills"
    executions: bool = True
    """Whether reqExecutions is empty, too."""


class HalfAlive(Lasting):
    """Clients can log in, and then no request is answered or done."""

    SEEN: ClassVar[str] = "next 9"
    name: Literal["half_alive"] = "half_alive"


class TimesUnknown(Lasting):
    """Recovered orders and fills carry the time of asking, not of what happened."""

    SEEN: ClassVar[str] = "next 10"
    name: Literal["times_unknown"] = "times_unknown"


class BustExecution(FaultBase):
    """An execution is taken back by the exchange."""

    SEEN: ClassVar[str] = "next 7"
    name: Literal["bust_execution"] = "bust_execution"
    when: When = AT_FILL
    exec_id: str | None = None
    """Null is the last one of the day."""


class RollBackIds(FaultBase):
    """The broker forgets that it received the last `count` order ids of a client."""

    SEEN: ClassVar[str] = "top 1"
    name: Literal["roll_back_ids"] = "roll_back_ids"
    client_id: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)] = 1
