"""The same seed gives the same history, byte for byte; another seed gives another one."""

from pathlib import Path

from harness.history import History
from tests.support.commands import Run

SCENARIO = "scenarios/test_stop_fills_while_down.py"


def history(run: Run, folder: Path, *, seed: int) -> bytes:
    """Run the scenario with a seed and return what was written."""
    result = run(
        *("pytest", "-q", SCENARIO, "-k", "sqlite"),
        *("--crash-seed", str(seed), "--crash-keep", str(folder)),
    )
    assert result.returncode == 0, result.stdout
    [path] = folder.rglob("history.jsonl")
    assert History.read(path).complete
    return path.read_bytes()


def test_the_same_seed_gives_the_same_history_twice(run: Run, tmp_path: Path) -> None:
    first = history(run, tmp_path / "first", seed=7)
    assert history(run, tmp_path / "second", seed=7) == first


def test_another_seed_gives_another_history(run: Run, tmp_path: Path) -> None:
    assert history(run, tmp_path / "seven", seed=7) != history(run, tmp_path / "plain", seed=0)
