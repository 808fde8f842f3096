"""The day's counters count this day alone, and each thing once.

No more trades than orders have enlarged a position on the bot's day, and no more attempts of a
symbol and side than orders it has sent for it that day, one more for each life, which may have died
before it sent. What outlives a day, halts and circuit breaker, is HaltSticks' business.
"""

from datetime import date

from harness.checks import Invariant, Needs
from harness.history import History, StateRead
from harness.history.records import EXIT_LEGS, leg_of
from harness.invariants.days import day_of, enlarging
from harness.result import Finding

NAME = "DailyReset"


def check(history: History) -> list[Finding]:
    """Find the first reading whose counters hold too much."""
    for state in history.states:
        day = state.belief.day
        if day is None:
            continue
        finding = too_many_trades(history, state, day) or too_many_attempts(history, state, day)
        if finding is not None:
            return [finding]
    return []


def too_many_trades(history: History, state: StateRead, day: date) -> Finding | None:
    """More trades than the broker has seen on the day."""
    told, seen = state.belief.trades_today, enlarging(history, day)
    if told is None or told <= seen:
        return None
    return Finding(
        invariant=NAME,
        sentence=f"The bot counts {told} trades on {day}; the broker has seen {seen}.",
        seqs=(state.seq,),
    )


def too_many_attempts(history: History, state: StateRead, day: date) -> Finding | None:
    """More attempts than orders were sent on the day."""
    lives = sum(1 for life in history.lives if life.first_seq < state.seq)
    for symbol, side in sorted({key_of(name) for name in state.belief.attempts if "|" in name}):
        told = state.belief.attempts_of(symbol, side)
        sent = orders_sent(history, state, day, symbol=symbol, side=side)
        if told > sent + lives:
            return Finding(
                invariant=NAME,
                sentence=f"The bot counts {told} attempts of {symbol} {side} on {day}; it has sent "
                f"{sent} orders for it that day.",
                seqs=(state.seq,),
            )
    return None


def key_of(name: str) -> tuple[str, str]:
    """Symbol and side of a budget of attempts."""
    symbol, side = name.split("|")[:2]
    return symbol, side


def orders_sent(history: History, state: StateRead, day: date, *, symbol: str, side: str) -> int:
    """How many orders that may open a position were sent on a day, also those that were lost."""
    action = "BUY" if side == "LONG" else "SELL"
    return len(
        {
            (order.client_id, order.order_id)
            for order in history.messages_of("placeOrder")
            if order.seq < state.seq
            and day_of(order.time) == day
            and order.text("symbol") in {symbol, ""}
            and order.text("action") in {action, ""}
            and leg_of(order.order_ref) not in EXIT_LEGS
        }
    )


INVARIANT = Invariant(
    name=NAME,
    law="the day's counters count this day alone, and each thing once",
    needs=Needs.BELIEF,
    check=check,
)
