"""The state as one JSON file a day, replaced as a whole and never written in place.

The order of a save is the whole point: write a temporary file in the same folder, flush, fsync,
keep the previous version as the backup by a hard link, rename, fsync the folder. A crash at any
point leaves the old version or the new one, complete, under the main name. The checksum inside
the file is there for what renames cannot prevent: disks that lie and people that edit.

The folder keeps the newest 30 days with their backups, and for ever what was found damaged
(`*.damaged`) and what was upgraded (`*.v1.json`): those are for a person.
"""

import logging
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock

from target_trader.errors import DamagedStateError, StateVersionError
from target_trader.failpoints import failpoint
from target_trader.log import tell
from target_trader.state.checkpoint import VERSION, Checkpoint
from target_trader.state.codec import Envelope, from_text, seal
from target_trader.state.lock import FolderLock, prepare_folder, sync_folder
from target_trader.state.store import Loaded, Source, free_name, older_words

STATE_NAME = re.compile(r"trader_state_(\d{8})(\.bak)?\.json")
TEMP_PATTERN = "trader_state_*.tmp"
DAYS_KEPT = 30


def main_path(folder: Path, day: date) -> Path:
    """The state file of a day."""
    return folder / f"trader_state_{day:%Y%m%d}.json"


def backup_path(folder: Path, day: date) -> Path:
    """The version of a day's state before the newest."""
    return folder / f"trader_state_{day:%Y%m%d}.bak.json"


@dataclass(frozen=True, slots=True)
class DayRead:
    """The newest day of a folder: what it says, which files were not believed, and its version."""

    loaded: Loaded
    damaged: frozenset[Path] = frozenset()
    believed: Path | None = None
    version: int = VERSION


class JsonStore:
    """Keeps the checkpoint in `trader_state_YYYYMMDD.json`; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self.folder = folder
        self.lock = FolderLock(folder)
        self.guard = Lock()
        self.damaged: frozenset[Path] = frozenset()
        self.day: date | None = None
        self.number = 0
        for leftover in sorted(folder.glob(TEMP_PATTERN)):
            words = f"Removing {leftover.name}, left over from a save that did not end"
            tell("leftover_removed", words, file=leftover.name)
            leftover.unlink()

    def load(self) -> Loaded:
        """Read the newest day's file, or its backup when the file cannot be believed.

        A file of an older version is kept under a name of its own before it is upgraded.

        Raises:
            StateVersionError: it is of a version that this bot cannot read.
        """
        with self.guard:
            read = read_day(self.folder)
            self.damaged = read.damaged
            if read.believed is not None and read.version != VERSION:
                kept = free_name(read.believed.with_suffix(f".v{read.version}.json"))
                os.link(read.believed, kept)
                sync_folder(self.folder)
                words = f"{read.believed.name} has version {read.version} and becomes "
                words += f"version {VERSION}; the old file is kept as {kept.name}"
                tell("state_upgraded", words, level=logging.WARNING, kept=kept.name)
            return read.loaded

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file of the checkpoint's day.

        Raises:
            OSError: the disk refused; what was saved before is still there.
        """
        with self.guard:
            main = main_path(self.folder, checkpoint.day)
            temp = main.with_suffix(".tmp")
            if checkpoint.day != self.day:
                self.number = last_number(self.folder, checkpoint.day)
            try:
                self.replace(main, temp, checkpoint=checkpoint)
            except OSError:
                temp.unlink(missing_ok=True)
                raise
            self.number += 1
            if checkpoint.day != self.day:
                forget_old_days(self.folder)
                self.day = checkpoint.day

    def replace(self, main: Path, temp: Path, *, checkpoint: Checkpoint) -> None:
        """Write the temporary file and put it in the place of the main one."""
        with temp.open("w", encoding="utf-8") as stream:
            stream.write(seal(checkpoint, number=self.number + 1).text)
            stream.flush()
            failpoint("state.temp_written")
            os.fsync(stream.fileno())
        failpoint("state.temp_synced")
        self.keep_previous(main, checkpoint.day)
        failpoint("state.backed_up")
        temp.replace(main)
        failpoint("state.renamed")
        # Without this the rename itself may be lost in a power cut, after the order was sent.
        sync_folder(self.folder)

    def keep_previous(self, main: Path, day: date) -> None:
        """Give the present version the backup's name as well, so that main is never absent.

        One that could not be believed must not push out the backup that was: it gets a name for
        a person to find.
        """
        if not main.exists():
            return
        if main in self.damaged:
            kept = free_name(main.with_suffix(".damaged"))
            os.link(main, kept)
            words = f"The damaged {main.name} is kept as {kept.name}"
            tell("damaged_kept", words, level=logging.ERROR, kept=kept.name)
            self.damaged -= {main}
            return
        link = main.with_suffix(".bak.tmp")
        link.unlink(missing_ok=True)
        os.link(main, link)
        link.replace(backup_path(self.folder, day))

    def close(self) -> None:
        """Release the folder."""
        self.lock.release()


