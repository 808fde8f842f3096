"""One bot per state folder.

The lock is the kernel's (flock), not a file with a process id in it: it goes away with the
process, however that died, so that there is no stale lock to believe or to delete by hand.
"""

import fcntl
import os
from pathlib import Path

from target_trader.errors import StateLockedError, TraderError

LOCK_NAME = "trader.lock"


class FolderLock:
    """Holds a state folder for as long as it is open.

    Raises:
        StateLockedError: another process holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.descriptor)
            raise StateLockedError(
                f"state folder {folder} is in use by another bot; stop it first, "
                "or give this one a --state-dir of its own"
            ) from error

    def release(self) -> None:
        """Let the next bot in."""
        os.close(self.descriptor)


def prepare_folder(folder: Path) -> None:
    """Create the state folder, private and durable, with the parents it needs.

    Raises:
        TraderError: the folder cannot be made; says why.
    """
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            # A folder is durable only when its own entry is synced in the folder above.
            sync_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
    except OSError as error:
        raise TraderError(f"state folder {folder} cannot be used: {error}") from error


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
