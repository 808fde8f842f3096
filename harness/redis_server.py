"""The embedded Redis: fakeredis's TCP server as a process of its own, on loopback only.

    python -m harness.redis_server [--port 0] [--ready-fd N] [--clients FILE]

It keeps everything in memory, so it has to outlive the bot that is killed. When it listens it
writes one line, `{"port": N}`, to `--ready-fd` or to stdout. `--clients` names a file to which it
appends `+PORT` and `-PORT` for every connection that comes and goes. Between two commands it
sleeps: the harness must be able to see that nothing is going on.
"""

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer
from fakeredis import TcpFakeServer
from fakeredis._clients import _tcp_server

LOOPBACK = "127.0.0.1"
NEVER_SECONDS = 86_400.0


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


def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    ready_fd: Annotated[int, typer.Option(help="Where to say that it listens.")] = 1,
    clients: Annotated[Path | None, typer.Option(help="File for who comes and goes.")] = None,
) -> None:
    """Serve an empty Redis on 127.0.0.1 until the process is ended."""
    try:
        server = EmbeddedRedis(port, clients=clients)
    except OSError as error:
        typer.echo(f"the embedded Redis cannot start on port {port}: {error}", err=True)
        raise typer.Exit(2) from error
    with server:
        line = json.dumps({"port": server.server_address[1]}) + "\n"
        os.write(ready_fd, line.encode())
        server.serve_forever(poll_interval=NEVER_SECONDS)


if __name__ == "__main__":
    typer.run(main)
