"""From a reported system call to what it does to which file, and the same done by ourselves.

`read_call` says what a call is about; `carry_out` has its effect without the process, which is how
a kill lands exactly after a call: the effect is there and the call never returns.
"""

import errno
import os
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.points.syscall import Call
from harness.supervisor.kernel import Waiting, duplicate, link_of, memory, path_of, text_at
from harness.supervisor.numbers import NOT_ON_STANDARD_STREAMS, of_this_machine

STANDARD_ERROR = 2
PAGE_BYTES = 4096
SEND_SECONDS = 10.0
FAILS_ALIKE = frozenset(
    {
        errno.ENOENT,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EBADF,
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ENOTCONN,
    }
)
AT_REMOVEDIR = 0x200
VECTOR = struct.Struct("=QQ")
MESSAGE_HEADER = struct.Struct("=QI4xQQQQi4x")  # struct msghdr of a 64-bit machine
NO_FOLDER = 0xFFFFFF9C  # AT_FDCWD

NAMES: dict[str, Call] = {
    "write": "write",
    "writev": "write",
    "pwrite64": "pwrite",
    "pwritev": "pwrite",
    "pwritev2": "pwrite",
    "open": "open",
    "openat": "open",
    "openat2": "open",
    "creat": "open",
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "link": "link",
    "linkat": "link",
    "symlink": "symlink",
    "symlinkat": "symlink",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rmdir": "rmdir",
    "truncate": "truncate",
    "ftruncate": "truncate",
    "fallocate": "allocate",
    "sendfile": "copy",
    "copy_file_range": "copy",
    "sendto": "send",
    "sendmsg": "send",
    "sendmmsg": "send",
}
# Where a path is among the arguments, with its folder's descriptor before it or None. Of two
# paths the one that is changed counts: a rename's target, a link's new name.
PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    "open": ((None, 0),),
    "creat": ((None, 0),),
    "truncate": ((None, 0),),
    "mkdir": ((None, 0),),
    "rmdir": ((None, 0),),
    "unlink": ((None, 0),),
    "openat": ((0, 1),),
    "openat2": ((0, 1),),
    "mkdirat": ((0, 1),),
    "unlinkat": ((0, 1),),
    "rename": ((None, 0), (None, 1)),
    "link": ((None, 0), (None, 1)),
    "symlink": ((None, 1),),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "linkat": ((0, 1), (2, 3)),
    "symlinkat": ((1, 2),),
}
NUMBERS = {number: name for name, number in (of_this_machine() or (0, 0, {}))[2].items()}


@dataclass(frozen=True, slots=True)
class Reported:
    """A reported call, understood.

    Attributes:
        waiting: the notice.
        name: the kernel's name of the call.
        call: what we call it; calls that do the same have one name.
        paths: absolute paths that it names; the last one is what it changes.
        descriptor: the descriptor that it is about, or None.
        link: what that descriptor stands for ("/a/path", "socket:[123]").
    """

    waiting: Waiting
    name: str
    call: Call
    paths: tuple[str, ...] = ()
    descriptor: int | None = None
    link: str = ""

    @property
    def path(self) -> str:
        """The path of what is changed; of a socket its link."""
        return self.paths[-1] if self.paths else self.link


def read_call(waiting: Waiting) -> Reported:
    """Understand a call.

    Raises:
        HarnessError: its process cannot be looked into.
    """
    name = NUMBERS[waiting.number]
    pid, arguments = waiting.pid, waiting.arguments
    if name in PATHS:
        paths = tuple(
            path_of(pid, NO_FOLDER if at is None else arguments[at], text_at(pid, arguments[place]))
            for at, place in PATHS[name]
        )
        removes_folder = name == "unlinkat" and arguments[2] & AT_REMOVEDIR
        return Reported(waiting, name, "rmdir" if removes_folder else NAMES[name], paths=paths)
    # The descriptor that is written to comes first, except where something is copied.
    descriptor = arguments[2] if name == "copy_file_range" else arguments[0]
    descriptor &= 0xFFFFFFFF
    link = link_of(pid, descriptor).removesuffix(" (deleted)")
    call = NAMES[name]
    if link.startswith("socket:") and call == "write":
        call = "send"
    return Reported(waiting, name, call, descriptor=descriptor, link=link)


def names_of(kinds: Collection[Call]) -> list[str]:
    """The kernel's names of all calls that may count as one of some kinds."""
    found = {name for name, kind in NAMES.items() if kind in kinds}
    if "rmdir" in kinds:
        found.add("unlinkat")
    if "send" in kinds:
        found |= {name for name, kind in NAMES.items() if kind == "write"}
    return sorted(found)


def size_of(reported: Reported) -> int:
    """How many bytes a write or a send means to write; 0 for other calls."""
    return sum(length for _, length in pieces_of(reported))


def pieces_of(reported: Reported) -> list[tuple[int, int]]:
    """The buffers of a write or a send: address and length."""
    pid, arguments = reported.waiting.pid, reported.waiting.arguments
    match reported.name:
        case "write" | "pwrite64" | "sendto":
            return [(arguments[1], arguments[2])]
        case "writev" | "pwritev" | "pwritev2":
            return _vectors(pid, arguments[1], arguments[2])
        case "sendmsg":
            header = MESSAGE_HEADER.unpack(memory(pid, arguments[1], MESSAGE_HEADER.size))
            return _vectors(pid, header[2], header[3])
        case _:
            return []


