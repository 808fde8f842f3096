"""The only sockets: moves bytes, and wakes the broker when its next deadline is due.

Bytes are handled synchronously inside asyncio's read callback, never in a task of their own. So
whatever this process has read from a socket is fully booked before the event loop turns to
anything else, and a control answer describes a settled broker.
"""

import asyncio
import hashlib
import itertools
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from fakebroker.breakpoint import PointError
from fakebroker.broker import Broker
from fakebroker.clock import Clock
from fakebroker.control import LINE_LIMIT_BYTES, ControlError, answer_line
from fakebroker.control_messages import (
    AdvanceRequest,
    BooksRequest,
    BreakAtRequest,
    CancelRequest,
    ControlRequest,
    Done,
    ExpireRequest,
    FaultNumber,
    FaultRequest,
    Faults,
    FaultsRequest,
    FillRequest,
    Fingerprint,
    FingerprintRequest,
    ForkRequest,
    HealRequest,
    LoseClientsRequest,
    ManualOrderRequest,
    PassTimeRequest,
    PriceRequest,
    RejectRequest,
    ReleaseRequest,
    Result,
    SessionStatus,
    ShutdownRequest,
    Status,
    StatusRequest,
    Step,
    StepRequest,
)
from fakebroker.exchange.errors import ExchangeError
from fakebroker.fault_engine import FaultError
from fakebroker.fork import Ends, Handed, fork, listen_on
from fakebroker.guard import Farewells, Guard
from fakebroker.market.postpone import PostponeError
from fakebroker.outbox import (
    AcceptConnections,
    Close,
    Effect,
    RefuseConnections,
    Reset,
    Resume,
    Send,
    Silence,
)
from fakebroker.store import StoreError


