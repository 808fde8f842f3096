"""What a branch begins with: the files, the log and the lines of the run that it branches off."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.points import CrashPoint, FailPoint
from harness.points.failpoint import name_in

HALTED, RELEASED = '"kind":"halted"', '"kind":"released"'
PROCESSED = '"moment":"processed"'
SENT, RECEIVED = '"kind":"sent"', '"kind":"received"'
NOT_LIVED = tuple(f'"kind":"{kind}"' for kind in ("case", "calls", "passages"))


def without_halts(lines: Sequence[str]) -> list[str]:
    """Lines of a history without those of the standstills that the broker has left again."""
    last = max((at for at, line in enumerate(lines) if RELEASED in line), default=-1)
    return [
        line
        for at, line in enumerate(lines)
        if at > last or not (HALTED in line or RELEASED in line)
    ]


def before_halt(lines: Sequence[str]) -> int:
    """How many lines are as they would be in a run without the standstill that the last one is.

    Where a request has been processed, its answers are held from the moment at which it came; of
    one that a fault took, no line says when that was.
    """
    halted = next((at for at, line in enumerate(lines) if HALTED in line), None)
    if halted is None:
        return 0
    if PROCESSED not in lines[halted]:
        return halted
    return max((at for at in range(halted) if RECEIVED in lines[at]), default=-1) + 1


def is_day(lived: Sequence[str], day: Sequence[str]) -> bool:
    """Whether what was lived with standstills is the day without them.

    What a broker sends is written down when it leaves, so a standstill moves it behind what has
    happened meanwhile in the books. It changes nothing else: all messages have come and gone in
    one order, and so has everything but what was sent.

    Args:
        lived: lines without their numbers.
        day: as many of the other run.
    """

    def messages(lines: Sequence[str]) -> list[str]:
        return [line for line in lines if SENT in line or RECEIVED in line]

    def the_rest(lines: Sequence[str]) -> list[str]:
        return [line for line in lines if SENT not in line]

    return lived == day or (messages(lived) == messages(day) and the_rest(lived) == the_rest(day))


def unnumbered(line: str) -> str:
    """A line of a history without its number."""
    return line.partition(",")[2]


def is_ours(line: str) -> bool:
    """Whether a line says what was run or learned, and not what happened."""
    return any(kind in line for kind in NOT_LIVED)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder as its files are to a process: two names of one file stay two names of one.

    A rename of one name over another of the same file does nothing (rename(2)), so that what is
    a link must be one in the copy.
    """
    names: dict[tuple[int, int], Path] = {}
    for folder, _, files in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir()
        shutil.copystat(folder, here)
        for name in files:
            found = Path(folder, name)
            told = found.lstat()
            first = names.get((told.st_dev, told.st_ino))
            if first is not None:
                (here / name).hardlink_to(first)
                continue
            shutil.copy2(found, here / name, follow_symlinks=False)
            names[told.st_dev, told.st_ino] = here / name


def log_of_a_kill(log: bytes, point: CrashPoint) -> bytes:
    """The log of a bot that was killed at a point, from that of one that has told its passages.

    Args:
        log: that of the one; of the words that tell the last passage it has at most a beginning.
        point: where the other was killed; at a failpoint it has said so.
    """
    *lines, begun = log.split(b"\n")
    kept = [line for line in lines if name_in(line.decode(errors="replace")) is None]
    if not isinstance(point, FailPoint):
        return b"\n".join([*kept, begun])
    if point.words("print").encode().startswith(begun):
        begun = b""
    return b"\n".join([*kept, begun]) + f"{point.words('kill')}\n".encode()
