"""Runs the embedded Redis beside a bot that keeps its state in one, and says what it is doing.

The server outlives the bot's kills and dies with the harness. It is told apart from the bot, but a
bot that waits for an answer of it is not quiet; `client_ports` and the process id let the watch
see that.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.broker_process import await_port
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.targets.process import Child, launch

GOODBYE_SECONDS = 10.0
PAUSE_SECONDS = 0.002
CLIENTS_NAME = "redis.clients"


class RedisProcess:
    """An embedded Redis that listens on a port of 127.0.0.1."""

    def __init__(self, child: Child, port: int, *, clients: Path) -> None:
        self.child = child
        self.port = port
        self._clients = clients

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def url(self) -> str:
        """What a bot connects to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client_ports(self) -> tuple[int, ...]:
        """The ports of the clients that are connected, in the order in which they came."""
        ports: dict[int, None] = {}
        # A line that is only half there yet is read the next time.
        for line in self._clients.read_text(encoding="ascii").split("\n")[:-1]:
            if line.startswith("+"):
                ports[int(line[1:])] = None
            else:
                ports.pop(int(line[1:]), None)
        return tuple(ports)

    def await_goodbye(self) -> None:
        """Wait until it has done everything that dead clients had sent, and has let go of them.

        Raises:
            HarnessError: somebody is still connected at the deadline.
        """
        deadline = Deadline(GOODBYE_SECONDS)
        while self.client_ports():
            if deadline.passed:
                raise HarnessError(
                    f"the bot is dead and its Redis still has a connection after "
                    f"{GOODBYE_SECONDS:g} s; did the bot hand it to another process group?"
                )
            if self.child.exits_within(PAUSE_SECONDS):
                raise HarnessError(f"the embedded Redis has ended: {self.child.last_lines()}")


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[RedisProcess]:
    """Start an empty Redis; it is gone when the context is left.

    Args:
        folder: where its log and its notes are written; must exist.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """
    clients = folder / CLIENTS_NAME
    clients.touch()
    ready_read, ready_write = os.pipe()
    try:
        child = launch(
            [
                *(sys.executable, "-m", "harness.redis_server", "--port", "0"),
                *("--ready-fd", str(ready_write), "--clients", str(clients)),
            ],
            folder / "redis.log",
            pass_fds=[ready_write],
        )
    finally:
        os.close(ready_write)
    try:
        yield RedisProcess(child, await_port(child, ready_read, what="Redis"), clients=clients)
    finally:
        os.close(ready_read)
        child.end()
