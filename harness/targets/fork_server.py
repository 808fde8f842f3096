"""A process that has imported what a Python program imports, and forks a copy for every run of it.

    python fork_server.py CHANNEL PARENT_PID IMPORTS -m MODULE
    python fork_server.py CHANNEL PARENT_PID IMPORTS FILE

IMPORTS are modules that the program may find imported, with commas between them, or nothing.
`launcher.py` starts it, by its path, and speaks to it over CHANNEL, a socket of packets: one JSON
object and its descriptors a packet. Standard library only, so that the program finds what it would
find without us. It dies with its parent, and what it has forked dies with it. When the program
cannot be forked (`fork_imports.py`) it says so and ends, and the launcher executes the program.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKET_BYTES = 1 << 20
DESCRIPTORS_MAX = 64
STANDARD_STREAMS = (0, 1, 2)
CANNOT_START = 127
CLOCK_MODULE = "crashgate_faked_clock"
"""Where `clocked/sitecustomize.py` has put the clock, if the bot is to have one."""


def main(arguments: list[str]) -> None:
    """Import, say what was found, and serve until the other end of the channel is closed."""
    channel = socket.socket(fileno=int(arguments[0]))
    tether, fork_imports = beside("tether.py"), beside("fork_imports.py")
    fork_program = beside("fork_program.py")
    tether.tie_to(int(arguments[1]))
    ties = Ties(tether, beside("../supervisor/install.py"))
    try:
        ours = (*STANDARD_STREAMS, channel.fileno())
        imports, program = arguments[2].split(","), arguments[3:]
        imported = fork_imports.Imported(
            lambda: fork_program.load(program, also=filter(None, imports)), ours
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an import raises
        answer(channel, {"refused": f"{type(error).__name__}: {error}"})
        return
    answer(channel, imported.reads())
    server = Server(
        channel, imported, fork_imports=fork_imports, fork_program=fork_program, ties=ties
    )
    server.serve()


class Ties:
    """What `tether.py` does to a new process, with all that can be done beforehand done once.

    Args:
        tether: the module.
        install: the module `harness/supervisor/install.py`.
    """

    def __init__(self, tether: Any, install: Any) -> None:  # noqa: ANN401 - modules
        self._tether = tether
        self._install = install
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        numbers = install.numbers()
        install.numbers = lambda: numbers  # It reads the file whenever it is asked.
        numbers.of_this_machine()  # Which machine it is takes a millisecond to find out.

    def tie_to(self, parent: int) -> None:
        """In a fork: die when the parent dies; end at once when it is dead already."""
        die_too = (self._tether.PR_SET_PDEATHSIG, self._tether.SIGKILL, 0, 0, 0)
        if self._prctl(*die_too) != 0 or os.getppid() != parent:
            os._exit(CANNOT_START)

    def report_calls(self, *, ready: int, go: int) -> None:
        """In a fork: let a supervisor answer its calls from here on; end where it may not."""
        try:
            self._install.install(ready, go)
        except OSError as error:
            os.write(2, f"crashgate: the calls cannot be reported: {error}\n".encode())
            os._exit(CANNOT_START)


class Server:
    """Forks when it is asked to, and keeps the exit codes until it is told to let go of them."""

    def __init__(
        self,
        channel: socket.socket,
        imported: Any,  # noqa: ANN401 - fork_imports.Imported, of a module loaded by its path
        *,
        fork_imports: Any,  # noqa: ANN401 - a module
        fork_program: Any,  # noqa: ANN401 - a module
        ties: "Ties",
    ) -> None:
        self.channel = channel
        self.imported = imported
        self.fork_imports = fork_imports
        self.fork_program = fork_program
        self.ties = ties
        self.pid = os.getpid()

    def serve(self) -> None:
        """Answer requests until the channel is closed."""
        while True:
            packet, descriptors, _, _ = socket.recv_fds(
                self.channel, PACKET_BYTES, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
            )
            if not packet:
                # At once: what has been forked dies with us, and nothing here needs an end.
                os._exit(0)
            request = json.loads(packet)
            if "fork" in request:
                answer(self.channel, self.fork(request["fork"], descriptors))
            else:
                code = exit_code(request["pid"], reap=request["reap"])
                learned = request["reap"] and self.imported.learn()
                answer(self.channel, {"code": code} | (self.imported.reads() if learned else {}))

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        """Fork and say what the process id is; the child never returns."""
        pid = os.fork()
        if pid == 0:
            status = CANNOT_START
            try:
                self.become(request, descriptors)
                ended = self.imported.lessons.tell
                status = self.fork_program.run(self.imported.program, ended=ended)
            except BaseException as error:  # noqa: BLE001 - nothing may come back to the loop
                os.write(2, f"crashgate: the fork failed: {error!r}\n".encode())
            os._exit(status)
        # Both of us do it, so that it is done for both when they go on.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(pid, pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return {"pid": pid}

    def become(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Make this process what a new one would be: its place, its streams, its words."""
        os.setpgid(0, 0)
        self.ties.tie_to(self.pid)
        self.place(dict(zip(request["numbers"], descriptors, strict=True)))
        self.imported.revive()
        os.environ.update(request["set"])
        for name in request["unset"]:
            os.environ.pop(name, None)
        clock = sys.modules.get(CLOCK_MODULE)
        if clock is not None:
            clock.take()
        sys.argv[:] = [self.imported.program.argument, *request["arguments"]]
        sys.orig_argv[:] = request["command"]
        if request["reports"] is not None:
            ready, go = request["reports"]
            self.ties.report_calls(ready=ready, go=go)

    def place(self, wanted: Mapping[int, int]) -> None:
        """Give descriptors the numbers that the program expects, and close all others.

        Args:
            wanted: the number that each is to have, with its present one.
        """
        free = max(*wanted, *STANDARD_STREAMS) + 1
        # Aside first: a wanted number may be the present one of another.
        aside = {to: fcntl.fcntl(now, fcntl.F_DUPFD_CLOEXEC, free) for to, now in wanted.items()}
        for to, now in aside.items():
            os.dup2(now, to, inheritable=True)
        for number in self.fork_imports.open_descriptors():
            if number not in wanted and number not in STANDARD_STREAMS:
                with contextlib.suppress(OSError):
                    os.close(number)


def exit_code(pid: int, *, reap: bool) -> int | None:
    """The exit code of a fork, negative for a signal; None while it runs."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | (0 if reap else os.WNOWAIT | os.WNOHANG))
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def answer(channel: socket.socket, record: Mapping[str, Any]) -> None:
    """Send one answer."""
    channel.send(json.dumps(record).encode())


def beside(name: str) -> Any:  # noqa: ANN401 - a module
    """A module, by its path from this folder and without a place in sys.modules."""
    path = Path(__file__).parent / name
    spec = importlib.util.spec_from_file_location(f"crashgate_{path.stem}", path)
    assert spec is not None, "a path that ends in .py has a spec"
    assert spec.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1:])
