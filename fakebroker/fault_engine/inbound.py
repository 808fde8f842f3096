"""What each fault does to requests. One arm a fault; the others let requests pass."""

from dataclasses import replace
from datetime import datetime, timedelta

from fakebroker.fault_engine.acts import Cut, FillPart, Packet, Split, Tell
from fakebroker.fault_engine.refusals import refuse_change, refuse_request
from fakebroker.fault_engine.state import Armed, Incoming, Memory, State
from fakebroker.faults import codes, field, wire
from fakebroker.faults.base import AtTime
from fakebroker.protocol import requests
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import ErrorMessage

ORDER_REQUESTS = (requests.PlaceOrder, requests.CancelOrder, requests.ReqGlobalCancel)
DATA_REQUESTS = (requests.ReqMktData, requests.ReqRealTimeBars, requests.ReqTickByTickData)
ONE_SECOND = timedelta(seconds=1)
STRIKES_MAX = 3
SYSTEM_ID = -1


def disturb_request(  # noqa: PLR0912 - an arm a fault
    armed: Armed, packet: Packet, incoming: Incoming, memory: Memory, now: datetime
) -> timedelta | None:
    """Change what becomes of a request as a fault that has begun wants it.

    Returns:
        By how much the request is delayed, None if it is not.
    """
    message = packet.request.MESSAGE
    match armed.fault:
        case wire.OnMessage() | wire.OnRequest() if armed.state is State.ACTIVE:
            if armed.fault.message == message:
                return _act_on_kind(armed, packet, incoming)
        case field.Pacing():
            _count(armed, armed.fault, packet, incoming, now)
        case field.HalfAlive() if not isinstance(packet.request, requests.StartApi):
            incoming.lose()
        case field.ClientIdStuck() if isinstance(packet.request, requests.StartApi):
            _ask_for_id(armed, packet.request.client_id, incoming, now)
        case field.CompetingSession() if isinstance(packet.request, DATA_REQUESTS):
            words = text(ErrorCode.COMPETING_SESSION)
            code = ErrorCode.COMPETING_SESSION.value
            incoming.after.append(
                Tell(code, words, req_id=packet.request.req_id, session=packet.session)
            )
        case wire.ConnectivityLost(orders=fate) if isinstance(packet.request, ORDER_REQUESTS):
            if fate in ("lost", "queued"):
                incoming.lose()
                incoming.held = fate == "queued"
            if fate == "queued" or (fate == "duplicated" and _places(packet)):
                armed.packets.append(packet)
        case wire.Renumber():
            incoming.request = _number_back(armed, armed.fault.offset, packet, incoming.request)
        case (
            codes.NoMarketData()
            | codes.BarsPacing()
            | codes.LiveUpdatesBroken()
            | codes.AccountUpdatesTaken()
        ):
            refuse_request(armed, packet, incoming, memory, now)
        case codes.CancelRefused() | codes.ModifyTooEarly():
            refuse_change(armed, packet, incoming, now)
        case _ if isinstance(packet.request, requests.PlaceOrder | requests.CancelOrder):
            _act_on_order(armed, packet, incoming, memory)
        case _:
            pass
    return None


def lost_before_restart(armed: Armed, packet: Packet, now: datetime) -> bool:
    """Say whether a restart at a known time takes this order or cancel with it (section 3.10)."""
    fault = armed.fault
    if not isinstance(fault, field.GatewayRestart) or not isinstance(fault.when, AtTime):
        return False
    last_second = bool(fault.lost_seconds) and fault.when.at - fault.lost_seconds <= now
    return armed.state is State.ARMED and last_second and isinstance(packet.request, ORDER_REQUESTS)


def _act_on_kind(armed: Armed, packet: Packet, incoming: Incoming) -> timedelta | None:
    """Act on a message of the kind that a plain fault names."""
    incoming.before.append(armed.hit(packet.request.MESSAGE))
    match armed.fault:
        case wire.Drop():
            incoming.lose()
        case wire.DelayMessage(seconds=delay):
            incoming.lose()
            incoming.held = True
            return delay
        case wire.Duplicate():
            incoming.copies *= 2
        case wire.CutAtMessage(moment=moment, how=how):
            cut = Cut(how, session=packet.session)
            (incoming.before if moment == "before" else incoming.after).append(cut)
        case wire.Reject(code=code, text=words):
            incoming.lose()
            incoming.answer = ErrorMessage(_own_id(packet), code, words)
        case _:
            pass
    return None


