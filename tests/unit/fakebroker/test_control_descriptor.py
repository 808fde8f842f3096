"""A broker that is controlled over an inherited socket, and ends when its other end does."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakebroker.control import ControlClient, ControlError
from fakebroker.outbox import Close, Effect, Send
from fakebroker.server import joined
from tests.support.brokers import DEADLINE_SECONDS, tape_text


def start(tape: Path, control: int, *, ready: int) -> subprocess.Popen[bytes]:
    """Start a broker in lockstep that is controlled over a descriptor."""
    options = ["--clock", "lockstep", "--port", "0", "--tape", str(tape)]
    ends = ["--control-fd", str(control), "--ready-fd", str(ready)]
    return subprocess.Popen(
        [sys.executable, "-m", "fakebroker", *options, *ends],
        pass_fds=(control, ready),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@dataclass
class Running:
    """A broker's process and its control client."""

    process: subprocess.Popen[bytes]
    control: ControlClient


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A broker that listens."""
    tape = tmp_path / "day.csv"
    tape.write_text(tape_text())
    ours, theirs = socket.socketpair()
    ready, says = os.pipe()
    process = start(tape, theirs.fileno(), ready=says)
    theirs.close()
    os.close(says)
    assert os.read(ready, 100).startswith(b'{"port":')
    os.close(ready)
    with ControlClient(ours) as control:
        yield Running(process, control)
    process.kill()
    process.communicate()


def test_it_is_asked_and_stepped_and_leaves_no_file(running: Running, tmp_path: Path) -> None:
    before = running.control.status()
    assert running.control.status() is before, "nothing has moved"
    step = running.control.step()
    assert step.kind == "bar"
    assert step.status is not None
    assert step.status.bars_played == before.bars_played + 1
    assert running.control.latest == step.status
    assert running.control.status() is step.status
    with pytest.raises(ControlError, match="not stand still"):
        running.control.release(deliver=True)
    assert [path.name for path in tmp_path.iterdir()] == ["day.csv"]


def test_it_ends_when_the_other_end_is_closed(running: Running) -> None:
    running.control.close()
    assert running.process.wait(DEADLINE_SECONDS) == 0


def test_a_descriptor_that_is_no_connected_unix_socket_is_named(tmp_path: Path) -> None:
    tape = tmp_path / "day.csv"
    tape.write_text(tape_text())
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket(socket.AF_UNIX) as alone,
        socket.create_server(("127.0.0.1", 0)) as tcp,
    ):
        for number in (file.fileno(), alone.fileno(), tcp.fileno()):
            process = start(tape, number, ready=number)
            _, words = process.communicate(timeout=DEADLINE_SECONDS)
            assert process.returncode == 2
            assert f"--control-fd {number} is no connected unix socket" in words.decode()
            assert "Traceback" not in words.decode()


def test_what_follows_each_other_to_one_session_is_sent_in_one_piece() -> None:
    effects: list[Effect] = [Send(1, b"a"), Send(1, b"b"), Send(2, b"c"), Close(1), Close(2)]
    assert list(joined([*effects, Send(1, b"d"), Close(1), Send(1, b"e")])) == [
        Send(1, b"ab"),
        Send(2, b"c"),
        Close(1),
        Close(2),
        Send(1, b"d"),
        Close(1),
        Send(1, b"e"),
    ]
    assert list(joined([])) == []
