"""The grammar of FAILPOINTS and what an armed failpoint does."""

import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import target_trader
from target_trader.errors import TraderError
from target_trader.failpoints import FAILPOINTS, Failpoints, failpoint, parse_failpoints

PASS_FIVE_TIMES = """
import sys
from target_trader.failpoints import arm, failpoint
arm(sys.argv[1])
for number in range(5):
    print(number, flush=True)
    failpoint("intents.saved")
"""


def actions(text: str, passages: int) -> list[str]:
    """List what so many passages of intents.saved would do."""
    points = parse_failpoints(text)
    assert points is not None
    picked = [points.pick("intents.saved") for _ in range(passages)]
    return ["pass" if term is None else term.action for term in picked]


def test_a_chain_acts_at_the_named_passage_and_only_there() -> None:
    assert actions("intents.saved=2*off->1*kill", 4) == ["off", "off", "kill", "pass"]


def test_a_term_without_a_count_acts_for_ever() -> None:
    assert actions("intents.saved=1*off->exit(3)", 3) == ["off", "exit", "exit"]


def test_several_names_are_armed_independently() -> None:
    points = parse_failpoints("intents.saved=1*off->kill; fill.saved=kill")
    assert points is not None
    assert [term.action for term in points.terms["fill.saved"]] == ["kill"]
    assert len(points.terms["intents.saved"]) == 2


def test_a_percentage_lets_the_next_term_act_otherwise() -> None:
    points = parse_failpoints("intents.saved=30%kill->off", seed=7)
    assert points is not None
    drawn = [points.pick("intents.saved") for _ in range(200)]
    kills = sum(term is not None and term.action == "kill" for term in drawn)
    assert 30 < kills < 90


def test_the_same_seed_kills_at_the_same_passages() -> None:
    def run() -> list[str]:
        points = parse_failpoints("intents.saved=50%kill", seed=3)
        assert points is not None
        return ["" if points.pick("intents.saved") is None else "kill" for _ in range(30)]

    assert run() == run()


def test_an_empty_text_arms_nothing() -> None:
    assert parse_failpoints(" ; ") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense=kill", "'nonsense=kill' does not start with a known failpoint"),
        ("intents.saved", "does not start with a known failpoint and '='"),
        ("intents.saved=explode", "intents.saved=explode: expected"),
        ("intents.saved=1*off->", "expected"),
        ("intents.saved=-1*kill", "expected"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_with_the_text(text: str, words: str) -> None:
    with pytest.raises(TraderError, match=words.replace("*", r"\*")):
        parse_failpoints(text)


def test_kill_is_a_sigkill_that_is_announced_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PASS_FIVE_TIMES, "intents.saved=2*off->1*kill"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "0\n1\n2\n"
    assert done.stderr == "failpoint intents.saved: kill\n"


def test_exit_ends_the_process_with_its_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PASS_FIVE_TIMES, "intents.saved=exit(7)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7
    assert done.stdout == "0\n"


def test_an_unarmed_name_is_passed() -> None:
    points = Failpoints({}, random.Random(0))
    assert points.pick("intents.saved") is None


def test_every_failpoint_in_the_code_is_listed_and_the_other_way_round() -> None:
    text = "".join(
        path.read_text() for path in sorted(Path(target_trader.__file__).parent.rglob("*.py"))
    )
    used = set(re.findall(r'failpoint\("([a-z_.]+)"\)', text))
    sent = {name for name in FAILPOINTS if name.startswith("order.sent.")}
    assert used == set(FAILPOINTS) - sent
    assert "order.sent.{intent.leg}" in text


def test_an_armed_place_is_passed_while_its_term_says_off_and_the_count_goes_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    armed = parse_failpoints("fill.saved=1*off->1*kill")
    assert armed is not None
    monkeypatch.setattr("target_trader.failpoints.active", armed)
    failpoint("fill.before_save")
    failpoint("fill.saved")
    term = armed.pick("fill.saved")
    assert term is not None
    assert term.action == "kill"
