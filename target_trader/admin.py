"""What only a person does to the stored state: lift halts, set the circuit breaker back.

Both work on the stored state of a bot that is stopped (the store holds the folder's lock) and
leave everything else of it as it is, its time as well: it is as old as before.
"""

import logging
from datetime import datetime

from target_trader.errors import TraderError
from target_trader.log import tell
from target_trader.state.checkpoint import Checkpoint, CircuitBreaker, Halt
from target_trader.state.store import Source, StateStore


def lift_halts(store: StateStore, *, now: datetime, note: str) -> list[Halt]:
    """End every halt and make that durable; return those that were in force.

    Args:
        store: the opened store of the stopped bot. A state of another day is as good: halts
            outlive the day.
        now: the present moment.
        note: why the person lifts them, for the log.

    Raises:
        TraderError: there is no state, or none that can be believed.
        OSError: it could not be saved, and nothing is lifted.
    """
    checkpoint = stored(store, now=now)
    lifted = list(checkpoint.halts)
    if not lifted:
        return []
    checkpoint.halts.clear()
    store.save(checkpoint)
    for halt in lifted:
        words = f"Halt lifted: {halt.reason} (since {halt.since:%Y-%m-%d %H:%M:%S}): {note}"
        tell("halt_lifted", words, level=logging.WARNING, kind=halt.kind, note=note, at=now)
    return lifted


def reset_breaker(store: StateStore, *, now: datetime) -> CircuitBreaker:
    """Set the circuit breaker back to no failures and make that durable; return what it was.

    Raises:
        TraderError: there is no state, or none that can be believed.
        OSError: it could not be saved, and the breaker is as it was.
    """
    checkpoint = stored(store, now=now)
    old = checkpoint.circuit_breaker
    if old == CircuitBreaker():
        return old
    checkpoint.circuit_breaker = CircuitBreaker()
    store.save(checkpoint)
    words = f"Circuit breaker set back: it had counted {old.failures} failures"
    tell("breaker_reset", words, level=logging.WARNING, failures=old.failures, at=now)
    return old


def stored(store: StateStore, *, now: datetime) -> Checkpoint:
    """Load the state that is to be changed.

    Raises:
        TraderError: there is no state, or none that can be believed; says what to do.
    """
    loaded = store.load()
    if loaded.state_was_lost:
        problems = "; ".join(loaded.problems)
        raise TraderError(
            f"the stored state cannot be believed ({problems}): start the bot once, it goes on "
            "with what IBKR says and halts; stop it, then give this command again"
        )
    if loaded.checkpoint is None:
        raise TraderError("there is no stored state: nothing is halted, no failure is counted")
    if loaded.source is Source.BACKUP:
        # It becomes the main state by being saved; that it is not the last one must not be lost.
        loaded.checkpoint.session.doubted_since = now
    return loaded.checkpoint
