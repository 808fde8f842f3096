"""Five real client libraries, unmodified, each with the same script against `python -m fakebroker`.

A client runs its script once, as a process in an environment of its own, against a broker of its
own whose market runs by itself. Every step is a test, and every client must see the same.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest

from tests.support.client_environments import (
    CLIENTS,
    ClientEnvironmentError,
    locked,
    missing_programs,
    node_modules_of,
    python_of,
)

SCRIPT_SECONDS = 120.0
STOP_SECONDS = 60.0
SPEED = "40"
"""Times faster than the wall: a bar of five seconds every eighth of one."""

# Half a dollar a bar up and down, so that in every second a stop is triggered and a limit reached.
WAVE = ("100", "100.5", "101", "100.5", "100", "99.5", "99", "99.5")
BARS = 4000
"""Over eight minutes of the wall's time; no script takes one."""
BAR = timedelta(seconds=5)
OPENING = datetime.fromisoformat("2025-10-06T10:00:00-04:00")

EXPECTED: dict[str, dict[str, object]] = {
    "connect": {"accounts": ["DU1234567"]},
    "qualify": {"contracts": [[76792991, "NASDAQ"]], "min_tick": 0.01, "unknown": 200},
    "market_order": {
        "shares": [60, 40],
        "running_totals": [60, 100],
        "refs": ["entry", "entry"],
        "near_market": True,
        "commission": 1,
        "currencies": ["USD", "USD"],
        "remaining": 0,
        "day": "20251006",
    },
    "positions": {"account": "DU1234567", "symbol": "TSLA", "near_market": True},
    "limit": {"filled": 0, "remaining": 10, "price": 50, "same_perm_id": True},
    "modify": {"quantity": 20, "status": "Submitted", "same_perm_id": True},
    "cancel": {"filled": 0, "code": 202},
    "bracket": {"child_of_parent": True},
    "trailing_stop": {"stop_told": True},
    "oca_1": {"left": 0},
    "oca_2": {"left": 50},
    "oca_3": {"left": 50},
    "what_if": {"margin_grows": True, "orders_left": 0},
    "open_orders": {"refs": ["mine"]},
    "all_open_orders": {"all": {"mine": 1, "theirs": 2}, "own": ["mine"]},
    "completed_orders": {
        "entry": "Filled",
        "limit": "Cancelled",
        "symbol": "TSLA",
        "open_ones": [],
    },
    "executions": {"entry": [60, 40], "sides": ["BOT", "SLD"], "different_ids": True},
    "market_data": {"near_market": True, "crossed": False},
    "snapshot": {"near_market": True},
    "history": {
        "bars": True,
        "in_order": True,
        "near_market": True,
        "high_is_highest": True,
        "as_the_market_moved": True,
    },
    "head_timestamp": {"day": "20251006"},
    "real_time_bars": {"seconds_apart": 5, "near_market": True, "high_is_highest": True},
    "tick_by_tick": {"Last": True, "BidAsk": True, "crossed": False, "MidPoint": True},
    "account_summary": {
        "tags": ["NetLiquidation", "TotalCashValue"],
        "account": "DU1234567",
        "near_the_start": True,
    },
    "pnl": {"realised_some": True, "position": 150, "near_market": True},
    "symbols": {"con_ids": [76792991]},
    "market_rule": {"steps": [[0, 0.01]]},
    "option_chain": {
        "underlying": 76792991,
        "multiplier": "100",
        "expirations": True,
        "strikes_around_market": True,
    },
    "global_cancel": {"orders_left": 0},
    "reconnect": {
        "live": ["resting"],
        "live_perm_id_kept": True,
        "missed": 50,
        "missed_perm_id_kept": True,
        "commissions": True,
        "position_moved": -50,
        "next_id_is_new": True,
    },
    "error_326": {"code": 326, "first_lives": True},
    "error_103": {"code": 103},
    "all_understood": {"complaints": []},
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client library: its folder, and the server version that it must come to use."""

    name: str
    tier: int
    node: bool = False
    forced: bool = False
    """The library is told to offer no higher version than the tier, by its own attribute."""

    @property
    def title(self) -> str:
        """Its name, and the tier where it is not the one that the library would come to."""
        return f"{self.name}-{self.tier}" if self.forced else self.name

    def command(self) -> list[str]:
        """Return what runs its script; makes its environment where there is none yet."""
        folder = CLIENTS / self.name
        if self.node:
            modules = str(node_modules_of(self.name))
            return ["node", str(folder / "script.mjs"), "--modules", modules]
        # What has no pins is a dependency of the project, and is there already.
        pinned = (folder / "requirements.txt").exists()
        python = str(python_of(self.name)) if pinned else sys.executable
        options = ["--max-version", str(self.tier)] if self.forced else []
        return [python, str(folder / "script.py"), *options]


MATRIX = (
    Client("ib_insync", 176),
    Client("ib_async", 178),
    Client("ibapi", 157),
    Client("nautilus_ibapi", 178),
    Client("stoqey_ib", 178, node=True),
    Client("ib_insync", 157, forced=True),
    Client("ib_async", 157, forced=True),
    Client("ib_async", 176, forced=True),
)

Run = dict[str, dict[str, object]]
"""What a client told, by the step; and under `exit` how its process ended."""


class BrokerError(Exception):
    """The broker did not start; the message says with which exit code."""


def wave_tape() -> str:
    """CSV of bars that go up and down; each opens where the one before closed."""
    lines = ["time,symbol,open,high,low,close,volume"]
    closes = list(islice(cycle(WAVE), BARS))
    for number, (previous, close) in enumerate(pairwise([closes[0], *closes])):
        low, high = sorted((previous, close), key=Decimal)
        time = (OPENING + number * BAR).isoformat()
        lines.append(f"{time},TSLA,{previous},{high},{low},{close},100000")
    return "\n".join(lines) + "\n"


@contextmanager
def running_broker(folder: Path) -> Iterator[int]:
    """Run a broker whose market moves by itself; give its port."""
    tape, options = folder / "tape.csv", folder / "settings.json"
    tape.write_text(wave_tape(), encoding="utf-8")
    options.write_text(json.dumps({"fill_split": ["60", "40"]}), encoding="utf-8")
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "fakebroker", "--port", "0", "--tape", str(tape)]
    command += ["--clock", "real", "--speed", SPEED, "--settings", str(options)]
    command += ["--journal", str(folder / "journal.jsonl"), "--ready-fd", str(writer)]
    process = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as ready:
            line = ready.readline()
        if not line:
            code = process.wait(STOP_SECONDS)
            raise BrokerError(f"the broker did not start: exit code {code}")
        yield json.loads(line)["port"]
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def run_script(client: Client, folder: Path) -> Run:
    """Run a client's script to its end and return what it told."""
    environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "shared")}
    command = client.command()
    with running_broker(folder) as port:
        done = subprocess.run(
            [*command, "--port", str(port)],
            env=environment,
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=SCRIPT_SECONDS,
        )
    told = {record["step"]: record for record in map(json.loads, done.stdout.splitlines())}
    return {**told, "exit": {"code": done.returncode, "stderr": done.stderr[-3000:]}}


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, one for all its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@functools.cache
def run_once(client: Client, folder: Path) -> Run:
    """Return what a client told in this test run; the first process that asks runs it."""
    if client.node and (missing := missing_programs()):
        pytest.skip(f"@stoqey/ib is a library for Node, and there is no {' and no '.join(missing)}")
    home = folder / f"client-{client.title}"
    with locked(folder / f"client-{client.title}.lock"):
        result = home / "result.json"
        if not result.exists():
            home.mkdir(exist_ok=True)
            try:
                run = run_script(client, home)
            except (BrokerError, ClientEnvironmentError, subprocess.TimeoutExpired) as error:
                # Told by each of its tests, and not tried again by each of them.
                run = {"exit": {"code": None, "stderr": str(error)}}
            result.write_text(json.dumps(run), encoding="utf-8")
        found: Run = json.loads(result.read_text(encoding="utf-8"))
        return found


@pytest.mark.parametrize("step", EXPECTED)
@pytest.mark.parametrize("client", MATRIX, ids=lambda client: client.title)
def test_a_real_client_sees_what_every_client_sees(
    client: Client, step: str, shared_folder: Path
) -> None:
    told = run_once(client, shared_folder)
    assert step in told, f"the script did not get there: {told['exit']}"
    record = told[step]
    assert record["ok"], record["error"]
    expected = EXPECTED[step]
    if step == "connect":
        expected = {**expected, "server_version": client.tier}
    assert record["seen"] == expected


@pytest.mark.parametrize("client", MATRIX, ids=lambda client: client.title)
def test_a_script_has_exactly_the_steps_of_the_table(client: Client, shared_folder: Path) -> None:
    told = run_once(client, shared_folder)
    assert list(told) == [*EXPECTED, "exit"]
    assert told["exit"]["code"] == 0, told["exit"]
