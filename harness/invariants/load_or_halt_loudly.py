"""I9: a bot whose memory was damaged loads what is right, or refuses to trade and says so.

Compared are the reading before the damage and the next one of a life that became ready after it. A
bot that says `halted` has refused. Otherwise what the broker knows of the day must be in its books
again, and where the damage can be seen and other copies may exist, so must be what only the bot
knew: its halts and the failures that its circuit breaker has counted.

Copies of an earlier state in the place of all of them, a file that is gone, and a log whose end is
gone look to a bot like an earlier moment of its life; they are judged by what the broker knows.
"""

from harness.checks import Invariant, Needs
from harness.history import Event, Fill, History, StateRead
from harness.history.records import root_of
from harness.invariants.days import day_of, entries_of
from harness.invariants.harm import harms, pairs, was_reset
from harness.result import Finding

NAME = "LoadOrHaltLoudly"
VISIBLE = ("torn", "flip", "empty", "future", "leftover", "read-only")
HIDDEN_ROLES = ("wal", "journal", "folder", "redis")


def check(history: History) -> list[Finding]:
    """Find silent defaults after a damage."""
    findings: list[Finding] = []
    for first, second in pairs(history):
        damages = harms(history, first.seq, second.seq)
        if not damages or second.belief.halted is not None or not dealt_with(history, second):
            continue
        words = lost_of_broker(first, second, history)
        if words is None and all(is_visible(each) for each in damages):
            words = None if was_reset(history, first, second) else lost_of_bot(first, second)
        if words is not None:
            damage = str(damages[0].data.get("words") or "its memory was harmed")
            findings.append(
                Finding(
                    invariant=NAME,
                    sentence=f"After this: {damage}, the bot goes on, is not halted, and {words}.",
                    seqs=(first.seq, *(each.seq for each in damages), second.seq),
                )
            )
    return findings


def dealt_with(history: History, state: StateRead) -> bool:
    """Whether the life of a reading became ready, and so has dealt with what it found."""
    return any(
        life.number == state.life and life.ready_seq is not None and life.ready_seq < state.seq
        for life in history.lives
    )


def is_visible(damage: Event) -> bool:
    """Whether a bot can see a damage, and that it has lost something."""
    fault = str(damage.data.get("fault")).split(".")[0]
    return fault in VISIBLE and str(damage.data.get("role")) not in HIDDEN_ROLES


def lost_of_broker(first: StateRead, second: StateRead, history: History) -> str | None:
    """What the bot had counted, the broker knows of the day, and the bot counts no more."""
    day = second.belief.day
    if day is None or first.belief.day != day:
        return None
    entered = [
        fill
        for fill in entries_of(history)
        if fill.seq < second.seq
        and day_of(fill.time) == day
        and not fill.order_ref.startswith("SMA|")
    ]
    return lost_execution(first, second, history) or lost_attempt(first, second, entered)


def lost_execution(first: StateRead, second: StateRead, history: History) -> str | None:
    """An execution of the day that was booked and is no more."""
    booked, day = second.belief.executions, second.belief.day
    if booked is None or day is None:
        return None
    kept = {*booked, *map(root_of, booked)}
    before = {*map(root_of, first.belief.executions or ()), *(first.belief.executions or ())}
    for fill in history.fills:
        root = root_of(fill.exec_id)
        known = root in before and day_of(fill.time) == day and fill.client_id != 0
        if known and root not in kept and root not in history.busted:
            return f"has forgotten the execution {fill.exec_id}"
    return None


def lost_attempt(first: StateRead, second: StateRead, entered: list[Fill]) -> str | None:
    """A level at which fewer attempts are counted than before, and than the broker shows."""
    if not (first.belief.tells_attempts and second.belief.tells_attempts):
        return None
    for symbol, side in sorted({(fill.symbol, side_of(fill)) for fill in entered}):
        shown = sum(1 for fill in entered if (fill.symbol, side_of(fill)) == (symbol, side))
        before = first.belief.attempts_of(symbol, side)
        now = second.belief.attempts_of(symbol, side)
        if now < min(before, shown):
            return f"counts {now} attempts of {symbol} {side}, {before} before"
    return None


def lost_of_bot(first: StateRead, second: StateRead) -> str | None:
    """What only the bot knew, and does not know any more."""
    if first.belief.halted is not None:
        return f"has forgotten that it was halted ({first.belief.halted})"
    before, now = first.belief.circuit_breaker, second.belief.circuit_breaker
    if before is None or now is None:
        return None
    if before.tripped_at is not None and now.tripped_at is None:
        return "has forgotten that its circuit breaker had tripped"
    if now.failures < before.failures:
        return f"counts {now.failures} failed orders, {before.failures} before"
    return None


def side_of(fill: Fill) -> str:
    """The side of the position that a fill opens."""
    return "LONG" if fill.side == "BOT" else "SHORT"


INVARIANT = Invariant(
    name=NAME,
    law="a bot whose memory was damaged loads what is right, or refuses to trade and says so",
    needs=Needs.BELIEF,
    check=check,
)
