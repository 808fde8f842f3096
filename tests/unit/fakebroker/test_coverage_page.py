"""COVERAGE.md says what the code does, and its table of behaviours is whole."""

import json
import os

import pytest

from fakebroker.protocol.decode_requests import DECODERS
from tests.support import coverage_page
from tests.support.behaviours import BEHAVIOURS, Behaviour, Mark
from tests.support.coverage_page import COMMAND, REPLIES, ROOT, page, reply_classes
from tests.support.wire_fuzz import REQUESTS


def test_the_page_is_up_to_date() -> None:
    path = ROOT / "COVERAGE.md"
    text = page()
    if os.environ.get("WRITE_PAGES"):
        path.write_text(text, encoding="utf-8")
    kept = path.read_text(encoding="utf-8").splitlines()
    made = text.splitlines()
    changed = [line for line in made if line not in kept] + [
        line for line in kept if line not in made
    ]
    assert kept == made, f"run `{COMMAND}`; lines that differ: {json.dumps(changed[:10], indent=1)}"


def test_every_request_of_the_codec_has_a_sample() -> None:
    # Orders are made by a real client, and startApi opens every stream.
    assert {int(message[0]) for message in REQUESTS} | {3, 71} == set(DECODERS)


def test_every_reply_of_the_codec_is_listed() -> None:
    assert {kind.MESSAGE for kind in reply_classes()} <= set(REPLIES.values())


def test_the_behaviours_are_the_28_of_the_specification_with_marks() -> None:
    assert len(BEHAVIOURS) == 28
    assert all(behaviour.marks for behaviour in BEHAVIOURS)


def test_a_behaviour_with_a_test_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    invented = Behaviour("something", (Mark.ASSUMED,), ("test_that_nobody_wrote",))
    monkeypatch.setattr(coverage_page, "BEHAVIOURS", (invented,))
    with pytest.raises(LookupError, match="behaviour 1 names tests that do not exist"):
        page()
