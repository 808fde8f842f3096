"""The circuit breaker: orders that the broker rejects are counted, and too many end the entries.

The count is kept over restarts and days; only a person sets it back (command `reset-breaker`). It
forbids entries alone: a position that is held keeps its protection. Pure.
"""

from datetime import datetime

from target_trader.names import IntentState
from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint


def count_failures(checkpoint: Checkpoint, *, now: datetime, rules: Rules) -> list[str]:
    """Count each rejected order once and trip the breaker when there are too many.

    To be called before every save, so that a failure and its count are durable together.

    Returns:
        The lines to log, one for each new failure and one when the breaker trips.
    """
    breaker = checkpoint.circuit_breaker
    limit = rules.breaker_failures
    words = []
    for intent in checkpoint.intents:
        if intent.state is not IntentState.REJECTED or intent.failure_counted:
            continue
        intent.failure_counted = True
        breaker.failures += 1
        breaker.last_failure = f"{intent.order_ref} was rejected"
        words.append(f"Circuit breaker: failure {breaker.failures} of {limit}: {intent.order_ref}")
    # Also without a new failure: the limit may have been lowered since the last start.
    if breaker.failures >= limit and breaker.tripped_at is None:
        breaker.tripped_at = now
        words.append(
            f"CIRCUIT BREAKER TRIPPED after {breaker.failures} failures: no new entries until "
            "a person sets it back (command reset-breaker)"
        )
    return words


def is_tripped(checkpoint: Checkpoint) -> bool:
    """Tell whether entries are forbidden until a person sets the breaker back."""
    return checkpoint.circuit_breaker.tripped_at is not None
