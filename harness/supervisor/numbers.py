"""The numbers of the system calls that are reported, for each machine, and what they take.

Standard library only, and loadable by path: `install.py` uses it inside the bot's process before
anything else of the bot is there.
"""

import platform

# What a call is about: the position of its descriptor or of its path (with the position of the
# folder's descriptor before it, where it has one).
X86_64 = {
    "write": 1,
    "open": 2,
    "pwrite64": 18,
    "writev": 20,
    "sendfile": 40,
    "sendto": 44,
    "sendmsg": 46,
    "fsync": 74,
    "fdatasync": 75,
    "truncate": 76,
    "ftruncate": 77,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "openat": 257,
    "mkdirat": 258,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "symlinkat": 266,
    "fallocate": 285,
    "pwritev": 296,
    "sendmmsg": 307,
    "renameat2": 316,
    "copy_file_range": 326,
    "pwritev2": 328,
    "openat2": 437,
}
AARCH64 = {
    "mkdirat": 34,
    "unlinkat": 35,
    "symlinkat": 36,
    "linkat": 37,
    "renameat": 38,
    "truncate": 45,
    "ftruncate": 46,
    "fallocate": 47,
    "openat": 56,
    "write": 64,
    "writev": 66,
    "pwrite64": 68,
    "pwritev": 70,
    "sendfile": 71,
    "fsync": 82,
    "fdatasync": 83,
    "sendto": 206,
    "sendmsg": 211,
    "sendmmsg": 269,
    "renameat2": 276,
    "copy_file_range": 285,
    "pwritev2": 287,
    "openat2": 437,
}
MACHINES = {
    "x86_64": (0xC000003E, 317, X86_64),
    "aarch64": (0xC00000B7, 277, AARCH64),
    "arm64": (0xC00000B7, 277, AARCH64),
}
"""Machine -> the kernel's audit number of it, the number of seccomp(2), the calls."""

ONLY = "CRASHGATE_CALLS"
"""The variable that names the calls to report, where not all of them are wanted."""
FLAGS_AT = {"open": 1, "openat": 2}
"""Calls that are reported only when their flags say that they write, and where the flags are."""
NOT_ON_STANDARD_STREAMS = frozenset({"write", "writev"})
"""Calls that are not reported on stdin and stdout: a log is not the bot's memory.

On stderr they are, because a bot tells there which of its failpoints it passes; nobody counts them.
"""


def of_this_machine(machine: str = platform.machine()) -> tuple[int, int, dict[str, int]] | None:
    """The audit number, the number of seccomp(2) and the calls; None on a machine unknown here."""
    return MACHINES.get(machine)
