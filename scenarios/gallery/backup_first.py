"""A trader that reads its backup first.

The backup is made once a day, when everything is certainly right, and so it is the copy to trust. A
restart throws the day away. Most of it the broker tells again; not that the bot was halted at noon,
which a person was to look at first. (S11 in the catalogue of recovery bugs.)
"""

from datetime import date
from pathlib import Path

from target_trader.__main__ import main
from target_trader.settings import StoreKind
from target_trader.state.codec import from_text
from target_trader.state.json_store import JsonStore, backup_path
from target_trader.state.store import Loaded, Source


class BackupFirst(JsonStore):
    """The state file and its backup, in the wrong order."""

    def load(self) -> Loaded:
        """Read the backup of the newest day, else the file."""
        loaded = super().load()
        if loaded.checkpoint is None:
            return loaded
        path = backup_path(self.folder, loaded.checkpoint.day)
        if not path.exists():
            return loaded
        envelope = from_text(path.read_text(encoding="utf-8"), name=path.name)
        return Loaded(envelope.checkpoint, Source.MAIN)

    def keep_previous(self, main: Path, day: date) -> None:
        """Make the first version of the day the backup."""
        if not backup_path(self.folder, day).exists():
            super().keep_previous(main, day)


def open_backup(_kind: StoreKind, folder: Path, /, *, redis_url: str | None = None) -> BackupFirst:
    """Open the only store that this bot has."""
    assert redis_url is None, "this bot keeps its state in a file"
    return BackupFirst(folder)


if __name__ == "__main__":
    main(store_factory=open_backup)
