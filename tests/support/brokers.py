"""What tests of the server share: a tape, a running broker, waiting for an event."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ib_insync import IB

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status

DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.05
QUESTIONS_MAX = 20_000

# One price a bar, so that a test can say where the market is by counting steps.
CLOSES = ("100", "101", "102", "103", "104", "99", "95", "90", "97", "110")


def tape_text(closes: tuple[str, ...] = CLOSES, *, symbol: str = "TSLA") -> str:
    """CSV of 5-second bars from 10:00:00 New York; each opens where the one before closed."""
    lines = ["time,symbol,open,high,low,close,volume"]
    previous = closes[0]
    for number, close in enumerate(closes):
        low, high = sorted((float(previous), float(close)))
        minute, second = divmod(number * 5, 60)
        start = f"2025-10-06T10:{minute:02}:{second:02}-04:00"
        lines.append(f"{start},{symbol},{previous},{high},{low},{close},1000")
        previous = close
    return "\n".join(lines) + "\n"


@dataclass
class RunningBroker:
    """A broker process and what a test needs of it."""

    port: int
    control: ControlClient
    journal: Path

    def records(self, kind: str) -> list[dict[str, object]]:
        """Journal records of one kind, in their order."""
        lines = self.journal.read_text(encoding="utf-8").splitlines()
        return [record for line in lines if (record := json.loads(line))["kind"] == kind]


def wait_until(ib: IB, happened: Callable[[], object]) -> None:
    """Let the client work until something is true of it; fail at the deadline.

    An update that comes before the client begins to wait is not told again, so it looks anew
    every few hundredths of a second.
    """
    for _ in range(int(DEADLINE_SECONDS / LOOK_SECONDS)):
        if happened():
            return
        ib.waitOnUpdate(timeout=LOOK_SECONDS)
    pytest.fail(f"it did not happen within {DEADLINE_SECONDS} s")


def wait_for_broker(broker: RunningBroker, reached: Callable[[Status], bool]) -> None:
    """Ask the broker where it stands until it is there; each question waits for its answer."""
    for _ in range(QUESTIONS_MAX):
        if reached(broker.control.status()):
            return
    pytest.fail(f"the broker did not get there: {broker.control.status()}")
