"""What happened, for a reader that was away: everything, or only what it has not seen.

A screen that shows trades loads this when it opens and again after a reconnection. It is a pure
function of the stored checkpoint. Events are the bookings of executions and the changes of orders.
An event's id is a place in both lists, day included, and not a time: a fill of the downtime is
booked late, with an early time, and a reader must get it nevertheless.
"""

import heapq
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from target_trader.names import IntentState, parse_ref
from target_trader.state.checkpoint import (
    BookedExecution,
    Checkpoint,
    OrderAudit,
    Position,
    TradeStatus,
)

EVENT_ID = re.compile(r"(?P<day>\d{8})-(?P<bookings>\d+)-(?P<changes>\d+)")
NET = "|net"


class Told(BaseModel):
    """The base of what is told: frozen; decimals become text in JSON."""

    model_config = ConfigDict(frozen=True)


class ExecutionEvent(Told):
    """A fill was booked, corrected, or got its commission. The newest of an `exec_id` counts."""

    kind: Literal["execution"] = "execution"
    event_id: str
    time: datetime
    exec_id: str
    trade_id: str
    order_ref: str
    symbol: str
    side: str
    shares: Decimal
    price: Decimal
    commission: Decimal | None
    realized_pnl: Decimal | None


class OrderEvent(Told):
    """The bot learned that one of its orders has changed."""

    kind: Literal["order"] = "order"
    event_id: str
    time: datetime
    trade_id: str
    order_ref: str
    order_id: int
    state: IntentState
    quantity: Decimal
    filled: Decimal
    price: Decimal | None


Event = ExecutionEvent | OrderEvent


class TradeTold(Told):
    """One trade from its first fill on; `pnl` in dollars, realised, of the day."""

    trade_id: str
    symbol: str
    side: str
    strategy: str
    status: TradeStatus
    quantity: Decimal
    qty_closed: Decimal
    pnl: Decimal
    entry_price: Decimal
    entry_time: datetime | None
    entry_reason: str
    entry_execution_ids: tuple[str, ...]
    exit_execution_ids: tuple[str, ...]


class History(Told):
    """The answer. `is_delta`: only what the reader has not seen; trades are replaced by id."""

    day: str | None = None
    saved_at: datetime | None = None
    events: tuple[Event, ...] = ()
    trades: tuple[TradeTold, ...] = ()
    event_count: int = 0
    trade_count: int = 0
    is_delta: bool = False


class Place(NamedTuple):
    """How many bookings and how many changes of orders a reader has seen."""

    bookings: int
    changes: int


def note_bookings(checkpoint: Checkpoint) -> None:
    """Append to the session what was booked since the last call, in the order of the fills.

    Called before every save. A correction has another execId; a commission that comes after its
    fill is noted a second time.
    """
    noted = checkpoint.session.bookings
    known = set(noted)
    marks = [mark_of(each) for each in in_time(checkpoint.executions.values())]
    noted.extend(mark for mark in marks if mark not in known)


def mark_of(execution: BookedExecution) -> str:
    """Name an execution as far as it is told: without its commission, or net of it."""
    return execution.exec_id + (NET if execution.commission is not None else "")


def in_time(executions: Iterable[BookedExecution]) -> list[BookedExecution]:
    """Return executions in the order of their fills."""
    return sorted(executions, key=lambda each: (each.time, each.exec_id))


def tell_history(
    checkpoint: Checkpoint | None,
    *,
    after_event: str | None = None,
    after_trade: str | None = None,
) -> History:
    """Tell everything, or what came after the last event and the last trade that a reader knows.

    An id that this state does not know (of another day, or of a state that was lost) gives
    everything again, with `is_delta` false. With an event the trades are those that changed after
    it; with a trade alone all events, and the trades that can have changed since it began.
    """
    if checkpoint is None:
        return History()
    seen = place_of(checkpoint, after_event) if after_event is not None else None
    trades = trades_in_order(checkpoint)
    names = [each.trade_id for each in trades]
    unknown = (after_event is not None and seen is None) or (
        after_trade is not None and after_trade not in names
    )
    if unknown:
        seen = after_trade = None
    events = events_after(checkpoint, seen or Place(0, 0))
    if seen is not None:
        touched = {each.trade_id for each in events}
        after = names.index(after_trade) if after_trade is not None else len(names)
        trades = [each for at, each in enumerate(trades) if at > after or each.trade_id in touched]
    elif after_trade is not None:
        trades = trades_since(checkpoint, trades, after=names.index(after_trade))
    return History(
        day=checkpoint.day.isoformat(),
        saved_at=checkpoint.saved_at,
        events=tuple(events),
        trades=tuple(trade_told(checkpoint, each) for each in trades),
        event_count=len(events),
        trade_count=len(trades),
        is_delta=seen is not None or after_trade is not None,
    )


