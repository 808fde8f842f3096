"""What happened to a dead bot's memory before it is started again, as values.

A fault names its file by role, so that one fault fits every bot and every day; `roles.py` has the
patterns. A role `key`, `backup-key` or `lock-key` is a value in Redis, `redis` all of them,
`folder` everything in the state folder. A fault whose file is not there does not happen.

What the run writes into the history before it starts the bot again, source "harness":

    storage   life (of the bot that died), fault (slug), words, role, name, done, blocks
    skipped   life, fault (slug), words, reason

`blocks` is true while the bot cannot save anything. After a `storage` event a right bot does one
of two things, and the judge tells them apart so:

- It goes on with a state that it may believe: the stored one, where the fault has not touched what
  counts, a backup, or what the broker tells. It becomes ready, and from then on all laws hold. A
  limit that had been used up before the fault is still used up, or the bot says `halted` in its
  belief. Less used up than the last belief before the fault, and not halted, is the silent default
  that LoadOrHaltLoudly is about.
- It refuses, loudly: it ends with exit code 2 or 3 and says why in its last line (`loud_halt.py`).
  Exit code 1, which is also that of an unhandled error, counts where `blocks` is true. Neither
  TheBotStays nor BackInBusiness is broken then; what the broker holds must still be protected.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from harness.errors import UserError
from harness.values import Value

FileRole = Literal["state", "backup", "temp", "database", "wal", "journal", "witness", "lock"]
KeyRole = Literal["key", "backup-key", "lock-key"]
PieceRole = FileRole | KeyRole
Role = PieceRole | Literal["folder", "redis"]
Shape = Literal["prefix", "suffix", "hole", "zeros"]
Unit = Literal["512", "4096", "thirds"]
FutureWhat = Literal["version", "date", "schema"]

NOUNS: dict[Role, str] = {
    "state": "the state file",
    "backup": "the backup",
    "temp": "the temporary file",
    "database": "the database",
    "wal": "the database's WAL",
    "journal": "the journal",
    "witness": "the witness file",
    "lock": "the lock file",
    "key": "the state in Redis",
    "backup-key": "the backup in Redis",
    "lock-key": "the owner's key in Redis",
    "folder": "the whole state folder",
    "redis": "the whole Redis",
}
SHAPE_WORDS: dict[Shape, str] = {
    "prefix": "its end is gone",
    "suffix": "its beginning is zeros",
    "hole": "its middle is zeros",
    "zeros": "all but its beginning is zeros",
}


class Torn(Value):
    """A write that reached the disk in part; `unit` is the block in bytes, or a third of it all.

    Shapes: `prefix` ends before the last block, `suffix` has zeros for the first one, `hole` for
    the one in the middle, `zeros` for all but the first one.
    """

    kind: Literal["torn"] = "torn"
    role: PieceRole
    shape: Shape
    unit: Unit = "thirds"

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        unit = "thirds" if self.unit == "thirds" else f"blocks of {self.unit} bytes"
        return f"{NOUNS[self.role]} is torn in {unit}: {SHAPE_WORDS[self.shape]}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"torn.{self.role}.{self.shape}.{self.unit}"


class BitFlip(Value):
    """One bit is wrong; `seed` decides which."""

    kind: Literal["flip"] = "flip"
    role: PieceRole
    seed: int = Field(default=0, ge=0)

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return f"one bit of {NOUNS[self.role]} is flipped (seed {self.seed})"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"flip.{self.role}.{self.seed}"


class Empty(Value):
    """The file is there and has no bytes."""

    kind: Literal["empty"] = "empty"
    role: PieceRole

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return f"{NOUNS[self.role]} is empty"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"empty.{self.role}"


class Missing(Value):
    """The file is gone; of `folder` and `redis` everything is."""

    kind: Literal["missing"] = "missing"
    role: Role

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return f"{NOUNS[self.role]} is gone"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"missing.{self.role}"


class Stale(Value):
    """An older version stands in the place of the last one.

    `back` counts the market's steps while the bot lived: 1 is what it had when it was quiet before
    the last step, of `redis` its last second. 0 is the bot's own backup in the place of the file.
    """

    kind: Literal["stale"] = "stale"
    role: Role
    back: int = Field(default=1, ge=0)

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        if self.back == 0:
            return f"the bot's own backup stands in the place of {NOUNS[self.role]}"
        steps = "the last step" if self.back == 1 else f"the last {self.back} steps"
        return f"{NOUNS[self.role]} is as it was before {steps} of the market"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"stale.{self.role}.{self.back}"


class LeftoverTemp(Value):
    """A temporary file of a save that did not end lies beside the file, a third of it long."""

    kind: Literal["leftover"] = "leftover"
    role: Literal["state", "backup", "database", "witness"]

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return f"a temporary file is left over beside {NOUNS[self.role]}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"leftover.{self.role}"


class Yesterday(Value):
    """What is there is yesterday's: the copy of an earlier day, or else all its dates a day back.

    A file keeps its name; in the whole folder the dates in the names change as well.
    """

    kind: Literal["yesterday"] = "yesterday"
    role: Literal["state", "database", "key", "folder"]

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return f"{NOUNS[self.role]} is yesterday's"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"yesterday.{self.role}"


class Future(Value):
    """What is there was written by a newer bot, by a clock that runs ahead, or in another form."""

    kind: Literal["future"] = "future"
    role: Literal["state", "database", "key"]
    what: FutureWhat

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        words = {
            "version": "has a version of the future",
            "date": "is dated tomorrow",
            "schema": "has a form that nobody knows",
        }
        return f"{NOUNS[self.role]} {words[self.what]}"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return f"future.{self.role}.{self.what}"


class ReadOnly(Value):
    """Nothing can be made, renamed or removed in the folder while the next life lasts."""

    kind: Literal["read-only"] = "read-only"

    def describe(self) -> str:
        """Say what is wrong, in plain words."""
        return "the state folder is read-only"

    @property
    def slug(self) -> str:
        """The fault as one word."""
        return "read-only"


StorageFault = Annotated[
    Torn | BitFlip | Empty | Missing | Stale | LeftoverTemp | Yesterday | Future | ReadOnly,
    Field(discriminator="kind"),
]
FAULT: TypeAdapter[StorageFault] = TypeAdapter(StorageFault)
FIELDS: dict[str, tuple[str, ...]] = {
    "torn": ("role", "shape", "unit"),
    "flip": ("role", "seed"),
    "empty": ("role",),
    "missing": ("role",),
    "stale": ("role", "back"),
    "leftover": ("role",),
    "yesterday": ("role",),
    "future": ("role", "what"),
    "read-only": (),
}
"""The words of a slug after its kind."""


def parse_storage_fault(slug: str) -> StorageFault:
    """Read the slug of a fault.

    Raises:
        UserError: it is none.
    """
    kind, *words = slug.split(".")
    names = FIELDS.get(kind)
    if names is not None and len(names) == len(words):
        try:
            fault = FAULT.validate_python({"kind": kind, **dict(zip(names, words, strict=True))})
        except ValidationError as error:
            raise UserError(f"{slug!r} names no storage fault: {error}") from error
        if fault.slug == slug:
            return fault
    raise UserError(
        f"{slug!r} names no storage fault; they look like torn.state.prefix.4096, flip.database.7, "
        f"missing.wal, stale.folder.1, future.state.version or read-only"
    )
