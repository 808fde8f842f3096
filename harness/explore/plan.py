"""Which trials a sweep makes of what a clean run has taught; pure, so that a plan can be repeated.

Depth one is exhaustive: every learned point, once, with nothing else. On top of it each word of the
vocabulary is tried at points where it matters, spread over the day; a seed moves the choice.
"""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.explore.learned import (
    CallSeen,
    call_kills,
    calls_of,
    passage_kills,
    quiet_kills,
    wire_kills,
)
from harness.explore.standing import Standing, standings_of
from harness.explore.trial import Kill, Trial
from harness.faults.calls import CallFault, ErrorName
from harness.history import History
from harness.points import FailPoint, Quiet, SystemCall, WirePoint

CAN_FAIL: Mapping[str, tuple[ErrorName, ...]] = {
    "open": ("ENOSPC", "EIO"),
    "write": ("ENOSPC", "EIO", "EINTR"),
    "pwrite": ("ENOSPC", "EIO", "EINTR"),
    "fsync": ("EIO", "EINTR"),
    "fdatasync": ("EIO",),
    "rename": ("ENOSPC", "EIO"),
    "link": ("ENOSPC",),
    "unlink": ("EIO",),
    "truncate": ("EIO",),
}
TROUBLE_POINTS = 2
SEVERAL = (1, 2, 5)
"""After each so many bars the bot is killed, in a day of several crashes."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a clean run taught.

    Attributes:
        kills: every crash that it shows, in the order of their kinds.
        standings: what the broker may have at each of them, where the clean run tells; the last is
            the likeliest. Several where it changed in the instant of the crash.
        bars: how many bars the bot has seen at each of these: what it remembers grows with them.
    """

    kills: tuple[Kill, ...]
    standings: Mapping[Kill, tuple[Standing, ...]]
    bars: Mapping[Kill, int]


def learn(history: History, *, every_side: bool = False) -> Learned:
    """Take every point out of a clean run.

    Args:
        history: a run that was made to learn.
        every_side: also the points whose state is that of their neighbour.
    """
    calls = call_kills(calls_of(history), every_side=every_side)
    wire = wire_kills(history, every_side=every_side)
    bars = [event.time for event in history.of_kind("bar")]
    kills = (*calls, *wire, *quiet_kills(bars), *passage_kills(history))
    standings = standings_at(history, kills)
    return Learned(kills=kills, standings=standings, bars=bars_before(history, standings))


def learned_where(learned: Learned, matters: Callable[[Standing], bool]) -> Learned:
    """Only the points at which the broker surely has what matters."""
    kept = {
        kill: standings
        for kill, standings in learned.standings.items()
        if all(map(matters, standings))
    }
    kills = tuple(kill for kill in learned.kills if kill in kept)
    return replace(learned, kills=kills, standings=kept)


def standings_at(history: History, kills: Sequence[Kill]) -> dict[Kill, tuple[Standing, ...]]:
    """What the broker may have at each crash whose place in the clean run is known.

    The place of a call within its instant is not told. The bot that is killed at a message has gone
    quiet first, so what it had under way may have happened or not.
    """
    moments = standings_of(history)
    seqs = [moment.seq for moment in moments]
    times = [moment.time for moment in moments]
    quiet = _ends_of_bars(history)
    places = {
        (message.direction, message.message, message.occurrence): message
        for message in history.messages
    }
    found: dict[Kill, tuple[Standing, ...]] = {}
    for kill in kills:
        point, first, last = kill.point, 0, 0
        match point:
            case WirePoint():
                message = places[point.direction.value, point.message, point.occurrence]
                first = bisect_right(seqs, message.seq)
                last = bisect_right(times, message.time)
            case SystemCall(time=time):
                first, last = bisect_left(times, time), bisect_right(times, time)
            case Quiet(after_bar=time):
                first = last = bisect_left(seqs, quiet.get(time, 0))
            case FailPoint():
                continue
        if last:
            found[kill] = tuple(each.standing for each in moments[max(first - 1, 0) : last])
    return found


def bars_before(history: History, kills: Iterable[Kill]) -> dict[Kill, int]:
    """How many bars were surely played when the bot died at each of some crashes."""
    bars = history.of_kind("bar")
    ends = [bar.time for bar in bars]
    starts = [datetime.fromisoformat(str(bar.data["start"])) for bar in bars]
    times = {
        (message.direction, message.message, message.occurrence): message.time
        for message in history.messages
    }
    counted: dict[Kill, int] = {}
    for kill in kills:
        match kill.point:
            case WirePoint(direction=direction, message=name, occurrence=occurrence):
                counted[kill] = bisect_left(ends, times[direction.value, name, occurrence])
            case SystemCall(time=time):
                counted[kill] = bisect_left(ends, time)
            case Quiet(after_bar=time):
                counted[kill] = bisect_right(starts, time)
            case FailPoint():
                continue
    return counted


