"""The trading day: when positions may be opened, and the reset of the counters at the open.

Pure. The hours are those of a full day in New York; days off and half days are the broker's to
know, which does not fill on them. What a reset does not touch is as important as what it does:
halts, the circuit breaker and the last signals end with a person or with another signal only.
"""

from datetime import date, datetime, time

from target_trader.clock import NEW_YORK, exchange_day
from target_trader.ledger import refold
from target_trader.names import Leg, attempt_key, order_ref, parse_ref
from target_trader.settings import Hours, Rules
from target_trader.state.checkpoint import BreakoutMemory, Checkpoint

OPEN = time(9, 30)
CLOSE = time(16, 0)
SATURDAY = 5


def opening(day: date) -> datetime:
    """Return when the regular session of a day begins: 09:30 in New York."""
    return datetime.combine(day, OPEN, tzinfo=NEW_YORK)


def closing(day: date) -> datetime:
    """Return when the regular session of a day ends: 16:00 in New York."""
    return datetime.combine(day, CLOSE, tzinfo=NEW_YORK)


def in_session(start: datetime, end: datetime) -> bool:
    """Tell whether a bar lies in the regular session and something can still fill after it."""
    day = exchange_day(start)
    return day.weekday() < SATURDAY and opening(day) <= start and end < closing(day)


def open_day(checkpoint: Checkpoint, *, now: datetime, rules: Rules) -> bool:
    """Begin the day's counting at the open, once a day; tell whether counters were cleared.

    Attempts, daily P&L, trade count, filter counts, entry paths and breaks are cleared. What has
    happened since the open stays counted, also when a bot that was away takes it up later: P&L and
    trades are folded from the executions again, attempts are those of the trades since. A state
    that was begun after the open holds nothing older than the open and is left as it is.

    With `Hours.ANY` the day begins at midnight with a checkpoint of its own, and nothing is done.
    """
    session = checkpoint.session
    start = opening(exchange_day(now))
    done = session.reset_at is not None and session.reset_at >= start
    if rules.hours is Hours.ANY or done or now < start:
        return False
    session.reset_at = start
    older = session.start_time < start
    if older:
        session.filter_blocks, session.entry_paths = {}, {}
        checkpoint.attempts = attempts_since(checkpoint, start)
        checkpoint.breakouts = {
            symbol: fresh_memory(memory) for symbol, memory in checkpoint.breakouts.items()
        }
    refold(checkpoint)
    return older


def reset_before(moment: datetime, *, rules: Rules) -> datetime:
    """Return when the counting that is in force at a moment has begun: at midnight or the open."""
    day = exchange_day(moment)
    if rules.hours is Hours.REGULAR and moment >= opening(day):
        return opening(day)
    return datetime.combine(day, time(0), tzinfo=NEW_YORK)


def attempts_since(checkpoint: Checkpoint, start: datetime) -> dict[str, int]:
    """Count the attempts of the trades that were entered since `start`."""
    attempts: dict[str, int] = {}
    for position in checkpoint.positions.values():
        parts = parse_ref(order_ref(position.trade_id, Leg.ENTRY))
        entered = position.entry_time or position.signal_time
        if parts is None or parts.attempt is None or entered < start:
            continue
        key = attempt_key(position.symbol, position.side, position.pivot)
        attempts[key] = max(attempts.get(key, 0), parts.attempt)
    return attempts


def fresh_memory(memory: BreakoutMemory) -> BreakoutMemory:
    """Forget breaks and armed sides; the count of bars and their volume go on."""
    return BreakoutMemory(
        bars_seen=memory.bars_seen,
        last_bar=memory.last_bar,
        volume_sum=memory.volume_sum,
        volume_bars=memory.volume_bars,
    )
