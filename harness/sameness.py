"""Whether two histories are the same, and what may differ between them."""

import hashlib
import re
from pathlib import Path

from harness.history.lines import lines_of
from harness.result import Result, Verdict
from harness.sequels import FORETOLD

NUMBERS = re.compile(r'"(?:seq|occurrence)":\d+,?')


def doubted(result: Result, reason: str) -> Result:
    """A result with one more reason why it proves nothing."""
    verdict = result.verdict if result.findings else Verdict.INCONCLUSIVE
    reasons = (*result.reasons, reason)
    return result.model_copy(update={"reasons": reasons, "verdict": verdict})


def nameless(path: Path) -> str:
    """A digest of a history without what it calls its case and its first kill."""
    lines = lines_of(path.read_text(encoding="utf-8"))[1:]
    kill = next((place for place, line in enumerate(lines) if '"kind":"killed"' in line), None)
    if kill is not None:
        del lines[kill]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def first_difference(first: Path, second: Path) -> str | None:
    """The first event in which two histories differ, in words; None when they are the same.

    Where the second has been told to its end by another run, the numbers of lines and messages are
    the other run's and are not compared.
    """
    one = lines_of(first.read_text(encoding="utf-8"))
    two = lines_of(second.read_text(encoding="utf-8"))
    told = [place for place, line in enumerate(two) if f'"kind":"{FORETOLD}"' in line]
    if told:
        place = told[0]
        one[place:] = map(without_counts, one[place:])
        two[place:] = map(without_counts, two[place + 1 :])
    for number, (here, there) in enumerate(zip(one, two, strict=False), start=1):
        if here != there:
            return f"line {number} is {here[:200]} in one run and {there[:200]} in the other"
    if len(one) != len(two):
        longer = one if len(one) > len(two) else two
        shorter = min(len(one), len(two))
        return f"one run ends after {shorter} lines, the other goes on: {longer[shorter][:200]}"
    return None


def without_counts(line: str) -> str:
    """A line of a history without its number and that of its message."""
    return NUMBERS.sub("", line)
