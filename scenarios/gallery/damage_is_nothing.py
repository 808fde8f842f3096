"""A trader that starts with nothing when its state file is damaged.

`except ValueError: state = {}`. The backup beside it is not looked at, and nobody is told: the day
begins again, and what only the file knew is forgotten, such as a halt. (S12 in the catalogue of
recovery bugs.)
"""

from pathlib import Path

from target_trader.__main__ import main
from target_trader.settings import StoreKind
from target_trader.state.json_store import JsonStore
from target_trader.state.store import Loaded, Source


class Unworried(JsonStore):
    """The state file, believed or not."""

    def load(self) -> Loaded:
        """Read the file; what cannot be read was not there."""
        loaded = super().load()
        return loaded if loaded.source is Source.MAIN else Loaded(None, Source.NONE)


def open_unworried(_kind: StoreKind, folder: Path, /, *, redis_url: str | None = None) -> Unworried:
    """Open the only store that this bot has."""
    assert redis_url is None, "this bot keeps its state in a file"
    return Unworried(folder)


if __name__ == "__main__":
    main(store_factory=open_unworried)
