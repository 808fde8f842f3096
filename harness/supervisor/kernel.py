"""The kernel's side of seccomp user notification: receive a call, look into its process, answer.

Numbers and layouts are those of seccomp_unotify(2), pidfd_getfd(2) and proc(5).
"""

import ctypes
import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError

RECEIVE = 0xC0502100
SEND = 0xC0182101
STILL_WAITS = 0x40082102
CALL = struct.Struct("=QIIiIQ6Q")
ANSWER = struct.Struct("=QqiI")
CONTINUE = 1
PIDFD_OPEN, PIDFD_GETFD = 434, 438
LISTENER_LINK = "anon_inode:seccomp notify"
PATH_LIMIT_BYTES = 4096
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for its answer: its thread and the arguments as the kernel has them."""

    id: int
    pid: int
    number: int
    arguments: tuple[int, ...]


def receive(listener: int) -> Waiting | None:
    """Take the next call that waits; None when its process died before we took it.

    The listener must be readable, or this waits.
    """
    buffer = bytearray(CALL.size)
    try:
        fcntl.ioctl(listener, RECEIVE, buffer)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:
            return None
        raise
    number_of_notice, pid, _flags, number, _machine, _ip, *arguments = CALL.unpack(buffer)
    return Waiting(number_of_notice, pid, number, tuple(arguments))


def let_go(listener: int, waiting: Waiting) -> None:
    """Let the call happen."""
    _answer(listener, ANSWER.pack(waiting.id, 0, 0, CONTINUE))


def fail(listener: int, waiting: Waiting, code: int) -> None:
    """Let the call return an error without having happened; `code` is a positive errno."""
    _answer(listener, ANSWER.pack(waiting.id, 0, -code, 0))


def succeed(listener: int, waiting: Waiting, value: int) -> None:
    """Let the call return a value, its effect having been had by somebody else."""
    _answer(listener, ANSWER.pack(waiting.id, value, 0, 0))


def _answer(listener: int, answer: bytes) -> None:
    try:
        fcntl.ioctl(listener, SEND, bytearray(answer))
    except OSError as error:
        # ENOENT: its process was killed while it waited.
        if error.errno != errno.ENOENT:
            raise


def memory(pid: int, address: int, size: int) -> bytes:
    """Read bytes of a process that waits.

    Raises:
        HarnessError: they cannot be read.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        try:
            return os.pread(descriptor, size, address)
        finally:
            os.close(descriptor)
    except (OSError, OverflowError) as error:
        raise HarnessError(f"cannot read {size} bytes of process {pid}: {error}") from error


def text_at(pid: int, address: int) -> str:
    """Read a path that a process gives to a call; it ends with a zero byte."""
    found = b""
    while b"\0" not in found and len(found) < PATH_LIMIT_BYTES:
        # Page by page: the page after the string may not be there.
        here = address + len(found)
        found += memory(pid, here, 4096 - here % 4096) or b"\0"
    return os.fsdecode(found.partition(b"\0")[0])


def link_of(pid: int, descriptor: int) -> str:
    """What a descriptor of a process stands for; empty when it is closed."""
    try:
        return str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
    except OSError:
        return ""


def path_of(pid: int, folder: int, path: str) -> str:
    """The absolute path that a process means; `folder` is a descriptor or AT_FDCWD."""
    if path.startswith("/"):
        return os.path.normpath(path)
    try:
        start = (
            Path(f"/proc/{pid}/cwd").readlink()
            if _signed(folder) < 0
            else Path(f"/proc/{pid}/fd/{folder}").readlink()
        )
    except OSError as error:
        raise HarnessError(f"cannot tell the folder of process {pid}: {error}") from error
    return os.path.normpath(f"{start}/{path}")


def _signed(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >= 1 << 31 else number


def duplicate(pid: int, descriptor: int) -> int:
    """A descriptor of ours for the file that another process has open.

    Args:
        pid: a process or a thread of it; a thread's own number names no process.
        descriptor: the number in that process.

    Raises:
        HarnessError: the kernel does not let us (Yama, another user).
    """
    process = leader_of(pid)
    handle = LIBC.syscall(ctypes.c_long(PIDFD_OPEN), ctypes.c_int(process), ctypes.c_uint(0))
    if handle < 0:
        raise HarnessError(f"cannot look at process {pid}: {os.strerror(ctypes.get_errno())}")
    try:
        ours: int = LIBC.syscall(
            ctypes.c_long(PIDFD_GETFD),
            ctypes.c_int(handle),
            ctypes.c_int(descriptor),
            ctypes.c_uint(0),
        )
        if ours < 0:
            words = os.strerror(ctypes.get_errno())
            raise HarnessError(f"cannot take descriptor {descriptor} of process {pid}: {words}")
        return ours
    finally:
        os.close(handle)


def leader_of(pid: int) -> int:
    """The process that a thread belongs to."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    except OSError as error:
        raise HarnessError(f"process {pid} is gone: {error}") from error
    raise HarnessError(f"/proc/{pid}/status names no process")


def take_listener(pid: int) -> int:
    """Take the listener of a filter that a process has just installed.

    Raises:
        HarnessError: it has none.
    """
    try:
        names = sorted((each.name for each in Path(f"/proc/{pid}/fd").iterdir()), key=int)
    except OSError as error:
        raise HarnessError(f"process {pid} is gone: {error}") from error
    for name in names:
        if link_of(pid, int(name)) == LISTENER_LINK:
            return duplicate(pid, int(name))
    raise HarnessError(f"process {pid} has no seccomp listener")
