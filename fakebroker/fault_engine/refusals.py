"""Requests that are refused with a code of their own: data, account updates, cancels, modifies.

Like all of the engine it knows no books: what it has to know of an order or a contract stands in
the packet.
"""

from datetime import datetime
from typing import assert_never

from fakebroker.fault_engine.acts import DelayNext, EndHistories, Packet, Tell
from fakebroker.fault_engine.state import Armed, Incoming, Memory, State
from fakebroker.faults import codes
from fakebroker.protocol import requests
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import SYSTEM_ID, ErrorMessage

LIVE_DATA = 1
DELAYED_FROM = 3
"""reqMarketDataType 3 and 4 ask for delayed data."""

Refusing = (
    codes.NoMarketData | codes.BarsPacing | codes.LiveUpdatesBroken | codes.AccountUpdatesTaken
)


def refuse_request(
    armed: Armed, packet: Packet, incoming: Incoming, memory: Memory, now: datetime
) -> None:
    """Refuse a request about data or the account as a fault that has begun wants it."""
    fault, request = armed.fault, packet.request
    assert isinstance(fault, Refusing)
    if not incoming.copies:
        return
    match fault:
        case codes.NoMarketData():
            if packet.contract is not None and fault.symbol in (None, packet.contract.symbol):
                _refuse_data(armed, fault, packet, incoming, memory)
        case codes.BarsPacing():
            if isinstance(request, requests.ReqRealTimeBars):
                _pace(armed, fault, request, incoming, now)
        case codes.LiveUpdatesBroken():
            if isinstance(request, requests.ReqHistoricalData) and request.keep_up_to_date:
                incoming.before.append(armed.hit(request.MESSAGE))
                end = EndHistories(session=packet.session, req_id=request.req_id)
                incoming.after.append(end)
        case codes.AccountUpdatesTaken(by=by):
            if isinstance(request, requests.ReqAccountUpdates) and request.subscribe:
                code = ErrorCode.ACCOUNT_SUBSCRIPTION_REFUSED
                _refuse(armed, request, incoming, code, req_id=SYSTEM_ID, clients=by)
        case _:
            assert_never(fault)


def refuse_change(armed: Armed, packet: Packet, incoming: Incoming, now: datetime) -> None:
    """Refuse a cancel or a modify of a live order."""
    fault, request = armed.fault, packet.request
    if not packet.live_order or not incoming.copies:
        return
    if isinstance(fault, codes.CancelRefused) and isinstance(request, requests.CancelOrder):
        if armed.state is State.ACTIVE:
            code = ErrorCode.NOT_CANCELLABLE
            number = request.order_id
            _refuse(armed, request, incoming, code, req_id=number, perm_id=packet.perm_id)
    elif isinstance(fault, codes.ModifyTooEarly) and isinstance(request, requests.PlaceOrder):
        placed = packet.placed_time
        if fault.within is None or placed is None or now - placed < fault.within:
            _refuse(armed, request, incoming, ErrorCode(fault.code), req_id=request.order_id)


def _refuse(
    armed: Armed,
    request: requests.Request,
    incoming: Incoming,
    code: ErrorCode,
    *,
    req_id: int,
    **values: object,
) -> None:
    incoming.before.append(armed.hit(request.MESSAGE))
    incoming.lose()
    incoming.answer = ErrorMessage(req_id, code.value, text(code, **values))


def _refuse_data(
    armed: Armed, fault: codes.NoMarketData, packet: Packet, incoming: Incoming, memory: Memory
) -> None:
    """Refuse a subscription to data, or let it have delayed data."""
    request, contract = packet.request, packet.contract
    code = ErrorCode(fault.code)
    assert contract is not None
    match request:
        case requests.ReqRealTimeBars(req_id=req_id):
            where = contract.primary_exchange or contract.exchange
            reason = f"No market data permissions for {where} {contract.sec_type}"
            pacing = ErrorCode.REALTIME_PACING
            _refuse(armed, request, incoming, pacing, req_id=req_id, reason=reason)
        case requests.ReqTickByTickData(req_id=req_id):
            # There are no delayed ones [A].
            code = ErrorCode.NOT_SUBSCRIBED if code is ErrorCode.DELAYED_DATA else code
            _refuse(armed, request, incoming, code, req_id=req_id)
        case requests.ReqMktData(req_id=req_id):
            asked = memory.data_types.get(packet.session, LIVE_DATA) >= DELAYED_FROM
            if code is ErrorCode.DELAYED_DATA or (asked and code is not ErrorCode.NO_DELAYED_DATA):
                told, words = ErrorCode.DELAYED_DATA, text(ErrorCode.DELAYED_DATA)
                warning = Tell(told.value, words, req_id=req_id, session=packet.session)
                note = armed.hit(request.MESSAGE)
                incoming.before += [note, warning, DelayNext(packet.session)]
            else:
                _refuse(armed, request, incoming, code, req_id=req_id)
        case _:
            pass


def _pace(
    armed: Armed,
    fault: codes.BarsPacing,
    request: requests.ReqRealTimeBars,
    incoming: Incoming,
    now: datetime,
) -> None:
    """Count the requests for real-time bars; one that is refused does not count."""
    armed.times = [asked for asked in armed.times if now - asked < fault.window]
    if len(armed.times) < fault.requests_max:
        armed.times.append(now)
        return
    code = ErrorCode.REALTIME_PACING
    _refuse(armed, request, incoming, code, req_id=request.req_id, reason=fault.reason)
