"""Hears on a bot's standard error which of its failpoints it passes, before the words are written.

A bot tells a passage in a line of its own, and waits in the write that ends the line: it stands at
the failpoint. Some programs write a line in pieces, so the pieces are put together.
"""

from collections import Counter

from harness.points.failpoint import FailPoint, name_in


class Passages:
    """Counts the passages of one life."""

    def __init__(self) -> None:
        self._begun = b""
        self._counts: Counter[str] = Counter()

    def hear(self, piece: bytes) -> tuple[str, int] | None:
        """Take in what the bot is about to write.

        A write of several lines is one of words that were held back: what they tell is counted,
        and the bot is somewhere behind it.

        Returns:
            the passage at which the bot stands, as its name and number; None at no passage.
        """
        *lines, self._begun = (self._begun + piece).split(b"\n")
        heard: tuple[str, int] | None = None
        for line in lines:
            name = name_in(line.decode(errors="replace"))
            if name is not None:
                self._counts[name] += 1
                heard = name, self._counts[name]
        return heard if len(lines) == 1 and not self._begun else None

    def has_told(self, point: FailPoint) -> bool:
        """Whether the bot has come to a passage."""
        return point.occurrence <= self._counts[point.name]
