"""Two brokers with one fingerprint cannot be told apart by what comes after it."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from ib_insync import ExecutionFilter

from fakebroker.broker import Broker
from fakebroker.outbox import Effect
from tests.property.test_broker_snapshot import (
    INPUTS,
    SESSIONS,
    Input,
    buying,
    opener,
    receiver,
    said,
    started,
    stepped,
)

NUMBERS = re.compile(r'"(?:seq|occurrence)":\d+,?')
QUESTIONS: list[Callable[[Any], object]] = [
    lambda client: client.reqPositions(),
    lambda client: client.reqAllOpenOrders(),
    lambda client: client.reqCompletedOrders(False),
    lambda client: client.reqExecutions(9, ExecutionFilter()),
    lambda client: client.reqCurrentTime(),
]


def left(number: int) -> Input:
    def leave(broker: Broker) -> Sequence[Effect]:
        if number not in {session.number for session in broker.sessions()}:
            return ()
        return broker.disconnect(number, broker.now)

    return leave


def healed(broker: Broker) -> Sequence[Effect]:
    """Let it go on from where it stands, and let nothing be wrong with it any more."""
    broker.heal(None, broker.now)
    return broker.release(broker.now, deliver=True) if broker.halted is not None else ()


LEAVE: list[Input] = [healed, *[left(number) for number in SESSIONS]]


@given(
    before=INPUTS,
    asked=st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=3),
    extra=st.one_of(st.just([]), INPUTS),
    after=INPUTS,
)
@settings(max_examples=80, deadline=None)
def test_with_the_same_fingerprint_the_same_follows(
    before: list[Input],
    asked: list[Callable[[Any], object]],
    extra: list[Input],
    after: list[Input],
) -> None:
    """The other one has answered questions that change nothing, and perhaps done something more."""
    one, other = started(), started()
    one.feed([*before, *LEAVE])
    other.feed([*before, *[receiver(1, said(ask)) for ask in asked], *extra, *LEAVE])
    same = one.broker.fingerprint(counts=False) == other.broker.fingerprint(counts=False)
    event("the same" if same else "not the same")
    if not same:
        return
    known = [(len(run.lines), len(run.effects)) for run in (one, other)]
    again: list[Input] = [*[opener(number) for number in SESSIONS], *after, *[stepped] * 3]
    one.feed(again)
    other.feed(again)
    lines = [
        [NUMBERS.sub("", line) for line in run.lines[begin:]]
        for run, (begin, _) in zip((one, other), known, strict=True)
    ]
    assert lines[0] == lines[1]
    effects = [run.effects[begin:] for run, (_, begin) in zip((one, other), known, strict=True)]
    assert effects[0] == effects[1]


def run_of(*inputs: Input) -> Broker:
    run = started()
    run.feed([*inputs, *LEAVE])
    return run.broker


def test_a_question_leaves_no_trace_but_in_the_counts() -> None:
    asked = [receiver(1, said(ask)) for ask in QUESTIONS]
    plain, more = run_of(stepped), run_of(stepped, *asked)
    assert plain.fingerprint(counts=False) == more.fingerprint(counts=False)
    assert plain.fingerprint(counts=True) != more.fingerprint(counts=True)
    assert plain.fingerprint(counts=True) == run_of(stepped).fingerprint(counts=True)


@pytest.mark.parametrize(
    "more",
    [
        [receiver(1, buying(1))],
        [stepped],
        [lambda broker: broker.trade("TSLA", Decimal("99.5"), jumps=False, now=broker.now)],
    ],
    ids=["order", "bar", "price"],
)
def test_what_the_exchange_remembers_shows(more: list[Input]) -> None:
    assert run_of(stepped).fingerprint(counts=False) != run_of(stepped, *more).fingerprint(
        counts=False
    )
