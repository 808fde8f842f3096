"""I11: what was entered before a crash and while the bot was away counts against the limits.

At the end of a run, of the day that the bot says its counters are of: at least as many trades as
the broker saw opened, and at least as many attempts of a symbol and side. A bot that says `halted`
may not know, and says so. The profit is compared by FillOnce.
"""

from harness.checks import Invariant, Needs
from harness.history import Fill, History, StateRead
from harness.invariants.days import after_open, day_of, entries_of
from harness.result import Finding

NAME = "LimitsCountEverything"
NO_ATTEMPTS = "SMA"
"""The strategy whose trades are no attempts at a level."""


def check(history: History) -> list[Finding]:
    """Compare the counters at the end with the broker's books."""
    state = history.final_state
    if state is None or state.belief.halted is not None:
        return []
    day = state.belief.day or only_day(history)
    if day is None:
        return []
    entered = [
        fill
        for fill in entries_of(history)
        if day_of(fill.time) == day and after_open(fill.time) and fill.seq < state.seq
    ]
    findings = missed_trades(state, entered)
    return findings + missed_attempts(state, entered)


def only_day(history: History) -> object:
    """The day of the run; None when it has several."""
    days = {day_of(event.time) for event in history.events}
    return next(iter(days)) if len(days) == 1 else None


def missed_trades(state: StateRead, entered: list[Fill]) -> list[Finding]:
    """Fewer trades than were opened."""
    told = state.belief.trades_today
    if told is None or told >= len(entered):
        return []
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot counts {told} trades today; {len(entered)} were opened.",
            seqs=(*(fill.seq for fill in entered), state.seq),
        )
    ]


def missed_attempts(state: StateRead, entered: list[Fill]) -> list[Finding]:
    """Fewer attempts of a symbol and side than were made."""
    if not state.belief.tells_attempts:
        return []
    made: dict[tuple[str, str], list[int]] = {}
    for fill in entered:
        if fill.order_ref.split("|")[0] != NO_ATTEMPTS:
            side = "LONG" if fill.side == "BOT" else "SHORT"
            made.setdefault((fill.symbol, side), []).append(fill.seq)
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot counts {told} attempts of {symbol} {side}; it made {len(seqs)}.",
            seqs=(*seqs, state.seq),
        )
        for (symbol, side), seqs in made.items()
        if (told := state.belief.attempts_of(symbol, side)) < len(seqs)
    ]


INVARIANT = Invariant(
    name=NAME,
    law="the day's counters hold what happened before a crash and while the bot was away",
    needs=Needs.BELIEF,
    check=check,
)
