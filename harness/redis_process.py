"""Runs the embedded Redis beside a bot that keeps its state in one, and says what it is doing.

The server outlives the bot's kills and dies with the harness. It is told apart from the bot, but a
bot that waits for an answer of it is not quiet; `client_ports` and the process id let the watch
see that.

A branch of a run (`trunk.py`) seldom comes to the point where somebody asks its Redis. Until then
what it holds is known, and it is only a port that is kept free.
"""

import base64
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.broker_process import await_port
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.faults.keys import Contents, read_values
from harness.targets.process import EXEC, Child, Launcher

GOODBYE_SECONDS = 10.0
PAUSE_SECONDS = 0.002
CLIENTS_NAME = "redis.clients"
CONTENTS_NAME = "redis.contents"
LOOPBACK = "127.0.0.1"
NOTHING: Mapping[str, bytes] = {}


class RedisProcess:
    """An embedded Redis on a port of 127.0.0.1, which it keeps over its restarts.

    Args:
        folder: where its log, its notes and what it is to hold are written; must exist.
        launcher: how the process is started.
        contents: what it holds from the start, see `start`.
        values: the same as `read_values` would read it; then it is not started before `begin`.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """

    def __init__(
        self,
        folder: Path,
        *,
        launcher: Launcher = EXEC,
        contents: Mapping[str, bytes] = NOTHING,
        values: Mapping[str, bytes] | None = None,
    ) -> None:
        self._log = folder / "redis.log"
        self._clients = folder / CLIENTS_NAME
        self._contents = folder / CONTENTS_NAME
        self._launcher = launcher
        self._held = contents
        self._values = values
        self._child: Child | None = None
        self._place: socket.socket | None = None
        self.port = 0
        if values is None:
            self.begin()
        else:
            self._place = kept_free()
            self.port = int(self._place.getsockname()[1])

    def begin(self) -> None:
        """Start it, if it has never been; to be called before anybody else asks it.

        What it holds may be another thing from here on, so that it is read anew.

        Raises:
            HarnessError: it does not start; the message has its last words.
        """
        if self._child is None:
            self._child = self._start(self._held)
            self._let_go()
        self._values = None

    def end(self) -> None:
        """End it for good, if it runs."""
        self._let_go()
        if self._child is not None:
            self._child.end()

    @property
    def child(self) -> Child:
        """Its process, once it has been started."""
        assert self._child is not None, "nobody looks at it before `begin`"
        return self._child

    def values(self) -> Mapping[str, bytes]:
        """What it holds, by key, as `read_values` reads it; once read, known until `begin`.

        Whoever may have written to it must be dead, and have been waited for (`await_goodbye`).

        Raises:
            HarnessError: it does not answer.
        """
        if self._values is None:
            self._values = read_values(self.url)
        return self._values

    def stop(self) -> None:
        """Kill it, with everything that it holds; whoever is connected loses the connection."""
        self.child.end()
        self._values = None
        self._clients.write_text("", encoding="ascii")

    def start(self, contents: Mapping[str, bytes]) -> None:
        """Start it again after `stop`, on the same port.

        Args:
            contents: what it holds then, as `harness.faults.keys.dump_keys` reads it: what it held
                before the stop, what a copy of an earlier moment has, or nothing.

        Raises:
            HarnessError: it does not start; the message has its last words.
        """
        self._child = self._start(contents)

    def _let_go(self) -> None:
        """Keep the port free no longer."""
        if self._place is not None:
            self._place.close()
            self._place = None

    def _start(self, contents: Mapping[str, bytes]) -> Child:
        self._clients.touch()
        told = {key: base64.b64encode(value).decode() for key, value in contents.items()}
        self._contents.write_text(json.dumps(told), encoding="ascii")
        ready_read, ready_write = os.pipe()
        try:
            child = self._launcher.launch(
                [
                    *(sys.executable, "-m", "harness.redis_server", "--port", str(self.port)),
                    *("--ready-fd", str(ready_write), "--clients", str(self._clients)),
                    *("--contents", str(self._contents)),
                ],
                self._log,
                pass_fds=[ready_write],
            )
        finally:
            os.close(ready_write)
        try:
            self.port = await_port(child, ready_read, what="Redis")
        except HarnessError:
            child.end()
            raise
        finally:
            os.close(ready_read)
        return child

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
        if self._child is None:
            return ()
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
def running_redis(
    folder: Path, *, launcher: Launcher = EXEC, contents: Mapping[str, bytes] = NOTHING
) -> Iterator[RedisProcess]:
    """Start a Redis, empty or not; it is gone when the context is left.

    Args:
        folder: where its log and its notes are written; must exist.
        launcher: how the process is started.
        contents: what it holds from the start, see `RedisProcess.start`.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """
    server = RedisProcess(folder, launcher=launcher, contents=contents)
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def redis_at_need(
    folder: Path, contents: Contents, *, launcher: Launcher = EXEC
) -> Iterator[RedisProcess]:
    """A Redis that is started at `begin`, and whose contents can be read before.

    Args:
        folder: where its log and its notes are written; must exist.
        contents: what it holds from the start.
        launcher: how the process is started.
    """
    server = RedisProcess(
        folder, launcher=launcher, contents=contents.dumped, values=contents.values
    )
    try:
        yield server
    finally:
        server.end()


def kept_free() -> socket.socket:
    """A socket on a free port that nobody else is given; a server can still be told to take it.

    Two sockets may have one port as long as neither listens, if both set SO_REUSEADDR (socket(7));
    the kernel gives the port to nobody who leaves the choice to it.
    """
    place = socket.socket()
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((LOOPBACK, 0))
    except BaseException:
        place.close()
        raise
    return place
