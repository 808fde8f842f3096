"""Storage faults carried out on the memory of a bot that is dead."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import assert_never

from harness.errors import HarnessError
from harness.faults.copies import Copy, read_files
from harness.faults.damage import damaged
from harness.faults.database import (
    database_of_another_day,
    database_of_another_form,
    database_of_another_version,
)
from harness.faults.dates import of_another_day, of_another_form, of_another_version, shift_days
from harness.faults.keys import dump_keys, restore_keys
from harness.faults.memory import KEYS, Applied, Memory, NotThere, Outcome, Piece
from harness.faults.read_only import make_read_only
from harness.faults.roles import newest_file, role_of_file
from harness.faults.storage import (
    BitFlip,
    Empty,
    Future,
    LeftoverTemp,
    Missing,
    PieceRole,
    ReadOnly,
    Stale,
    StorageFault,
    Torn,
    Yesterday,
)

DATED_ROLES = ("state", "backup", "database", "witness")


def apply_storage_fault(fault: StorageFault, memory: Memory) -> Outcome:
    """Do to a dead bot's memory what a fault says.

    Args:
        fault: what is to happen.
        memory: where the memory lies, and what was there before; without copies no older version
            can be put back.

    Raises:
        HarnessError: the fault cannot be carried out on this machine, or Redis does not answer.
    """
    try:
        return _apply(fault, memory)
    except OSError as error:
        raise HarnessError(f"cannot carry out the fault {fault.slug}: {error}") from error


def _apply(fault: StorageFault, memory: Memory) -> Outcome:
    match fault:
        case ReadOnly():
            return make_read_only(memory.folder)
        case Missing(role="folder" | "redis") | Stale(role="folder" | "redis"):
            return replace_all(fault, memory)
        case Yesterday(role="folder"):
            return yesterdays_folder(memory)
        case _:
            piece = memory.find(fault.role)  # type: ignore[arg-type] # the others are done above
    if piece is None:
        return NotThere(f"there is no {fault.role}")
    match fault:
        case Torn() | BitFlip() | Empty():
            return piece.replaced(*damaged(fault, piece.data))
        case Missing():
            piece.write(None)
            return Applied(piece.role, piece.name, f"{len(piece.data)} bytes are gone")
        case Stale():
            return put_back(fault, piece)
        case LeftoverTemp():
            return leave_temp(piece)
        case Yesterday():
            return yesterdays(piece)
        case Future():
            return of_the_future(fault, piece)
        case _:
            assert_never(fault)


def replace_all(fault: Missing | Stale, memory: Memory) -> Outcome:
    """Take everything away, or put everything back as it was."""
    copy = None
    if isinstance(fault, Stale):
        copy = memory.copies.ago(fault.back)
        if copy is None:
            return NotThere(f"there is no copy of {fault.back} steps ago")
    if fault.role == "folder":
        before: Mapping[str, bytes] = read_files(memory.folder)
        after: Mapping[str, bytes] = {} if copy is None else copy.files
    elif memory.redis_url:
        before, after = dump_keys(memory.redis_url), {} if copy is None else copy.keys
    else:
        return NotThere("the bot has no Redis")
    if before == after:
        return NotThere(f"the {fault.role} is the same with the fault as without it")
    if fault.role == "folder":
        write_folder(memory.folder, after)
    else:
        restore_keys(memory.redis_url, after)
    differ = sum(1 for name in {*before, *after} if before.get(name) != after.get(name))
    done = f"all {len(before)} are gone" if copy is None else f"{differ} differ from the last ones"
    return Applied(fault.role, "", done)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold these files and nothing else."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for name, data in sorted(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def put_back(fault: Stale, piece: Piece) -> Outcome:
    """Put an older version of one file or value in its place."""
    if fault.back == 0:
        own: PieceRole = "backup-key" if piece.role in KEYS else "backup"
        backup = piece.memory.find(own)
        if backup is None:
            return NotThere(f"there is no {own}")
        return piece.replaced(backup.data, f"{len(backup.data)} bytes of {backup.name}")
    copy = piece.memory.copies.ago(fault.back)
    if copy is None:
        return NotThere(f"there is no copy of {fault.back} steps ago")
    return from_copy(piece, copy)


def from_copy(piece: Piece, copy: Copy) -> Outcome:
    """Put what a copy has of a piece in its place."""
    if piece.role in KEYS:
        if piece.name not in copy.keys:
            return NotThere(f"{piece.name} was not there then")
        kept = dump_keys(piece.memory.redis_url)
        if kept[piece.name] == copy.keys[piece.name]:
            return NotThere(f"{piece.name} is the same with the fault as without it")
        restore_keys(piece.memory.redis_url, {**kept, piece.name: copy.keys[piece.name]})
        return Applied(piece.role, piece.name, f"the value of {clock(copy)}")
    # The file of that role may have had another name then, on another day.
    name = newest_file(copy.files, piece.role)  # type: ignore[arg-type] # not a key
    if name is None:
        return NotThere(f"there was no {piece.role} then")
    data = copy.files[name]
    return piece.replaced(data, f"the {len(data)} bytes of {clock(copy)}")


def clock(copy: Copy) -> str:
    """The time of a copy as it stands in a history."""
    return f"{copy.time:%Y-%m-%d %H:%M:%S}"


def leave_temp(piece: Piece) -> Outcome:
    """Leave a third of a file beside it, under the names that temporary files commonly have."""
    names = (piece.path.with_suffix(".tmp"), piece.path.with_name(f"{piece.path.name}.tmp"))
    part = piece.data[: len(piece.data) // 3]
    for path in names:
        path.write_bytes(part)
    return Applied("temp", " ".join(path.name for path in names), f"{len(part)} bytes each")


def yesterdays(piece: Piece) -> Outcome:
    """Put yesterday's version in the place of a file or value."""
    copy = piece.memory.copies.day_before(piece.memory.now)
    if copy is not None:
        return from_copy(piece, copy)
    words = "all its dates are a day back"
    if piece.role == "database":
        return changed_database(piece, lambda path: database_of_another_day(path, -1), words)
    return piece.replaced(of_another_day(piece.data, -1), words)


