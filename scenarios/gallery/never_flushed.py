"""A trader that syncs its state file and does not flush it.

`fsync` writes what the kernel has; what Python still holds in its buffer comes when the file is
closed, and that is at the next save. Killed before, the bot has sent an order of which the disk
knows nothing. (S05 in the catalogue of recovery bugs.)
"""

import os
from io import TextIOWrapper
from pathlib import Path

from target_trader.__main__ import main
from target_trader.failpoints import failpoint
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.codec import seal
from target_trader.state.json_store import JsonStore
from target_trader.state.lock import sync_folder


class Unflushed(JsonStore):
    """The state file, whose stream stays open."""

    stream: TextIOWrapper | None = None

    def replace(self, main: Path, temp: Path, *, checkpoint: Checkpoint) -> None:
        """Write the temporary file, sync it and put it in the place of the main one."""
        if self.stream is not None:
            self.stream.close()
        self.stream = temp.open("w", encoding="utf-8")
        self.stream.write(seal(checkpoint).text)
        os.fsync(self.stream.fileno())
        failpoint("state.temp_synced")
        self.keep_previous(main, checkpoint.day)
        temp.replace(main)
        failpoint("state.renamed")
        sync_folder(self.folder)


def open_unflushed(_kind: StoreKind, folder: Path, /, *, redis_url: str | None = None) -> Unflushed:
    """Open the only store that this bot has."""
    assert redis_url is None, "this bot keeps its state in a file"
    return Unflushed(folder)


if __name__ == "__main__":
    main(store_factory=open_unflushed)
