"""In which order the trials of a sweep are taken: those that branch off one run stand together.

A run that is held at points goes through the day once and never back. One is held at every system
call, one between all bars, one at every failpoint. At messages a run stands still at one place of
each instant: the bot goes on meanwhile, and must have done in the end what it does in a run that
never stood still; mostly it has, and else the next run begins anew. Points are at one place as long
as the broker sends nothing between them: the bot then knows at the last what it knew at the first.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

from harness.explore.trial import Kill, Trial
from harness.history import History
from harness.points import CrashPoint, FailPoint, Moment, Quiet, SystemCall, WirePoint

VISIT_CALLS, VISIT_QUIET, VISIT_PASSAGES, VISIT_MESSAGES = range(4)
NOWHERE = (-1, -1)

OUTAGE_WEIGHT = 20

Visit = tuple[int, int]
Place = tuple[int, bool]


def visits(kills: Sequence[Kill], day: History) -> dict[CrashPoint, Visit]:
    """In which run over the day each point is visited, and in which place of it.

    Args:
        kills: every crash of the day, each kind in the day's order.
        day: the run that they were learned from.
    """
    places = message_places(day)
    ranks: dict[datetime, dict[Place, int]] = {}
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
                time, sent = places[point.direction.value, point.message, point.occurrence]
                # The answers to what the broker has processed go out in the end; one that is held
                # at the first of them is held before that.
                here = sent + (point.moment is Moment.SENT), point.moment is Moment.UNSENT
                known = ranks.setdefault(time, {})
                rank = known.setdefault(here, len(known))
                found.setdefault(point, (VISIT_MESSAGES + rank, place))
    return found


def message_places(day: History) -> dict[tuple[str, str, int | None], tuple[datetime, int]]:
    """When each message of a day came, and how many the broker had sent before it."""
    sent = 0
    found: dict[tuple[str, str, int | None], tuple[datetime, int]] = {}
    for message in day.messages:
        key = message.direction, message.message, message.occurrence
        found[key] = message.time, sent
        sent += message.direction == "out"
    return found


def place_of(
    trial: Trial, places: Mapping[CrashPoint, Visit]
) -> tuple[bool, tuple[str, ...], Visit, bool]:
    """Where a trial comes in its sweep."""
    first = trial.kills[0].point if trial.kills else None
    place = places.get(first, NOWHERE) if first else NOWHERE
    return len(trial.kills) > 1, trial.troubles, place, not trial.plain


def share(trials: Sequence[Trial], part: int, parts: int) -> tuple[Trial, ...]:
    """The trials of one part of a sweep, `part` from 0: neighbours stay together.

    All parts take about as long: a plain crash mostly leaves what its neighbour has left, and is
    told to its end; everything else is played, with as many recoveries as it has crashes.
    """
    *begins, whole = itertools.accumulate(map(weight_of, trials), initial=0)
    placed = zip(trials, begins, strict=True)
    return tuple(trial for trial, begin in placed if begin * parts // whole == part)


def weight_of(trial: Trial) -> int:
    """How much longer a trial takes than a plain crash, about; in an outage a bot waits."""
    if trial.outages:
        return OUTAGE_WEIGHT
    return 1 if trial.plain and len(trial.kills) == 1 else 4 * max(1, len(trial.kills))
