"""The whole broker as one state machine: sessions, exchange, market and the crash point.

Bytes and time come in as arguments, bytes for sockets go out as effects, facts go to the journal.
Nothing here reads a clock or a socket. Inputs are handled one message at a time in the order in
which they arrived, so that a crash point between two messages is a place and not a moment.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Self, assert_never

from fakebroker.account_feeds import FeedDesk
from fakebroker.answers import Answer, Answers
from fakebroker.books import read_books
from fakebroker.breakpoint import Breakpoint, PointError, Tally, answer_to
from fakebroker.control_messages import Books, FaultState, Point, Step
from fakebroker.deferred import AccountNews, ClientIdFree, CommissionNews, DebtQueue
from fakebroker.durable import Durable
from fakebroker.exchange.events import ExchangeEvent
from fakebroker.exchange.exchange import Exchange, ExchangeSnapshot
from fakebroker.exchange.hours import ends_between
from fakebroker.fault_desk import FaultDesk
from fakebroker.fault_engine import FaultEngine
from fakebroker.faults import Fault
from fakebroker.faults.field import Pacing
from fakebroker.journal import Journal
from fakebroker.limits import other_account, over_limit
from fakebroker.market.aggregate import bar_of_tick
from fakebroker.market.postpone import PostponeError, later
from fakebroker.market.source import Market, MarketEvent
from fakebroker.market.tape import Bar, Halt, Tick
from fakebroker.marketdata.desk import MarketDesk
from fakebroker.outbox import Effect, Outbox
from fakebroker.protocol.connection import (
    ConnectionState,
    Event,
    ProtocolFailed,
    UnknownRequest,
    VersionOffered,
)
from fakebroker.protocol.describe import describe
from fakebroker.protocol.replies import ErrorMessage
from fakebroker.protocol.requests import Request, StartApi
from fakebroker.routing import News, Routing
from fakebroker.session import Session
from fakebroker.settings import BrokerSettings
from fakebroker.snapshot import BrokerSnapshot, capture, fingerprint, revive
from fakebroker.values import Action, Contract

OFF_TAPE_SHARES = Decimal(100)


@dataclass(frozen=True, slots=True)
class _Connected:
    session: int


@dataclass(frozen=True, slots=True)
class _Received:
    session: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Lost:
    session: int


_Input = _Connected | _Received | _Lost


@dataclass(frozen=True, slots=True)
class _HeldRequest:
    session: Session
    request: Request
    occurrence: int


class Broker:
    """An IB Gateway as a deterministic function of what is fed to it.

    Every input method takes exchange time `now` (aware) and returns the effects for the sockets.
    """

    def __init__(
        self, settings: BrokerSettings, market: Market, *, start: datetime, journal: Journal
    ) -> None:
        self.now = start
        self._tally = Tally()
        self._market = market
        self._journal = journal
        self._point = Breakpoint(self._tally)
        faults = FaultEngine()
        self._outbox = Outbox(journal, self._point, faults, tally=self._tally)
        self._exchange = Exchange(settings)
        self._debts = DebtQueue()
        self._sessions: dict[int, Session] = {}
        self._taken_client_ids: set[int] = set()
        self._desk = MarketDesk(settings, market)
        feeds = FeedDesk(self._exchange, settings)
        self._answers = Answers(self._exchange, settings, self._desk, feeds)
        self._faults = FaultDesk(
            faults,
            exchange=self._exchange,
            answers=self._answers,
            outbox=self._outbox,
            sessions=self._sessions,
            taken_client_ids=self._taken_client_ids,
            journal=journal,
        )
        self._routing = Routing(
            self._exchange, settings, self._debts, market=self._desk, feeds=feeds
        )
        self._settings = settings
        self._arrived: deque[_Input] = deque()
        self._inbox: deque[tuple[Session, Event]] = deque()
        self._held: _HeldRequest | None = None
        self._arm_settings()

    def write_journal_to(self, sink: Callable[[str], None]) -> None:
        """Write everything from now on into another journal."""
        self._journal.go_on_in(sink)

    # Inputs from the sockets

    def connect(self, session: int, now: datetime) -> list[Effect]:
        """Register a new connection under a number the caller chose."""
        return self._input(_Connected(session), now)

    def receive(self, session: int, data: bytes, now: datetime) -> list[Effect]:
        """Take bytes that a client sent, cut anywhere."""
        return self._input(_Received(session, data), now)

    def disconnect(self, session: int, now: datetime) -> list[Effect]:
        """Learn that a client's socket is gone."""
        return self._input(_Lost(session), now)

    # Inputs from time

    def next_deadline(self) -> datetime | None:
        """Return when `tick` has something to do next."""
        sources = (self._due_off_tape(), self._market.next_end())
        return min((due for due in sources if due is not None), default=None)

    def tick(self, now: datetime) -> list[Effect]:
        """Do everything that is due by `now`, in the order of its time."""
        while self.halted is None and (due := self.next_deadline()) is not None and due <= now:
            self._play_next(due)
        self._move_time(now)
        return self._settled()

    def step(self) -> tuple[Step, list[Effect]]:
        """Do the one thing that is due next, whenever that is, and move time there.

        Raises:
            PointError: The broker stands still at a point.
        """
        if self.halted is not None:
            raise PointError(f"the broker stands still at {self.halted}: release it, then step")
        due = self.next_deadline()
        if due is None:
            return Step(kind="end", time=self.now), []
        kind = self._play_next(due)
        return Step(kind=kind, time=self.now), self._settled()

    # Inputs from whoever drives the broker

    @property
    def halted(self) -> Point | None:
        """The point at which the broker stands still."""
        return self._point.halted

    def break_at(self, point: Point) -> None:
        """Arm the point at which to stand still.

        Raises:
            PointError: It has passed already, or the broker stands still now.
        """
        self._point.arm(point)

    def release(self, now: datetime, *, deliver: bool, then: Point | None = None) -> list[Effect]:
        """Leave the point; what was held arrives, or is lost as bytes in flight are.

        Args:
            now: Exchange time.
            deliver: Whether what was held arrives.
            then: Where to stand still next; it may lie in what is held.

        Raises:
            PointError: The broker does not stand still, or `then` lies behind.
        """
        waits = deliver and then is not None and self._waits(then)
        left = self._point.release(then, waits=waits)
        self._move_time(now)
        self._journal.write("released", self.now, deliver=deliver)
        held, self._held = self._held, None
        self._outbox.release(self.now, deliver=deliver)
        if held is not None and deliver:
            self._process(held)
        elif held is not None:
            self._lose_input(held)
        elif then is not None and then == answer_to(left):
            self._stand_still()
        return self._run()

    def _waits(self, point: Point) -> bool:
        """Whether a point lies in what is held where the broker stands still."""
        if point.direction == "out":
            return point != self.halted and self._outbox.waits(point.message, point.occurrence)
        held = self._held
        if held is None:
            return self.halted is not None and point == answer_to(self.halted)
        itself = (point.message, point.occurrence) == (held.request.MESSAGE, held.occurrence)
        return itself and point.moment != "received"

    def fill(self, perm_id: int, *, shares: Decimal, price: Decimal, now: datetime) -> list[Effect]:
        """Fill a working order by hand.

        Raises:
            ExchangeError: The order is unknown, not working, or smaller than that.
        """
        return self._by_hand(self._exchange.fill(perm_id, shares, price, now=now), now)

    def cancel(self, perm_id: int, *, now: datetime, by_hand: bool = False) -> list[Effect]:
        """Cancel an order as the broker would, or as a person in TWS would: without a reason.

        Raises:
            ExchangeError: The order is unknown or done.
        """
        reason = "" if by_hand else "cancelled by the broker"
        return self._by_hand(self._exchange.cancel_by_perm(perm_id, now=now, reason=reason), now)

    def expire(self, perm_id: int, *, now: datetime) -> list[Effect]:
        """End an order as if its time in force were over.

        Raises:
            ExchangeError: The order is unknown or done.
        """
        return self._by_hand(self._exchange.expire(perm_id, now=now), now)

    def reject(self, perm_id: int, code: int, reason: str, *, now: datetime) -> list[Effect]:
        """Reject an order that was acknowledged.

        Raises:
            ExchangeError: The order is unknown, done, or not transmitted.
        """
        return self._by_hand(self._exchange.reject(perm_id, code, reason, now=now), now)

    def trade(self, symbol: str, price: Decimal, *, jumps: bool, now: datetime) -> list[Effect]:
        """Let others trade a stock at a price (US dollars), off the tape.

        Raises:
            ExchangeError: Nothing has priced the stock yet, or the price is none.
        """
        events = self._exchange.trade(symbol, price, jumps=jumps, now=now)
        self._move_time(now)
        tick = Tick(symbol, self.now, price, OFF_TAPE_SHARES)
        self._journal.market(tick, self.now)
        self._desk.note(tick)
        self._route(events)
        for session, reply in self._routing.market_news(tick, self.sessions(), self.now):
            self._outbox.emit(session, reply, self.now)
        return self._settled()

    def pass_time(self, by: timedelta) -> list[Effect]:
        """Let time pass in which the tape plays nothing; what is left of it comes as much later.

        Whatever else is due meanwhile happens at its time, and sessions and days end at theirs.

        Raises:
            PointError: The broker stands still at a point.
            PostponeError: The tape cannot be postponed by that.
        """
        if self.halted is not None:
            raise PointError(f"the broker stands still at {self.halted}: release it first")
        self._market.postpone(by)
        end = later(self.now, by)
        for moment in (*ends_between(self.now, end), end):
            while (due := self._due_off_tape()) is not None and due <= moment:
                self._play_next(due)
            self._move_time(moment)
            self._route(self._exchange.advance(now=self.now))
        return self._settled()

    def advance(self, to: datetime) -> list[Effect]:
        """Let the clock go on, and play nothing: what is due at that very moment is still to come.

        Raises:
            PointError: The broker stands still at a point.
            PostponeError: Something is due before, or it has passed.
        """
        if self.halted is not None:
            raise PointError(f"the broker stands still at {self.halted}: release it first")
        due = self.next_deadline()
        if due is not None and to > due:
            raise PostponeError(f"{to} is too late: something is due at {due}, which a step plays")
        if to < self.now:
            raise PostponeError(f"{to} has passed: it is {self.now}")
        self._move_time(later(self.now, to - self.now))
        return self._settled()

    def manual_order(
        self, symbol: str, action: Literal["BUY", "SELL"], *, quantity: Decimal, now: datetime
    ) -> list[Effect]:
        """Send a market order as a person in TWS would.

        Raises:
            ExchangeError: There is no such contract.
        """
        bound = any(session.auto_bind for session in self._sessions.values())
        order_id = self._exchange.next_bound_id() if bound else 0
        return self._by_hand(
            self._exchange.manual_order(
                Contract(symbol=symbol), Action(action), quantity, now=now, order_id=order_id
            ),
            now,
        )

    def inject(self, fault: Fault, now: datetime) -> tuple[int, list[Effect]]:
        """Arm a fault; return its number for `heal` and what it does at once.

        Raises:
            FaultError: It should begin at a time that has passed.
        """
        self._move_time(now)
        number = self._faults.arm(fault, self.now)
        return number, self._settled()

    def heal(self, number: int | None, now: datetime) -> list[Effect]:
        """End one fault, or with None all of them.

        Raises:
            FaultError: There is no such fault.
        """
        self._move_time(now)
        self._faults.heal(number, self.now)
        return self._settled()

    def hang_up(self, number: int, reason: str, now: datetime) -> list[Effect]:
        """Close a session from our side, with the reason in the journal; no-op once it is closed.

        This is for what the bytes do not show: a client that is silent, slow or one too many.
        """
        self._move_time(now)
        session = self._sessions.get(number)
        if session is not None and not session.closed:
            self._note_session("error", session, reason)
            self._outbox.close(session)
        return self._outbox.take()

    # What can be asked

    @property
    def settings(self) -> BrokerSettings:
        """The settings that this broker was made with."""
        return self._settings

    def awaits_start(self, number: int) -> bool:
        """Say whether a connected client that can be heard has not sent startApi yet."""
        session = self._sessions.get(number)
        if session is None or session.closed or session.silent is not None:
            return False
        return session.connection.state is not ConnectionState.READY

    def faults(self) -> tuple[FaultState, ...]:
        """Return every fault that was armed, by its number."""
        return self._faults.states()

    def sessions(self) -> tuple[Session, ...]:
        """Return the connected sessions in the order of their numbers."""
        return tuple(self._sessions[number] for number in sorted(self._sessions))

    @property
    def frames_received(self) -> int:
        """How many frames have come."""
        return self._tally.received

    @property
    def frames_sent(self) -> int:
        """How many frames have left."""
        return self._tally.sent

    @property
    def bars_played(self) -> int:
        """How many bars of the market have been played."""
        return self._market.played

    @property
    def bars_left(self) -> int:
        """How many bars of the market are to come."""
        return self._market.left

    @property
    def postponed(self) -> timedelta:
        """How much later than the tape says its bars come."""
        return self._market.postponed

    @property
    def subscriptions(self) -> int:
        """How many real-time bar subscriptions are alive."""
        return sum(len(session.bars) for session in self._sessions.values())

    def books(self, now: datetime) -> Books:
        """Return the books of the day."""
        self._move_time(now)
        return read_books(self._exchange, self.now)

    # To be brought back

    def snapshot(self) -> BrokerSnapshot:
        """Return everything that this broker is between two inputs; it goes on unchanged."""
        return capture(self, self._journal)

    @classmethod
    def resume(cls, snapshot: BrokerSnapshot, *, journal: Journal) -> Self:
        """Return a broker of its own that goes on from a snapshot.

        The same inputs give the same effects and journal lines as they did after the snapshot.
        `journal` is where it writes; its records are numbered on from the snapshot's.
        """
        broker = revive(snapshot, journal)
        assert isinstance(broker, cls)
        return broker

    def fingerprint(self, *, counts: bool) -> str:
        """Return a digest of all that the rest of the day rests on, but settings and tape.

        Two brokers with the same settings and tape and the same digest answer the same inputs in
        the same way, the numbers in the journal apart; not every two that would do so have the
        same digest.

        Args:
            counts: Take in how many messages have passed, which points and faults count by.
        """
        return fingerprint(self, without=(() if counts else (self._tally,)))

    def durable(self) -> Durable:
        """Return what outlives the process, for a disk; it is read at once and not changed."""
        return Durable(self.now, self._market.cursor, self._exchange.book)

    def reopen(self, kept: Durable) -> None:
        """Go on from what an earlier process kept, before the first input (section 3.10).

        The client id table is empty and nobody is owed anything. Where time has passed, the books
        notice: on a new day its lists start anew.

        Raises:
            IndexError: The tape is not the one that the books stand on.
        """
        self._exchange.restore(ExchangeSnapshot(kept.book))
        for event in self._market.go_to(kept.market_cursor):
            self._note(event)
        self._move_time(kept.now)
        self._route(self._exchange.advance(now=self.now))

    # One input after the other

    def _arm_settings(self) -> None:
        """Arm the faults of the settings, before anything has come."""
        most = self._settings.messages_per_second_max
        pacing = () if most is None else (Pacing(messages_per_second_max=most),)
        for fault in (*pacing, *self._settings.faults):
            self._faults.arm(fault, self.now)
        self._settle()

    def _input(self, item: _Input, now: datetime) -> list[Effect]:
        self._move_time(now)
        self._arrived.append(item)
        return self._run()

    def _by_hand(self, events: Sequence[ExchangeEvent], now: datetime) -> list[Effect]:
        self._move_time(now)
        self._route(events)
        return self._settled()

    def _run(self) -> list[Effect]:
        # What a fault still had to do when the broker stood still comes before what came meanwhile.
        self._settle()
        while self.halted is None and (self._inbox or self._arrived):
            if self._inbox:
                self._serve(*self._inbox.popleft())
            else:
                self._accept(self._arrived.popleft())
            self._settle()
        return self._settled()

    def _settled(self) -> list[Effect]:
        self._settle()
        return self._outbox.take()

    def _settle(self) -> None:
        """Do what faults have left to do, unless the broker stands still."""
        while self.halted is None and (work := self._faults.work(self.now)) is not None:
            self._route(work.events)
            for packet in work.packets:
                session = self._faults.session_of(packet)
                late = _HeldRequest(session, packet.request, packet.occurrence)
                self._note_message("received", late)
                self._serve_one(session, packet.request)

    def _accept(self, item: _Input) -> None:
        match item:
            case _Connected(number):
                self._sessions[number] = Session(number)
                self._note_session("connected", self._sessions[number])
            case _Received(number, data):
                session = self._sessions[number]
                if not session.closed:
                    events = session.connection.receive(data)
                    self._inbox.extend((session, event) for event in events)
            case _Lost(number):
                self._forget(self._sessions.pop(number))
            case _:
                assert_never(item)

    def _serve(self, session: Session, event: Event) -> None:
        if session.closed:
            # How much of it came before the end, and how much never did, is chance: the socket is
            # not read any more. So it is not told, and nothing counts by it.
            return
        match event:
            case VersionOffered():
                self._tally.received += 1
                self._outbox.handshake(session, session.connection.handshake_reply(self.now))
            case UnknownRequest():
                self._tally.received += 1
                self._journal.write(
                    "unknown", self.now, session=session.number, message_id=event.message_id
                )
                self._reply(session, self._answers.unknown(event))
            case ProtocolFailed(reason=reason):
                self._note_session("error", session, reason)
                self._outbox.close(session)
            case _:
                self._tally.received += 1
                self._serve_request(session, event)

    def _serve_request(self, session: Session, request: Request) -> None:
        message = request.MESSAGE
        held = _HeldRequest(session, request, self._point.count("in", message))
        if session.deaf:
            self._note_message("lost", held)
        elif self._reached(held, "received"):
            self._held = held
            self._stand_still()
        else:
            self._process(held)

    def _process(self, item: _HeldRequest) -> None:
        if self._reached(item, "processed"):
            self._outbox.hold()
        admitted = self._faults.admit(item.session, item.request, item.occurrence, self.now)
        self._route(admitted.events)
        if not admitted.held:
            self._note_message("lost" if admitted.lost else "received", item)
        if admitted.in_use and isinstance(item.request, StartApi):
            self._refuse(item.session, item.request.client_id)
        else:
            for request in admitted.requests:
                self._serve_one(item.session, request)
        self._faults.answered(self.now)
        if self._reached(item, "processed") or self._reached(item, "answered"):
            self._stand_still()

    def _serve_one(self, session: Session, request: Request) -> None:
        if isinstance(request, StartApi):
            self._start(session, request)
        elif (refusal := self._limited(request, session)) is not None:
            self._outbox.emit(session, refusal, self.now)
        else:
            self._reply(session, self._answers.answer(request, session, self.now))

    def _limited(self, request: Request, session: Session) -> ErrorMessage | None:
        full = over_limit(request, session, most=self._settings.subscriptions_max)
        return full or other_account(request, session, self.sessions(), self._settings)

    def _lose_input(self, item: _HeldRequest) -> None:
        """Drop the held request and all that this session sent after it."""
        self._note_message("lost", item)
        item.session.deaf = True

    def _reached(
        self, item: _HeldRequest, moment: Literal["received", "processed", "answered"]
    ) -> bool:
        return self._point.reached(
            "in", item.request.MESSAGE, occurrence=item.occurrence, moment=moment
        )

    def _stand_still(self) -> None:
        self._journal.point("halted", self._point.halt(), self.now)

    # Sessions

    def _start(self, session: Session, request: StartApi) -> None:
        if request.client_id in self._taken_client_ids:
            self._refuse(session, request.client_id)
            return
        self._taken_client_ids.add(request.client_id)
        session.client_id = request.client_id
        session.ready = True
        self._note_session("ready", session)
        self._reply(session, self._answers.welcome(session))

    def _refuse(self, session: Session, client_id: int) -> None:
        self._note_session("refused", session, f"client id {client_id} is in use")
        self._reply(session, self._answers.client_id_in_use())
        self._outbox.close(session)

    def _forget(self, session: Session) -> None:
        self._note_session("disconnected", session)
        self._faults.gone(session, self.now)
        if not session.ready or session.client_id is None:
            return
        # 326 while the old socket is still held (tws-protocol.md section 0b.10).
        if self._settings.release_delay:
            due = self.now + self._settings.release_delay
            self._debts.owe(ClientIdFree(session.client_id), due)
        else:
            self._taken_client_ids.discard(session.client_id)

    # Time and the market

    def _move_time(self, now: datetime) -> None:
        self.now = max(self.now, now)

    def _play_next(self, due: datetime) -> Literal["bar", "tick", "halt", "deadline"]:
        self._move_time(due)
        fault_due = self._faults.next_due()
        if fault_due is not None and fault_due <= due:
            self._faults.tick(self.now)
            self._settle()
            return "deadline"
        owed = self._debts.next_due()
        if owed is not None and owed <= due:
            self._pay()
            return "deadline"
        return self._play_market(self._market.pop())

    def _due_off_tape(self) -> datetime | None:
        sources = (self._faults.next_due(), self._debts.next_due())
        return min((due for due in sources if due is not None), default=None)

    def _note(self, event: MarketEvent) -> None:
        self._desk.note(event)
        if isinstance(event, Halt):
            self._exchange.set_halted(event.symbol, halted=event.halted)

    def _play_market(self, event: MarketEvent) -> Literal["bar", "tick", "halt"]:
        self._journal.market(event, self.now)
        self._note(event)
        price = bar_of_tick(event) if isinstance(event, Tick) else event
        if isinstance(price, Bar) and (isinstance(event, Tick) or not self._market.by_tick):
            self._route(self._exchange.on_bar(price, now=self.now))
        for session, reply in self._routing.market_news(event, self.sessions(), self.now):
            self._outbox.emit(session, reply, self.now)
        match event:
            case Bar():
                return "bar"
            case Tick():
                return "tick"
            case Halt():
                return "halt"

    def _pay(self) -> None:
        debt = self._debts.pop()
        match debt:
            case AccountNews():
                news: News = self._routing.account_news(debt, self.sessions(), self.now)
            case CommissionNews():
                news = self._routing.commission_news(debt, self.sessions())
            case ClientIdFree(client_id):
                self._taken_client_ids.discard(client_id)
                news = iter(())
            case _:
                assert_never(debt)
        for session, reply in news:
            self._outbox.emit(session, reply, self.now)

    # Words to clients and to the journal

    def _reply(self, session: Session, answer: Answer) -> None:
        for reply in answer.replies:
            self._outbox.emit(session, reply, self.now)
        self._route(answer.events)

    def _route(self, events: Sequence[ExchangeEvent]) -> None:
        for event in events:
            self._journal.exchange(event, self.now)
            self._faults.watch(event, self.now)
            for session, reply in self._routing.event(event, self.sessions(), self.now):
                self._outbox.emit(session, reply, self.now)

    def _note_session(self, event: str, session: Session, reason: str = "") -> None:
        self._journal.write(
            "session",
            self.now,
            event=event,
            session=session.number,
            client_id=session.client_id,
            server_version=session.connection.server_version,
            reason=reason,
        )

    def _note_message(self, kind: Literal["received", "lost"], item: _HeldRequest) -> None:
        self._journal.write(
            kind,
            self.now,
            session=item.session.number,
            client_id=item.session.client_id,
            message=item.request.MESSAGE,
            occurrence=item.occurrence,
            fields=describe(item.request),
            **({"direction": "in"} if kind == "lost" else {}),
        )
