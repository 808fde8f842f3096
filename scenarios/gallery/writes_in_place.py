"""A trader that writes its state file in place.

The file is emptied when it is opened and is whole again a moment later. Killed in between, all
that the bot has ever written down is gone, and with it the record of the orders that it has sent.
(S01 in the catalogue of recovery bugs.)
"""

import os
from pathlib import Path

from target_trader.__main__ import main
from target_trader.failpoints import failpoint
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.codec import seal
from target_trader.state.json_store import JsonStore


class InPlace(JsonStore):
    """The state file without a temporary one, and so without a backup."""

    def replace(self, main: Path, temp: Path, *, checkpoint: Checkpoint) -> None:
        """Write the file anew, and see to it that it is on the disk."""
        temp.unlink(missing_ok=True)
        with main.open("w", encoding="utf-8") as stream:
            failpoint("state.temp_written")
            stream.write(seal(checkpoint).text)
            stream.flush()
            os.fsync(stream.fileno())


def open_in_place(_kind: StoreKind, folder: Path, /, *, redis_url: str | None = None) -> InPlace:
    """Open the only store that this bot has."""
    assert redis_url is None, "this bot keeps its state in a file"
    return InPlace(folder)


if __name__ == "__main__":
    main(store_factory=open_in_place)
