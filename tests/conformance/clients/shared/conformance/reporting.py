"""How a conformance script tells what it saw: one JSON line a step, whatever happens.

Runs in a client's own environment, so that it imports the standard library only.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import cache

Seen = dict[str, object]
Steps = dict[str, Callable[[], Seen]]

HOST = "127.0.0.1"
SYMBOL = "TSLA"
ACCOUNT = "DU1234567"
PRICE_LOW, PRICE_HIGH = 98.0, 102.0
FAR_BELOW, MARKETABLE_SELL = 50.0, 90.0
"""Prices that the market never falls to, and that it is always above."""


class StepError(Exception):
    """Something that should have happened did not; the message says what."""


@cache
def read_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True, help="Port of the broker.")
    parser.add_argument("--deadline", type=float, default=45.0, help="Seconds to wait for a thing.")
    parser.add_argument("--max-version", type=int, help="Highest server version to offer.")
    return parser.parse_args()


def read_port() -> int:
    """Return the broker's port."""
    return int(read_arguments().port)


def deadline_seconds() -> float:
    """Return how long a step waits for one thing to happen."""
    return float(read_arguments().deadline)


def max_version() -> int | None:
    """Return the highest server version to offer; None is what the library offers by itself."""
    highest: int | None = read_arguments().max_version
    return highest


def near_market(*prices: float) -> bool:
    """Say whether there are prices and all lie within what the market of the script trades at."""
    return bool(prices) and all(PRICE_LOW <= float(price) <= PRICE_HIGH for price in prices)


def run_steps(steps: Steps) -> None:
    """Run the steps in their order and print a line for each; a failed one stops no other.

    Only the first does: without a connection there is nothing to try.
    """
    for name, step in steps.items():
        record: dict[str, object] = {"step": name}
        try:
            record |= {"ok": True, "seen": step()}
        except Exception as error:  # noqa: BLE001 - it is reported, and the next step is run
            record |= {"ok": False, "seen": {}, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(record, default=float) + "\n")
        sys.stdout.flush()
        if name == "connect" and not record["ok"]:
            return
