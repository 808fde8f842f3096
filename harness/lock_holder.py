"""Holds the write lock of a database until it is killed: somebody else who writes to it.

    python -m harness.lock_holder DATABASE --ready-fd N

A process of its own: POSIX takes a file's locks from a process that closes the file anywhere else,
and a last connection that is closed, instead of killed, would tidy up the dead bot's WAL. It says
in one line on `--ready-fd` that it has the lock.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.faults.database import held_database

CANNOT_HOLD = 2


def main(arguments: Sequence[str]) -> int:
    """Hold the lock for ever; the exit code if it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m harness.lock_holder")
    parser.add_argument("database", help="an SQLite database that is there")
    parser.add_argument("--ready-fd", type=int, default=1, help="where to say that it is held")
    options = parser.parse_args(arguments)
    try:
        with held_database(Path(options.database)):
            os.write(options.ready_fd, b"held\n")
            signal.pause()
    except HarnessError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is the command line
    return CANNOT_HOLD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
