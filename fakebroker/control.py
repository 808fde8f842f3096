"""The side door: JSON lines on a unix socket, for whoever drives the broker.

`{"id": 1, "do": "step"}` is answered by `{"id": 1, "ok": true, "result": {...}}` or by
`{"id": 1, "ok": false, "error": "words"}`. The socket lies in a folder that only its owner can
enter and has mode 0600. Requests are served by the same event loop as the TCP traffic and in
order with it: when `status` is answered, everything that the server had read is processed.

`ControlClient` is synchronous on purpose: its caller steps a day and has nothing else to do.
"""

import json
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from fakebroker.control_messages import (
    AdvanceRequest,
    Books,
    BooksRequest,
    BreakAtRequest,
    CancelRequest,
    ControlRequest,
    Done,
    ExpireRequest,
    FaultNumber,
    FaultRequest,
    Faults,
    FaultsRequest,
    FaultState,
    FillRequest,
    Fingerprint,
    FingerprintRequest,
    Forked,
    ForkRequest,
    HealRequest,
    LoseClientsRequest,
    ManualOrderRequest,
    Message,
    PassTimeRequest,
    Point,
    PriceRequest,
    RejectRequest,
    ReleaseRequest,
    Result,
    ShutdownRequest,
    Status,
    StatusRequest,
    Step,
    StepRequest,
)
from fakebroker.faults import Fault

# A line holds one request; the largest answer is the books of a day, far below this.
LINE_LIMIT_BYTES = 16 * 1024 * 1024
DEADLINE_SECONDS = 30.0
FORKED_BYTES_MAX = 4096

_REQUEST: TypeAdapter[ControlRequest] = TypeAdapter(ControlRequest)
_STATUS = StatusRequest()
_STEP = StepRequest()
AnswerT = TypeVar("AnswerT", bound=Message)


class ControlError(Exception):
    """The broker refused a control request, or does not answer; the message says why."""


def answer_line(line: bytes, serve: Callable[[ControlRequest], Result]) -> bytes:
    """Serve one request line and return the answer line; never raises for a bad request.

    Args:
        line: One JSON object without its newline.
        serve: Carries the request out; a `ControlError` from it becomes the answer's words.
    """
    number: int | str | None = None
    try:
        record = json.loads(line)
        number = _number(record)
        result = serve(_request_of(record))
    except ValidationError as error:
        return _failure(number, _words(error))
    except (ValueError, RecursionError) as error:  # bad JSON, too long a number, too deep a nest
        return _failure(number, f"not a line of JSON: {error}: {line[:80]!r}")
    except ControlError as error:
        return _failure(number, str(error))
    return head_of(number) + result.model_dump_json().encode() + b"}\n"


def head_of(number: int | str | None) -> bytes:
    """Return how the answer to a request begins when it was carried out."""
    told = number if type(number) is int else json.dumps(number)
    return f'{{"id": {told}, "ok": true, "result": '.encode()


def _number(record: object) -> int | str | None:
    """Take the number out of a request; only what JSON can say exactly is echoed."""
    number = record.pop("id", None) if isinstance(record, dict) else None
    return number if isinstance(number, int | str) else None


def _request_of(record: object) -> ControlRequest:
    """Return a request; the two of which a day is full need no look at what they may hold."""
    if record == {"do": "status"}:
        return _STATUS
    if record == {"do": "step"}:
        return _STEP
    return _REQUEST.validate_python(record)


def _failure(number: object, words: str) -> bytes:
    return json.dumps({"id": number, "ok": False, "error": words}).encode() + b"\n"


def _words(error: ValidationError) -> str:
    parts = (
        f"{'.'.join(str(step) for step in item['loc']) or 'request'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False)
    )
    return "; ".join(parts)


