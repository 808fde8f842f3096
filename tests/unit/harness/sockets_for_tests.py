"""A connection over loopback between two sockets of this process."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket, int, int]]:
    """Client, server, the client's port and the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server_port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", server_port)) as client:
            server, (_, client_port) = listening.accept()
            with server:
                yield client, server, client_port, server_port
