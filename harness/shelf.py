"""Texts by their digests, in files of one folder, so that processes side by side share them."""

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path


class Shelf:
    """What is known, by what it is known of.

    Args:
        folder: where the files lie; made if missing. Whoever can write to it decides verdicts.
        about: what all of it is about; what another shelf in the folder holds is not found.
    """

    def __init__(self, folder: Path, *, about: str) -> None:
        self._folder = folder
        self._about = about

    def known(self, key: str) -> str | None:
        """The text; None where there is none."""
        try:
            return self._file(key).read_text(encoding="utf-8")
        except OSError:
            return None

    def learn(self, key: str, text: str) -> None:
        """Keep a text; where there is no room for it, it is not known and nothing else happens."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Another process may read at any moment: it finds the whole file or none.
            with tempfile.TemporaryDirectory(dir=self._folder) as room:
                whole = Path(room, "whole")
                whole.write_text(text, encoding="utf-8")
                whole.replace(self._file(key))

    def _file(self, key: str) -> Path:
        whole = json.dumps([self._about, key])
        return self._folder / hashlib.sha256(whole.encode()).hexdigest()
