"""What forbids an entry; pure, and asked for every signal.

Each limit counts what is in the checkpoint, and so also what happened before the last crash and
while the bot was away.
"""

from dataclasses import dataclass

from target_trader.names import Leg, attempt_key
from target_trader.settings import Rules
from target_trader.state.checkpoint import BreakoutMemory, Checkpoint
from target_trader.strategy.breakout import Signal


@dataclass(frozen=True, slots=True)
class Block:
    """Why a signal is not traded: `name` counts in `session.filter_blocks`, `words` is logged."""

    name: str
    words: str


def is_flat(checkpoint: Checkpoint, symbol: str) -> bool:
    """Tell whether a symbol has no position and no entry that may become one."""
    entering = any(each.leg is Leg.ENTRY for each in checkpoint.live_intents(symbol))
    return checkpoint.position_of(symbol) is None and not entering


def check_entry(
    checkpoint: Checkpoint, signal: Signal, *, memory: BreakoutMemory, rules: Rules
) -> Block | None:
    """Return what forbids the entry that a signal asks for, or None."""
    name = f"Entry blocked: {signal.symbol} {signal.side}"
    session = checkpoint.session
    used = checkpoint.attempts.get(attempt_key(signal.symbol, signal.side, signal.pivot), 0)
    if used >= rules.max_attempts:
        words = f"{name} has used {used} of {rules.max_attempts} attempts at {signal.pivot}"
        return Block("max_attempts", words)
    if checkpoint.halted is not None:
        return Block("halted", f"{name}: halted: {checkpoint.halted}")
    if memory.bars_seen < rules.warmup_bars:
        words = f"{name}: {memory.bars_seen} of {rules.warmup_bars} bars seen"
        return Block("warmup", words)
    if not is_flat(checkpoint, signal.symbol):
        return Block("position", f"{name}: a position or an entry exists already")
    if checkpoint.live_intents(signal.symbol):
        return Block("open_exits", f"{name}: exits of the last trade still work")
    if session.daily_pnl <= -rules.max_daily_loss:
        words = f"{name}: the day has lost ${-session.daily_pnl} of ${rules.max_daily_loss}"
        return Block("daily_loss", words)
    if session.trades_today >= rules.max_daily_trades:
        words = f"{name}: {session.trades_today} of {rules.max_daily_trades} trades used"
        return Block("daily_trades", words)
    return None
