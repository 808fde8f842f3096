"""The words of a trial: what else may happen at a crash, each by a short name of the scenario.

A sweep applies every word at the points where it matters, and a token spells the words, so they
are part of what a scenario promises to understand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.case import Crash
from harness.downtime import Downtime
from harness.downtime.broker_faults import FAULTS
from harness.downtime.catalog import DOWNTIMES, Needs
from harness.errors import UserError
from harness.explore.standing import Standing
from harness.explore.trial import Kill, Trial
from harness.faults.catalog import BY_STORE
from harness.faults.storage import Stale, StorageFault, parse_storage_fault


def anywhere(_: Standing) -> bool:
    """It matters at every point."""
    return True


def in_position(standing: Standing) -> bool:
    """It matters while something is held."""
    return not standing.flat


def works(*legs: str) -> Callable[[Standing], bool]:
    """It matters while an order of one of these legs works."""

    def matters(standing: Standing) -> bool:
        return any(leg in standing.working for leg in legs)

    return matters


def protects(leg: str) -> Callable[[Standing], bool]:
    """It matters while an exit of this leg works; one of an entry that waits does not yet."""
    there = works(leg)
    return lambda standing: in_position(standing) and there(standing)


MATTERS: Mapping[Needs, Callable[[Standing], bool]] = {
    "nothing": anywhere,
    "position": in_position,
    "entry": works("entry"),
    "stop": protects("stop"),
    "partial": protects("partial"),
    "target": protects("target"),
}
RESTARTED = Downtime()


WORD_POINTS = 2
DAMAGE_POINTS = 1
REMEMBERED_BARS = 6
"""After so many bars of five seconds the reference bot has a state and its backup."""


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that may happen at a crash.

    Attributes:
        title: what happens, in half a line.
        downtime: what the broker and people do.
        storage: what happens to the files.
        matters: where in the day a sweep tries it.
        stores: the stores it can happen to; empty: all.
        bars: how many bars a bot must have seen to remember what this is about.
        points: at how many points a sweep tries it, unless it tries everything.
    """

    title: str
    downtime: Downtime = RESTARTED
    storage: StorageFault | None = None
    matters: Callable[[Standing], bool] = anywhere
    stores: tuple[str, ...] = ()
    bars: int = 0
    points: int = WORD_POINTS


Vocabulary = Mapping[str, Word]


def crash_of(kill: Kill, vocabulary: Vocabulary) -> Crash:
    """The crash that a kill and its words spell.

    Raises:
        UserError: a word is not in the vocabulary, or two words damage files.
    """
    words = [known(word, vocabulary) for word in kill.words]
    damages = [word.storage for word in words if word.storage is not None]
    if len(damages) > 1:
        raise UserError(f"{kill} damages files twice: one word of that kind is enough")
    ends = [word.downtime.until for word in words if word.downtime.until is not None]
    return Crash(
        point=kill.point,
        arrives=kill.arrives,
        downtime=Downtime(
            acts=tuple(act for word in words for act in word.downtime.acts),
            until=max(ends) if ends else None,
        ),
        storage=damages[0] if damages else None,
    )


def known(word: str, vocabulary: Vocabulary) -> Word:
    """Look a word up; the slug of a storage fault is a word of every scenario.

    Raises:
        UserError: it is not there.
    """
    if word in vocabulary:
        return vocabulary[word]
    try:
        fault = parse_storage_fault(word)
    except UserError as error:
        there = ", ".join(sorted(vocabulary)) or "none"
        raise UserError(
            f"the scenario knows no word {word!r}; it knows {there}, and the slugs of storage "
            f"faults ({error})"
        ) from error
    return Word(title=fault.describe(), storage=fault)


def crashes_of(trial: Trial, vocabulary: Vocabulary) -> tuple[Crash, ...]:
    """The crashes of a trial.

    Raises:
        UserError: see `crash_of`.
    """
    return tuple(crash_of(kill, vocabulary) for kill in trial.kills)


def bars_for(fault: StorageFault) -> int:
    """How many bars a bot must have seen before a fault of its memory can be told from none."""
    back = fault.back if isinstance(fault, Stale) else 0
    return max(REMEMBERED_BARS, back + 1)


def downtime_vocabulary(symbol: str, *, needs: Needs | None = None) -> dict[str, Word]:
    """Every downtime in which something happens.

    Args:
        symbol: whose orders and positions they are about.
        needs: only those that need this; None: all.
    """
    return {
        slug: Word(
            title=entry.title,
            downtime=entry.downtime(symbol),
            matters=MATTERS[entry.needs],
        )
        for slug, entry in DOWNTIMES.items()
        if slug != "nothing" and needs in {None, entry.needs}
    }


def whole_vocabulary(symbol: str) -> dict[str, Word]:
    """Every downtime, every fault of the broker at a restart, and every damage to the files.

    Args:
        symbol: whose orders and positions the downtimes are about.
    """
    words = downtime_vocabulary(symbol)
    for slug, trouble in FAULTS.items():
        if trouble.phase != "before":
            words[slug] = Word(title=trouble.title, downtime=trouble.downtime)
    stores: dict[str, list[str]] = {}
    damages = {fault.slug: fault for faults in BY_STORE.values() for fault in faults}
    for store, faults in BY_STORE.items():
        for fault in faults:
            stores.setdefault(fault.slug, []).append(store)
    for slug, fault in damages.items():
        words[slug] = Word(
            title=fault.describe(),
            storage=fault,
            stores=tuple(stores[slug]),
            bars=bars_for(fault),
            points=DAMAGE_POINTS,
        )
    return words
