"""What happened to a bot's memory between two looks at it; `harness/faults/` has the events."""

from collections.abc import Iterator

from harness.history import Event, History, StateRead

HARMS = ("storage", "outage")
RESUMED = ("resumed", "breaker_reset")
"""What a person does to a bot that is stopped."""


def harms(history: History, after: int, before: int) -> list[Event]:
    """What was done to the bot's memory between two places in the history.

    An outage of a server harms as long as it lasts: what it has lost shows when it is over.
    """
    kinds = (*HARMS, "outage_over")
    return [
        event for kind in kinds for event in history.of_kind(kind) if after < event.seq < before
    ]


def neighbours(history: History) -> Iterator[tuple[StateRead, StateRead]]:
    """Each reading of the bot's state with the next one, where nothing harmed the memory between.

    What a bot remembers at the second of them it must have made of the first.
    """
    for first, second in pairs(history):
        if not harms(history, first.seq, second.seq):
            yield first, second


def pairs(history: History) -> Iterator[tuple[StateRead, StateRead]]:
    """Each reading of the bot's state with the next one."""
    yield from zip(history.states, history.states[1:], strict=False)


def same_day(first: StateRead, second: StateRead) -> bool:
    """Whether two readings are of one day, as the bot tells; False when it does not tell."""
    return first.belief.day is not None and first.belief.day == second.belief.day


def was_reset(history: History, first: StateRead, second: StateRead) -> bool:
    """Whether a person has let the bot trade again between two readings."""
    resets = [event for kind in RESUMED for event in history.of_kind(kind)]
    return any(first.seq < event.seq < second.seq for event in resets)
