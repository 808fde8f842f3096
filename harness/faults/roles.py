"""Which file or key a role means: by name, as bots commonly call them."""

import re
from collections.abc import Iterable

from harness.faults.storage import FileRole, KeyRole

# The first pattern that fits decides; None is a file that no bot reads back.
FILES: tuple[tuple[str, FileRole | None], ...] = (
    (r"[.-]shm$|\.log$|\.damaged|\.corrupt|\.v\d+(\.|$)", None),
    (r"-wal$", "wal"),
    (r"-journal$|\.wal$|\.jsonl$|journal", "journal"),
    (r"(\.tmp|\.temp|\.new|\.part|~)$|^(tmp|\.tmp)|\.tmp\.", "temp"),
    (r"\.bak\b|\.backup\b|\.old$|\.prev$|_backup\b", "backup"),
    (r"\.(db|sqlite3?|duckdb)$", "database"),
    (r"\.lock$|^lock$|\.pid$", "lock"),
    (r"witness", "witness"),
    (r"\.(json|ya?ml|toml|pickle|pkl|csv|dat|bin)$|state", "state"),
)
KEYS: tuple[tuple[str, KeyRole | None], ...] = (
    (r"damaged|corrupt|:v\d+$", None),
    (r"backup|\bbak\b|\bold\b|\bprev", "backup-key"),
    (r"owner|token|lock|lease", "lock-key"),
    (r"", "key"),
)


def role_of_file(name: str) -> FileRole | None:
    """What a file in a state folder is to its bot, told from its name without folders."""
    return next((role for pattern, role in FILES if re.search(pattern, name, re.IGNORECASE)), None)


def role_of_key(name: str) -> KeyRole | None:
    """What a key in Redis is to its bot."""
    return next((role for pattern, role in KEYS if re.search(pattern, name, re.IGNORECASE)), None)


def newest_file(names: Iterable[str], role: FileRole) -> str | None:
    """The file of a role; of several (one for each day) that whose name is the last."""
    found = [name for name in names if role_of_file(name.rpartition("/")[2]) == role]
    return max(found, default=None)


def newest_key(names: Iterable[str], role: KeyRole) -> str | None:
    """The key of a role; of several that whose name is the last."""
    return max((name for name in names if role_of_key(name) == role), default=None)
