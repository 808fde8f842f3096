"""What a person sees who starts the bot wrongly, and what `state` prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from target_trader.errors import TraderError
from target_trader.settings import StoreKind, load_watchlist
from target_trader.state.choice import open_store

GOOD = {
    "symbol": "TSLA",
    "resistance": "444.77",
    "support": "432.50",
    "target1": "460.25",
    "target2": "470.50",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the bot's command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "target_trader", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def watchlist(folder: Path, text: str | None = None) -> str:
    """Write a watchlist file and return its path."""
    path = folder / "watchlist.json"
    path.write_text(text or json.dumps({"date": "2025-10-06", "setups": [GOOD]}))
    return str(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "JSON"),
        ('{"date": "2025-10-06"}', "setups"),
        (json.dumps({"date": "2025-10-06", "setups": [GOOD | {"support": "abc"}]}), "support"),
        (json.dumps({"date": "2025-10-06", "setups": [GOOD | {"support": "445"}]}), "support < "),
        (json.dumps({"date": "2025-10-06", "setups": [GOOD | {"sup": "445"}]}), "sup"),
        (json.dumps({"date": "2025-10-06", "setups": [GOOD, GOOD]}), "more than one setup"),
        (json.dumps({"date": "yesterday", "setups": []}), "date"),
    ],
)
def test_a_broken_watchlist_is_refused_with_the_place(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(TraderError, match=words):
        load_watchlist(Path(watchlist(tmp_path, text)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--watchlist", "missing.json"), "missing.json"),
        (("--store", "papyrus"), "papyrus"),
        (("--port", "0"), "--port"),
        (("--clock", "sundial"), "sundial"),
    ],
)
def test_a_mistake_of_the_user_is_exit_code_2_with_words_and_no_traceback(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    given = ("--state-dir", str(tmp_path), "--watchlist", watchlist(tmp_path))
    done = run("trade", *given, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_failpoint_is_exit_code_2(tmp_path: Path) -> None:
    given = ("--state-dir", str(tmp_path), "--watchlist", watchlist(tmp_path))
    done = run("trade", *given, FAILPOINTS="intents.svaed=kill")
    assert done.returncode == 2
    assert "intents.svaed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_bot_on_one_state_folder_is_exit_code_2(tmp_path: Path) -> None:
    first = open_store(StoreKind.JSON, tmp_path)
    done = run("trade", "--state-dir", str(tmp_path), "--watchlist", watchlist(tmp_path))
    first.close()
    assert done.returncode == 2
    assert "in use by another bot" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("store", ["json", "sqlite"])
def test_state_prints_an_empty_belief_when_there_is_none_and_makes_nothing(
    store: str, tmp_path: Path
) -> None:
    done = run("state", "--state-dir", str(tmp_path / "none"), "--store", store)
    assert done.returncode == 0, done.stderr
    belief = json.loads(done.stdout)
    assert belief["positions"] == {}
    assert belief["attempts"] == {}
    assert belief["intents"] == []
    assert belief["executions"] == []
    assert belief["saved_at"] is None
    assert not (tmp_path / "none").exists()


def test_state_says_that_a_state_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "trader_state_20251006.json").write_text("{")
    done = run("state", "--state-dir", str(tmp_path))
    assert "damaged state: trader_state_20251006.json" in done.stderr
    assert json.loads(done.stdout)["positions"] == {}


def test_failpoints_are_listed_with_an_explanation() -> None:
    done = run("failpoints")
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("intents.saved "))
    assert "durable" in line
