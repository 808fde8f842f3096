"""The faults that are armed: told of every message, order and instant, it says what goes wrong.

A pure function of what it is told: it holds no socket and no book, and what it wants done comes
back as acts. Faults act in the order in which they were armed. Begun by data alone, it does the
same whenever the same things happen at the same exchange times.
"""

import heapq
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fakebroker.exchange.orders import OrderView
from fakebroker.fault_engine.acts import Act, Deliver, Note, OpenPort, Packet, Parcel, Take
from fakebroker.fault_engine.course import begin_acts, end_acts, later_acts
from fakebroker.fault_engine.inbound import disturb_request, lost_before_restart
from fakebroker.fault_engine.outbound import disturb_reply
from fakebroker.fault_engine.state import Armed, Incoming, Memory, Outgoing, State
from fakebroker.faults import codes, field, wire
from fakebroker.faults.base import (
    AtMessage,
    AtOrder,
    AtTime,
    Counted,
    Lasting,
    Now,
)
from fakebroker.faults.catalog import Fault
from fakebroker.protocol.requests import PlaceOrder, ReqMarketDataType

PORT_FAULTS = (wire.RefuseConnections, field.GatewayRestart, codes.PortReset)


class FaultError(Exception):
    """A fault cannot be armed or healed; the message says why."""


@dataclass(frozen=True, slots=True)
class _Begin:
    number: int


@dataclass(frozen=True, slots=True)
class _End:
    number: int


@dataclass(frozen=True, slots=True)
class _Do:
    number: int
    act: Act


_Plan = _Begin | _End | _Do


