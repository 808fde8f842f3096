"""Carries out what the fault engine wants: on sessions, on books, on what leaves.

The engine decides and knows no books; here its acts meet the exchange and the outbox. Acts that
come up in the middle of an input wait until it is done with, so that a fill is told whole before
it is corrected. What an act makes happen is handed back, and the broker tells it to whom it
concerns.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from fakebroker.answers import SYSTEM_REQ_ID, Answers, error
from fakebroker.control_messages import FaultState
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import ExchangeEvent, ExecutionRecord, Filled, OrderChanged
from fakebroker.exchange.exchange import Exchange
from fakebroker.exchange.orders import OrderView
from fakebroker.fault_engine import FaultEngine, acts
from fakebroker.fault_engine.acts import Act, Packet
from fakebroker.faults.catalog import Fault, parameters
from fakebroker.journal import Journal
from fakebroker.marketdata.subscriptions import Subscriptions
from fakebroker.outbox import AcceptConnections, Outbox, RefuseConnections, Resume, Silence
from fakebroker.protocol.errors import ErrorCode
from fakebroker.protocol.replies import ErrorMessage
from fakebroker.protocol.requests import (
    CancelOrder,
    PlaceOrder,
    ReqMktData,
    ReqRealTimeBars,
    ReqTickByTickData,
    Request,
    StartApi,
)
from fakebroker.session import Session

Events = tuple[ExchangeEvent, ...]
BookAct = (
    acts.FillPart
    | acts.Expire
    | acts.RejectLive
    | acts.Split
    | acts.Correct
    | acts.Bust
    | acts.RollBack
    | acts.TakeBack
)
FeedAct = (
    acts.EndSubscriptions
    | acts.TellSubscribers
    | acts.EndHistories
    | acts.Deactivate
    | acts.EndAccountUpdates
    | acts.DelayNext
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What is to be processed of a request, after `events`; `lost` when nothing ever is."""

    requests: tuple[Request, ...] = ()
    events: Events = ()
    lost: bool = False
    held: bool = False
    """It waits, and comes back as work."""
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What the broker has to do because of a fault: tell events, process requests."""

    events: Events = ()
    packets: tuple[Packet, ...] = ()


class FaultDesk:
    """The hands of the faults of one broker."""

    def __init__(
        self,
        engine: FaultEngine,
        *,
        exchange: Exchange,
        answers: Answers,
        outbox: Outbox,
        sessions: dict[int, Session],
        taken_client_ids: set[int],
        journal: Journal,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._answers = answers
        self._outbox = outbox
        self._sessions = sessions
        self._taken_client_ids = taken_client_ids
        self._journal = journal
        self._waiting: deque[Act] = deque()
        self._unread: dict[int, list[Packet]] = {}

    # What the broker tells

    def arm(self, fault: Fault, now: datetime) -> int:
        """Arm a fault and return its number; what it does at once is work.

        Raises:
            FaultError: It should begin at a time that has passed.
        """
        number, wanted = self._engine.arm(fault, now)
        self._waiting += wanted
        return number

    def heal(self, number: int | None, now: datetime) -> None:
        """Heal one fault, or all of them.

        Raises:
            FaultError: There is no such fault.
        """
        self._heed(self._engine.heal_all() if number is None else self._engine.heal(number), now)

    def next_due(self) -> datetime | None:
        """Return when `tick` has something to do next."""
        return self._engine.next_due()

    def states(self) -> tuple[FaultState, ...]:
        """Return every fault that was armed, by its number."""
        return tuple(
            FaultState(number=it.number, state=it.state.value, hits=it.hits, fault=it.fault)
            for it in self._engine.faults()
        )

    def tick(self, now: datetime) -> None:
        """Notice the time."""
        self._heed(self._engine.tick(now), now)

    def watch(self, event: ExchangeEvent, now: datetime) -> None:
        """Learn what happened at the exchange."""
        if isinstance(event, OrderChanged | Filled):
            self._heed(self._engine.order(event.order, now), now)

    def gone(self, session: Session, now: datetime) -> None:
        """Learn that a client is gone."""
        self._unread.pop(session.number, None)
        if session.client_id is not None:
            self._engine.gone(session.client_id, now)

    def admit(
        self, session: Session, request: Request, occurrence: int, now: datetime
    ) -> Admission:
        """Say what is to be processed of a request that has come."""
        packet = self._packet(session, request, occurrence)
        if session.silent is not None:
            self._unread.setdefault(session.number, []).append(packet)
            return Admission(held=True)
        # Left from a request that was refused for another reason, it would delay the wrong data.
        session.market.delay_next = False
        incoming = self._engine.request(packet, now)
        events: list[ExchangeEvent] = []
        for act in incoming.before:
            events += self._perform(act, now).events
        if incoming.answer is not None:
            self._outbox.emit(session, incoming.answer, now)
        self._waiting += incoming.after
        if session.closed:
            return Admission(events=tuple(events), lost=True)
        answered = incoming.answer is not None or incoming.in_use
        return Admission(
            requests=(incoming.request,) * incoming.copies,
            events=tuple(events),
            lost=not (incoming.copies or incoming.held or answered),
            held=incoming.held,
            in_use=incoming.in_use,
        )

    def answered(self, now: datetime) -> None:
        """Learn that the answers to the request have been made."""
        self._engine.answered()
        waiting, self._waiting = self._waiting, deque()
        self._heed(tuple(waiting), now)

    def work(self, now: datetime) -> Work | None:
        """Carry out the next act that waits; None when there is none."""
        self._waiting += self._outbox.acts
        self._outbox.acts.clear()
        return self._perform(self._waiting.popleft(), now) if self._waiting else None

    def session_of(self, packet: Packet) -> Session:
        """Return the session of a request that was held, or one that hears nothing any more."""
        session = self._sessions.get(packet.session)
        if session is None:
            session = Session(packet.session, client_id=packet.client_id, ready=True, closed=True)
        return session

    # How it is done

    def _heed(self, wanted: Sequence[Act], now: datetime) -> None:
        """Cut at once, so that nothing more leaves; let the rest wait for the input's end."""
        for act in wanted:
            if isinstance(act, acts.Cut | acts.Note):
                self._perform(act, now)
            else:
                self._waiting.append(act)

    def _packet(self, session: Session, request: Request, occurrence: int) -> Packet:
        client_id = request.client_id if isinstance(request, StartApi) else session.client_id
        packet = Packet(session.number, client_id, request, occurrence)
        if isinstance(request, ReqMktData | ReqRealTimeBars | ReqTickByTickData):
            return replace(packet, contract=self._exchange.catalog.resolve(request.contract))
        if not isinstance(request, PlaceOrder | CancelOrder) or client_id is None:
            return packet
        order = self._exchange.order(client_id, request.order_id)
        if order is None:
            return packet
        return replace(
            packet, live_order=order.live, perm_id=order.perm_id, placed_time=order.placed_time
        )

    def _perform(self, act: Act, now: datetime) -> Work:  # noqa: C901, PLR0912 - an arm an act
        match act:
            case acts.Note():
                self._note(act, now)
            case acts.Tell():
                for session in self._listeners(act.client_id, act.session):
                    self._outbox.emit(session, ErrorMessage(act.req_id, act.code, act.text), now)
            case acts.Cut(how=how):
                for session in self._those(act.client_id, act.session):
                    if act.last is not None and session.ready:
                        self._outbox.emit(session, act.last, now)
                    self._outbox.cut(session, how)
            case acts.Forget():
                for session in self._sessions.values():
                    session.ready = False
                self._taken_client_ids.clear()
                # Legs that wait for transmit=1 live in the gateway and die with it (section 3.10).
                self._exchange.lose_untransmitted()
            case acts.Hush(number=number):
                for session in self._those(act.client_id, None):
                    session.silent = number
                    self._outbox.effect(Silence(session.number))
            case acts.Unhush(number=number):
                return Work(packets=tuple(self._unhush(number)))
            case acts.ClosePort():
                self._outbox.effect(RefuseConnections())
            case acts.OpenPort():
                self._outbox.effect(AcceptConnections())
            case acts.Deliver(parcel=parcel):
                if parcel.session in self._sessions:
                    self._outbox.deliver(self._sessions[parcel.session], parcel, now)
            case acts.Take(packet=packet):
                return Work(packets=(packet,))
            case acts.ReplayOrders(client_id=client_id):
                for session in self._listeners(client_id, None):
                    for reply in self._answers.replay(session).replies:
                        self._outbox.emit(session, reply, now)
            case (
                acts.EndSubscriptions()
                | acts.TellSubscribers()
                | acts.EndHistories()
                | acts.Deactivate()
                | acts.EndAccountUpdates()
                | acts.DelayNext()
            ):
                self._on_feeds(act, now)
            case _:
                return Work(events=self._on_books(act, now))
        return Work()

    def _on_feeds(self, act: FeedAct, now: datetime) -> None:  # noqa: C901, PLR0912 - an arm an act
        """Change what clients have subscribed to, and tell them where TWS does."""
        match act:
            case acts.EndSubscriptions(client_id=client_id):
                for session in self._listeners(client_id, None):
                    session.bars.clear()
                    session.market = Subscriptions(data_type=session.market.data_type)
            case acts.TellSubscribers():
                for session in self._listeners(act.client_id, None):
                    for req_id in (*session.bars, *session.market.quotes, *session.market.ticks):
                        self._outbox.emit(session, ErrorMessage(req_id, act.code, act.text), now)
            case acts.EndHistories():
                for session in self._listeners(act.client_id, act.session):
                    for req_id in _kept(session, act):
                        del session.market.histories[req_id]
                        words = error(req_id, ErrorCode.LIVE_UPDATES_BROKEN)
                        self._outbox.emit(session, words, now)
            case acts.Deactivate():
                for session in self._listeners(act.client_id, None):
                    for req_id in _standing(session, act):
                        session.market.idle.add(req_id)
                        self._outbox.emit(session, error(req_id, ErrorCode.BUST_EVENT), now)
            case acts.EndAccountUpdates(client_id=client_id):
                taken = error(SYSTEM_REQ_ID, ErrorCode.ACCOUNT_SUBSCRIPTION_TAKEN)
                for session in self._listeners(client_id, None):
                    if session.account_updates is not None:
                        session.account_updates = None
                        self._outbox.emit(session, taken, now)
            case acts.DelayNext(session=number):
                self._sessions[number].market.delay_next = True
            case _:
                assert_never(act)

    def _on_books(self, act: BookAct, now: datetime) -> Events:
        """Change the books as a fault wants it; what the books refuse goes to the journal."""
        try:
            match act:
                case acts.FillPart():
                    return self._fill(act, now)
                case acts.Expire() | acts.RejectLive():
                    return self._end_orders(act, now)
                case acts.Split(client_id=client_id, order_id=order_id):
                    self._exchange.split_on_modify(self._order(client_id, order_id).perm_id)
                case acts.Correct():
                    return self._correct(act, now)
                case acts.Bust(exec_id=exec_id):
                    execution = self._execution(exec_id)
                    return self._exchange.bust(execution.exec_id, now=now)
                case acts.RollBack(client_id=client_id, count=count):
                    self._roll_back(client_id, count)
                case acts.TakeBack(seconds=seconds):
                    return self._exchange.take_back(now - seconds, now=now)
                case _:
                    assert_never(act)
        except ExchangeError as error:
            self._journal.write("fault", now, event="failed", reason=str(error))
        return ()

    def _order(self, client_id: int, order_id: int) -> OrderView:
        order = self._exchange.order(client_id, order_id)
        if order is None:
            raise ExchangeError(f"client {client_id} has no order {order_id}")
        return order

    def _execution(self, exec_id: str | None) -> ExecutionRecord:
        """Return an execution of the day, with None the last one."""
        booked = [row.execution for row in self._exchange.executions()]
        found = [it for it in booked if exec_id in (None, it.exec_id)]
        if not found:
            raise ExchangeError(f"there is no execution {exec_id or ''} today")
        return found[-1]

    def _correct(self, act: acts.Correct, now: datetime) -> Events:
        old = self._execution(act.exec_id)
        shares, price = act.shares or old.shares, act.price or old.price
        return self._exchange.correct(old.exec_id, shares, price, now=now)

    def _roll_back(self, client_id: int | None, count: int) -> None:
        connected = {s.client_id for s in self._sessions.values() if s.client_id is not None}
        for known in sorted(connected) if client_id is None else [client_id]:
            self._exchange.forget_received_ids(known, count)

    def _fill(self, act: acts.FillPart, now: datetime) -> Events:
        order = self._order(act.client_id, act.order_id)
        price = order.terms.limit_price or self._exchange.last_price(order.contract.symbol)
        if price is None:
            raise ExchangeError(f"order {act.order_id} cannot be filled: nothing has a price yet")
        return self._exchange.fill(order.perm_id, act.shares, price, now=now)

    def _end_orders(self, act: acts.Expire | acts.RejectLive, now: datetime) -> Events:
        """Expire or reject live orders; a child may be gone with its parent by its turn."""
        events: list[ExchangeEvent] = []
        for order in self._exchange.live_orders():
            mine = act.client_id in (None, order.client_id)
            wanted = mine and act.order_ref in (None, order.terms.order_ref)
            current = self._exchange.order_by_perm(order.perm_id)
            if not wanted or current is None or not current.live:
                continue
            match act:
                case acts.Expire():
                    events += self._exchange.expire(order.perm_id, now=now)
                case acts.RejectLive(code=code, text=words):
                    events += self._exchange.reject(order.perm_id, code, words, now=now)
        return tuple(events)

    def _unhush(self, number: int) -> list[Packet]:
        packets: list[Packet] = []
        for session in self._sessions.values():
            if session.silent == number:
                session.silent = None
                self._outbox.effect(Resume(session.number))
                packets += self._unread.pop(session.number, [])
        return packets

    def _those(self, client_id: int | None, number: int | None) -> list[Session]:
        """Return the open sessions that an act is about."""
        return [
            session
            for session in self._sessions.values()
            if not session.closed
            and client_id in (None, session.client_id)
            and number in (None, session.number)
        ]

    def _listeners(self, client_id: int | None, number: int | None) -> list[Session]:
        return [session for session in self._those(client_id, number) if session.ready]

    def _note(self, note: acts.Note, now: datetime) -> None:
        fault = self._engine.fault(note.number)
        self._journal.write(
            "fault",
            now,
            event=note.event,
            fault=note.number,
            name=fault.name,
            parameters=parameters(fault),
            detail=note.detail,
        )


def _standing(session: Session, act: acts.Deactivate) -> list[int]:
    """Return the request ids of what a bust event makes stand still."""
    market = session.market
    asked = {req_id: request.contract for req_id, request in session.bars.items()}
    asked |= {req_id: request.contract for req_id, request in market.histories.items()}
    if act.ticks:
        asked |= {req_id: feed.request.contract for req_id, feed in market.ticks.items()}
    return [
        req_id
        for req_id, contract in asked.items()
        if act.symbol in (None, contract.symbol) and market.told(req_id)
    ]


def _kept(session: Session, act: acts.EndHistories) -> list[int]:
    """Return the request ids of the histories that end."""
    return [each for each in session.market.histories if act.req_id in (None, each)]
