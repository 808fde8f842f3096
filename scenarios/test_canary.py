"""The canary: a broken trader that every run of the gate must catch.

It saves its intent after the send, and the scenario kills it between the two. If this test fails,
the gate has gone blind and its other verdicts mean nothing.
"""

from pathlib import Path

import pytest

from harness.gate_fixture import Gate
from harness.scenario import STORES
from scenarios import test_sent_and_dead as sent_and_dead

BROKEN = Path(__file__).with_name("gallery") / "intent_after_send.py"


@pytest.mark.parametrize("store", STORES)
def test_the_canary_is_caught(crashgate: Gate, store: str) -> None:
    scenario = sent_and_dead.SCENARIO
    crashgate.must_fail(scenario, store, bot=str(BROKEN), because_of="IntentBeforeSend")
