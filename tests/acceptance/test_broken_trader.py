"""The gate with a broken trader in place of the reference bot."""

import re
import shlex

from tests.support.commands import Run

BROKEN = "scenarios/gallery/intent_after_send.py"
SCENARIO = "scenarios/test_sent_and_dead.py"


def test_the_gate_fails_and_its_replay_line_reproduces_the_failure(run: Run) -> None:
    gate = run("pytest", "-q", SCENARIO, "-k", "json", "--bot", BROKEN)

    assert gate.returncode == 1
    assert "IntentBeforeSend broken" in gate.stdout
    assert "broker: LONG 100 TSLA, stop 100 @ 443.37      bot: flat" in gate.stdout
    assert "Traceback" not in gate.stdout
    # Under CI pytest repeats the whole message in its short summary.
    [line] = set(re.findall(r"replay: (crashgate replay .*)", gate.stdout))

    again = run(*shlex.split(line))
    assert again.returncode == 1
    assert story(again.stdout) == story(gate.stdout)


def story(text: str) -> list[str]:
    """The lines of a failure from its headline to its replay line."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("FAILED  "))
    end = next(number for number, line in enumerate(lines) if "replay: " in line)
    return lines[start : end + 1]


def test_the_gate_passes_on_the_reference_bot_where_it_fails_on_the_broken_one(run: Run) -> None:
    gate = run("pytest", "-q", SCENARIO, "-k", "json")
    assert gate.returncode == 0, gate.stdout
    assert re.search(r"sent-and-dead +json .* PASS", gate.stdout)
