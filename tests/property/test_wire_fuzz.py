"""Whatever a client or a driver sends: a recorded end or an answer, and all others live on.

The ordinary run takes a few thousand streams; FUZZ_INPUTS=100000 asks for more (CONTRIBUTING.md).
A failure names the number of its stream, and `bad_stream(SEED, number, ...)` makes it again.
"""

import gc
import json
import os
from collections import Counter

import psutil
import pytest

from fakebroker.broker import Broker
from fakebroker.clock import LockstepClock
from fakebroker.control import answer_line
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.outbox import Close, Effect, Send
from fakebroker.protocol import ConnectionState, frame
from fakebroker.protocol.framing import FRAME_LIMIT, LENGTH_BYTES
from fakebroker.server import Gateway
from fakebroker.settings import BrokerSettings
from tests.support.brokers import tape_text
from tests.support.wire_fuzz import (
    BYTE_MUTATIONS,
    DRAFT_MUTATIONS,
    BadStream,
    bad_line,
    bad_stream,
)
from tests.unit.fakebroker.protocol.wire import opening

SEED = 20251006
ORDINARY_INPUTS = 3_000
INPUTS = int(os.environ.get("FUZZ_INPUTS", str(ORDINARY_INPUTS)))
SECONDS_PER_INPUT = 0.05
INPUTS_PER_BROKER = 100
GROWTH_LIMIT_BYTES = 200 * 1024 * 1024

GOOD = 1
BAD = 2
REQ_CURRENT_TIME = frame(b"49\x001\0")
CURRENT_TIME = b"49\x001\0"
ERROR = b"4\x002\0"
TAPE = parse_tape(tape_text(("100", "104", "97", "99") * 30), name="fuzz", symbol=None)


class Desk:
    """A broker with one well-behaved session; the other one is the fuzzer's."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []
        self.broker = Broker(
            BrokerSettings(),
            Market(TAPE),
            start=TAPE.bars[0].time,
            journal=Journal(lambda line: self.records.append(json.loads(line))),
        )
        self.sent: dict[int, bytes] = {}
        self.closed: set[int] = set()
        self._connect(GOOD)
        self._receive(GOOD, opening(176))
        assert b"9\x001\x001\0" in self.sent[GOOD]

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(session, data):
                    self.sent[session] = self.sent.get(session, b"") + data
                case Close(session):
                    self.closed.add(session)
                case _:
                    pytest.fail(f"only a fault does this: {effect}")

    def _connect(self, session: int) -> None:
        self._take(self.broker.connect(session, self.broker.now))

    def _receive(self, session: int, data: bytes) -> None:
        self._take(self.broker.receive(session, data, self.broker.now))

    def ask(self) -> None:
        """Let the good session ask the time, and check that it is told."""
        self.sent[GOOD] = b""
        self._receive(GOOD, REQ_CURRENT_TIME)
        assert CURRENT_TIME in self.sent[GOOD]
        assert GOOD not in self.closed

    def suffer(self, stream: BadStream) -> str:
        """Take a bad stream from connect to disconnect and return how it went."""
        self.records.clear()
        self.sent[BAD] = b""
        self.closed.discard(BAD)
        self._connect(BAD)
        for piece in stream.pieces:
            self._receive(BAD, piece)
            self.ask()
        outcome = self.outcome()
        self._take(self.broker.disconnect(BAD, self.broker.now))
        self.ask()
        _, effects = self.broker.step()
        self._take(effects)
        assert [session.number for session in self.broker.sessions()] == [GOOD]
        assert not self.broker._arrived
        assert not self.broker._inbox
        return outcome

    def outcome(self) -> str:
        """Check that the session's state and the journal agree and return it in one word."""
        session = self.broker.sessions()[-1]
        assert session.number == BAD
        connection = session.connection
        reasons = [
            str(record["reason"])
            for record in self.records
            if record["kind"] == "session"
            and record["session"] == BAD
            and record["event"] in {"error", "refused"}
        ]
        assert all(reasons)
        assert session.closed == (BAD in self.closed) == bool(reasons)
        assert connection._reader.buffered <= FRAME_LIMIT + LENGTH_BYTES
        unfinished = connection._reader._buffer
        if not session.closed and len(unfinished) >= LENGTH_BYTES:
            assert int.from_bytes(unfinished[:LENGTH_BYTES], "big") <= FRAME_LIMIT
        assert session.subscriptions <= self.broker._settings.subscriptions_max
        if reasons:
            return "ended"
        assert connection.state is not ConnectionState.CLOSED
        if ERROR in self.sent[BAD].replace(b"4\x002\x00-1\x0021", b""):
            return "answered"
        return "waiting" if connection._reader.buffered else "harmless"


@pytest.mark.timeout(180 + INPUTS * SECONDS_PER_INPUT)
def test_a_bad_client_ends_or_is_answered_and_the_others_live_on() -> None:
    desk = Desk()
    process = psutil.Process()
    outcomes: Counter[str] = Counter()
    mutations: Counter[str] = Counter()
    before = 0
    for number in range(INPUTS):
        if number % INPUTS_PER_BROKER == 0:
            desk = Desk()
        if number == min(1_000, INPUTS // 2):
            gc.collect()
            before = process.memory_info().rss
        stream = bad_stream(SEED, number, client_id=number % INPUTS_PER_BROKER + 2)
        mutations.update(stream.mutations)
        try:
            outcomes[desk.suffer(stream)] += 1
        except Exception as error:
            error.add_note(f"bad_stream(SEED, {number}, ...): {stream.mutations}")
            raise
    gc.collect()
    growth = process.memory_info().rss - before
    print(f"{INPUTS} streams: {dict(outcomes)}; memory grew by {growth / 2**20:.1f} MiB")  # noqa: T201 - figures for whoever runs it deep
    assert growth < GROWTH_LIMIT_BYTES
    assert set(mutations) == {mutate.__name__ for mutate in (*DRAFT_MUTATIONS, *BYTE_MUTATIONS)}
    assert outcomes["ended"] > INPUTS * 0.3
    assert outcomes["answered"] > INPUTS * 0.02


def fresh_gateway() -> Gateway:
    """Return a gateway without sockets around a broker of its own."""
    broker = Desk().broker
    return Gateway(broker, LockstepClock(lambda: broker.now), lockstep=True)


@pytest.mark.timeout(180 + INPUTS * SECONDS_PER_INPUT)
def test_a_bad_control_line_is_answered_with_words_and_the_broker_lives_on() -> None:
    refused = 0
    gateway = fresh_gateway()
    for number in range(INPUTS):
        if number % INPUTS_PER_BROKER == 0:
            gateway = fresh_gateway()
        line = bad_line(SEED, number)
        try:
            reply = answer_line(line, gateway.serve)
            answer = json.loads(reply, parse_constant=pytest.fail)
        except Exception as error:
            error.add_note(f"bad_line(SEED, {number}): {line[:200]!r}")
            raise
        assert reply.endswith(b"\n")
        assert reply.count(b"\n") == 1
        assert len(reply) < 100_000
        if not answer["ok"]:
            refused += 1
            assert answer["error"]
        assert json.loads(answer_line(b'{"do": "status"}', gateway.serve))["ok"]
    assert refused > INPUTS * 0.5
