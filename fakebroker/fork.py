"""A second broker with the books of a first: what happens next can then be tried more than once.

A crash is one of many ways in which a day can go on from one moment. The process forks; the copy
has a port, a journal and a control connection of its own, and the clients stay with the original.
To the copy their connections are open and silent until `lose_clients`.
"""

import asyncio
import contextlib
import os
import signal
import socket
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import NamedTuple

from fakebroker.control import ControlError
from fakebroker.control_messages import Forked
from fakebroker.journal import line_writer

STANDARD_STREAMS = (0, 1, 2)
FAILED = 1


class Handed(NamedTuple):
    """The answer to whoever asked for a copy, and the end of its control connection."""

    answer: Forked
    control: socket.socket


class Ends(NamedTuple):
    """What a copy begins with."""

    listener: socket.socket
    control: socket.socket
    write: Callable[[str], None]


def fork(
    host: str, journal: Path, go_on: Callable[[Ends], Coroutine[object, object, None]]
) -> Handed:
    """Fork this process; the copy runs `go_on` and never returns from here.

    Args:
        host: the address that the copy listens on, at a free port.
        journal: the new file that the copy writes its journal to.
        go_on: serves until the copy is told to stop.

    Raises:
        ControlError: the file exists or cannot be made, or there is no port.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody here waits for what becomes of a copy.
    try:
        listener = listen_on(host, 0)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            sink = journal.open("xb", buffering=0)
            undo.pop_all()
    except OSError as error:
        raise ControlError(f"the broker cannot be forked: {error}; name a new journal") from error
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        status = FAILED
        try:
            os.setpgid(0, 0)
            let_go_of_all_but(sink.fileno(), listener.fileno(), theirs.fileno())
            asyncio._set_running_loop(None)  # noqa: SLF001 - the loop that runs is the original's
            asyncio.run(go_on(Ends(listener, theirs, line_writer(sink))))
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may come back to the original's loop
            traceback.print_exc()
        finally:
            os._exit(status)
    sink.close()
    theirs.close()
    port = listener.getsockname()[1]
    listener.close()
    return Handed(Forked(pid=pid, port=port), ours)


def listen_on(host: str, port: int) -> socket.socket:
    """Return a socket that listens; 0 takes any free port.

    It is made as asyncio makes its own. The protocol has to be named: asyncio turns Nagle's delay
    off only where it is, and without that a small frame waits 40 ms for an acknowledgement.

    Raises:
        OSError: The address is taken or not ours.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def let_go_of_all_but(*kept: int) -> None:
    """Let go of the original's connections, and of the queue that its loop waits on.

    Their numbers stay taken, by files that are nothing: objects of the original's still have them,
    and closing a number that has become another file's would be ours to mourn.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a listing, which is closed again
        number = int(name)
        if number not in (*STANDARD_STREAMS, *kept, nothing):
            os.dup2(nothing, number, inheritable=False)
