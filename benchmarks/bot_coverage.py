"""Whether the tests of the reference bot reach enough of it: of its lines and of its branches.

coverage's own total mixes the two, so that many covered lines could hide bare branches. Here each
is held to the threshold by itself, for the whole bot and once more for its state, the part that a
crash puts to the test. `python -m benchmarks.bot_coverage coverage.json` judges and exits with
1 if it is not enough; it measures nothing itself (`make coverage`).
"""

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

ENOUGH = Fraction(95, 100)
PARTS = ("target_trader/", "target_trader/state/")
WORST = 5


class Summary(BaseModel):
    """What `coverage json` counts of one file, as far as it is needed here."""

    model_config = ConfigDict(frozen=True)

    num_statements: int
    covered_lines: int
    num_branches: int
    covered_branches: int


class MeasuredFile(BaseModel):
    """One file of the report."""

    summary: Summary


class Measured(BaseModel):
    """The report of `coverage json`: figures by path."""

    files: dict[str, MeasuredFile]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of one file, or of several; what has nothing to cover is covered."""

    lines: int
    lines_covered: int
    branches: int
    branches_covered: int

    @property
    def line_rate(self) -> Fraction:
        """The share of the lines that ran, 0 to 1."""
        return Fraction(self.lines_covered, self.lines) if self.lines else Fraction(1)

    @property
    def branch_rate(self) -> Fraction:
        """The share of the branches that were taken, 0 to 1."""
        return Fraction(self.branches_covered, self.branches) if self.branches else Fraction(1)

    @property
    def missing(self) -> int:
        """Lines and branches that no test has reached."""
        lines, branches = self.lines - self.lines_covered, self.branches - self.branches_covered
        return lines + branches

    @property
    def enough(self) -> bool:
        """Both shares reach the threshold."""
        return min(self.line_rate, self.branch_rate) >= ENOUGH

    def words(self) -> str:
        """The two shares in per cent, cut off and not rounded: 94.999 is not 95."""
        return f"lines {percent(self.line_rate)}, branches {percent(self.branch_rate)}"


def percent(rate: Fraction) -> str:
    """Write a share in per cent, cut off after two digits."""
    hundredths = int(rate * 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02} %"


def figures_of(measured: Measured, part: str) -> dict[str, Figures]:
    """Return the figures of each file under a folder.

    Raises:
        ValueError: there is none: the measurement has missed what it was made for.
    """
    found = {
        path: Figures(
            lines=each.summary.num_statements,
            lines_covered=each.summary.covered_lines,
            branches=each.summary.num_branches,
            branches_covered=each.summary.covered_branches,
        )
        for path, each in sorted(measured.files.items())
        if path.startswith(part)
    }
    if not found:
        raise ValueError(f"the report has no file under {part}: was the right folder measured?")
    return found


def total(figures: dict[str, Figures]) -> Figures:
    """Add up the figures of several files."""
    each = figures.values()
    return Figures(
        lines=sum(one.lines for one in each),
        lines_covered=sum(one.lines_covered for one in each),
        branches=sum(one.branches for one in each),
        branches_covered=sum(one.branches_covered for one in each),
    )


def judge(measured: Measured) -> tuple[bool, list[str]]:
    """Tell whether every part is covered enough, and the lines to print about it."""
    passed, lines = True, []
    for part in PARTS:
        whole = total(figures_of(measured, part))
        passed = passed and whole.enough
        lines.append(f"{'ok' if whole.enough else 'NOT ENOUGH'}: {part} {whole.words()}")
    by_file = figures_of(measured, PARTS[0])
    worst = sorted(by_file, key=lambda path: (-by_file[path].missing, path))[:WORST]
    lines += [
        f"   {path}: {by_file[path].words()}, {by_file[path].missing} missing" for path in worst
    ]
    return passed, lines


def main() -> None:
    """Judge the report that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.bot_coverage coverage.json")
    try:
        text = Path(sys.argv[1]).read_text(encoding="utf-8")
        passed, lines = judge(Measured.model_validate_json(text))
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"no judgement: {error}", markup=False)
        sys.exit(2)
    for line in lines:
        Console(soft_wrap=True).print(line, markup=False, highlight=False)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
