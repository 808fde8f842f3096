"""A dead bot's memory: its folder and its Redis, and one file or value of it found by its role."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import get_args

from harness.faults.copies import Copies, read_files
from harness.faults.keys import read_strings, write_string
from harness.faults.roles import newest_file, newest_key
from harness.faults.storage import KeyRole, PieceRole

KEYS: tuple[str, ...] = get_args(KeyRole)


@dataclass(frozen=True, slots=True)
class Applied:
    """A fault that has happened.

    Attributes:
        role: the role of what was changed.
        name: the file's path in the state folder, or the key; empty for all of them.
        done: what was done, in words and bytes.
        blocks: whether the bot cannot save anything in its next life.
    """

    role: str
    name: str
    done: str
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class NotThere:
    """A fault that cannot happen here: why, in words."""

    reason: str


Outcome = Applied | NotThere


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a dead bot's memory lies.

    Attributes:
        folder: its state folder.
        now: exchange time.
        copies: what was there before.
        redis_url: its Redis; empty when it has none.
    """

    folder: Path
    now: datetime
    copies: Copies = field(default_factory=Copies)
    redis_url: str = ""

    def find(self, role: PieceRole) -> "Piece | None":
        """The file or key of a role, with its bytes."""
        if role in KEYS:
            values = read_strings(self.redis_url) if self.redis_url else {}
            key = newest_key(values, role)  # type: ignore[arg-type] # KEYS are those roles
            return None if key is None else Piece(self, role, key, values[key])
        files = read_files(self.folder)
        name = newest_file(files, role)  # type: ignore[arg-type] # the others are those of files
        return None if name is None else Piece(self, role, name, files[name])


@dataclass(frozen=True, slots=True)
class Piece:
    """One file or one value in Redis, as it was found."""

    memory: Memory
    role: PieceRole
    name: str
    data: bytes

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.memory.folder / self.name

    def write(self, data: bytes | None) -> None:
        """Put other bytes in its place, in the same file; None takes it away."""
        if self.role in KEYS:
            write_string(self.memory.redis_url, self.name, data)
        elif data is None:
            self.path.unlink()
        else:
            self.path.write_bytes(data)

    def replaced(self, data: bytes | None, words: str) -> Outcome:
        """Write other bytes, if they are others, and say so."""
        if data is None:
            return NotThere(f"{self.name} has nothing in it that this fault could change")
        if data == self.data:
            return NotThere(f"{self.name} is the same with the fault as without it")
        self.write(data)
        return Applied(self.role, self.name, words)