def trades_in_order(checkpoint: Checkpoint) -> list[Position]:
    """Return the trades that have had a fill, oldest signal first."""
    begun = (each for each in checkpoint.positions.values() if each.shares != 0)
    return sorted(begun, key=lambda each: (each.signal_time, each.trade_id))


def trades_since(checkpoint: Checkpoint, trades: list[Position], *, after: int) -> list[Position]:
    """Return the trades after one, and those before it that can have changed since it began."""
    since = trades[after].signal_time
    moved = {each.trade_id for each in checkpoint.executions.values() if each.time >= since}
    return [
        each
        for at, each in enumerate(trades)
        if at > after or each.status is not TradeStatus.CLOSED or each.trade_id in moved
    ]


def place_of(checkpoint: Checkpoint, event_id: str) -> Place | None:
    """Find a place by its id; None when this state has no such place."""
    match = EVENT_ID.fullmatch(event_id)
    if match is None or match["day"] != f"{checkpoint.day:%Y%m%d}":
        return None
    place = Place(int(match["bookings"]), int(match["changes"]))
    last = max((each.number for each in checkpoint.order_audit), default=0)
    known = place.bookings <= len(checkpoint.session.bookings) and place.changes <= last
    return place if known else None


def events_after(checkpoint: Checkpoint, seen: Place) -> list[Event]:
    """Return the events after a place, in the order in which the bot learned of them.

    Bookings and changes keep their own order; between the two the time decides. The id of each
    event is the place of a reader that has taken it and all before it.
    """
    numbers = {mark: at for at, mark in enumerate(checkpoint.session.bookings, start=1)}
    by_number = {numbers.get(mark_of(each)): each for each in checkpoint.executions.values()}
    bookings: list[tuple[int, BookedExecution | OrderAudit]] = [
        (number, by_number[number])
        for number in range(seen.bookings + 1, len(numbers) + 1)
        if number in by_number
    ]
    changes = [(each.number, each) for each in checkpoint.order_audit if each.number > seen.changes]
    events = list[Event]()
    place = seen
    for number, each in heapq.merge(bookings, changes, key=lambda pair: pair[1].time):
        if isinstance(each, BookedExecution):
            place = place._replace(bookings=number)
            events.append(execution_event(each, event_id=event_id(checkpoint, place)))
        else:
            place = place._replace(changes=number)
            events.append(order_event(each, event_id=event_id(checkpoint, place)))
    return events


def event_id(checkpoint: Checkpoint, place: Place) -> str:
    """Write a place as an id: `20251006-12-40`."""
    return f"{checkpoint.day:%Y%m%d}-{place.bookings}-{place.changes}"


def execution_event(execution: BookedExecution, *, event_id: str) -> ExecutionEvent:
    """Tell an execution."""
    return ExecutionEvent(
        event_id=event_id,
        time=execution.time,
        exec_id=execution.exec_id,
        trade_id=execution.trade_id,
        order_ref=execution.order_ref,
        symbol=execution.symbol,
        side=execution.side,
        shares=execution.shares,
        price=execution.price,
        commission=execution.commission,
        realized_pnl=execution.realized_pnl,
    )


def order_event(change: OrderAudit, *, event_id: str) -> OrderEvent:
    """Tell a change of an order."""
    parts = parse_ref(change.order_ref)
    return OrderEvent(
        event_id=event_id,
        time=change.time,
        trade_id=parts.trade_id if parts is not None else "",
        order_ref=change.order_ref,
        order_id=change.order_id,
        state=change.state,
        quantity=change.quantity,
        filled=change.filled,
        price=change.price,
    )


def trade_told(checkpoint: Checkpoint, position: Position) -> TradeTold:
    """Tell a trade with the executions that opened and closed it."""
    executions = checkpoint.executions.values()
    own = in_time(each for each in executions if each.trade_id == position.trade_id)
    opening = position.side.entry_execution
    return TradeTold(
        trade_id=position.trade_id,
        symbol=position.symbol,
        side=position.side.value,
        strategy=position.strategy,
        status=position.status,
        quantity=position.shares,
        qty_closed=position.closed_shares,
        pnl=position.realized_pnl,
        entry_price=position.entry_price,
        entry_time=position.entry_time,
        entry_reason=position.entry_reason,
        entry_execution_ids=tuple(each.exec_id for each in own if each.side == opening),
        exit_execution_ids=tuple(each.exec_id for each in own if each.side != opening),
    )
