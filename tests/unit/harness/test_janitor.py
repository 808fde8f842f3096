"""The folder for runs: gone when the harness is, with everybody who used it."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from harness.janitor import marked, owner, place, private_folder
from harness.targets.process import base_environment

SECONDS = 30.0

# A harness that has a bot of two processes: one is tied to it, the other is not.
HARNESS = """
from harness.janitor import private_folder
from harness.targets.process import launch
from pathlib import Path
import os, signal, sys
BOT = '''
import os, signal, subprocess, sys
from pathlib import Path
child = "import signal; signal.pause()"
print(os.getpid(), subprocess.Popen([sys.executable, "-c", child], start_new_session=True).pid)
signal.pause()
'''
with private_folder() as folder:
    child = launch([sys.executable, "-c", BOT], folder / "log")
    while not child.last_lines() and not child.exits_within(0.01):
        pass
    print(folder, *child.last_lines(), flush=True)
    END
"""


def harness(end: str, tmp_path: Path) -> tuple[subprocess.Popen[str], Path, list[int]]:
    """A harness that has come to its end: its folder, and descriptors of its bot's processes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS.replace("END", end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    folder, *pids = process.stdout.readline().split()
    return process, Path(folder), [os.pidfd_open(int(pid)) for pid in pids]


def gone(pidfd: int) -> bool:
    """Whether a process ends soon."""
    readable, _, _ = select.select([pidfd], [], [], SECONDS)
    os.close(pidfd)
    return bool(readable)


def janitor_of(process: subprocess.Popen[str], folder: Path) -> int:
    """A descriptor of the janitor of a harness."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if any(word.endswith(b"janitor.py") for word in words) and int(parent) == process.pid:
            return os.pidfd_open(int(entry.name))
    raise AssertionError(f"no janitor of {folder}")


def test_a_harness_that_is_killed_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    process, folder, bots = harness("signal.pause()", tmp_path)
    assert folder.parent == tmp_path
    assert (folder / "log").exists()
    janitor = janitor_of(process, folder)
    process.kill()
    process.communicate()
    assert gone(janitor)
    assert all(gone(bot) for bot in bots), "a process of the bot lives on"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["child.end()", "raise SystemExit(3)", "os._exit(3)"])
def test_a_harness_that_ends_by_itself_leaves_no_files(tmp_path: Path, end: str) -> None:
    process, folder, bots = harness(f"sys.stdin.readline(); {end}", tmp_path)
    janitor = janitor_of(process, folder)
    for bot in bots:
        os.close(bot)
    process.communicate("\n", timeout=SECONDS)
    assert gone(janitor)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_ours_alone_and_removed_with_what_is_read_only_in_it() -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "state").mkdir()
        (folder / "state" / "file").write_text("x")
        (folder / "state").chmod(0o500)
    assert not folder.exists()


def test_the_folder_is_removed_when_a_run_fails() -> None:
    with pytest.raises(ValueError, match="bad"), private_folder() as folder:
        raise ValueError("bad")
    assert not folder.exists()


def test_tmpdir_decides_where_the_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert place() == tmp_path
    with private_folder() as folder:
        assert folder.parent == tmp_path


def test_a_place_where_no_folder_can_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.janitor.place", lambda: tmp_path / "none")
    with pytest.raises(OSError, match=f"cannot make a folder in {tmp_path}/none"), private_folder():
        raise AssertionError("there is no folder to be in")


def test_everything_that_we_start_bears_our_mark() -> None:
    assert base_environment()["CRASHGATE_OWNER"] == owner()
    assert owner().startswith(f"{os.getpid()}-")
    assert marked("1-2-3") == []
