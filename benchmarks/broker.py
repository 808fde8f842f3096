"""How fast the broker is, next to a bare asyncio echo server on the same frames in the same run.

The echo server does what no broker can do without: take bytes from a socket and give as many back.
So a ratio says what the wire, the books and the sessions cost on top, and can be compared between
machines. Both servers are processes of their own; the client, and its reader of frames, are the
same for both. `python -m benchmarks.broker`, or `make bench-broker`.
"""

import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Self

import psutil
from ib_insync import LimitOrder, Stock
from ib_insync.client import Client
from rich.console import Console
from rich.table import Table

from fakebroker.protocol import FrameReader, frame

VERSION = 176
ROUND_TRIPS = 500
PIPELINED = 20_000
PIPELINED_ORDERS = 500
CLIENTS = 50
ORDERS_PER_CLIENT = 10
SYMBOLS = 1_000
BARS_PER_SYMBOL = 2
LISTENERS = 10
PER_SECOND = "messages/s"
DEADLINE_SECONDS = 50.0

OPEN_ORDER = b"5\0"
CURRENT_TIME = b"49\0"
ERROR = b"4\0"
NOTICE = b"4\x002\x00-1\x0021"
NEXT_VALID_ID = b"9\0"
REALTIME_BAR = b"50\0"
REQ_CURRENT_TIME = frame(b"49\x001\0")


# The two servers


class Echo(asyncio.Protocol):
    """Gives back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send the same bytes."""
        self.transport.write(data)


async def serve_echo(ready_fd: int) -> None:
    """Serve until killed; the port goes to `ready_fd`, as fakebroker's does."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    os.write(ready_fd, json.dumps({"port": port}).encode() + b"\n")
    os.close(ready_fd)
    await server.serve_forever()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process."""

    port: int
    process: psutil.Process
    greets: bool
    """Whether a connection begins with a handshake."""

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        return float(self.process.memory_info().rss) / 2**20


@contextlib.contextmanager
def running(*command: str, greets: bool) -> Iterator[Server]:
    """Run a server that writes its port to the descriptor that ends its command line."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", *command, str(writer)],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as ready:
            line = ready.readline()
        if not line:
            sys.exit(f"{command[0]} did not start: exit code {process.wait(DEADLINE_SECONDS)}")
        yield Server(json.loads(line)["port"], psutil.Process(process.pid), greets)
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


# One client


class Link:
    """A blocking connection that reads whole frames."""

    def __init__(self, server: Server, client_id: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), DEADLINE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = FrameReader()
        self._frames: deque[bytes] = deque()
        if server.greets:
            self.send(hello(client_id))
            self.read_until(NEXT_VALID_ID)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        self._socket.sendall(data)

    def read(self) -> bytes:
        """Return the payload of the next frame."""
        while not self._frames:
            data = self._socket.recv(65536)
            if not data:
                sys.exit("the server hung up in the middle of a measurement")
            self._frames.extend(self._reader.feed(data))
        return self._frames.popleft()

    def read_until(self, start: bytes) -> None:
        """Read up to a message that begins like this."""
        while not (payload := self.read()).startswith(start):
            if payload.startswith(ERROR) and not payload.startswith(NOTICE):
                sys.exit(f"the server refuses what is measured: {payload!r}")


def hello(client_id: int) -> bytes:
    """Return what a client sends first."""
    offer = frame(f"v157..{VERSION}".encode())
    return b"API\0" + offer + frame(f"71\x002\0{client_id}\0\0".encode())


def place_order(order_id: int) -> bytes:
    """Return a limit order far below the market, as ib_insync sends it."""
    client: Any = Client(SimpleNamespace())
    client._serverVersion = VERSION  # noqa: SLF001 - its encoder is wanted, not its connection
    client.connState = Client.CONNECTED
    sent: list[str] = []
    client.sendMsg = sent.append
    client.placeOrder(order_id, Stock(symbol(0), "SMART", "USD"), LimitOrder("BUY", 1, 1.0))
    return frame(sent[0].encode())


# What is measured


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of the result: broker and echo in the same unit, and which way is better."""

    name: str
    broker: float
    echo: float
    unit: str

    def ratio(self) -> float:
        """Return how many times dearer the broker is: longer, or fewer a second."""
        return self.echo / self.broker if self.unit == PER_SECOND else self.broker / self.echo


