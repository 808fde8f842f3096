"""What a bot's memory was before: copies of its folder and its Redis, taken while it was quiet.

They lie in the harness's own memory, so that nothing of them is beside the bot's files. Only a run
whose case puts an older version back takes any. The newest ones are kept, and the last one of each
earlier day.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from harness.faults.keys import dump_keys
from harness.points.quiet import NEW_YORK

KEPT = 32


@dataclass(frozen=True, slots=True)
class Copy:
    """The memory of the bot at one quiet moment; `keys` are serialised by Redis itself."""

    time: datetime
    files: Mapping[str, bytes]
    keys: Mapping[str, bytes]

    @property
    def day(self) -> date:
        """The exchange's day."""
        return self.time.astimezone(NEW_YORK).date()


@dataclass(slots=True)
class Copies:
    """The copies of one run, newest last."""

    newest: deque[Copy] = field(default_factory=lambda: deque(maxlen=KEPT))
    days: dict[date, Copy] = field(default_factory=dict)

    def take(self, now: datetime, folder: Path, *, redis_url: str = "") -> None:
        """Copy what is there now; the bot must be quiet.

        Raises:
            HarnessError: Redis does not answer.
        """
        copy = Copy(now, read_files(folder), dump_keys(redis_url) if redis_url else {})
        self.newest.append(copy)
        self.days[copy.day] = copy

    def ago(self, back: int) -> Copy | None:
        """The copy of `back` steps ago, 1 the newest; None when there is none so old."""
        return self.newest[-back] if 0 < back <= len(self.newest) else None

    def day_before(self, now: datetime) -> Copy | None:
        """The last copy of the newest day before that of `now`; None when there is none."""
        earlier = [day for day in self.days if day < now.astimezone(NEW_YORK).date()]
        return self.days[max(earlier)] if earlier else None


def read_files(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder, by its path inside; empty when the folder is not there."""
    if not folder.is_dir():
        return {}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