def stored_days(folder: Path) -> list[str]:
    """Return the days of which a folder has a state, `20251006`, oldest first."""
    names = (path.name for path in folder.glob("trader_state_*.json"))
    return sorted({match[1] for match in map(STATE_NAME.fullmatch, names) if match})


def forget_old_days(folder: Path) -> None:
    """Remove the state files of all days but the newest 30.

    Raises:
        OSError: a file cannot be removed.
    """
    for text in stored_days(folder)[:-DAYS_KEPT]:
        day = date.fromisoformat(text)
        for path in (main_path(folder, day), backup_path(folder, day)):
            path.unlink(missing_ok=True)
        words = f"Removed the state of {day}: the newest {DAYS_KEPT} days are kept"
        tell("old_state_removed", words, day=day)


def read_json_state(folder: Path) -> Loaded:
    """Read the newest day of a folder: the main file, or else the backup, never a mixture.

    A main file that is older than its backup is not the last one saved, whoever put it there: what
    must not be forgotten, halts above all, is in the backup.

    Raises:
        StateVersionError: it is of a version that this bot cannot read.
    """
    return read_day(folder).loaded


def read_day(folder: Path) -> DayRead:
    """Read the newest day of a folder and say which of its files cannot be believed."""
    days = stored_days(folder)
    if not days:
        return DayRead(Loaded(None, Source.NONE))
    day = date.fromisoformat(days[-1])
    main, backup = main_path(folder, day), backup_path(folder, day)
    # The backup first: of a bot that saves meanwhile it must not look newer than the main file.
    second, first = read_copy(backup, day), read_copy(main, day)
    if isinstance(first, StateVersionError):
        raise first
    if isinstance(first, DamagedStateError):
        problems = [str(first)]
    elif isinstance(second, Envelope) and second.number > first.number:
        problems = [older_words(main.name, first.number, backup=second.number)]
    else:
        return DayRead(Loaded(first.checkpoint, Source.MAIN), believed=main, version=first.version)
    if isinstance(second, StateVersionError):
        raise second
    if isinstance(second, DamagedStateError):
        problems.append(str(second))
        return DayRead(Loaded(None, Source.NONE, tuple(problems)), frozenset({main, backup}))
    loaded = Loaded(second.checkpoint, Source.BACKUP, tuple(problems))
    return DayRead(loaded, frozenset({main}), backup, second.version)


def last_number(folder: Path, day: date) -> int:
    """Return the number of the last save of a day, 0 before the first one."""
    copies = [read_copy(path, day) for path in (backup_path(folder, day), main_path(folder, day))]
    return max(each.number if isinstance(each, Envelope) else 0 for each in copies)


def read_copy(path: Path, day: date) -> Envelope | DamagedStateError | StateVersionError:
    """Read one file of a day, or say why it cannot be believed.

    A sound file under the name of a day that it is not of was put there by somebody; the backup
    beside it is then the better state.
    """
    try:
        envelope = from_text(path.read_text(encoding="utf-8"), name=path.name)
    except (OSError, UnicodeDecodeError) as error:
        return DamagedStateError(f"{path.name} cannot be read: {error}")
    except (DamagedStateError, StateVersionError) as error:
        return error
    held = envelope.checkpoint.day
    if held != day:
        return DamagedStateError(f"{path.name} holds the state of {held}: it is not that day's")
    return envelope
