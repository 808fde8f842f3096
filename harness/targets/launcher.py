"""Forks Python programs from a process that has done their imports, and executes all others.

The imports are nearly all of what a short life of a bot costs (0.6 s of 0.65). A program is forked
by a server of its own (`fork_server.py`), which is started when the program is first wanted.
Where forking could make a difference to the program, it is executed: it is not Python, its imports
start threads or open files, or they read a variable that this run sets.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.targets.faked_clock import FOLDER as CLOCK_FOLDER
from harness.targets.process import ExecLauncher, Executed, Launcher, Started, base_environment

FORK_SERVER = Path(__file__).with_name("fork_server.py")
IMPORT_SECONDS = 60.0
ANSWER_SECONDS = 30.0
PACKET_BYTES = 1 << 20
SERVERS_MAX = 6
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_")
"""Variables with these beginnings are read before the first line of a program."""

NOTHING: Mapping[str, str] = {}
ProgramKey = tuple[object, ...]


class Forked:
    """A process that a fork server has forked."""

    def __init__(self, pid: int, server: "ForkServer") -> None:
        self.pid = pid
        self._server = server

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        code = self._server.ask({"pid": self.pid, "reap": False})["code"]
        return None if code is None else int(code)

    def reap(self) -> int:
        """Let go of it after its end; the exit code."""
        return self._server.reap(self.pid)


class ForkServer:
    """The client's side of one server.

    Attributes:
        pid: its process id.
        living: how many of its forks have not been let go of.
        refused: why it does not fork; None while it does.
        ended: whether it has been found dead.
    """

    def __init__(
        self, program: Sequence[str], given: Mapping[str, str], *, imports: Sequence[str] = ()
    ) -> None:
        self.living = 0
        self._variables = base_environment() | dict(given)
        self._length = len(program)
        self._lock = threading.Lock()
        self._reads: frozenset[str] = frozenset()
        self._reads_all = False
        self._awaited = False
        self.refused: str | None = None
        self.ended = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            place = (str(theirs.fileno()), str(os.getpid()))
            words = [str(FORK_SERVER), *place, ",".join(imports), *program]
            self._popen = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._variables,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._channel.settimeout(ANSWER_SECONDS)
        self.pid = self._popen.pid

    def can_fork(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork begins as a new process with these variables would."""
        self._await_imports()
        if self.refused is not None:
            return False
        other = {name for name, _ in environment.items() ^ self._variables.items()}
        if self._reads_all and other:
            return False
        return not any(name in self._reads or name.startswith(AT_START) for name in other)

    def fork(
        self,
        command: Sequence[str],
        *,
        numbers: Mapping[int, int],
        environment: Mapping[str, str],
        reports: tuple[int, int] | None,
    ) -> Forked:
        """Fork the program.

        Args:
            command: the whole command line.
            numbers: the number that each descriptor has there, with our own.
            environment: all of its variables.
            reports: see `Launcher.start`.
        """
        given = self._variables
        request = {
            "command": list(command),
            "arguments": list(command[1 + self._length :]),
            "numbers": list(numbers),
            "set": {name: value for name, value in environment.items() if given.get(name) != value},
            "unset": [name for name in given if name not in environment],
            "reports": reports,
        }
        pid = self.ask({"fork": request}, list(numbers.values()))["pid"]
        self.living += 1
        return Forked(int(pid), self)

    def reap(self, pid: int) -> int:
        """Let go of a fork after its end; its exit code."""
        told = self.ask({"pid": pid, "reap": True})
        self.living -= 1
        self._note_reads(told)
        return int(told["code"])

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            HarnessError: the server is gone or silent.
        """
        try:
            with self._lock:
                socket.send_fds(self._channel, [json.dumps(request).encode()], list(descriptors))
                packet = self._channel.recv(PACKET_BYTES)
        except OSError as error:
            self.ended = True
            raise HarnessError(f"the fork server does not answer: {error}") from error
        if not packet:
            self.ended = True
            raise HarnessError("the fork server has ended, and all that it had forked")
        answer: dict[str, Any] = json.loads(packet)
        return answer

    def close(self) -> None:
        """End the server, and with it what it has forked."""
        self._channel.close()
        self._popen.kill()
        self._popen.wait()

    def _await_imports(self) -> None:
        if self._awaited:
            return
        self._awaited = True
        readable, _, _ = select.select([self._channel], [], [], IMPORT_SECONDS)
        packet = b""
        with contextlib.suppress(OSError):
            packet = self._channel.recv(PACKET_BYTES) if readable else b""
        told: dict[str, Any] = {"refused": "it ended while it was imported"}
        if packet:
            told = json.loads(packet)
        self.refused = told.get("refused")
        if self.refused is not None:
            self.close()
            return
        self._note_reads(told)

    def _note_reads(self, told: Mapping[str, Any]) -> None:
        """Remember what its imports have read; a server that has learned tells it anew."""
        if "reads" in told:
            self._reads, self._reads_all = frozenset(told["reads"]), told["reads_all"]


class ForkLauncher(Launcher):
    """Forks what can be forked; `close` ends its servers and what they have forked.

    Attributes:
        servers: one for each program, in the order of their last use.
    """

    def __init__(self) -> None:
        self._exec = ExecLauncher()
        self.servers: OrderedDict[ProgramKey, ForkServer] = OrderedDict()

    def start(
        self,
        command: Sequence[str],
        *,
        outputs: tuple[int, int],
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        reports: tuple[int, int] | None = None,
        imports: Sequence[str] = (),
    ) -> Started:
        """Start a program; see `Launcher.start`."""
        server = self.warm(command, given=of_clock(environment), imports=imports)
        if server is None or not server.can_fork(environment):
            return self._execute(
                command,
                outputs=outputs,
                environment=environment,
                pass_fds=pass_fds,
                reports=reports,
                imports=imports,
            )
        inherited = {number: number for number in (*pass_fds, *(reports or ()))}
        return server.fork(
            command,
            numbers={1: outputs[0], 2: outputs[1], **inherited},
            environment=environment,
            reports=reports,
        )

    def warm(
        self,
        command: Sequence[str],
        *,
        given: Mapping[str, str] = NOTHING,
        imports: Sequence[str] = (),
    ) -> ForkServer | None:
        """Let the imports of a command's program begin, if it is Python; returns at once.

        Args:
            command: the command line.
            given: variables that the imports need, on top of `base_environment()`.
            imports: see `Launcher.start`.

        Returns:
            the program's server, None when the command has to be executed.
        """
        program = program_of(command)
        if program is None:
            return None
        key = (*key_of(program), *given.items(), *imports)
        server = self.servers.get(key)
        if server is not None and server.ended:
            self.servers.pop(key).close()
            server = None
        if server is None:
            self._make_room()
            server = self.servers[key] = ForkServer(program, given, imports=imports)
        self.servers.move_to_end(key)
        return server

    def close(self) -> None:
        """End every server."""
        while self.servers:
            self.servers.popitem()[1].close()

    def _execute(self, command: Sequence[str], **how: Any) -> Executed:  # noqa: ANN401 - start's
        return self._exec.start(command, **how)

    def _make_room(self) -> None:
        """End the server that was not used for longest, of those that nobody needs."""
        if len(self.servers) < SERVERS_MAX:
            return
        for key, server in self.servers.items():
            if not server.living:
                server.close()
                del self.servers[key]
                return


def program_of(command: Sequence[str]) -> tuple[str, ...] | None:
    """The words that name the program of a plain Python command, None for any other command."""
    if sys.platform != "linux" or len(command) < 2 or command[0] != sys.executable:
        return None
    if command[1] == "-m":
        return tuple(command[1:3]) if len(command) > 2 else None
    return None if command[1].startswith("-") else (command[1],)


def of_clock(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that put a faked clock in place, which has to be there before the imports."""
    path = environment.get("PYTHONPATH", "")
    return {"PYTHONPATH": path} if path.split(os.pathsep)[0] == CLOCK_FOLDER else {}


def key_of(program: tuple[str, ...]) -> ProgramKey:
    """What a server is known by: the program, where it is run, and which version of a file it is.

    Modules that the program imports are taken as they were when it was first wanted.
    """
    version: tuple[int, ...] = ()
    if program[0] != "-m":
        with contextlib.suppress(OSError):
            found = Path(program[0]).stat()
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
    return (program, str(Path.cwd()), version)