def round_trips(server: Server, orders: list[bytes]) -> list[float]:
    """Return the microseconds from each order to its acknowledgement, one after the other."""
    answer = OPEN_ORDER if server.greets else b"3\0"
    taken: list[float] = []
    with Link(server, client_id=1) as link:
        for order in orders:
            start = perf_counter()
            link.send(order)
            link.read_until(answer)
            taken.append((perf_counter() - start) * 1e6)
    return taken


def throughput(server: Server, data: bytes, count: int, answer: bytes, client_id: int) -> float:
    """Return the messages a second of one client that does not wait for its answers."""
    with Link(server, client_id) as link:
        start = perf_counter()
        sender = threading.Thread(target=link.send, args=(data,))
        sender.start()
        for _ in range(count):
            link.read_until(answer)
        taken = perf_counter() - start
        sender.join(DEADLINE_SECONDS)
    return count / taken


async def crowd(server: Server, orders: list[bytes]) -> list[float]:
    """Return the microseconds of round trips of many clients at once."""
    answer = OPEN_ORDER if server.greets else b"3\0"
    taken: list[float] = []

    async def client(client_id: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

        async def read_until(start: bytes) -> None:
            payload = b""
            while not payload.startswith(start):
                length = int.from_bytes(await reader.readexactly(4), "big")
                payload = await reader.readexactly(length)

        if server.greets:
            writer.write(hello(client_id))
            await read_until(NEXT_VALID_ID)
        started.release()
        await go.wait()
        for order in orders:
            start = perf_counter()
            writer.write(order)
            await read_until(answer)
            taken.append((perf_counter() - start) * 1e6)
        writer.close()
        await writer.wait_closed()

    started, go = asyncio.Semaphore(0), asyncio.Event()
    clients = [asyncio.create_task(client(100 + number)) for number in range(CLIENTS)]
    for _ in clients:
        await started.acquire()
    go.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*clients)
    return taken


def fan_out(broker: Server, control: Path) -> tuple[float, int, bytes]:
    """Return bars a second to all listeners, how many came, and one as it was sent."""
    steps = SYMBOLS * BARS_PER_SYMBOL
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(Link(broker, 200 + number)) for number in range(LISTENERS)]
        wanted = b"".join(bar_request(number) for number in range(SYMBOLS)) + REQ_CURRENT_TIME
        for link in links:
            link.send(wanted)
            link.read_until(CURRENT_TIME)
        driver = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        driver.settimeout(DEADLINE_SECONDS)
        driver.connect(str(control))
        lines = stack.enter_context(driver.makefile("rb"))
        start = perf_counter()
        sender = threading.Thread(target=driver.sendall, args=(b'{"do":"step"}\n' * steps,))
        sender.start()
        readers = [threading.Thread(target=read_bars, args=(link, steps)) for link in links]
        for reader in readers:
            reader.start()
        for _ in range(steps):
            lines.readline()
        for thread in (*readers, sender):
            thread.join(DEADLINE_SECONDS)
        taken = perf_counter() - start
    sample = frame(
        b"50\x003\x001\x001759759200\x00100.0\x00101.0\x0099.0\x00100.5\x001000\x00100.5\x001\0"
    )
    return steps * LISTENERS / taken, steps * LISTENERS, sample


def cancel_all(broker: Server) -> None:
    """End all orders: the next figure is to be that of a broker with few live ones."""
    with Link(broker, client_id=9) as link:
        link.send(frame(b"58\x001\0") + REQ_CURRENT_TIME)
        link.read_until(CURRENT_TIME)


def read_bars(link: Link, count: int) -> None:
    """Read this many bars."""
    for _ in range(count):
        link.read_until(REALTIME_BAR)


def bar_request(number: int) -> bytes:
    """Return reqRealTimeBars for one symbol."""
    contract = f"0\0{symbol(number)}\0STK\0\x000\0\0\0SMART\0\0USD\0\0\0"
    return frame(f"50\x003\0{number + 1}\0{contract}5\0TRADES\x000\0\0".encode())


