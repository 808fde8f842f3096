"""What the state folder remembers of a Redis: which save it acknowledged last.

A Redis that restarts may come back empty, or a second older (appendfsync everysec). The bot cannot
see that from Redis alone; with this small file, written after every save, it can.
"""

import os
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from target_trader.errors import DamagedStateError
from target_trader.state.checkpoint import Record
from target_trader.state.lock import sync_folder


class Witness(Record):
    """The last save that Redis has acknowledged: its number, its checksum, its time."""

    number: int
    checksum: str
    saved_at: datetime


def witness_path(folder: Path, name: str) -> Path:
    """The witness of the state called `name`."""
    return folder / f"redis_{name}.witness.json"


def read_witness(path: Path) -> Witness | None:
    """Read a witness; None when no save was ever acknowledged in this folder.

    Raises:
        DamagedStateError: there is one and it cannot be read.
    """
    try:
        return Witness.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DamagedStateError(f"{path.name} cannot be read: {error}") from error


def write_witness(path: Path, witness: Witness) -> None:
    """Replace a witness durably, as a whole.

    Raises:
        OSError: the disk refused; the old one is still there.
    """
    temp = path.with_suffix(".tmp")
    try:
        with temp.open("w", encoding="utf-8") as stream:
            stream.write(witness.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temp.replace(path)
        sync_folder(path.parent)
    except OSError:
        temp.unlink(missing_ok=True)
        raise
