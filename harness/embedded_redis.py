"""fakeredis's TCP server, made to be watched, and with all that it makes on first use made.

`redis_server.py` runs it, as a fork of a process that has imported this module (`launcher.py`).
What fakeredis makes when a command is first used, its table of commands above all, is half of what
such a fork costs, so it is made by the import.
"""

import base64
import contextlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakeredis import FakeRedis, FakeServer, TcpFakeServer
from fakeredis._clients import _tcp_server
from redis import RedisError

LOOPBACK = "127.0.0.1"


class EmbeddedRedis(TcpFakeServer):
    """The server, with a note of who is connected.

    Args:
        port: the port to listen on; 0 takes a free one.
        clients: the file for the notes, or None.
    """

    daemon_threads = True

    def __init__(self, port: int, *, clients: Path | None) -> None:
        super().__init__((LOOPBACK, port))
        # fakeredis writes a reply in pieces; without this each waits 40 ms for an acknowledgement.
        _tcp_server.TCPFakeRequestHandler.disable_nagle_algorithm = True
        # It looks for pushed messages a hundred times a second; nothing here is ever pushed.
        _tcp_server._POLL_INTERVAL = None  # type: ignore[assignment] # noqa: SLF001 - there is no option
        self.notes = clients.open("a", encoding="ascii", buffering=1) if clients else None
        self.ports: dict[int, int] = {}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Note a connection and serve it in a thread of its own."""
        self.ports[request.fileno()] = client_address[1]
        self.note(f"+{client_address[1]}")
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's
        """Note that a connection is gone, after everything that came over it has been done."""
        port = self.ports.pop(request.fileno(), None)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        self.close_request(request)
        if port is not None:
            self.note(f"-{port}")

    def note(self, words: str) -> None:
        """Append a line to the notes."""
        if self.notes is not None:
            self.notes.write(words + "\n")


def fill(server: FakeServer, contents: Mapping[str, bytes]) -> None:
    """Put into a server what it is to hold from the start: each key with its DUMP."""
    client = FakeRedis(server=server)
    for key, value in sorted(contents.items()):
        client.restore(key, 0, value)
    client.close()


def read_contents(path: Path) -> dict[str, bytes]:
    """What a file says that a server is to hold: a JSON object, each DUMP in base64.

    Raises:
        OSError: the file cannot be read.
    """
    told = json.loads(path.read_text(encoding="ascii"))
    return {key: base64.b64decode(value) for key, value in told.items()}


def rehearse() -> None:
    """Use once, on a server that nobody will see, what a bot and the harness will use."""
    server = FakeServer()
    with FakeRedis(server=server, protocol=2) as client:
        client.set("key", "value")
        dumped = {"other": client.dump("key")}
        with client.pipeline(transaction=True) as pipe:
            pipe.watch("key")
            pipe.mget("key", "other")
            pipe.multi()
            pipe.incr("token")
            pipe.execute()
        for key in client.keys("*"):
            client.type(key)
        with contextlib.suppress(RedisError):
            client.waitaof(1, 0, 0)
        with contextlib.suppress(RedisError):
            client.config_get("append*")
    fill(server, dumped)


rehearse()
