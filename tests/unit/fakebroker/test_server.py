"""Real sockets: one client's silence, slowness or number never holds up another client."""

import asyncio
import contextlib
import json
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fakebroker import guard
from fakebroker.broker import Broker
from fakebroker.clock import LockstepClock
from fakebroker.control_messages import Point
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.protocol import frame
from fakebroker.server import Gateway
from fakebroker.settings import BrokerSettings
from tests.support.brokers import DEADLINE_SECONDS, tape_text
from tests.unit.fakebroker.protocol.wire import opening

TAPE = parse_tape(tape_text(), name="day", symbol=None)
TURNS_MAX = 1_000_000
SOON = timedelta(seconds=0.05)
LITTLE_BYTES = 4096
"""A buffer of the kernel that is soon full."""
REQ_CURRENT_TIME = frame(b"49\x001\0")
REQ_DETAILS = frame(b"9\x008\x001\x000\0TSLA\0STK\0\x000\0\0\0SMART\0\0USD\0\0\x000\0\0\0\0")


class Desk:
    """A gateway on a free port, and its journal."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.records: list[dict[str, object]] = []
        self.broker = Broker(
            settings,
            Market(TAPE),
            start=TAPE.bars[0].time,
            journal=Journal(lambda line: self.records.append(json.loads(line))),
        )
        self.gateway = Gateway(self.broker, LockstepClock(lambda: self.broker.now), lockstep=True)

    def reasons(self) -> list[str]:
        """Return why sessions were ended from our side."""
        return [str(record["reason"]) for record in self.records if record.get("event") == "error"]


class Client:
    """A client by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def message(self) -> list[bytes]:
        """Return the fields of the next frame."""
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        return (await self.reader.readexactly(length)).split(b"\0")[:-1]

    async def until(self, message_id: bytes) -> list[bytes]:
        """Read frames until one has this id and return it."""
        while (fields := await self.message())[0] != message_id:
            pass
        return fields

    async def start(self, client_id: int = 1) -> None:
        """Do the handshake and wait for the next valid id."""
        hello = opening(176)
        self.writer.write(hello.replace(b"\x001\0\0", f"\0{client_id}\0\0".encode()))
        await self.until(b"9")

    async def ended(self) -> None:
        """Wait until the broker has closed the connection."""
        with contextlib.suppress(ConnectionResetError):
            while await self.reader.read(65536):
                pass


Connect = Callable[..., Coroutine[None, None, Client]]


async def turn_until(happened: Callable[[], bool]) -> None:
    """Let the loop turn until something is true of the broker."""
    for _ in range(TURNS_MAX):
        if happened():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not happen")


@contextlib.asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[tuple[Desk, Connect]]:
    """Run a gateway and yield it with what connects a client."""
    desk = Desk(BrokerSettings.model_validate(settings))
    await desk.gateway.listen("127.0.0.1", 0)
    clients: list[Client] = []

    async def connect(*, room_bytes: int | None = None) -> Client:
        """Connect; with `room_bytes` the kernel keeps little of what is not read."""
        endpoint = socket.socket()
        endpoint.setblocking(False)
        if room_bytes is not None:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        address = ("127.0.0.1", desk.gateway.port)
        await asyncio.get_running_loop().sock_connect(endpoint, address)
        clients.append(Client(*await asyncio.open_connection(sock=endpoint)))
        return clients[-1]

    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield desk, connect
    finally:
        for client in clients:
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
        await desk.gateway.close()


def keep_little(desk: Desk) -> None:
    """Let the kernel hold little of what the gateway sends to clients that do not read."""
    (server,) = desk.gateway._servers
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE_BYTES)


def test_a_client_that_never_starts_is_cut_off_with_the_reason() -> None:
    async def play() -> None:
        async with serving() as (desk, connect):
            good = await connect()
            await good.start()
            # Only from here on, or a busy machine makes the good one too slow as well.
            hasty = desk.broker.settings.model_copy(update={"handshake_deadline": SOON})
            desk.broker._settings = hasty
            for hello in (b"", b"AP", b"API\0", b"API\0\0\0\0\x09v157..176"):
                silent = await connect()
                silent.writer.write(hello)
                await silent.ended()
            assert desk.reasons() == ["no startApi within 0.05 s of the connection"] * 4
            good.writer.write(REQ_CURRENT_TIME)
            await good.until(b"49")

    asyncio.run(play())


def test_a_start_that_waits_at_a_point_is_not_cut_off() -> None:
    async def play() -> None:
        async with serving(handshake_deadline=timedelta(seconds=0.3)) as (desk, connect):
            desk.broker.break_at(
                Point(direction="in", message="startApi", occurrence=1, moment="received")
            )
            client = await connect()
            client.writer.write(opening(176))
            await client.message()
            silent = await connect()
            checks = 0
            check = desk.gateway._guard._check_start

            def count(session: int) -> None:
                nonlocal checks
                checks += 1
                check(session)

            desk.gateway._guard._check_start = count  # type: ignore[method-assign] # watched
            await turn_until(lambda: checks >= 3)
            assert desk.reasons() == []
            desk.gateway._carry_out(desk.broker.release(desk.broker.now, deliver=True))
            await client.until(b"9")
            await silent.ended()
            assert len(desk.reasons()) == 1

    asyncio.run(play())


def test_a_client_that_sends_one_byte_at_a_time_is_served() -> None:
    async def play() -> None:
        async with serving() as (_, connect):
            client = await connect()
            client.writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
            for byte in opening(176) + REQ_CURRENT_TIME:
                client.writer.write(bytes([byte]))
                await client.writer.drain()
            assert (await client.until(b"49"))[0] == b"49"

    asyncio.run(play())