def connect(path: Path) -> socket.socket:
    """Connect to a control socket.

    Raises:
        ControlError: Nobody listens there.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(str(path))
    except OSError as error:
        made.close()
        raise ControlError(f"no broker answers at {path}: {error}") from error
    return made


class ControlClient:
    """A typed, synchronous connection to a broker's control socket.

    Raises:
        ControlError: From every method, when the broker refuses, is gone or stays silent.
    """

    def __init__(
        self, place: Path | socket.socket, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Connect to the socket at a path, or take over one that is connected."""
        self._socket = connect(place) if isinstance(place, Path) else place
        self._socket.settimeout(deadline_seconds)
        self._deadline_seconds = deadline_seconds
        self._lines = self._socket.makefile("rb")
        self._number = 0
        self._told = b""
        self.latest: Status | None = None
        """Where the broker stood when it was last asked for its status, or stepped."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the broker lives on."""
        self._lines.close()
        self._socket.close()

    def status(self) -> Status:
        """Return where the broker stands, after everything it has read is processed."""
        told = self._answer_to(StatusRequest())
        if self.latest is None or told != self._told:
            self.latest, self._told = Status.model_validate_json(told), told
        return self.latest

    def step(self) -> Step:
        """Play the next bar or due deadline (lockstep only)."""
        told = self._answer_to(StepRequest())
        step = Step.model_validate_json(told)
        # Its last field is the status, in the words in which `status` will tell it.
        self.latest, self._told = step.status, told.partition(b'"status":')[2][:-1]
        return step

    def break_at(self, point: Point) -> None:
        """Arm the one point at which the broker stands still."""
        self._ask(BreakAtRequest(point=point), Done)

    def release(self, *, deliver: bool, then: Point | None = None) -> None:
        """Leave the point.

        Args:
            deliver: whether what was held still arrives.
            then: where the broker stands still next; it may lie in what is held.
        """
        self._ask(ReleaseRequest(deliver=deliver, then=then), Done)

    def books(self) -> Books:
        """Return orders, executions, positions and cash as the broker keeps them."""
        return self._ask(BooksRequest(), Books)

    def fill(self, perm_id: int, *, shares: Decimal, price: Decimal) -> None:
        """Fill a working order by hand, in shares at a price in its currency."""
        self._ask(FillRequest(perm_id=perm_id, shares=shares, price=price), Done)

    def cancel(self, perm_id: int, *, by_hand: bool = False) -> None:
        """Cancel an order as the broker would, or as a person in TWS would."""
        self._ask(CancelRequest(perm_id=perm_id, by_hand=by_hand), Done)

    def expire(self, perm_id: int) -> None:
        """End a live order as if its time in force were over."""
        self._ask(ExpireRequest(perm_id=perm_id), Done)

    def reject(self, perm_id: int) -> None:
        """Reject a live order that was acknowledged."""
        self._ask(RejectRequest(perm_id=perm_id), Done)

    def price(self, symbol: str, price: Decimal, *, jumps: bool = True) -> None:
        """Trade a stock at a price in US dollars; unless it jumps, through every price between."""
        self._ask(PriceRequest(symbol=symbol, price=price, jumps=jumps), Done)

    def pass_time(self, by: timedelta) -> None:
        """Let time pass without the tape, whose rest comes as much later (lockstep only)."""
        self._ask(PassTimeRequest(by=by), Done)

    def advance(self, to: datetime) -> None:
        """Let the clock go on, no further than to what is due next (lockstep only)."""
        self._ask(AdvanceRequest(to=to), Done)

    def manual_order(
        self, symbol: str, action: Literal["BUY", "SELL"], *, quantity: Decimal
    ) -> None:
        """Send a market order as a person in TWS would, in shares."""
        self._ask(ManualOrderRequest(symbol=symbol, action=action, quantity=quantity), Done)

    def fault(self, fault: Fault) -> int:
        """Arm a fault and return its number."""
        return self._ask(FaultRequest(fault=fault), FaultNumber).fault

    def heal(self, fault: int | Literal["all"]) -> None:
        """End a fault by its number, or all of them."""
        self._ask(HealRequest(fault=fault), Done)

    def faults(self) -> tuple[FaultState, ...]:
        """Return every fault that was armed and how far it has come."""
        return self._ask(FaultsRequest(), Faults).faults

    def fork(self, journal: Path) -> tuple[Forked, "ControlClient"]:
        """Make a second broker with these books (lockstep only); it ends with the client returned.

        Args:
            journal: The new file that it writes its journal to.
        """
        self._number += 1
        line = self._send(ForkRequest(journal=str(journal)))
        try:
            reply, descriptors, _, _ = socket.recv_fds(self._socket, FORKED_BYTES_MAX, 1)
        except OSError as error:
            raise ControlError(f"the broker does not answer {line}: {error}") from error
        forked = Forked.model_validate_json(self._result_of(reply, line))
        connection = socket.socket(fileno=descriptors[0])
        return forked, ControlClient(connection, deadline_seconds=self._deadline_seconds)

    def lose_clients(self) -> None:
        """Let the connections of all clients be gone."""
        self._ask(LoseClientsRequest(), Done)

    def fingerprint(self, *, counts: bool = True) -> str:
        """A digest of all that the rest of the day rests on, but settings and tape.

        Args:
            counts: Take in how many messages have passed, which points and faults count by.
        """
        return self._ask(FingerprintRequest(counts=counts), Fingerprint).digest

    def shutdown(self) -> None:
        """End the broker process."""
        self._ask(ShutdownRequest(), Done)

    def _ask(self, request: Message, answer: type[AnswerT]) -> AnswerT:
        return answer.model_validate_json(self._answer_to(request))

    def _answer_to(self, request: Message) -> bytes:
        """Send a request and return the JSON of its answer."""
        self._number += 1
        line = self._send(request)
        try:
            reply = self._lines.readline(LINE_LIMIT_BYTES)
        except OSError as error:
            raise ControlError(f"the broker does not answer {line}: {error}") from error
        return self._result_of(reply, line)

    def _send(self, request: Message) -> str:
        """Send a request under the present number and return its line."""
        line = f'{{"id": {self._number}, {request.model_dump_json()[1:]}'
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise ControlError(f"the broker does not answer {line}: {error}") from error
        return line

    def _result_of(self, reply: bytes, line: str) -> bytes:
        """Take the result out of a reply to a line."""
        if not reply.endswith(b"\n"):
            raise ControlError(f"the broker hung up on {line}")
        head = head_of(self._number)
        if not reply.startswith(head):
            raise ControlError(json.loads(reply)["error"])
        return reply[len(head) : -2]
