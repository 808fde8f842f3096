"""What forbids an entry; pure, and asked for every signal.

Each limit counts what is in the checkpoint, and so also what happened before the last crash and
while the bot was away. An entry that is on its way counts like one that has filled: two signals of
one bar must not both take the last trade of the day.

The daily loss is judged by the worst case: what the day has lost, what every open or entering
trade loses if its stop fills at its price, and what the new trade would lose by its own. With 800
of 1000 dollars lost, a trade that could lose another 250 is not taken.
"""

from dataclasses import dataclass
from decimal import Decimal

from target_trader.breaker import is_tripped
from target_trader.day import in_session
from target_trader.names import PS60, Leg, attempt_key, plain, to_tick
from target_trader.settings import Hours, Rules
from target_trader.state.checkpoint import BreakoutMemory, Checkpoint, Position
from target_trader.strategy.signal import BAR, Signal, risk_of

SCALE_MAX = 2
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Block:
    """Why a signal is not traded: `name` counts in `session.filter_blocks`, `words` is logged."""

    name: str
    words: str


def is_flat(checkpoint: Checkpoint, symbol: str) -> bool:
    """Tell whether a symbol has no position and no entry that may become one."""
    return checkpoint.position_of(symbol) is None and not is_entering(checkpoint, symbol)


def is_entering(checkpoint: Checkpoint, symbol: str) -> bool:
    """Tell whether an entry works, or may work, that may become a position."""
    return any(each.leg is Leg.ENTRY for each in checkpoint.live_intents(symbol))


def may_enter(checkpoint: Checkpoint, symbol: str, *, rules: Rules) -> bool:
    """Tell whether a break of the symbol may lead to an entry: flat, or one more of its trades."""
    if is_flat(checkpoint, symbol):
        return True
    held = open_trades(checkpoint, symbol)
    return rules.scale_in and len(held) < SCALE_MAX and not is_entering(checkpoint, symbol)


def open_trades(checkpoint: Checkpoint, symbol: str) -> list[Position]:
    """Return the trades of a symbol that hold shares."""
    return [each for each in checkpoint.open_positions() if each.symbol == symbol]


def check_entry(
    checkpoint: Checkpoint, signal: Signal, *, memory: BreakoutMemory, rules: Rules
) -> Block | None:
    """Return what forbids the entry that a signal asks for, or None."""
    return (
        check_attempts(checkpoint, signal, rules=rules)
        or check_standing(checkpoint, signal)
        or check_time(signal, memory=memory, rules=rules)
        or check_position(checkpoint, signal, rules=rules)
        or check_day(checkpoint, signal, rules=rules)
    )


def name_of(signal: Signal) -> str:
    """Return how the line about a blocked signal begins."""
    return f"Entry blocked: {signal.symbol} {signal.side}"


def check_attempts(checkpoint: Checkpoint, signal: Signal, *, rules: Rules) -> Block | None:
    """Check the budget of the level; crossovers have none but the day's."""
    if signal.strategy != PS60:
        return None
    used = checkpoint.attempts.get(attempt_key(signal.symbol, signal.side, signal.pivot), 0)
    if used < rules.max_attempts:
        return None
    limit = f"{used} of {rules.max_attempts} attempts at {signal.pivot}"
    return Block("max_attempts", f"{name_of(signal)} has used {limit}")


def check_standing(checkpoint: Checkpoint, signal: Signal) -> Block | None:
    """Check what a person or the broker has to settle first."""
    name = name_of(signal)
    if checkpoint.halted is not None:
        return Block("halted", f"{name}: halted: {checkpoint.halted}")
    if is_tripped(checkpoint):
        breaker = checkpoint.circuit_breaker
        words = f"circuit breaker tripped by {breaker.failures} failures, {breaker.last_failure}"
        return Block("circuit_breaker", f"{name}: {words}")
    frozen = checkpoint.frozen.get(signal.symbol)
    if frozen is not None:
        return Block("frozen", f"{name}: frozen: {frozen}")
    if checkpoint.session.doubted_since is not None:
        return Block("doubted", f"{name}: the state may be older than the last order sent")
    return None


