"""A fakebroker of its own for every test, stepped by the test, and unmodified clients to it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ib_insync import IB

from fakebroker.control import ControlClient
from tests.support.brokers import CLOSES, DEADLINE_SECONDS, RunningBroker, tape_text


@pytest.fixture
def start_broker() -> Iterator[Callable[..., RunningBroker]]:
    """Return a function that starts a broker in lockstep; its settings are keyword arguments.

    `tape` is the text of a tape in place of bars with these closes, `faults` of a file of faults.
    """
    running: list[tuple[subprocess.Popen[bytes], ControlClient]] = []
    # A unix socket's path must stay under 108 bytes: pytest's own tmp_path may be longer.
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        folder = Path(name)

        def start(
            closes: tuple[str, ...] = CLOSES,
            *,
            tape: str = "",
            faults: str = "",
            **settings: object,
        ) -> RunningBroker:
            number = len(running)
            bars = folder / f"tape{number}.csv"
            bars.write_text(tape or tape_text(closes), encoding="utf-8")
            options = folder / f"settings{number}.json"
            options.write_text(json.dumps(settings), encoding="utf-8")
            control, journal = folder / f"c{number}", folder / f"journal{number}.jsonl"
            reader, writer = os.pipe()
            command = [sys.executable, "-m", "fakebroker", "--port", "0", "--clock", "lockstep"]
            command += ["--tape", str(bars), "--settings", str(options), "--control", str(control)]
            command += ["--journal", str(journal), "--ready-fd", str(writer)]
            if faults:
                (folder / f"faults{number}.toml").write_text(faults, encoding="utf-8")
                command += ["--faults", str(folder / f"faults{number}.toml")]
            process = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL)
            os.close(writer)
            with os.fdopen(reader) as ready:
                line = ready.readline()
            if not line:
                pytest.fail(f"the broker did not start: exit code {process.wait(DEADLINE_SECONDS)}")
            port = json.loads(line)["port"]
            client = ControlClient(control)
            running.append((process, client))
            return RunningBroker(port, client, journal)

        yield start
        for process, client in running:
            client.close()
            process.terminate()
            process.wait(DEADLINE_SECONDS)


@pytest.fixture
def broker(start_broker: Callable[..., RunningBroker]) -> RunningBroker:
    """A broker with its default settings."""
    return start_broker()


@pytest.fixture
def connect() -> Iterator[Callable[..., IB]]:
    """Return a function that connects an ib_insync client; all are closed at the end."""
    # ib_insync takes the thread's loop, which whatever ran before may have closed or unset.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    clients: list[IB] = []

    def make(broker: RunningBroker, client_id: int = 1) -> IB:
        ib = IB()
        clients.append(ib)
        ib.connect("127.0.0.1", broker.port, clientId=client_id, timeout=DEADLINE_SECONDS)
        return ib

    yield make
    for ib in clients:
        ib.disconnect()
    loop.run_until_complete(asyncio.sleep(0))  # lets the closed transports finish
    asyncio.set_event_loop(None)
    loop.close()