def symbol(number: int) -> str:
    """Return the ticker of a number below 26 * 26 * 26; a ticker is made of letters."""
    return "".join(chr(ord("A") + number // 26**place % 26) for place in (2, 1, 0))


def write_tape(path: Path) -> None:
    """Write a day of many symbols."""
    lines = ["time,symbol,open,high,low,close,volume"]
    start = datetime.fromisoformat("2025-10-06T10:00:00-04:00")
    for bar in range(BARS_PER_SYMBOL):
        time = (start + timedelta(seconds=5 * bar)).isoformat()
        lines += [f"{time},{symbol(number)},100,101,99,100.5,1000" for number in range(SYMBOLS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# The run


def percentile(values: list[float], part: float) -> float:
    """Return the value below which this part of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def two_rows(name: str, broker: list[float], echo: list[float]) -> list[Measured]:
    """Return the median and the 99th percentile of two lists of microseconds."""
    return [
        Measured(f"{name}, median", statistics.median(broker), statistics.median(echo), "us"),
        Measured(f"{name}, p99", percentile(broker, 0.99), percentile(echo, 0.99), "us"),
    ]


def measure(broker: Server, echo: Server, control: Path) -> tuple[list[Measured], list[str]]:
    """Run everything and return the rows, and the memory of the broker on the way."""
    memory = [f"{broker.memory():.0f} MiB at the start"]
    orders = [place_order(number) for number in range(1, ROUND_TRIPS + 1)]
    rows = two_rows(
        "order to acknowledgement", round_trips(broker, orders), round_trips(echo, orders)
    )
    memory.append(f"{broker.memory():.0f} MiB with {ROUND_TRIPS:,} live orders")
    cancel_all(broker)
    small = REQ_CURRENT_TIME * PIPELINED
    rows.append(
        Measured(
            "reqCurrentTime, pipelined",
            throughput(broker, small, PIPELINED, CURRENT_TIME, 2),
            throughput(echo, small, PIPELINED, CURRENT_TIME, 2),
            PER_SECOND,
        )
    )
    many = b"".join(place_order(number) for number in range(1, PIPELINED_ORDERS + 1))
    rows.append(
        Measured(
            "placeOrder, pipelined",
            throughput(broker, many, PIPELINED_ORDERS, OPEN_ORDER, 3),
            throughput(echo, many, PIPELINED_ORDERS, b"3\0", 3),
            PER_SECOND,
        )
    )
    cancel_all(broker)
    few = orders[:ORDERS_PER_CLIENT]
    rows += two_rows(
        f"the same, {CLIENTS} clients at once",
        asyncio.run(crowd(broker, few)),
        asyncio.run(crowd(echo, few)),
    )
    total = ROUND_TRIPS + PIPELINED_ORDERS + CLIENTS * ORDERS_PER_CLIENT
    memory.append(f"{broker.memory():.0f} MiB with {total:,} orders in the books")
    cancel_all(broker)
    bars, count, sample = fan_out(broker, control)
    rows.append(
        Measured(
            f"bars of {SYMBOLS:,} symbols to {LISTENERS} clients",
            bars,
            throughput(echo, sample * count, count, REALTIME_BAR, 4),
            PER_SECOND,
        )
    )
    subscriptions = SYMBOLS * LISTENERS
    memory.append(f"{broker.memory():.0f} MiB after {subscriptions:,} subscriptions")
    return rows, memory


def machine() -> str:
    """Return one line about where this ran."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(": ")[2] for line in lines if "model name" in line), model)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, load {load:.1f}"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        folder = Path(name)
        write_tape(folder / "tape.csv")
        control = folder / "control"
        options = ["--port", "0", "--clock", "lockstep", "--tape", str(folder / "tape.csv")]
        options += ["--control", str(control), "--cash", "100000000", "--ready-fd"]
        console = Console(width=110)
        console.print(machine(), highlight=False)
        with (
            running("fakebroker", *options, greets=True) as broker,
            running("benchmarks.broker", "--echo", greets=False) as echo,
        ):
            rows, memory = measure(broker, echo, control)
    table = Table("measured", "fakebroker", "bare echo", "unit", "times dearer")
    for row in rows:
        ratio = f"{row.ratio():,.1f}"
        table.add_row(row.name, f"{row.broker:,.0f}", f"{row.echo:,.0f}", row.unit, ratio)
    console.print(table)
    console.print(f"memory of fakebroker: {', '.join(memory)}", highlight=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--echo"]:
        asyncio.run(serve_echo(int(sys.argv[2])))
    else:
        try:
            main()
        except OSError as error:
            sys.exit(f"a server did not answer within {DEADLINE_SECONDS:g} s: {error}")
