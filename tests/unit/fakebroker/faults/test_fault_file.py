"""What a user can get wrong in a file of faults, and that a good one is armed."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakebroker.faults import FaultFileError, parse_faults, wire
from fakebroker.faults.base import AtMessage

DEADLINE_SECONDS = 60


def test_a_file_holds_faults_in_their_order() -> None:
    text = """
    [[fault]]
    name = "drop"
    message = "orderStatus"
    when = { on = "message", message = "placeOrder", occurrence = 2 }
    [[fault]]
    name = "silence"
    """
    one, two = parse_faults(text, name="faults.toml")
    when = AtMessage(message="placeOrder", occurrence=2)
    assert one == wire.Drop(message="orderStatus", when=when)
    assert two == wire.Silence()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[fault]", "faults.toml is not TOML"),
        ("[[faults]]\nname = 'drop'", "key faults: Extra inputs"),
        ("[[fault]]\nname = 'drip'", "fault 1, key name: Input tag 'drip'"),
        ("[[fault]]\nmessage = 'openOrder'", "fault 1, key name: Unable to extract tag"),
        ("[[fault]]\nname = 'drop'", "fault 1 (drop).message: Field required"),
        ("[[fault]]\nname = 'drop'\nmessage = 'openOrders'", "'openOrders' is no message"),
        ("[[fault]]\nname = 'reorder'\nmessage = 'placeOrder'", "is no message of the broker"),
        ("[[fault]]\nname = 'reject'\nmessage = 'openOrder'", "is no message of a client"),
        ("[[fault]]\nname = 'silence'\nseconds = 0", "fault 1 (silence).seconds: "),
        ("[[fault]]\nname = 'silence'\nsecond = 5", "fault 1 (silence).second: Extra inputs"),
        ("[[fault]]\nname = 'silence'\nwhen = {on = 'noon'}", "fault 1 (silence).when: "),
        (
            "[[fault]]\nname = 'silence'\n[[fault]]\nname = 'silence'\n"
            "when = {on = 'time', at = 2025-10-06T10:00:00}",
            "fault 2 (silence).when.time.at: ",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_key(text: str, words: str) -> None:
    with pytest.raises(FaultFileError) as caught:
        parse_faults(text, name="faults.toml")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read --faults"),
        ("[[fault]]\nname = 'drip'", "key name: Input tag 'drip'"),
    ],
)
def test_the_command_line_refuses_a_bad_file_with_exit_code_2(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "faults.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "fakebroker", "--port", "0", "--faults", str(path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
