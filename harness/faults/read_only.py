"""A state folder in which a bot can change nothing, also when everything here runs as root."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from harness.errors import HarnessError
from harness.faults.memory import Applied, NotThere, Outcome

HUMBLE = Path(__file__).with_name("humble.py")
PROBE_SECONDS = 20.0
PROBE_NAME = "crashgate-probe"


def make_read_only(folder: Path) -> Outcome:
    """Let nothing be made, renamed or removed in a folder until `make_writable`.

    A bot that runs as root is started through `humble_command`, or permissions would not bite.

    Raises:
        HarnessError: they do not bite all the same.
    """
    if not folder.is_dir():
        return NotThere("there is no folder")
    for path in (folder, *sorted(folder.rglob("*"))):
        path.chmod(0o555 if path.is_dir() else 0o444)
    probe = f"open({str(folder / PROBE_NAME)!r}, 'w')"
    done = subprocess.run(
        humble_command((sys.executable, "-I", "-S", "-c", probe)),
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    if done.returncode == 0 or "PermissionError" not in done.stderr:
        make_writable(folder)
        (folder / PROBE_NAME).unlink(missing_ok=True)
        last = done.stderr.strip().rpartition("\n")[2]
        raise HarnessError(
            f"a read-only folder does not bite here, as user {os.geteuid()}: {last or 'no error'}; "
            f"run the harness as an ordinary user"
        )
    return Applied("folder", "", "mode 0555, its files 0444", blocks=True)


def make_writable(folder: Path) -> None:
    """Take `make_read_only` back."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | 0o200))


def humble_command(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that starts a program without the superuser's power over files."""
    return (sys.executable, "-I", "-S", str(HUMBLE), *command)