class Gateway:
    """One broker behind one TCP port and, if asked for, one control socket."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        *,
        lockstep: bool,
        keep: Callable[[], None] | None = None,
    ) -> None:
        """Serve a broker; `keep` puts its books on the disk before the answers leave."""
        self._broker = broker
        self._keep = keep or (lambda: None)
        self._is_kept = keep is not None
        self._handed: Handed | None = None
        self._clock = clock
        self._lockstep = lockstep
        self._transports: dict[int, asyncio.Transport] = {}
        self._sessions = 0
        self._guard = Guard(broker, self._hang_up)
        self._farewells = Farewells(broker.settings.connections_max)
        self._alarm: asyncio.TimerHandle | None = None
        self._servers: list[asyncio.Server] = []
        self._client_server: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._host = ""
        self._control_path: Path | None = None
        self.port = 0
        self.stopped = asyncio.Event()
        self.failure: StoreError | None = None
        """Why it stopped by itself."""

    async def listen(self, host: str, port: int) -> None:
        """Open the client port; `port` 0 takes any free one, `self.port` tells which.

        Raises:
            OSError: The address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _ClientSocket(self), host, port)
        self._servers.append(server)
        self._client_server = server
        self._host = host
        self.port = server.sockets[0].getsockname()[1]
        self._carry_out(self._broker.tick(self._clock.now()))
        self._wake()

    async def listen_control(self, path: Path) -> None:
        """Open the control socket at `path`, for this user only.

        Raises:
            OSError: The path is taken, too long, or not ours to write.
        """
        _remove_dead_socket(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The mode is set between bind and listen, so that nobody can connect in between.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            path.chmod(0o600)  # noqa: ASYNC240 - once, at the start
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(lambda: _ControlSocket(self), sock=listener)
        except BaseException:
            listener.close()
            raise
        self._servers.append(server)
        self._control_path = path

    async def serve_control(self, connection: socket.socket) -> None:
        """Serve control requests over an open unix socket, and stop when its other end closes.

        Raises:
            OSError: It is not open, or not connected.
            ValueError: It is no unix socket.
        """
        connection.getpeername()  # One that is not connected would be noticed only when written to.
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(
            lambda: _ControlSocket(self, lost=self.stopped.set), sock=connection
        )

    async def close(self) -> None:
        """Close every socket."""
        if self._alarm is not None:
            self._alarm.cancel()
        for server in self._servers:
            server.close()
        self._guard.close()
        self._farewells.close()
        for transport in tuple(self._transports.values()):
            transport.abort()
        if self._control_path is not None:
            self._control_path.unlink(missing_ok=True)

    def connected(self, transport: asyncio.Transport) -> int:
        """Register a new client connection and return its session number, from 1."""
        self._sessions += 1
        self._transports[self._sessions] = transport
        self._carry_out(self._broker.connect(self._sessions, self._clock.now()))
        self._guard.opened(self._sessions)
        return self._sessions

    def received(self, session: int, data: bytes) -> None:
        """Hand bytes of a client to the broker; those after its end are thrown away."""
        if session in self._farewells:
            return
        self._carry_out(self._broker.receive(session, data, self._clock.now()))
        self._guard.received(session, len(data))

    def disconnected(self, session: int) -> None:
        """Tell the broker, once, that a client's socket is gone or that we have ended it."""
        if self._transports.pop(session, None) is None:
            return
        self._guard.gone(session)
        self._carry_out(self._broker.disconnect(session, self._clock.now()))

    def lost(self, session: int) -> None:
        """Notice that a client's socket is gone."""
        self._farewells.over(session)
        self.disconnected(session)

    def _hang_up(self, session: int, reason: str) -> None:
        self._carry_out(self._broker.hang_up(session, reason, self._clock.now()))

    def serve(self, request: ControlRequest) -> Result:  # noqa: C901, PLR0912 - an arm a request
        """Carry out one control request.

        Raises:
            ControlError: It cannot be carried out; the message says why.
        """
        now = self._clock.now()
        try:
            match request:
                case StatusRequest():
                    return self._status()
                case BooksRequest():
                    return self._broker.books(now)
                case StepRequest():
                    return self._step()
                case BreakAtRequest(point=point):
                    self._broker.break_at(point)
                case ReleaseRequest(deliver=deliver, then=then):
                    self._carry_out(self._broker.release(now, deliver=deliver, then=then))
                case FillRequest():
                    self._carry_out(
                        self._broker.fill(
                            request.perm_id, shares=request.shares, price=request.price, now=now
                        )
                    )
                case CancelRequest(perm_id=perm_id, by_hand=by_hand):
                    self._carry_out(self._broker.cancel(perm_id, now=now, by_hand=by_hand))
                case ExpireRequest(perm_id=perm_id):
                    self._carry_out(self._broker.expire(perm_id, now=now))
                case RejectRequest(perm_id=perm_id, code=code, reason=reason):
                    self._carry_out(self._broker.reject(perm_id, code, reason, now=now))
                case PriceRequest(symbol=symbol, price=price, jumps=jumps):
                    self._carry_out(self._broker.trade(symbol, price, jumps=jumps, now=now))
                case PassTimeRequest(by=by):
                    self._pass_time(by)
                case AdvanceRequest(to=to):
                    self._advance(to)
                case ManualOrderRequest():
                    self._carry_out(
                        self._broker.manual_order(
                            request.symbol, request.action, quantity=request.quantity, now=now
                        )
                    )
                case FaultRequest(fault=fault):
                    number, effects = self._broker.inject(fault, now)
                    self._carry_out(effects)
                    return FaultNumber(fault=number)
                case HealRequest(fault=which):
                    chosen = None if which == "all" else which
                    self._carry_out(self._broker.heal(chosen, now))
                case FaultsRequest():
                    return Faults(faults=self._broker.faults())
                case ForkRequest(journal=journal):
                    return self._fork(Path(journal))
                case LoseClientsRequest():
                    self._lose_clients()
                case FingerprintRequest(counts=counts):
                    return self._fingerprint(counts=counts)
                case ShutdownRequest():
                    self.stopped.set()
        except (PointError, ExchangeError, FaultError, PostponeError) as error:
            raise ControlError(str(error)) from error
        return Done()

    def _fork(self, journal: Path) -> Result:
        if not self._lockstep or self._is_kept:
            raise ControlError(
                "fork needs --clock lockstep and no --state-dir: two brokers cannot share "
                "a clock of the wall or the books on a disk"
            )
        self._handed = fork(self._host, journal, self._go_on)
        return self._handed.answer

    def take_handed(self) -> Handed | None:
        """Return, once, what goes with the answer that has just been made."""
        handed, self._handed = self._handed, None
        return handed

    async def _go_on(self, ends: Ends) -> None:
        """In a fork: serve the same broker from a port of its own until its control ends."""
        self._broker.write_journal_to(ends.write)
        twin = Gateway(self._broker, self._clock, lockstep=True)
        twin._sessions, twin._host = self._sessions, self._host
        twin.port = ends.listener.getsockname()[1]
        await twin._serve_on(ends.listener)
        await twin.serve_control(ends.control)
        await twin.stopped.wait()
        await twin.close()

    def _lose_clients(self) -> None:
        now = self._clock.now()
        for session in [each.number for each in self._broker.sessions()]:
            transport = self._transports.pop(session, None)
            if transport is not None:
                transport.abort()
            self._farewells.over(session)
            self._guard.gone(session)
            self._carry_out(self._broker.disconnect(session, now))

    def _fingerprint(self, *, counts: bool) -> Fingerprint:
        listens = self._client_server is not None
        whole = f"{self._sessions} {listens} {self._broker.fingerprint(counts=counts)}"
        return Fingerprint(digest=hashlib.sha256(whole.encode()).hexdigest())

    def _step(self) -> Result:
        if not self._lockstep:
            raise ControlError("step needs --clock lockstep: with --clock real the tape runs alone")
        step, effects = self._broker.step()
        self._carry_out(effects)
        return Step(kind=step.kind, time=step.time, status=self._status())

    def _pass_time(self, by: timedelta) -> None:
        if not self._lockstep:
            raise ControlError(
                "pass_time needs --clock lockstep: with --clock real time runs alone"
            )
        self._carry_out(self._broker.pass_time(by))

    def _advance(self, to: datetime) -> None:
        if not self._lockstep:
            raise ControlError("advance needs --clock lockstep: with --clock real time runs alone")
        self._carry_out(self._broker.advance(to))

    def _status(self) -> Status:
        broker = self._broker
        return Status(
            now=self._clock.now(),
            port=self.port,
            frames_received=broker.frames_received,
            frames_sent=broker.frames_sent,
            bars_played=broker.bars_played,
            bars_left=broker.bars_left,
            next_due=broker.next_deadline(),
            sessions=tuple(
                SessionStatus(
                    session=session.number,
                    client_id=session.client_id,
                    ready=session.ready,
                    peer_port=self._peer_port(session.number),
                )
                for session in broker.sessions()
            ),
            subscriptions=broker.subscriptions,
            halted=broker.halted,
            postponed=broker.postponed,
        )

    def _peer_port(self, session: int) -> int | None:
        transport = self._transports.get(session)
        peer = transport.get_extra_info("peername") if transport is not None else None
        return peer[1] if peer is not None else None

    def _carry_out(self, effects: list[Effect]) -> None:
        if not self._kept():
            return
        for effect in joined(effects):
            if isinstance(effect, RefuseConnections | AcceptConnections):
                self._move_port(effect)
                continue
            transport = self._transports.get(effect.session)
            if transport is None or transport.is_closing() or effect.session in self._farewells:
                continue  # The client went away while its answer was made.
            match effect:
                case Send(data=data):
                    transport.write(data)
                    self._guard.wrote(effect.session, transport)
                case Close():
                    self._farewells.begin(effect.session, transport)
                    # Not now: the broker is in the middle of what it does.
                    asyncio.get_running_loop().call_soon(self.disconnected, effect.session)
                case Reset():
                    _reset(transport)
                case Silence():
                    transport.pause_reading()
                case Resume():
                    transport.resume_reading()
        self._wake()

    def _move_port(self, effect: RefuseConnections | AcceptConnections) -> None:
        """Give the port up, so that connections are refused, or take it again."""
        match effect:
            case RefuseConnections() if self._client_server is not None:
                self._servers.remove(self._client_server)
                self._client_server.close()
                self._client_server = None
            case AcceptConnections() if self._client_server is None and self.port:
                # It listens from here on; whoever connects is served when the loop turns.
                listener = listen_on(self._host, self.port)
                self._reopening = asyncio.get_running_loop().create_task(self._serve_on(listener))

    async def _serve_on(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _ClientSocket(self), sock=listener)
        self._client_server = server
        self._servers.append(server)

    def _kept(self) -> bool:
        """Put the books on the disk; what is not there is never told, and the broker ends."""
        if self.failure is None:
            try:
                self._keep()
            except StoreError as error:
                self.failure = error
                self.stopped.set()
        return self.failure is None

    def _wake(self) -> None:
        """Set the alarm for the broker's next deadline, in place of the one before."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._lockstep:
            return  # Nothing becomes due by itself.
        due = self._broker.next_deadline()
        if due is None or self._broker.halted is not None:
            return
        delay_seconds = self._clock.seconds_until(due)
        if delay_seconds is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(delay_seconds, self._tick)

    def _tick(self) -> None:
        self._carry_out(self._broker.tick(self._clock.now()))


def joined(effects: Iterable[Effect]) -> Iterator[Effect]:
    """Make one of sends that follow each other to the same session.

    What one input causes then arrives as one piece, and not in as many as the client happens to
    read in between; and a system call is most of what a frame costs.
    """
    for session, group in itertools.groupby(effects, key=receiver):
        if session is None:
            yield from group
        else:
            yield Send(session, b"".join(each.data for each in group if isinstance(each, Send)))


def receiver(effect: Effect) -> int | None:
    """Return the session that an effect sends bytes to, None for any other effect."""
    return effect.session if isinstance(effect, Send) else None


def _reset(transport: asyncio.Transport) -> None:
    """Close a socket with RST, dropping what has not been sent."""
    # Lingering for no time at all is how a reset is asked of the kernel.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()


class _ClientSocket(asyncio.Protocol):
    """One TCP connection of an API client."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._session = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._session = self._gateway.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._gateway.received(self._session, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - RST and FIN alike
        self._gateway.lost(self._session)


class _ControlSocket(asyncio.Protocol):
    """One connection to the control socket: a request a line, an answer a line."""

    def __init__(self, gateway: Gateway, *, lost: Callable[[], None] = lambda: None) -> None:
        self._gateway = gateway
        self._serve: Callable[[ControlRequest], Result] = gateway.serve
        self._lost = lost
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            answer = answer_line(line, self._serve)
            handed = self._gateway.take_handed()
            if handed is None:
                self._transport.write(answer)
            else:
                self._hand_over(answer, handed.control)
        if len(self._unread) > LINE_LIMIT_BYTES:
            self._transport.abort()

    def _hand_over(self, answer: bytes, connection: socket.socket) -> None:
        """Send an answer and an open connection with it; every answer before it has left."""
        assert self._transport is not None
        assert self._transport.get_write_buffer_size() == 0, "who asks has read all before"
        number = self._transport.get_extra_info("socket").fileno()
        with connection, socket.socket(fileno=os.dup(number)) as wire:
            socket.send_fds(wire, [answer], [connection.fileno()])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        self._lost()


def _remove_dead_socket(path: Path) -> None:
    """Remove the socket that a killed broker left; a living one is left and will clash."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
