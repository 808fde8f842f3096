"""What `make coverage` lets pass: enough lines and enough branches, each by itself."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.bot_coverage import ENOUGH, Measured, judge

ROOT = Path(__file__).resolve().parents[2]
STATE = "target_trader/state/store.py"
REST = "target_trader/risk.py"
WHOLE = (1000, 1000, 400, 400)


def report(**figures: tuple[int, int, int, int]) -> str:
    """Write a report: per file lines, covered lines, branches, covered branches."""
    names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
    paths = {"state": STATE, "rest": REST, "small": "target_trader/errors.py"}
    return json.dumps(
        {
            "meta": {"format": 3},
            "files": {
                paths[name]: {"summary": dict(zip(names, counts, strict=True))}
                for name, counts in figures.items()
            },
        }
    )


def judged(**figures: tuple[int, int, int, int]) -> tuple[bool, list[str]]:
    """Judge a report of these figures."""
    return judge(Measured.model_validate_json(report(**figures)))


def test_exactly_the_threshold_is_enough_and_one_line_less_is_not() -> None:
    least = int(1000 * ENOUGH)
    assert judged(state=WHOLE, rest=(1000, 1000, 400, 400))[0]
    assert judged(state=(1000, least, 400, int(400 * ENOUGH)))[0]
    assert not judged(state=(1000, least - 1, 400, 400))[0]


def test_many_lines_do_not_make_up_for_bare_branches() -> None:
    passed, lines = judged(state=WHOLE, rest=(20_000, 20_000, 400, 300))
    assert not passed
    assert lines[0] == "NOT ENOUGH: target_trader/ lines 100.00 %, branches 87.50 %"


def test_a_well_covered_bot_does_not_make_up_for_a_badly_covered_state() -> None:
    passed, lines = judged(state=(100, 80, 20, 20), rest=(20_000, 20_000, 400, 400))
    assert not passed
    assert lines[0].startswith("ok: target_trader/ ")
    assert lines[1] == "NOT ENOUGH: target_trader/state/ lines 80.00 %, branches 100.00 %"


def test_the_files_with_the_most_missing_are_named_first() -> None:
    _, lines = judged(state=WHOLE, rest=(100, 98, 20, 19), small=(10, 9, 0, 0))
    named = [line.split(":")[0].strip() for line in lines[2:]]
    assert named == [REST, "target_trader/errors.py", STATE]


def test_a_report_of_something_else_is_no_pass() -> None:
    with pytest.raises(ValueError, match="no file under target_trader/"):
        judge(Measured.model_validate_json('{"files": {}}'))


@pytest.mark.parametrize(
    ("text", "code"),
    [(report(state=WHOLE), 0), (report(state=(100, 50, 0, 0)), 1), ("{", 2), (None, 2)],
    ids=["enough", "not-enough", "no-json", "no-file"],
)
def test_the_command_ends_with_what_a_make_target_needs(
    tmp_path: Path, text: str | None, code: int
) -> None:
    path = tmp_path / "coverage.json"
    if text is not None:
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bot_coverage", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_branches_are_measured_and_so_are_the_bots_that_tests_start() -> None:
    """A measurement without either would pass the gate with figures that mean nothing."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = settings["tool"]["coverage"]["run"]
    assert run["branch"] is True
    assert run["source"] == ["target_trader"]
    assert "subprocess" in run["patch"]
