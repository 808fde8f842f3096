"""The control socket's lines: every bad one is answered with words."""

import json

import pytest

from fakebroker.control import ControlError, answer_line
from fakebroker.control_messages import ControlRequest, Done, ReleaseRequest, Result


def serve(request: ControlRequest) -> Result:
    if isinstance(request, ReleaseRequest):
        raise ControlError("the broker does not stand still")
    return Done()


def answer(line: bytes) -> dict[str, object]:
    reply = answer_line(line, serve)
    assert reply.endswith(b"\n")
    parsed: dict[str, object] = json.loads(reply)
    return parsed


def test_a_request_is_answered_under_its_number() -> None:
    assert answer(b'{"id": 5, "do": "shutdown"}') == {"id": 5, "ok": True, "result": {}}


def test_what_cannot_be_carried_out_is_answered_with_the_reason() -> None:
    assert answer(b'{"id": 6, "do": "release", "deliver": true}') == {
        "id": 6,
        "ok": False,
        "error": "the broker does not stand still",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"step", "not a line of JSON"),
        (b"\xff\xfe", "not a line of JSON"),
        (b"[1]", "valid dictionary"),
        (b'{"id": 1, "do": "status", "x": ' + b"[" * 100_000, "not a line of JSON"),
        (b'{"id": ' + b"9" * 5_000 + b', "do": "status"}', "not a line of JSON"),
        (b'{"id": 1, "do": "explode"}', "does not match any of the expected tags"),
        (b'{"id": 1, "do": "status", "colour": "red"}', "colour: Extra inputs"),
        (b'{"id": 1, "do": "fill", "perm_id": 1, "shares": "-5", "price": "1"}', "greater than 0"),
        (
            b'{"id": 1, "do": "break_at", "point": {"direction": "in", "message": "placeOrder",'
            b' "occurrence": 1, "moment": "unsent"}}',
            "moment 'unsent' does not exist for direction 'in'",
        ),
    ],
)
def test_a_bad_line_is_answered_with_words(line: bytes, words: str) -> None:
    reply = answer(line)
    assert reply["ok"] is False
    assert words in str(reply["error"])


@pytest.mark.parametrize("number", ["NaN", "1e400", "[1]", "1.5"])
def test_only_a_number_that_json_can_say_exactly_is_echoed(number: str) -> None:
    reply = answer_line(f'{{"id": {number}, "do": "shutdown"}}'.encode(), serve)
    assert json.loads(reply, parse_constant=pytest.fail)["id"] is None
