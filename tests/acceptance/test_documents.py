"""The commands of README.md and CONTRIBUTING.md do what is written there."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DEADLINE_SECONDS = 30

COMMANDS = re.findall(r"^\$ (.+?)(?: +#.*)?$", README, flags=re.MULTILINE)
MAKE_COMMANDS = sorted(set(re.findall(r"`(make [^`]+)`", README + CONTRIBUTING)))


def test_the_readme_is_short_and_has_commands() -> None:
    assert len(README.splitlines()) < 150
    assert [" ".join(command.split()[:2]) for command in COMMANDS] == [
        "make gate",
        "make test",
        "crashgate run",
        "crashgate sweep",
        "crashgate random",
        "crashgate shrink",
        "pytest -n",
        "pytest -n",
        "python -m",
    ]


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    folders = "fakebroker|harness|scenarios|target_trader|tests"
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{folders})/[\w/.-]+)`", text))
    assert named, f"{name} names no file at all"
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("command", MAKE_COMMANDS)
def test_make_knows_what_the_documents_tell_to_run(run: Run, command: str) -> None:
    result = run(*shlex.split(command), "--dry-run")
    assert result.returncode == 0, result.stderr


def test_the_broken_trader_fails_with_the_words_of_the_readme(run: Run) -> None:
    result = run(*shlex.split(COMMANDS[2]))
    assert result.returncode == 1
    told = result.stdout.splitlines()
    shown = README.split("```\nFAILED  ")[1].split("```")[0].splitlines()
    assert [f"FAILED  {shown[0]}", *shown[1:]] == told[: len(shown)]


@pytest.mark.parametrize("number", [3, 4])
def test_a_sweep_and_random_trials_pass_on_the_reference_bot(run: Run, number: int) -> None:
    result = run(*shlex.split(COMMANDS[number]))
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "10 trials: 10 PASS" in result.stdout.splitlines()[-1]


def test_the_options_for_another_bot_are_those_of_the_readme(run: Run) -> None:
    result = run(*shlex.split(COMMANDS[7]), "--collect-only", "-q")
    assert result.returncode == 4
    assert "my_bot" in result.stderr


def test_the_script_of_the_readme_trades_on_the_gateway_alone() -> None:
    script = README.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-m", "fakebroker", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        [port] = re.findall(r"listening on 127\.0\.0\.1:(\d+)", gateway.stdout.readline())
        result = subprocess.run(
            [sys.executable, "-c", script.replace("7497", port)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(DEADLINE_SECONDS) == 0
    assert (result.stdout, result.returncode) == ("Filled 100.0\n", 0), result.stderr