def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "UNSENT_LIMIT_BYTES", LITTLE_BYTES)

    async def play() -> None:
        async with serving() as (desk, connect):
            keep_little(desk)
            good, deaf = await connect(), await connect(room_bytes=LITTLE_BYTES)
            await good.start(1)
            await deaf.start(2)
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # a real transport
            asked = 0
            while not desk.reasons():
                asked += 1
                deaf.writer.write(REQ_DETAILS * 5)
                good.writer.write(REQ_CURRENT_TIME)
                await good.until(b"49")
            (reason,) = desk.reasons()
            assert reason.startswith("the client does not read: ")
            assert asked > 1
            await turn_until(lambda: len(desk.broker.sessions()) == 1)
            good.writer.write(REQ_CURRENT_TIME)
            await good.until(b"49")

    asyncio.run(play())


def test_what_is_left_for_a_client_that_does_not_read_is_dropped_after_its_farewell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "FAREWELL_SECONDS", 0.01)

    async def play() -> None:
        async with serving() as (desk, connect):
            keep_little(desk)
            deaf = await connect(room_bytes=LITTLE_BYTES)
            await deaf.start()
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # a real transport
            transport = next(iter(desk.gateway._transports.values()))
            while not transport.get_write_buffer_size():
                deaf.writer.write(REQ_DETAILS * 5)
                await asyncio.sleep(0)
            deaf.writer.write(frame(b"nonsense\0"))
            await turn_until(lambda: not desk.broker.sessions())
            assert len(desk.reasons()) == 1
            await turn_until(transport.is_closing)
            await turn_until(lambda: not len(desk.gateway._farewells))

    asyncio.run(play())


def test_an_error_before_the_end_arrives_although_the_client_goes_on_sending() -> None:
    async def play() -> None:
        async with serving() as (desk, connect):
            first, second = await connect(), await connect()
            await first.start(1)
            second.writer.write(opening(176))
            # More than the broker reads at once is unread when it closes.
            second.writer.write(REQ_CURRENT_TIME * 40_000)
            assert (await second.until(b"4"))[3] == b"326"
            assert await second.reader.read() == b""
            await turn_until(lambda: not second.writer.transport.get_write_buffer_size())
            await turn_until(lambda: len(desk.broker.sessions()) == 1)

    asyncio.run(play())


def test_what_a_client_sends_after_its_end_is_not_processed() -> None:
    async def play() -> None:
        async with serving() as (desk, connect):
            client = await connect()
            await client.start()
            client.writer.write(b"\xff\xff\xff\xff")
            await client.ended()
            received = desk.broker.frames_received
            client.writer.write(REQ_CURRENT_TIME * 10)
            await client.writer.drain()
            await turn_until(lambda: not desk.broker.sessions())
            again = await connect()
            await again.start()
            assert desk.broker.frames_received == received + 2

    asyncio.run(play())


def test_farewells_above_the_limit_are_cut_short() -> None:
    async def play() -> None:
        async with serving(connections_max=1) as (desk, connect):
            for number in range(3):
                client = await connect()
                client.writer.write(b"\xff\xff\xff\xff" if number else opening(176))
                await (client.ended() if number else client.until(b"9"))
            assert len(desk.reasons()) == 2
            await turn_until(lambda: len(desk.gateway._farewells) == 1)

    asyncio.run(play())


def test_a_flood_while_the_broker_stands_still_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "WAITING_LIMIT_BYTES", 10_000)

    async def play() -> None:
        async with serving() as (desk, connect):
            client = await connect()
            await client.start()
            desk.broker.break_at(
                Point(direction="in", message="reqCurrentTime", occurrence=1, moment="received")
            )
            client.writer.write(REQ_CURRENT_TIME * 5_000)
            await client.ended()
            (reason,) = desk.reasons()
            assert reason.endswith("bytes wait unprocessed, the limit is 10000")

    asyncio.run(play())


def test_a_connection_above_the_limit_is_closed_and_a_place_that_is_left_is_free() -> None:
    async def play() -> None:
        async with serving(connections_max=2) as (desk, connect):
            first, second, third = await connect(), await connect(), await connect()
            await third.ended()
            assert desk.reasons() == ["there are 3 connections, the limit is 2"]
            await first.start(1)
            second.writer.close()
            await turn_until(lambda: len(desk.broker.sessions()) == 1)
            await (await connect()).start(2)

    asyncio.run(play())


def test_a_frame_above_the_limit_ends_the_session_with_the_reason() -> None:
    async def play() -> None:
        async with serving() as (desk, connect):
            client = await connect()
            await client.start()
            client.writer.write(b"\xff\xff\xff\xff")
            await client.ended()
            assert desk.reasons() == ["a frame announces 4294967295 bytes, the limit is 1048576"]

    asyncio.run(play())


def test_subscriptions_above_the_limit_are_refused_with_101() -> None:
    async def play() -> None:
        async with serving(subscriptions_max=2) as (desk, connect):
            client = await connect()
            await client.start()
            for number in range(3):
                client.writer.write(
                    frame(
                        f"50\x003\0{number}\x000\0TSLA\0STK\0\x000\0\0\0SMART\0\0USD\0\0"
                        "\x005\0TRADES\x000\0\0".encode()
                    )
                )
            while (fields := await client.until(b"4"))[3] != b"101":
                assert fields[3].startswith(b"21")
            assert fields[2] == b"2"
            assert desk.broker.subscriptions == 2

    asyncio.run(play())


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a unix socket."""
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        yield Path(name)


def test_the_control_socket_and_its_folder_are_private(short_folder: Path) -> None:
    path = short_folder / "deep" / "control"

    async def play() -> None:
        async with serving() as (desk, _):
            await desk.gateway.listen_control(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    asyncio.run(play())
    assert not path.exists()
