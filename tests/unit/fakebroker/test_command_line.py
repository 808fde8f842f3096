"""What a user can get wrong at `python -m fakebroker`: words and exit code 2, nothing running."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DEADLINE_SECONDS = 60


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fakebroker", *options],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert_refused(result, f"cannot listen on 127.0.0.1:{port}: ")
    assert "choose another --port" in result.stderr


def test_a_missing_tape_is_named() -> None:
    assert_refused(run("--tape", "no-such.csv"), "cannot read --tape no-such.csv")


def test_a_broken_tape_is_named_with_its_line(tmp_path: Path) -> None:
    tape = tmp_path / "day.csv"
    tape.write_text(
        "time,symbol,open,high,low,close,volume\n"
        "2025-10-06T10:00:00-04:00,TSLA,1,1,1,1,100\n"
        "2025-10-06T10:00:05-04:00,TSLA,1,1,1,abc,100\n"
    )
    assert_refused(run("--tape", str(tape)), "day.csv line 3: close 'abc'")


def test_an_unknown_option_is_named() -> None:
    assert_refused(run("--tapes", "day.csv"), "No such option: --tapes")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold one JSON object, not list"),
        ('{"colour": "red"}', "setting colour = 'red'"),
        ('{"cash": -5}', "setting cash = -5"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(text)
    assert_refused(run("--settings", str(settings)), words)


def test_lockstep_without_a_tape_is_refused() -> None:
    assert_refused(run("--clock", "lockstep"), "--clock lockstep needs --tape and --control")


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text("precious\n")
    assert_refused(run("--port", "0", "--journal", str(journal)), "exists and is not overwritten")
    assert journal.read_text() == "precious\n"


def test_a_control_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 200)
    result = run("--port", "0", "--control", str(path))
    assert_refused(result, "cannot open the control socket")


def test_the_program_listens_on_loopback_only_by_default() -> None:
    process = psutil.Popen(
        [sys.executable, "-m", "fakebroker", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().startswith("fakebroker: listening on 127.0.0.1:")
        listening = [
            connection.laddr.ip
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def test_a_synthetic_day_of_no_known_shape_is_named_with_those_that_are() -> None:
    result = run("--tape", "synthetic:moonshot:TSLA")
    assert_refused(result, "there is no synthetic day 'moonshot'")
    assert "breakout, fakeout, gap-through-stop, chop, halt" in result.stderr