def _vectors(pid: int, address: int, count: int) -> list[tuple[int, int]]:
    raw = memory(pid, address, VECTOR.size * count)
    return [(base, length) for base, length in VECTOR.iter_unpack(raw)]


def is_complaint(reported: Reported) -> bool:
    """Whether a call writes to standard error, whatever that is."""
    return reported.descriptor == STANDARD_ERROR and reported.name in NOT_ON_STANDARD_STREAMS


def words_of(reported: Reported) -> bytes:
    """The bytes that a write or a send means to write.

    Raises:
        HarnessError: its process cannot be looked into.
    """
    return _content(reported, None)


def bytes_until_page_end(reported: Reported) -> int | None:
    """How many bytes of a write lie before the first end of a page inside it; None: there is none.

    That is where a fatal signal may cut a buffered write (crash-model.md section 4.5, P0).
    """
    if reported.call not in {"write", "pwrite"} or reported.descriptor is None:
        return None
    size = size_of(reported)
    if size == 0:
        return None
    first = PAGE_BYTES - _offset(reported) % PAGE_BYTES
    return first if first < size else None


def _offset(reported: Reported) -> int:
    """Where in the file a write begins."""
    if reported.call == "pwrite":
        return reported.waiting.arguments[3]
    fields = Path(f"/proc/{reported.waiting.pid}/fdinfo/{reported.descriptor}").read_text()
    told = dict(line.split(":", 1) for line in fields.splitlines() if ":" in line)
    if int(told["flags"].strip(), 8) & os.O_APPEND:
        return Path(reported.link).stat().st_size
    return int(told["pos"])


def carry_out(reported: Reported, *, limit: int | None = None, skip: int = 0) -> None:
    """Have a call's effect, in the place of the process that waits in it.

    Args:
        reported: the call.
        limit: write only so many bytes.
        skip: leave out so many bytes, which have been written already.

    Raises:
        HarnessError: this call's effect cannot be had from outside.
    """
    try:
        if reported.paths:
            _on_paths(reported)
        else:
            _on_descriptor(reported, limit, skip)
    except OSError as error:
        # Such a call fails in the process just so, and a call that fails has no effect.
        if error.errno in FAILS_ALIKE:
            return
        raise HarnessError(f"cannot do the bot's {reported.name} for it: {error}") from error


def _on_paths(reported: Reported) -> None:
    arguments, first, last = reported.waiting.arguments, reported.paths[0], reported.paths[-1]
    match reported.name:
        case "open" | "creat" | "openat":
            at = 1 if reported.name == "openat" else 0
            flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
            mode = arguments[1]
            if reported.name != "creat":
                flags, mode = arguments[at + 1], arguments[at + 2]
            _open(last, flags, mode, reported.waiting.pid)
        case "rename" | "renameat" | "renameat2":
            Path(first).rename(last) if reported.name != "renameat2" else _rename2(reported)
        case "link" | "linkat":
            os.link(first, last, follow_symlinks=False)
        case "unlink" | "unlinkat":
            (os.rmdir if reported.call == "rmdir" else os.unlink)(last)
        case "mkdir" | "mkdirat":
            at = 1 if reported.name == "mkdirat" else 0
            Path(last).mkdir(mode=arguments[at + 1] & ~_umask(reported.waiting.pid))
        case "rmdir":
            Path(last).rmdir()
        case "truncate":
            os.truncate(last, arguments[1])
        case _:
            raise HarnessError(f"no way is known to do the bot's {reported.name} for it")


def _rename2(reported: Reported) -> None:
    if reported.waiting.arguments[4]:
        raise HarnessError("no way is known to do a renameat2 with flags for the bot")
    Path(reported.paths[0]).rename(reported.paths[1])


def _open(path: str, flags: int, mode: int, pid: int) -> None:
    created = not Path(path).exists()
    os.close(os.open(path, flags & ~os.O_DIRECTORY, mode & 0o7777))
    if created and flags & os.O_CREAT:
        Path(path).chmod(mode & 0o7777 & ~_umask(pid))


def _umask(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def _on_descriptor(reported: Reported, limit: int | None, skip: int) -> None:
    assert reported.descriptor is not None, "a call without a path is about a descriptor"
    ours = duplicate(reported.waiting.pid, reported.descriptor)
    try:
        match reported.call:
            case "write":
                _write_all(ours, _content(reported, limit)[skip:])
            case "pwrite":
                data = _content(reported, limit)[skip:]
                place = _offset(reported) + skip
                assert os.pwrite(ours, data, place) == len(data), "a short write"
            case "send":
                with socket.socket(fileno=os.dup(ours)) as wire:
                    wire.settimeout(SEND_SECONDS)
                    wire.sendall(_content(reported, limit))
            case "fsync":
                os.fsync(ours)
            case "fdatasync":
                os.fdatasync(ours)
            case "truncate":
                os.ftruncate(ours, reported.waiting.arguments[1])
            case "allocate" if reported.waiting.arguments[1] == 0:
                os.posix_fallocate(ours, *reported.waiting.arguments[2:4])
            case _:
                raise HarnessError(f"no way is known to do the bot's {reported.name} for it")
    finally:
        os.close(ours)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _content(reported: Reported, limit: int | None) -> bytes:
    pid = reported.waiting.pid
    whole = b"".join(memory(pid, address, length) for address, length in pieces_of(reported))
    return whole if limit is None else whole[:limit]