class FaultEngine:
    """All faults of a broker, in the order of their numbers, from 1."""

    def __init__(self) -> None:
        self._armed: dict[int, Armed] = {}
        self._plans: list[tuple[datetime, int, _Plan]] = []
        self._planned = 0
        self._memory = Memory()

    # Arming and healing

    def arm(self, fault: Fault, now: datetime) -> tuple[int, list[Act]]:
        """Arm a fault and return its number and what it does at once.

        Raises:
            FaultError: It should begin at a time that has passed.
        """
        match fault.when:
            case AtTime(at=at) if at < now:
                raise FaultError(f"{fault.name} cannot begin at {at}: it is {now} already")
        armed = Armed(len(self._armed) + 1, fault)
        self._armed[armed.number] = armed
        acts: list[Act] = [Note("armed", armed.number)]
        match fault.when:
            case Now():
                acts += self._begin(armed, now)
            case AtTime(at=at):
                self._plan(at, _Begin(armed.number))
            case AtMessage() | AtOrder():
                pass
        return armed.number, acts

    def heal(self, number: int) -> list[Act]:
        """End a fault whatever it is doing; healing twice does nothing.

        Raises:
            FaultError: There is no such fault.
        """
        armed = self._armed.get(number)
        if armed is None:
            raise FaultError(f"there is no fault {number}; `faults` lists those there are")
        return self._end(armed, "by hand")

    def heal_all(self) -> list[Act]:
        """End all faults."""
        return [act for armed in self._armed.values() for act in self._end(armed, "by hand")]

    def faults(self) -> tuple[Armed, ...]:
        """Return every fault that was armed, healed ones too."""
        return tuple(self._armed.values())

    @property
    def none_armed(self) -> bool:
        """Whether no fault was ever armed, so that no reply can be disturbed."""
        return not self._armed

    def fault(self, number: int) -> Fault:
        """Return a fault by its number."""
        return self._armed[number].fault

    # Time

    def next_due(self) -> datetime | None:
        """Return when `tick` has something to do next."""
        return self._plans[0][0] if self._plans else None

    def tick(self, now: datetime) -> list[Act]:
        """Return what is due by `now`, in the order of its time."""
        acts: list[Act] = []
        while self._plans and self._plans[0][0] <= now:
            due, _, plan = heapq.heappop(self._plans)
            armed = self._armed[plan.number]
            match plan:
                case _Begin():
                    acts += self._begin(armed, due) if armed.state is State.ARMED else []
                case _End():
                    acts += self._end(armed, "in time")
                case _Do(act=act):
                    acts.append(act)
        return acts

    # Traffic

    def request(self, packet: Packet, now: datetime) -> Incoming:
        """Say what becomes of a request."""
        message = packet.request.MESSAGE
        self._memory.answering = message
        incoming = Incoming(packet.request)
        incoming.before += self._begin_at_message(message, packet.client_id, now)
        for armed in self._armed.values():
            if lost_before_restart(armed, packet, now):
                incoming.lose()
            if not armed.begun or not armed.concerns(packet.client_id):
                continue
            delay = disturb_request(armed, packet, incoming, self._memory, now)
            if delay is not None:
                self._plan(now + delay, _Do(armed.number, Take(packet)))
        if isinstance(incoming.request, PlaceOrder) and incoming.copies:
            key = (packet.client_id or 0, incoming.request.order_id)
            self._memory.placed.setdefault(key, packet.session)
        if isinstance(incoming.request, ReqMarketDataType) and incoming.copies:
            self._memory.data_types[packet.session] = incoming.request.market_data_type
        return incoming

    def answered(self) -> None:
        """Learn that the request is done with: what comes now comes unasked."""
        self._memory.answering = None

    def reply(self, parcel: Parcel, now: datetime) -> Outgoing:
        """Say what becomes of a reply."""
        outgoing = Outgoing([parcel])
        acts = self._begin_at_message(parcel.reply.MESSAGE, parcel.client_id, now)
        for armed in self._armed.values():
            if not armed.begun or not armed.concerns(parcel.client_id):
                continue
            late = disturb_reply(armed, outgoing, self._memory, now)
            if late is not None:
                delay, parcels = late
                outgoing.held = True
                for item in parcels:
                    self._plan(now + delay, _Do(armed.number, Deliver(item)))
        outgoing.acts += acts
        return outgoing

    def order(self, order: OrderView, now: datetime) -> list[Act]:
        """Learn how an order stands now."""
        acts: list[Act] = []
        for armed in self._armed.values():
            when = armed.fault.when
            if (
                armed.state is State.ARMED
                and isinstance(when, AtOrder)
                and armed.concerns(order.client_id)
                and _is_state(when, order)
            ):
                acts += self._begin(armed, now)
        return acts

    def gone(self, client_id: int, now: datetime) -> None:
        """Learn that a client is gone."""
        for armed in self._armed.values():
            fault = armed.fault
            if isinstance(fault, field.ClientIdStuck) and armed.begun and armed.concerns(client_id):
                armed.stuck[client_id] = None if fault.seconds is None else now + fault.seconds

    # The course of a fault

    def _begin_at_message(self, message: str, client_id: int | None, now: datetime) -> list[Act]:
        acts: list[Act] = []
        for armed in self._armed.values():
            when = armed.fault.when
            if armed.state is not State.ARMED or not isinstance(when, AtMessage):
                continue
            if when.message == message and armed.concerns(client_id):
                armed.seen += 1
                if armed.seen == when.occurrence:
                    acts += self._begin(armed, now)
        return acts

    def _begin(self, armed: Armed, now: datetime) -> list[Act]:
        fault = armed.fault
        armed.state = State.ACTIVE
        acts = begin_acts(armed, self._memory)
        if not isinstance(fault, Counted):
            acts = [Note("fired", armed.number), *acts]
        for delay, act in later_acts(armed):
            self._plan(now + delay, _Do(armed.number, act))
        if isinstance(fault, Lasting):
            if fault.seconds is not None:
                self._plan(now + fault.seconds, _End(armed.number))
        elif isinstance(fault, field.ClientIdStuck):
            if fault.client_id is not None:
                self.gone(fault.client_id, now)
        elif not isinstance(fault, Counted):
            armed.state = State.SPENT
        return acts

    def _end(self, armed: Armed, by: Literal["by hand", "in time"]) -> list[Act]:
        if armed.state is State.HEALED:
            return []
        begun = armed.begun
        armed.state = State.HEALED
        note = Note("healed", armed.number, by)
        held = self._unplan(armed.number)
        if not begun:
            return [note]
        acts = [*held, *end_acts(armed)]
        if isinstance(armed.fault, PORT_FAULTS) and self._port_is_closed():
            acts = [act for act in acts if not isinstance(act, OpenPort)]
        armed.parcels.clear()
        armed.packets.clear()
        return [note, *acts]

    def _port_is_closed(self) -> bool:
        return any(it.begun and isinstance(it.fault, PORT_FAULTS) for it in self._armed.values())

    def _plan(self, due: datetime, plan: _Plan) -> None:
        self._planned += 1
        heapq.heappush(self._plans, (due, self._planned, plan))

    def _unplan(self, number: int) -> list[Act]:
        """Drop what a healed fault would still do, and return what it held back."""
        mine = sorted(item for item in self._plans if item[2].number == number)
        self._plans = [item for item in self._plans if item[2].number != number]
        heapq.heapify(self._plans)
        acts = [plan.act for _, _, plan in mine if isinstance(plan, _Do)]
        return [act for act in acts if isinstance(act, Deliver | Take)]


def _is_state(when: AtOrder, order: OrderView) -> bool:
    """Say whether an order is in the state that begins a fault."""
    partly = 0 < order.filled < order.terms.quantity
    return (
        order.status.value == when.status
        and when.order_ref in (None, order.terms.order_ref)
        and when.partly_filled in (None, partly)
    )
