"""The embedded Redis: fakeredis's TCP server as a process of its own, on loopback only.

    python -m harness.redis_server [--port 0] [--ready-fd N] [--clients FILE]
                                   [--contents FILE]

It keeps everything in memory, so it has to outlive the bot that is killed. When it listens it
writes one line, `{"port": N}`, to `--ready-fd` or to stdout. `--clients` names a file to which it
appends `+PORT` and `-PORT` for every connection that comes and goes. `--contents` names a JSON file
with what it holds from the start: each key with its DUMP in base64. Between two commands it
sleeps: the harness must be able to see that nothing is going on.
"""

import argparse
import base64
import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakeredis import FakeRedis, TcpFakeServer
from fakeredis._clients import _tcp_server

LOOPBACK = "127.0.0.1"
NEVER_SECONDS = 86_400.0
CANNOT_START = 2
PORT_MAX = 65535


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


def fill(server: EmbeddedRedis, contents: Path) -> None:
    """Put into a server what it is to hold from the start.

    Raises:
        OSError: the file cannot be read.
    """
    client = FakeRedis(server=server.fake_server)
    for key, value in sorted(json.loads(contents.read_text(encoding="ascii")).items()):
        client.restore(key, 0, base64.b64decode(value))
    client.close()


def main(arguments: Sequence[str]) -> int:
    """Serve a Redis on 127.0.0.1 until the process is ended; the exit code if it cannot."""
    options = parser().parse_args(arguments)
    clients = None if options.clients is None else Path(options.clients)
    try:
        server = EmbeddedRedis(options.port, clients=clients)
        if options.contents is not None:
            fill(server, Path(options.contents))
    except OSError as error:
        words = f"the embedded Redis cannot start on port {options.port}: {error}"
        print(words, file=sys.stderr)  # noqa: T201 - this is the command line
        return CANNOT_START
    with server:
        line = json.dumps({"port": server.server_address[1]}) + "\n"
        os.write(options.ready_fd, line.encode())
        server.serve_forever(poll_interval=NEVER_SECONDS)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m harness.redis_server", description="A Redis on 127.0.0.1."
    )
    made.add_argument("--port", type=port_number, default=0, help="0 takes a free one")
    made.add_argument("--ready-fd", type=int, default=1, help="where to say that it listens")
    made.add_argument("--clients", help="file for who comes and goes")
    made.add_argument("--contents", help="file with what it holds from the start")
    return made


def port_number(text: str) -> int:
    """A port, or 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to {PORT_MAX}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