def yesterdays_folder(memory: Memory) -> Outcome:
    """Make the whole folder yesterday's, the names of its files as well."""
    copy = memory.copies.day_before(memory.now)
    if copy is not None:
        write_folder(memory.folder, copy.files)
        return Applied("folder", "", f"as it was at {clock(copy)}")
    done = 0
    for name, data in read_files(memory.folder).items():
        role = role_of_file(name.rpartition("/")[2])
        if role not in DATED_ROLES:
            continue
        piece = Piece(memory, role, name, data)
        if data.startswith(b"SQLite format 3\0"):
            outcome = changed_database(piece, lambda path: database_of_another_day(path, -1), "")
        else:
            outcome = piece.replaced(of_another_day(data, -1), "")
        done += isinstance(outcome, Applied)
        piece.path.rename(piece.path.with_name(shift_days(piece.path.name, -1)))
    if not done:
        return NotThere("there is no file with a date in it")
    return Applied("folder", "", f"all dates of {done} files are a day back")


def of_the_future(fault: Future, piece: Piece) -> Outcome:
    """Make a file or value one of a newer bot, of tomorrow, or of another form."""
    words = {
        "version": "its version is 99",
        "date": "all its dates are a day ahead",
        "schema": "its names are foreign",
    }[fault.what]
    if piece.role == "database":
        change = {
            "version": database_of_another_version,
            "date": lambda path: database_of_another_day(path, 1),
            "schema": database_of_another_form,
        }[fault.what]
        return changed_database(piece, change, words)
    data = {
        "version": of_another_version,
        "date": lambda data: of_another_day(data, 1),
        "schema": of_another_form,
    }[fault.what](piece.data)
    return piece.replaced(data, words)


def changed_database(piece: Piece, change: Callable[[Path], None], words: str) -> Outcome:
    """Change a database through SQLite."""
    change(piece.path)
    return Applied(piece.role, piece.name, words)


def needs_copies(fault: StorageFault | None) -> bool:
    """Whether copies must be taken before a fault, while the bot lives."""
    return isinstance(fault, Yesterday) or (isinstance(fault, Stale) and fault.back > 0)
