"""In which order the trials of a sweep are taken: those that branch off one run stand together.

A run that is held at points goes through the day once and never back. One is held at every system
call, one between all bars, one at every failpoint. At messages a run stands still once in each
instant: the bot goes on meanwhile, and must have done in the end what it does in a run that never
stood still; mostly it has, and else the next run begins anew.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from harness.explore.trial import Kill, Trial
from harness.history import History
from harness.points import CrashPoint, FailPoint, Quiet, SystemCall, WirePoint

VISIT_CALLS, VISIT_QUIET, VISIT_PASSAGES, VISIT_MESSAGES = range(4)
NOWHERE = (-1, -1)

Visit = tuple[int, int]


def visits(kills: Sequence[Kill], day: History) -> dict[CrashPoint, Visit]:
    """In which run over the day each point is visited, and in which place of it.

    Args:
        kills: every crash of the day, each kind in the day's order.
        day: the run that they were learned from.
    """
    times = {
        (message.direction, message.message, message.occurrence): message.time
        for message in day.messages
    }
    seen: Counter[datetime] = Counter()
    found: dict[CrashPoint, Visit] = {}
    for place, kill in enumerate(kills):
        match kill.point:
            case SystemCall():
                found[kill.point] = (VISIT_CALLS, place)
            case Quiet():
                found[kill.point] = (VISIT_QUIET, place)
            case FailPoint():
                found[kill.point] = (VISIT_PASSAGES, place)
            case WirePoint() as point:
                time = times[point.direction.value, point.message, point.occurrence]
                if point not in found:  # Else it is one standstill, of which another thing comes.
                    found[point] = (VISIT_MESSAGES + seen[time], place)
                    seen[time] += 1
    return found


def place_of(
    trial: Trial, places: Mapping[CrashPoint, Visit]
) -> tuple[bool, tuple[str, ...], Visit, bool]:
    """Where a trial comes in its sweep."""
    first = trial.kills[0].point if trial.kills else None
    place = places.get(first, NOWHERE) if first else NOWHERE
    return len(trial.kills) > 1, trial.troubles, place, not trial.plain


def share(trials: Sequence[Trial], part: int, parts: int) -> tuple[Trial, ...]:
    """The trials of one part of a sweep, `part` from 0: neighbours stay together."""
    begin, end = (len(trials) * each // parts for each in (part, part + 1))
    return tuple(trials[begin:end])
