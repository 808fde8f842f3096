"""What each fault does to replies. One arm a fault; the others let replies pass."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from fakebroker.fault_engine.acts import Parcel
from fakebroker.fault_engine.state import Armed, Memory, Outgoing, State
from fakebroker.faults import field, wire
from fakebroker.protocol import replies

MARKET_DATA: Final = frozenset(
    {
        "tickPrice",
        "tickSize",
        "tickGeneric",
        "tickString",
        "tickByTick",
        "realtimeBar",
        "historicalDataUpdate",
    }
)
ACCOUNT_NEWS: Final = frozenset(
    {
        "position",
        "positionMulti",
        "portfolioValue",
        "accountValue",
        "accountUpdateTime",
        "accountUpdateMulti",
        "pnl",
        "pnlSingle",
    }
)
ORDER_NEWS: Final = frozenset({"openOrder", "orderStatus", "execDetails", "commissionReport"})
ORDER_PAGES: Final = frozenset(
    {"startApi", "reqOpenOrders", "reqAllOpenOrders", "reqCompletedOrders", "reqExecutions"}
)
ACCOUNT_PAGES: Final = frozenset(
    {
        "reqPositions",
        "reqPositionsMulti",
        "reqAccountUpdates",
        "reqAccountUpdatesMulti",
        "reqAccountSummary",
        "reqPnL",
        "reqPnLSingle",
    }
)

ORDER_MESSAGES = (replies.OpenOrder, replies.OrderStatusReport, replies.ExecDetails)


def disturb_reply(  # noqa: PLR0912 - an arm a fault
    armed: Armed, outgoing: Outgoing, memory: Memory, now: datetime
) -> tuple[timedelta, list[Parcel]] | None:
    """Change what becomes of a reply as a fault that has begun wants it.

    Returns:
        Parcels that are to be delivered later, and by how much; None if there are none.
    """
    fault = armed.fault
    match fault:
        case wire.OnMessage() | wire.OnReply():
            return _act_on_kind(armed, outgoing)
        case field.SilentNoAck() if memory.answering not in ORDER_PAGES:
            outgoing.parcels = [it for it in outgoing.parcels if not _is_about(armed, it)]
        case wire.ConnectivityLost() | field.CompetingSession():
            _drop(outgoing, MARKET_DATA)
        case field.FillsLostInWindow() if memory.answering not in ORDER_PAGES:
            _drop(outgoing, ORDER_NEWS)
        case field.PositionsLag(lag=lag) if memory.answering not in ACCOUNT_PAGES:
            return _late(outgoing, ACCOUNT_NEWS, lag)
        case field.CommissionLate(lag=lag) if memory.answering != "reqExecutions":
            return _late(outgoing, frozenset({"commissionReport"}), lag)
        case field.CompletedWithoutFills(executions=executions):
            if executions and memory.answering == "reqExecutions":
                _drop(outgoing, frozenset({"execDetails", "commissionReport"}))
            outgoing.parcels = [_bare(it) for it in outgoing.parcels]
        case field.TimesUnknown():
            outgoing.parcels = [_timeless(it, memory, now) for it in outgoing.parcels]
        case field.ForeignOrdersWithoutId():
            outgoing.parcels = [_nameless(it) for it in outgoing.parcels]
        case wire.Renumber(offset=offset):
            outgoing.parcels = [_renumbered(armed, it, offset) for it in outgoing.parcels]
        case field.StaleNextId(back=back) if armed.state is State.ACTIVE:
            _set_back(armed, outgoing, back)
        case _:
            pass
    return None


def _act_on_kind(armed: Armed, outgoing: Outgoing) -> tuple[timedelta, list[Parcel]] | None:
    """Act on a message of the kind that a plain fault names."""
    fault = armed.fault
    assert isinstance(fault, wire.OnMessage | wire.OnReply)
    if armed.parcels and outgoing.parcels:
        _catch_up(armed, outgoing)
        return None
    found = [it for it in outgoing.parcels if fault.message == it.reply.MESSAGE]
    if armed.state is not State.ACTIVE or not found:
        return None
    outgoing.acts.append(armed.hit(fault.message))
    match fault:
        case wire.Drop():
            outgoing.parcels.remove(found[0])
        case wire.DelayMessage(seconds=delay):
            outgoing.parcels = [it for it in outgoing.parcels if it not in found]
            return delay, found
        case wire.Duplicate():
            outgoing.parcels += found
        case wire.Reorder():
            outgoing.parcels.remove(found[0])
            armed.parcels.append(found[0])
            outgoing.held = True
        case wire.CutAtMessage(moment=moment, how=how):
            outgoing.cut = how
            if moment == "before":
                outgoing.parcels = []
        case wire.HalfFrame(bytes=most):
            outgoing.cut = "fin"
            outgoing.bytes_max = most or 0
        case _:
            assert_never(fault)
    return None


def _catch_up(armed: Armed, outgoing: Outgoing) -> None:
    """Send what changed places behind the message that has overtaken it."""
    session = outgoing.parcels[0].session
    outgoing.parcels += [it for it in armed.parcels if it.session == session]
    armed.parcels = [it for it in armed.parcels if it.session != session]


def _drop(outgoing: Outgoing, kinds: frozenset[str]) -> None:
    outgoing.parcels = [it for it in outgoing.parcels if it.reply.MESSAGE not in kinds]


def _late(
    outgoing: Outgoing, kinds: frozenset[str], lag: timedelta | None
) -> tuple[timedelta, list[Parcel]] | None:
    """Take news out; without a lag they never come."""
    found = [it for it in outgoing.parcels if it.reply.MESSAGE in kinds]
    _drop(outgoing, kinds)
    return None if lag is None or not found else (lag, found)


def _is_about(armed: Armed, parcel: Parcel) -> bool:
    """Say whether a reply is about an order that gets no callback."""
    match parcel.reply:
        case replies.ExecDetails(order_id=order_id, execution=execution):
            if (execution.client_id, order_id) in armed.orders:
                armed.exec_ids.add(execution.exec_id)
                return True
            return False
        case replies.CommissionReport(exec_id=exec_id):
            return exec_id in armed.exec_ids
        case (
            replies.OpenOrder(order_id=number)
            | replies.OrderStatusReport(order_id=number)
            | replies.ErrorMessage(req_id=number)
        ):
            return (parcel.client_id or 0, number) in armed.orders
        case _:
            return False


def _bare(parcel: Parcel) -> Parcel:
    reply = parcel.reply
    if not isinstance(reply, replies.CompletedOrder):
        return parcel
    nothing = reply.filled_quantity - reply.filled_quantity
    words = reply.status.value
    return replace(parcel, reply=replace(reply, filled_quantity=nothing, completed_status=words))


def _timeless(parcel: Parcel, memory: Memory, now: datetime) -> Parcel:
    match parcel.reply:
        case replies.CompletedOrder():
            return replace(parcel, reply=replace(parcel.reply, completed_time=now))
        case replies.ExecDetails(execution=execution) if memory.answering == "reqExecutions":
            later = replace(execution, time=now)
            return replace(parcel, reply=replace(parcel.reply, execution=later))
        case _:
            return parcel


def _owner(reply: replies.Reply) -> int | None:
    """Return whose order a reply is about."""
    match reply:
        case replies.OpenOrder(client_id=owner) | replies.OrderStatusReport(client_id=owner):
            return owner
        case replies.ExecDetails(execution=execution):
            return execution.client_id
        case _:
            return None


def _nameless(parcel: Parcel) -> Parcel:
    reply = parcel.reply
    if not isinstance(reply, ORDER_MESSAGES) or _owner(reply) == parcel.client_id:
        return parcel
    return replace(parcel, reply=replace(reply, order_id=0))


def _renumbered(armed: Armed, parcel: Parcel, offset: int) -> Parcel:
    reply = parcel.reply
    if not isinstance(reply, ORDER_MESSAGES):
        return parcel
    if (_owner(reply), reply.order_id) not in armed.orders:
        return parcel
    return replace(parcel, reply=replace(reply, order_id=reply.order_id + offset))


def _set_back(armed: Armed, outgoing: Outgoing, back: int) -> None:
    for place, parcel in enumerate(outgoing.parcels):
        reply = parcel.reply
        if isinstance(reply, replies.NextValidId):
            outgoing.acts.append(armed.hit(reply.MESSAGE))
            stale = replace(reply, order_id=max(1, reply.order_id - back))
            outgoing.parcels[place] = replace(parcel, reply=stale)