def _act_on_order(armed: Armed, packet: Packet, incoming: Incoming, memory: Memory) -> None:
    """Act on a placeOrder or a cancelOrder."""
    request = packet.request
    assert isinstance(request, requests.PlaceOrder | requests.CancelOrder)
    key = (packet.client_id or 0, request.order_id)
    fault = armed.fault
    if isinstance(fault, field.UnmanageableOrder):
        if packet.live_order and memory.placed.get(key, packet.session) != packet.session:
            incoming.lose()
            code = ErrorCode(fault.code)
            words = text(code, order_id=request.order_id)
            incoming.answer = ErrorMessage(request.order_id, code.value, words)
        return
    if not isinstance(request, requests.PlaceOrder) or armed.state is not State.ACTIVE:
        return
    match fault:
        case field.OrderLostInFlight(how=how):
            incoming.lose()
            incoming.before += [armed.hit(request.MESSAGE), Cut(how, session=packet.session)]
        case field.SilentNoAck(processed=processed):
            incoming.before.append(armed.hit(request.MESSAGE))
            armed.orders.add(key)
            if not processed:
                incoming.lose()
        case field.MisleadingStatus(code=number, text=words):
            incoming.before.append(armed.hit(request.MESSAGE))
            incoming.after.append(
                Tell(number, words, req_id=request.order_id, session=packet.session)
            )
        case field.PartialFillThenCut(shares=shares, how=how):
            incoming.before.append(armed.hit(request.MESSAGE))
            incoming.after += [Cut(how, session=packet.session), FillPart(*key, shares)]
        case field.DuplicateOrder() if packet.live_order:
            incoming.before += [armed.hit(request.MESSAGE), Split(*key)]
        case _:
            pass


def _count(
    armed: Armed, fault: field.Pacing, packet: Packet, incoming: Incoming, now: datetime
) -> None:
    """Count the messages of a session within a second of exchange time (section 0b.28)."""
    since, count, strikes = armed.sent.get(packet.session, (now, 0, 0))
    if now - since >= ONE_SECOND:
        since, count = now, 0
    count += 1
    if count > fault.messages_per_second_max:
        since, count, strikes = now, 0, strikes + 1
        incoming.lose()
        words = text(ErrorCode.MAX_RATE, received=fault.messages_per_second_max + 1)
        incoming.before.append(armed.hit(packet.request.MESSAGE))
        incoming.answer = ErrorMessage(-1, ErrorCode.MAX_RATE.value, words)
        if strikes == STRIKES_MAX:
            incoming.after.append(Cut("fin", session=packet.session))
    armed.sent[packet.session] = (since, count, strikes)


def _ask_for_id(armed: Armed, client_id: int, incoming: Incoming, now: datetime) -> None:
    """Answer 326 while the id is stuck."""
    until = armed.stuck.get(client_id, now)
    if until is None or now < until:
        incoming.before.append(armed.hit(f"client id {client_id}"))
        incoming.in_use = True


def _number_back(
    armed: Armed, offset: int, packet: Packet, request: requests.Request
) -> requests.Request:
    """Return a request about a renumbered order as the books know the order."""
    if isinstance(request, requests.PlaceOrder | requests.CancelOrder):
        order_id = request.order_id - offset
        if (packet.client_id or 0, order_id) in armed.orders:
            return replace(request, order_id=order_id)
    return request


def _places(packet: Packet) -> bool:
    return isinstance(packet.request, requests.PlaceOrder)


def _own_id(packet: Packet) -> int:
    """Return the id under which a request is answered."""
    match packet.request:
        case requests.PlaceOrder(order_id=number) | requests.CancelOrder(order_id=number):
            return number
        case _:
            return getattr(packet.request, "req_id", SYSTEM_ID)
