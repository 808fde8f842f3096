"""What a file is to a bot, told from its name: the state file, its backup, a database's journal.

Points are named by roles and not by paths, so that yesterday's point is found again in today's
folder and a person understands it. The patterns are those of common practice and not of one bot.
"""

import re
from pathlib import PurePosixPath

FOLDER = "state folder"
BROKER_SOCKET = "broker socket"
REDIS_SOCKET = "Redis socket"

# The first pattern that fits a file's name decides.
PATTERNS: tuple[tuple[str, str], ...] = (
    (r"[.-]wal$", "WAL"),
    (r"[.-]shm$", "shared memory"),
    (r"-journal$", "journal"),
    (r"(\.bak|\.backup|_backup)\b.*\.?(tmp|temp)$", "temporary backup"),
    (r"(\.tmp|\.temp|\.new|\.part|~)$|^(tmp|\.tmp)|\.tmp\.", "temporary file"),
    (r"\.bak\b|\.backup\b|\.old$|\.prev$|_backup\b", "backup"),
    (r"\.(db|sqlite3?|duckdb)$", "database"),
    (r"\.lock$|^lock$|\.pid$", "lock file"),
    (r"witness", "witness file"),
    (r"\.log$", "log file"),
    (r"\.jsonl$|\.wal$|journal", "journal"),
    (r"\.json$|\.ya?ml$|\.toml$|\.pickle$|\.pkl$|\.csv$|\.dat$|\.bin$|state", "state file"),
)
COMPILED = tuple((re.compile(pattern, re.IGNORECASE), role) for pattern, role in PATTERNS)
NOT_A_MEMORY = ("log file", "shared memory")
"""What no bot reads back: a kill at a write to it is not a point of its own."""


def role_of(path: str, folder: str) -> str | None:
    """What a path is to the bot that keeps its state in `folder`.

    Args:
        path: absolute path of the file.
        folder: absolute path of the bot's state folder.

    Returns:
        a role; None when the file is not the bot's memory.
    """
    if path == folder:
        return FOLDER
    if not path.startswith(folder + "/"):
        return None
    name = PurePosixPath(path).name
    for pattern, role in COMPILED:
        if pattern.search(name):
            return None if role in NOT_A_MEMORY else role
    return "other file"
