"""Runs the embedded Redis beside a bot that keeps its state in one, and says what it is doing.

The server outlives the bot's kills and dies with the harness. It is told apart from the bot, but a
bot that waits for an answer of it is not quiet; `client_ports` and the process id let the watch
see that.
"""

import base64
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.broker_process import await_port
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.targets.process import EXEC, Child, Launcher

GOODBYE_SECONDS = 10.0
PAUSE_SECONDS = 0.002
CLIENTS_NAME = "redis.clients"
CONTENTS_NAME = "redis.contents"
NOTHING: Mapping[str, bytes] = {}


class RedisProcess:
    """An embedded Redis on a port of 127.0.0.1, which it keeps over its restarts.

    Args:
        folder: where its log, its notes and what it is to hold are written; must exist.
        launcher: how the process is started.
        contents: what it holds from the start, see `start`.

    Raises:
        HarnessError: it does not start; the message has its last words.
    """

    def __init__(
        self, folder: Path, *, launcher: Launcher = EXEC, contents: Mapping[str, bytes] = NOTHING
    ) -> None:
        self._log = folder / "redis.log"
        self._clients = folder / CLIENTS_NAME
        self._contents = folder / CONTENTS_NAME
        self._launcher = launcher
        self.port = 0
        self.child = self._start(contents)

    def stop(self) -> None:
        """Kill it, with everything that it holds; whoever is connected loses the connection."""
        self.child.end()
        self._clients.write_text("", encoding="ascii")

    def start(self, contents: Mapping[str, bytes]) -> None:
        """Start it again after `stop`, on the same port.

        Args:
            contents: what it holds then, as `harness.faults.keys.dump_keys` reads it: what it held
                before the stop, what a copy of an earlier moment has, or nothing.

        Raises:
            HarnessError: it does not start; the message has its last words.
        """
        self.child = self._start(contents)

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
        server.child.end()