def check_time(signal: Signal, *, memory: BreakoutMemory, rules: Rules) -> Block | None:
    """Check the warm-up and the hours; the entry is sent when its bar has ended."""
    name = name_of(signal)
    if memory.bars_seen < rules.warmup_bars:
        words = f"{name}: {memory.bars_seen} of {rules.warmup_bars} bars seen"
        return Block("warmup", words)
    inside = in_session(signal.bar_time, signal.bar_time + BAR)
    if rules.hours is Hours.REGULAR and not inside:
        words = f"{name}: {signal.bar_time:%H:%M:%S} is outside regular hours"
        return Block("hours", words)
    return None


def check_position(checkpoint: Checkpoint, signal: Signal, *, rules: Rules) -> Block | None:
    """Check that the symbol is free, or that a trade may be added to the one that it has."""
    name, symbol = name_of(signal), signal.symbol
    held = open_trades(checkpoint, symbol)
    if is_entering(checkpoint, symbol) or (held and not rules.scale_in):
        return Block("position", f"{name}: a position or an entry exists already")
    if any(each.side is not signal.side or each.exit_requested for each in held):
        return Block("position", f"{name}: the position that exists is not to be added to")
    if len(held) >= SCALE_MAX:
        return Block("scale", f"{name}: {len(held)} of {SCALE_MAX} trades at once")
    names = {each.trade_id for each in held}
    if any(each.trade_id not in names for each in checkpoint.live_intents(symbol)):
        return Block("open_exits", f"{name}: exits of the last trade still work")
    shares = abs(checkpoint.held(symbol)) + rules.quantity
    if shares > rules.max_shares:
        words = f"{name}: {plain(shares)} shares would be more than {plain(rules.max_shares)}"
        return Block("position_size", words)
    return None


def check_day(checkpoint: Checkpoint, signal: Signal, *, rules: Rules) -> Block | None:
    """Check the day's money and the day's trades, with everything that is on its way."""
    name, session = name_of(signal), checkpoint.session
    if session.daily_pnl <= -rules.max_daily_loss:
        words = f"{name}: the day has lost ${-session.daily_pnl} of ${rules.max_daily_loss}"
        return Block("daily_loss", words)
    others, own = money_at_risk(checkpoint), risk_of(signal, rules)
    if session.daily_pnl - others - own < -rules.max_daily_loss:
        words = f"daily P&L ${session.daily_pnl}, ${others} at risk, this trade could lose ${own}"
        return Block("daily_loss", f"{name}: {words}, the limit is ${rules.max_daily_loss}")
    entering = len(entering_trades(checkpoint))
    if session.trades_today + entering >= rules.max_daily_trades:
        used = f"{session.trades_today} of {rules.max_daily_trades} trades used"
        more = f", {entering} on the way" if entering else ""
        return Block("daily_trades", f"{name}: {used}{more}")
    return None


def entering_trades(checkpoint: Checkpoint) -> list[Position]:
    """Return the trades whose entry may still fill and that hold no share yet."""
    names = {each.trade_id for each in checkpoint.intents if each.leg is Leg.ENTRY and each.live}
    positions = checkpoint.positions
    return [
        positions[each] for each in sorted(names & set(positions)) if not positions[each].shares
    ]


def money_at_risk(checkpoint: Checkpoint) -> Decimal:
    """Return what is lost, in dollars, if the stop of every open or entering trade fills.

    Of a trade whose stop is at breakeven or better that is nothing.
    """
    entering = {each.trade_id for each in checkpoint.intents if each.leg is Leg.ENTRY and each.live}
    total = ZERO
    for position in checkpoint.positions.values():
        sign = position.side.sign
        if position.open_shares > 0:
            distance = (position.entry_price - position.stop_price) * sign
            total += position.open_shares * max(ZERO, distance)
        if position.trade_id in entering:
            missing = max(ZERO, position.planned_shares - position.shares)
            total += missing * abs(position.planned_entry - position.initial_stop)
    return to_tick(total)
