"""The state as one JSON file a day, replaced as a whole and never written in place.

The order of a save is the whole point: write a temporary file in the same folder, flush, fsync,
keep the previous version as the backup by a hard link, rename, fsync the folder. A crash at any
point leaves the old version or the new one, complete, under the main name. The checksum inside
the file is there for what renames cannot prevent: disks that lie and people that edit.
"""

import json
import os
import re
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from target_trader.errors import DamagedStateError
from target_trader.failpoints import failpoint
from target_trader.log import LOG
from target_trader.state.checkpoint import VERSION, Checkpoint, canonical, checksum
from target_trader.state.lock import FolderLock, prepare_folder, sync_folder
from target_trader.state.store import Loaded, Source

STATE_NAME = re.compile(r"trader_state_(\d{8})(\.bak)?\.json")
TEMP_PATTERN = "trader_state_*.tmp"


def main_path(folder: Path, day: date) -> Path:
    """The state file of a day."""
    return folder / f"trader_state_{day:%Y%m%d}.json"


def backup_path(folder: Path, day: date) -> Path:
    """The version of a day's state before the newest."""
    return folder / f"trader_state_{day:%Y%m%d}.bak.json"


class JsonStore:
    """Keeps the checkpoint in `trader_state_YYYYMMDD.json`."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self.folder = folder
        self.lock = FolderLock(folder)
        for leftover in sorted(folder.glob(TEMP_PATTERN)):
            LOG.info("Removing %s, left over from a save that did not end", leftover.name)
            leftover.unlink()

    def load(self) -> Loaded:
        """Read the newest day's file, or its backup when the file cannot be believed."""
        return read_json_state(self.folder)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file of the checkpoint's day."""
        main = main_path(self.folder, checkpoint.day)
        temp = main.with_suffix(".tmp")
        with temp.open("w", encoding="utf-8") as stream:
            stream.write(to_text(checkpoint))
            stream.flush()
            failpoint("state.temp_written")
            os.fsync(stream.fileno())
        failpoint("state.temp_synced")
        self.keep_backup(main, checkpoint.day)
        failpoint("state.backed_up")
        temp.replace(main)
        failpoint("state.renamed")
        # Without this the rename itself may be lost in a power cut, after the order was sent.
        sync_folder(self.folder)

    def keep_backup(self, main: Path, day: date) -> None:
        """Give the present version the backup's name as well, so that main is never absent."""
        if not main.exists():
            return
        link = main.with_suffix(".bak.tmp")
        link.unlink(missing_ok=True)
        os.link(main, link)
        link.replace(backup_path(self.folder, day))

    def close(self) -> None:
        """Release the folder."""
        self.lock.release()


def to_text(checkpoint: Checkpoint) -> str:
    """Write the file's text: the checkpoint and the checksum over its canonical JSON."""
    body = canonical(checkpoint)
    envelope = {"checksum": checksum(body), "checkpoint": json.loads(body)}
    return json.dumps(envelope, indent=1, sort_keys=True) + "\n"


def from_text(text: str, *, name: str) -> Checkpoint:
    """Read a file's text.

    Raises:
        DamagedStateError: it is no JSON, its checksum does not fit, or a field is wrong.
    """
    try:
        envelope = json.loads(text)
        claimed, tree = envelope["checksum"], envelope["checkpoint"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedStateError(f"{name} is not a complete state file: {error!r}") from error
    body = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    if checksum(body) != claimed:
        raise DamagedStateError(f"{name} does not match its own checksum")
    try:
        checkpoint = Checkpoint.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedStateError(f"{name}: {place}: {first['msg']}") from error
    if checkpoint.version != VERSION:
        raise DamagedStateError(
            f"{name} has version {checkpoint.version}; this bot reads version {VERSION}"
        )
    return checkpoint


def read_json_state(folder: Path) -> Loaded:
    """Read the newest day of a folder; main first, then the backup, never a mixture."""
    names = sorted(path.name for path in folder.glob("trader_state_*.json"))
    days = [match[1] for match in map(STATE_NAME.fullmatch, names) if match]
    if not days:
        return Loaded(None, Source.NONE)
    day = date.fromisoformat(max(days))
    problems: list[str] = []
    candidates = (
        (main_path(folder, day), Source.MAIN),
        (backup_path(folder, day), Source.BACKUP),
    )
    for path, source in candidates:
        try:
            checkpoint = from_text(path.read_text(encoding="utf-8"), name=path.name)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path.name} cannot be read: {error}")
        except DamagedStateError as error:
            problems.append(str(error))
        else:
            return Loaded(checkpoint, source, tuple(problems))
    return Loaded(None, Source.NONE, tuple(problems))
