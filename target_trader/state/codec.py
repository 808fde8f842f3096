"""One checkpoint as one text: the canonical JSON, its checksum, and the number of the save.

JSON file and Redis value have this form. Reading is where a copy is judged: an older version is
upgraded, a version that this bot does not know is refused, anything else that does not fit is
damage, named by the field.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from target_trader.errors import DamagedStateError
from target_trader.state.checkpoint import Checkpoint, canonical, checksum
from target_trader.state.migrations import upgrade, version_of


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one copy holds.

    `version` is the one that was stored, before any upgrade. `number` counts the saves, 0 where
    they are not counted. `checksum` is the stored one, in hex. `text` is the copy itself.
    """

    checkpoint: Checkpoint
    version: int
    number: int
    checksum: str
    text: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A checkpoint as a text, and the checksum in it."""

    text: str
    checksum: str


def seal(checkpoint: Checkpoint, *, number: int = 0) -> Sealed:
    """Write a checkpoint with the checksum over its canonical JSON; `number` 0 is left out.

    The canonical text goes in as it is: an indented one is made by an encoder in Python, which took
    nine tenths of the bot's time at the end of a day.
    """
    body = canonical(checkpoint)
    claimed = checksum(body)
    counted = f',\n"number":{number}' if number else ""
    return Sealed(f'{{"checkpoint":{body},\n"checksum":"{claimed}"{counted}}}\n', claimed)


def from_text(text: str, *, name: str) -> Envelope:
    """Read a copy; `name` is what messages call it.

    Raises:
        DamagedStateError: it is no JSON, its checksum does not fit, or a field is wrong.
        StateVersionError: it is of a version that this bot cannot read.
    """
    try:
        envelope = json.loads(text)
        claimed, tree = envelope["checksum"], envelope["checkpoint"]
        number = int(envelope.get("number", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedStateError(f"{name} is not a complete state file: {error!r}") from error
    if not isinstance(tree, dict) or not isinstance(claimed, str):
        raise DamagedStateError(f"{name} is not a complete state file: no object or no checksum")
    version = version_of(tree, name=name)
    if checksum(json.dumps(tree, sort_keys=True, separators=(",", ":"))) != claimed:
        raise DamagedStateError(f"{name} does not match its own checksum")
    return Envelope(checkpoint_of(tree, name=name), version, number, claimed, text)


def checkpoint_of(tree: dict[str, Any], *, name: str) -> Checkpoint:
    """Upgrade and validate a checkpoint whose checksum has been found right.

    Raises:
        DamagedStateError: a field is wrong; names it.
        StateVersionError: it is of a version that this bot cannot read.
    """
    try:
        return Checkpoint.model_validate_json(json.dumps(upgrade(tree, name=name)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedStateError(f"{name}: {place}: {first['msg']}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedStateError(
            f"{name}: a field of the old version is wrong: {error!r}"
        ) from error