def _ends_of_bars(history: History) -> dict[datetime, int]:
    """By the start of a bar, where in the history the bot is quiet after it: before the next."""
    bars = history.of_kind("bar")
    ends = [*(bar.seq for bar in bars[1:]), history.events[-1].seq + 1]
    starts = [datetime.fromisoformat(str(bar.data["start"])) for bar in bars]
    return dict(zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Menu:
    """A word with where it matters, and at how many of these points it is tried; None: all."""

    word: str
    matters: tuple[Kill, ...]
    points: int | None


def plain_trials(learned: Learned) -> tuple[Trial, ...]:
    """Every learned point once, with nothing else."""
    return tuple(Trial(kills=(kill,)) for kill in learned.kills)


def word_trials(menu: Sequence[Menu], *, seed: int = 0) -> tuple[Trial, ...]:
    """Each word at some of the points where it matters, spread evenly over them."""
    trials: list[Trial] = []
    for number, entry in enumerate(menu):
        # Each word begins elsewhere, so that together they come by everywhere.
        shift = random.Random(f"{seed}/{number}").randrange(max(1, len(entry.matters)))
        turned = (*entry.matters[shift:], *entry.matters[:shift])
        for kill in spread(turned, entry.points, seed=seed):
            words = (*kill.words, entry.word)
            trials.append(Trial(kills=(kill.model_copy(update={"words": words}),)))
    return tuple(trials)


def fail_trials(calls: Sequence[CallSeen], *, every_call: bool = False) -> tuple[Trial, ...]:
    """Each kind of call on each role of file fails in each way, without any crash.

    The first, the middle or the last call of a kind, another one in each way; or every one. What
    cannot fail so (a full disk does not keep a socket from sending) is left out.
    """
    alike: dict[tuple[str, str], int] = {}
    for call in calls:
        alike[call.call, call.role] = alike.get((call.call, call.role), 0) + 1
    trials: list[Trial] = []
    for kind, ((name, role), count) in enumerate(alike.items()):
        for way, error in enumerate(CAN_FAIL.get(name, ())):
            few = sorted({1, (count + 1) // 2, count})
            one = few[(kind + way) % len(few)]
            for occurrence in range(1, count + 1) if every_call else [one]:
                fault = CallFault.model_validate(
                    {"call": name, "role": role, "occurrence": occurrence, "errno": error}
                )
                trials.append(Trial(fails=(fault,)))
    return tuple(trials)


def trouble_trials(troubles: Sequence[str], kills: Sequence[Kill]) -> tuple[Trial, ...]:
    """Each fault that the broker has all day, with crashes between bars spread over the day."""
    quiet = [kill for kill in kills if isinstance(kill.point, Quiet)]
    return tuple(
        Trial(troubles=(trouble,), kills=(kill,))
        for trouble in troubles
        for kill in spread(quiet, TROUBLE_POINTS)
    )


def several_trials(kills: Sequence[Kill]) -> tuple[Trial, ...]:
    """Days with many crashes: after every bar, after every second, after every fifth."""
    quiet = [kill for kill in kills if isinstance(kill.point, Quiet)]
    days = [tuple(quiet[step - 1 :: step]) for step in SEVERAL]
    return tuple(Trial(kills=day) for day in days if len(day) > 1)


def deep_trials(trial: Trial, last: Sequence[Kill]) -> tuple[Trial, ...]:
    """The crashes of a trial, and at each point of the recovery from them another one."""
    return tuple(Trial(kills=(*trial.kills, kill)) for kill in last)


def spread(kills: Sequence[Kill], count: int | None, *, seed: int = 0) -> tuple[Kill, ...]:
    """So many of some crashes, evenly spread; another seed moves all of them a little."""
    if count is None or count >= len(kills):
        return tuple(kills)
    step = len(kills) / count
    shift = random.Random(seed).random() if seed else 0.5
    return tuple(kills[int((number + shift) * step)] for number in range(count))


def sample(trials: Sequence[Trial], budget: int | None, *, seed: int | str) -> tuple[Trial, ...]:
    """At most `budget` of some trials, drawn by a seed, in their order."""
    if budget is None or budget >= len(trials):
        return tuple(trials)
    chosen = sorted(random.Random(seed).sample(range(len(trials)), budget))
    return tuple(trials[number] for number in chosen)
