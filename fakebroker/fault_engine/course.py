"""What happens when a fault begins and when it ends: the acts that are bound to no message."""

from datetime import timedelta

from fakebroker.fault_engine.acts import (
    Act,
    Bust,
    ClosePort,
    Correct,
    Cut,
    Deactivate,
    Deliver,
    EndAccountUpdates,
    EndHistories,
    EndSubscriptions,
    Expire,
    Forget,
    Hush,
    OpenPort,
    RejectLive,
    ReplayOrders,
    RollBack,
    Split,
    Take,
    TakeBack,
    Tell,
    TellSubscribers,
    Unhush,
)
from fakebroker.fault_engine.state import Armed, Memory
from fakebroker.faults import codes, field, wire
from fakebroker.faults.base import NOTHING
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.replies import SYSTEM_ID, ErrorMessage
from fakebroker.protocol.requests import PlaceOrder

DATA_LOST = 1101
FARMS = {
    "market": (ErrorCode.MARKET_FARM_BROKEN, ErrorCode.MARKET_FARM_OK, "usfarm"),
    "historical": (ErrorCode.HISTORICAL_FARM_BROKEN, ErrorCode.HISTORICAL_FARM_OK, "ushmds"),
    "secdef": (ErrorCode.SECDEF_FARM_BROKEN, ErrorCode.SECDEF_FARM_OK, "secdefil"),
}
INACTIVE = {
    "market": ErrorCode.MARKET_FARM_INACTIVE,
    "historical": ErrorCode.HISTORICAL_FARM_INACTIVE,
}


def begin_acts(armed: Armed, memory: Memory) -> list[Act]:  # noqa: C901, PLR0912 - an arm a fault
    """Return what a fault does when it begins."""
    fault, who = armed.fault, armed.fault.client_id
    match fault:
        case wire.CutConnections(how=how):
            return [Cut(how, client_id=who)]
        case wire.Silence():
            return [Hush(armed.number, who)]
        case wire.RefuseConnections():
            return [ClosePort()]
        case wire.Notice(code=code, text=words):
            return [Tell(code, words, client_id=who)]
        case wire.ExpireOrders(order_ref=order_ref):
            return [Expire(who, order_ref)]
        case wire.RejectOrders(order_ref=order_ref, code=code, text=words):
            return [RejectLive(who, order_ref, code, words)]
        case wire.Renumber():
            armed.orders = {key for key in memory.placed if armed.concerns(key[0])}
            return []
        case wire.ConnectivityLost(repeats=repeats, code=number):
            return [_say(ErrorCode(number), who)] * repeats
        case field.FillsLostInWindow():
            return [_say(ErrorCode.CONNECTIVITY_LOST, who)]
        case field.ClientIdStuck():
            return []
        case field.GatewayRestart(forget_ids=count, lost_seconds=lost):
            back: list[Act] = [RollBack(who, count)] if count else []
            # Before `Forget`: legs that a lost order has sent on wait in the gateway again.
            late: list[Act] = [TakeBack(lost)] if lost else []
            return [*back, Cut("rst"), *late, Forget(), ClosePort()]
        case field.CompetingSession():
            words = text(ErrorCode.COMPETING_SESSION)
            return [TellSubscribers(ErrorCode.COMPETING_SESSION.value, words, who)]
        case field.CorrectExecution():
            return [Correct(fault.exec_id, fault.shares, fault.price)]
        case field.BustExecution(exec_id=exec_id):
            return [Bust(exec_id)]
        case field.RollBackIds(count=count):
            return [RollBack(who, count)]
        case codes.LiveUpdatesBroken():
            return [EndHistories(who)]
        case codes.BustEvent(symbol=symbol, ticks=ticks):
            return [Deactivate(who, symbol, ticks)]
        case codes.AccountUpdatesTaken():
            return [EndAccountUpdates(who)]
        case codes.PortReset():
            reset = ErrorCode.PORT_RESET
            return [Cut("fin", last=ErrorMessage(SYSTEM_ID, reset.value, text(reset))), ClosePort()]
        case _:
            return []


def later_acts(armed: Armed) -> list[tuple[timedelta, Act]]:
    """Return what a fault does so much later than it began, while it is not healed."""
    fault = armed.fault
    if not isinstance(fault, field.FarmFlap):
        return []
    broken, well, farm = FARMS[fault.farm]
    if fault.mode == "inactive":
        broken = INACTIVE[fault.farm]
    acts: list[tuple[timedelta, Act]] = []
    for flap in range(fault.flaps):
        start = NOTHING + 2 * flap * fault.seconds
        acts.append((start, _say(broken, fault.client_id, farm=farm)))
        acts.append((start + fault.seconds, _say(well, fault.client_id, farm=farm)))
    return acts


def end_acts(armed: Armed) -> list[Act]:
    """Return what happens when a fault that has begun ends; what it held back goes on its way."""
    fault, who = armed.fault, armed.fault.client_id
    held: list[Act] = [Deliver(parcel) for parcel in armed.parcels]
    for packet in armed.packets:
        twice = isinstance(fault, wire.ConnectivityLost) and fault.orders == "duplicated"
        if twice and isinstance(packet.request, PlaceOrder):
            held.append(Split(packet.client_id or 0, packet.request.order_id))
        held.append(Take(packet))
    match fault:
        case wire.Silence():
            return [Unhush(armed.number)]
        case wire.RefuseConnections() | field.GatewayRestart() | codes.PortReset():
            return [OpenPort()]
        case wire.ConnectivityLost(restored=code):
            lost: list[Act] = [EndSubscriptions(who)] if code == DATA_LOST else []
            return [_say(ErrorCode(code), who), *lost, *held, ReplayOrders(who)]
        case field.FillsLostInWindow():
            return [_say(ErrorCode.RESTORED_DATA_KEPT, who), ReplayOrders(who)]
        case field.FarmFlap(farm=name):
            _, well, farm = FARMS[name]
            return [_say(well, who, farm=farm)]
        case _:
            return held


def _say(code: ErrorCode, who: int | None, **values: object) -> Tell:
    return Tell(code.value, text(code, **values), client_id=who)
