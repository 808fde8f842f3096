"""One bot, two client libraries: ib_insync, and ib_async in an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.targets.process import launch
from target_trader.settings import Library
from tests.support.client_environments import ROOT
from tests.support.trader_days import interpreter

if TYPE_CHECKING:
    from tests.unit.target_trader.conftest import Days, TradingDay

# Broken at 445.25, stopped out, broken again, partial at 447.13, target at 460.25, third break.
TWO_ATTEMPTS = [
    *("445.25", "445.00", "443.00", "444.00"),
    *("445.25", "446.00", "447.50", "448.00", "458.00", "460.50"),
    *("444.00", "446.00", "446.00"),
]
# Numbers that a connection hands out; how many of them a library uses is its own business.
NUMBERS = ("order_id", "perm_id")


def start(day: "TradingDay", library: Library) -> None:
    """Start the bot of a day with a library and wait until it trades."""
    day.bot = launch(
        [
            *(interpreter(library), "-m", "target_trader", "trade"),
            *("--port", str(day.port), "--client-id", "2001", "--library", library),
            *("--state-dir", str(day.folder / "state"), "--store", day.store),
            *("--watchlist", str(day.folder / "watchlist.json")),
        ],
        day.folder / "bot.log",
        environment={"PYTHONPATH": str(ROOT)},
    )
    day.settle(ready=True)


def without_numbers(belief: dict[str, Any]) -> dict[str, Any]:
    """Return a belief whose orders are named by their refs alone."""
    intents = [
        {key: value for key, value in each.items() if key not in NUMBERS}
        for each in belief["intents"]
    ]
    return belief | {"intents": intents}


def run(
    python: str, *arguments: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the bot to its end with an interpreter."""
    return subprocess.run(
        [python, "-m", "target_trader", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_a_whole_day_has_the_same_fills_and_the_same_final_belief_under_both_libraries(
    trading_day: "Days",
) -> None:
    fills, beliefs = [], []
    for library in Library:
        day = trading_day(TWO_ATTEMPTS)
        start(day, library)
        day.play()
        assert day.stop() == 0, day.log()
        day.check_agreement()
        fills.append(day.fills())
        beliefs.append(without_numbers(day.belief()))
    assert fills[0] == fills[1]
    assert [leg for leg, *_ in fills[0]] == [
        *("1|entry", "1|stop"),
        *("2|entry", "2|partial", "2|target"),
    ]
    assert beliefs[0] == beliefs[1]


def test_a_bot_that_died_under_one_library_goes_on_under_the_other(trading_day: "Days") -> None:
    day = trading_day(TWO_ATTEMPTS)
    start(day, Library.IB_INSYNC)
    day.play(bars=28)
    assert day.belief()["positions"]["TSLA"]["quantity"] == "100"
    day.kill()
    start(day, Library.IB_ASYNC)
    day.play()
    day.check_agreement()
    assert len(day.fills()) == 5


def test_a_library_that_is_not_installed_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "watchlist.json").write_text('{"date": "2025-10-06", "setups": []}')
    place = ("trade", "--state-dir", "state", "--watchlist", "watchlist.json")
    for python, missing in (
        (interpreter(Library.IB_INSYNC), Library.IB_ASYNC),
        (interpreter(Library.IB_ASYNC), Library.IB_INSYNC),
    ):
        done = run(python, *place, "--library", missing, folder=tmp_path)
        assert done.returncode == 2, done.stderr
        assert f"target_trader: {missing} " in done.stderr
        assert f"an environment that has {missing}==" in done.stderr
        assert "Traceback" not in done.stderr
        done = run(python, *place, folder=tmp_path, TARGET_TRADER_LIBRARY=missing)
        assert done.returncode == 2, done.stderr
        assert f"an environment that has {missing}==" in done.stderr
    assert not (tmp_path / "state").exists()


def test_what_does_not_talk_to_a_broker_needs_no_library(tmp_path: Path) -> None:
    done = run(
        sys.executable,
        *("state", "--state-dir", "none"),
        folder=tmp_path,
        TARGET_TRADER_LIBRARY="ib_async",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["positions"] == {}


def test_only_the_chosen_library_is_imported() -> None:
    words = "import target_trader.__main__, sys; print(*sorted(sys.modules))"
    for library in Library:
        done = subprocess.run(
            [interpreter(library), "-c", words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TARGET_TRADER_LIBRARY": library.value,
            },
        )
        roots = {name.partition(".")[0] for name in done.stdout.split()}
        assert roots & set(Library) == {library}
