"""A folder for runs that is gone when the harness is, in whatever way it ends.

    python -I -S janitor.py FOLDER OWNER

A small process of its own session holds the reading end of a pipe, whose other end nobody has but
the harness. It makes a private folder in FOLDER and tells its name. When the pipe ends without a
word, the harness was killed: the janitor ends what is left of the harness's processes, which bear
the mark OWNER in their environment, and removes the folder. Standard library only, because it is
started by its path.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

OWNER = "CRASHGATE_OWNER"
"""The variable that names the harness in everything that it starts."""
MEMORY = Path("/dev/shm")
MEMORY_FREE_BYTES = 256 * 1024 * 1024
END_SECONDS = 10.0
ATTEMPTS = 20


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that only we can enter, in memory where that can be; it is removed at the end.

    TMPDIR decides where it is made, if it is set.

    Raises:
        OSError: no folder can be made there; names it.
    """
    ours, keeps = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(place()), owner()],
        stdin=ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    ) as janitor:
        os.close(ours)
        try:
            assert janitor.stdout is not None, "it is a pipe"
            assert janitor.stderr is not None, "it is a pipe"
            folder = os.fsdecode(janitor.stdout.readline().rstrip(b"\n"))
            if not folder:
                raise OSError(janitor.stderr.read().decode(errors="replace").strip())
            try:
                yield Path(folder)
            finally:
                remove(folder)
                with contextlib.suppress(BrokenPipeError):
                    os.write(keeps, b".")
        finally:
            os.close(keeps)


def place() -> Path:
    """Where folders of runs are made."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        room = os.statvfs(MEMORY)
        if room.f_bavail * room.f_frsize >= MEMORY_FREE_BYTES:
            return MEMORY
    return Path(tempfile.gettempdir())


def owner() -> str:
    """The mark of this harness: its process id, and when it was started."""
    if sys.platform != "linux":
        return str(os.getpid())
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return f"{os.getpid()}-{fields[19]}"


def main(arguments: list[str]) -> None:
    """Make a folder, wait for the harness's end, and remove it if the harness has not."""
    try:
        folder = tempfile.mkdtemp(prefix="crashgate-", dir=arguments[0])
    except OSError as error:
        sys.exit(f"cannot make a folder in {arguments[0]}: {error.strerror}")
    os.write(1, os.fsencode(folder) + b"\n")
    if os.read(0, 1):
        return
    for _ in range(ATTEMPTS):
        # Again, if somebody who was dying has put something there meanwhile.
        end_processes(arguments[1])
        remove(folder)
        if not os.path.lexists(folder):
            return


def end_processes(mark: str) -> None:
    """End every process that bears a mark, and wait for its end."""
    for _ in range(ATTEMPTS):
        found = marked(mark)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end_process(pid)


def end_process(pid: int) -> None:
    """SIGKILL to a process, and wait for its end.

    Raises:
        ProcessLookupError: there is none.
        PermissionError: it is not ours.
    """
    if sys.platform != "linux":
        return
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], END_SECONDS)
    finally:
        os.close(descriptor)


def marked(mark: str) -> list[int]:
    """The processes that bear a mark in the environment with which they were started."""
    wanted = f"{OWNER}={mark}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return sorted(found)


def remove(folder: str) -> None:
    """Remove a folder, with what a run has made read-only in it."""
    for inner, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(inner, 0o700)  # noqa: PTH101 - a name of os.walk
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
