"""What a clean run teaches: every point at which the bot could die in it, in their order.

Points that leave the same disk and the same broker are one: the state after a call is the state
before the next one, unless something else happened between; so "after" is taken where the next
thing that the bot does is not another call at the same instant, and of every call where all are
asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.errors import HarnessError
from harness.explore.trial import Kill
from harness.history import History, WireMessage
from harness.points import (
    Direction,
    FailPoint,
    Moment,
    Quiet,
    Side,
    SystemCall,
    WirePoint,
)

# Messages that a broker repeats by the dozen and that carry no order, fill or position: of a run
# of them only the first is a point.
FEEDS = frozenset({"accountValue", "portfolioValue", "accountUpdateTime", "accountUpdateMulti"})


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A system call of a clean run, as its history tells it."""

    call: str
    role: str
    occurrence: int
    time: datetime
    can_be_short: bool

    def point(self, side: Side) -> SystemCall:
        """The point on one side of the call."""
        return SystemCall.model_validate(
            {
                "call": self.call,
                "role": self.role,
                "occurrence": self.occurrence,
                "time": self.time,
                "side": side,
            }
        )


def calls_of(history: History, life: int = 1) -> tuple[CallSeen, ...]:
    """The system calls of one life, in their order.

    Raises:
        HarnessError: the run was not made to learn them.
    """
    for event in history.of_kind("calls"):
        if event.data["life"] == life:
            told = event.data["calls"]
            assert isinstance(told, list), "the writer lists the calls"
            return tuple(_seen(line) for line in told)
    raise HarnessError(f"the history {history.name} tells no system calls of life {life}")


def _seen(line: object) -> CallSeen:
    assert isinstance(line, list), "the writer makes a list of each call"
    call, role, occurrence, time, short = line
    return CallSeen(
        str(call), str(role), int(occurrence), datetime.fromisoformat(time), bool(short)
    )


def call_kills(calls: Sequence[CallSeen], *, every_side: bool = False) -> tuple[Kill, ...]:
    """The crashes at system calls.

    Args:
        calls: those of one life, in order.
        every_side: also the sides whose state is that of the next call's other side.
    """
    kills: list[Kill] = []
    for number, call in enumerate(calls):
        following = calls[number + 1] if number + 1 < len(calls) else None
        sides = [Side.BEFORE]
        if call.can_be_short:
            sides.append(Side.SHORT)
        if every_side or following is None or following.time != call.time or call.call == "send":
            sides.append(Side.AFTER)
        kills += [Kill(point=call.point(side)) for side in sides]
    return tuple(kills)


def wire_kills(history: History, *, every_side: bool = False) -> tuple[Kill, ...]:
    """The crashes around the messages of a run, in their order."""
    kills: list[Kill] = []
    messages = [each for each in history.messages if not each.lost and each.occurrence]
    for number, message in enumerate(messages):
        before = messages[number - 1] if number else None
        after = messages[number + 1] if number + 1 < len(messages) else None
        if not every_side and repeats(before, message):
            continue
        kills += _around(message, after, every_side=every_side)
    return tuple(kills)


def _around(message: WireMessage, after: WireMessage | None, *, every_side: bool) -> list[Kill]:
    """The crashes around one message."""
    follows = after is not None and after.direction == "out" and after.time == message.time
    if message.direction == "in":
        moments = [Moment.RECEIVED, Moment.PROCESSED]
        if every_side or not follows:
            moments.append(Moment.ANSWERED)
    else:
        moments = [Moment.UNSENT]
        if every_side or not follows:
            moments.append(Moment.SENT)
    kills = [Kill(point=wire_point(message, moment)) for moment in moments]
    if message.direction == "in":
        lost = Kill(point=wire_point(message, Moment.RECEIVED), arrives=False)
        kills.insert(0, lost)
    return kills


def wire_point(message: WireMessage, moment: Moment) -> WirePoint:
    """The point at a moment of a message."""
    assert message.occurrence is not None, "the broker counts every message"
    return WirePoint(
        direction=Direction(message.direction),
        message=message.message,
        occurrence=message.occurrence,
        moment=moment,
    )


def repeats(before: WireMessage | None, message: WireMessage) -> bool:
    """Whether a message goes on a run of messages that carry no order, fill or position."""
    return before is not None and {before.message, message.message} <= FEEDS


def quiet_kills(bars: Iterable[datetime]) -> tuple[Kill, ...]:
    """The crashes between two bars; `bars` are their starts."""
    return tuple(Kill(point=Quiet(after_bar=each)) for each in dict.fromkeys(bars))


def passage_kills(history: History, life: int = 1, *, recovery: bool = False) -> tuple[Kill, ...]:
    """The crashes at the failpoints that a bot says to have passed.

    Args:
        history: a run that was made to learn.
        life: which of the bot's lives, from 1.
        recovery: only those that it passed before it was ready.
    """
    kills: list[Kill] = []
    counts: dict[str, int] = {}
    for event in history.of_kind("passages"):
        if event.data["life"] != life:
            continue
        names = event.data["names"]
        assert isinstance(names, list), "the writer lists the names"
        recovered = int(str(event.data["recovered"])) if recovery else None
        for name in map(str, names[:recovered]):
            counts[name] = counts.get(name, 0) + 1
            kills.append(Kill(point=FailPoint(name=name, occurrence=counts[name])))
    return tuple(kills)
