"""From bar to entry: the memories are stepped, the limits are asked, the bracket is sent.

The order of the steps is the promise: what a bar has done to a memory, the signal that was acted on
and the orders for it are durable in one save, before the first byte of an order leaves. So a bar
that comes again, after a restart or a new subscription, is not acted on twice.
"""

import logging
from collections.abc import Iterator
from datetime import datetime

from target_trader.books import Books
from target_trader.day import fresh_memory, reset_before
from target_trader.log import tell
from target_trader.names import SMA, Side, plain
from target_trader.orders import OrderDesk
from target_trader.risk import Block, check_entry, may_enter, open_trades
from target_trader.settings import Rules, Setup, Strategy, Watchlist
from target_trader.state.checkpoint import BarRecord, BreakoutMemory, Checkpoint
from target_trader.strategy import sma
from target_trader.strategy.breakout import add_volume, mean_volume, step
from target_trader.strategy.signal import BAR, Signal

VOLUME_WINDOW = 20
PASSING = frozenset({"link_down", "late", "doubted"})
"""What ends by itself in seconds; an entry that is still to come waits for it."""


class SignalDesk:
    """Keeps bars and memories of the watched symbols and trades what they say."""

    def __init__(
        self, books: Books, orders: OrderDesk, *, watchlist: Watchlist, rules: Rules
    ) -> None:
        self.books = books
        self.orders = orders
        self.watchlist = watchlist
        self.rules = rules

    def take(self, symbol: str, bar: BarRecord) -> Iterator[Signal]:
        """Take a bar into the symbol's buffer and memories; yield the signals that it gives.

        A bar that is not newer than the last one gives none and changes nothing. The memory of the
        breakouts is kept whatever is traded: it counts the bars of the warm-up.

        One memory is stepped at a time, and the next one not before its signal was considered: a
        save of the first must not say of the second that it has heard the bar. If the bot dies
        between them, the bar comes again and only the second takes it.
        """
        setup = self.watchlist.setup(symbol)
        if setup is None:
            return
        found = self.step_break(setup, bar)
        if found is not None and Strategy.PS60 in self.rules.strategies:
            yield found
        if Strategy.SMA in self.rules.strategies:
            yield from sma.signals(self.books.checkpoint, symbol, bar=bar, rules=self.rules.sma)

    def step_break(self, setup: Setup, bar: BarRecord) -> Signal | None:
        """Take a bar into the buffer and the memory of the breakouts; return the break, if any."""
        checkpoint, rules, symbol = self.books.checkpoint, self.rules, setup.symbol
        last = checkpoint.memory(symbol).last_bar
        if last is not None and bar.time <= last:
            return None
        if last is not None and bar.time - last > rules.warmup_gap:
            begin_again(checkpoint, symbol)
            words = f"{symbol}: no bar since {last:%Y-%m-%d %H:%M:%S}, warming up again"
            tell("warmup_again", words, level=logging.WARNING, symbol=symbol, last_bar=last)
        elif last is not None and last + BAR < reset_before(bar.time + BAR, rules=rules):
            # As at the reset itself; of bars that were missed the older ones come after it.
            checkpoint.breakouts[symbol] = fresh_memory(checkpoint.memory(symbol))
        memory = checkpoint.memory(symbol)
        buffer = checkpoint.bars.setdefault(symbol, [])
        found = step(
            memory,
            bar,
            setup=setup,
            rules=rules,
            mean_volume=mean_volume(memory),
            # A fill after the bar: there was a position, or an entry, when it ended.
            flat=may_enter(checkpoint, symbol, rules=rules)
            and not has_traded_since(checkpoint, symbol, bar.time + BAR),
        )
        window = max(1, min(VOLUME_WINDOW, rules.bars_kept))
        add_volume(memory, bar, before=buffer, window=window)
        buffer.append(bar)
        del buffer[: -rules.bars_kept]
        return found

    def consider(self, signal: Signal, *, link_up: bool, fresh: bool = True) -> None:
        """Trade a signal unless a limit forbids it.

        Args:
            signal: what a bar has asked for.
            link_up: orders may be sent.
            fresh: the bar has just ended; the price of an old one is not traded any more.
        """
        if signal.strategy == SMA:
            self.consider_cross(signal, link_up=link_up, fresh=fresh)
        else:
            self.enter(signal, link_up=link_up, fresh=fresh)

    def consider_cross(self, signal: Signal, *, link_up: bool, fresh: bool) -> None:
        """Act on a crossover, unless the last one that was acted on is the same.

        A position of the other side is closed first; a field of it says so, and the exits follow
        from that field in this life or the next. What is to be entered then waits in the last
        signal. Trades of the other strategy are not touched.
        """
        checkpoint, rules = self.books.checkpoint, self.rules.sma
        last = checkpoint.last_signals.get(sma.signal_key(signal.symbol, rules))
        word = sma.signal_word(signal.side)
        if not signal.resumed and last is not None and last.signal == word:
            words = (
                f"Signal skipped: {signal.symbol} {word} of {last.bar_time:%H:%M:%S} was the last"
            )
            self.count(Block("duplicate_signal", words), signal)
            return
        wanted = signal.side is Side.LONG or rules.shorts
        leaving = [
            each
            for each in open_trades(checkpoint, signal.symbol)
            if each.strategy == SMA and each.side is not signal.side
        ]
        if leaving:
            for position in leaving:
                position.exit_requested = position.exit_requested or signal.reason
            pending = signal.side if wanted else None
            sma.note_signal(checkpoint, signal, rules=rules, pending=pending)
            self.books.save()
            names = ", ".join(each.trade_id for each in leaving)
            words = f"EXIT {names} at market ({signal.reason})"
            tell("exit_requested", words, symbol=signal.symbol, trades=names, reason=signal.reason)
        elif wanted:
            self.enter(signal, link_up=link_up, fresh=fresh)
        else:
            # Nothing to close and nothing to open, but the next cross is another one.
            sma.note_signal(checkpoint, signal, rules=rules, pending=None)
            self.books.save()

    def enter(self, signal: Signal, *, link_up: bool, fresh: bool) -> None:
        """Send the entry of a signal unless a limit forbids it."""
        checkpoint = self.books.checkpoint
        memory = checkpoint.memory(signal.symbol)
        setup = self.watchlist.setup(signal.symbol)
        block = check_entry(checkpoint, signal, memory=memory, rules=self.rules)
        if block is None and not link_up:
            block = Block("link_down", f"Entry blocked: {signal.symbol}: IBKR is away")
        if block is None and not fresh:
            words = f"Entry blocked: {signal.symbol}: the bar of {signal.bar_time:%H:%M:%S} is old"
            block = Block("late", words)
        if block is not None:
            if signal.resumed and block.name not in PASSING:
                # Not asked for again at every bar from here to the next cross.
                sma.note_signal(checkpoint, signal, rules=self.rules.sma, pending=None)
            self.count(block, signal)
        elif setup is not None:
            if signal.strategy == SMA:
                sma.note_signal(checkpoint, signal, rules=self.rules.sma, pending=None)
            self.orders.submit_bracket(signal, setup)

    def count(self, block: Block, signal: Signal) -> None:
        """Say and count what has kept a signal from being traded."""
        blocks = self.books.checkpoint.session.filter_blocks
        blocks[block.name] = blocks.get(block.name, 0) + 1
        facts = {"symbol": signal.symbol, "side": str(signal.side), "price": plain(signal.price)}
        tell("entry_blocked", block.words, level=logging.WARNING, block=block.name, **facts)


def has_traded_since(checkpoint: Checkpoint, symbol: str, moment: datetime) -> bool:
    """Tell whether a fill of a symbol that is booked came after a moment."""
    fills = checkpoint.executions.values()
    return any(each.symbol == symbol and each.time > moment for each in fills)


def begin_again(checkpoint: Checkpoint, symbol: str) -> None:
    """Forget what the bars of a symbol have taught, but not which of them were seen.

    They are so old that the volume, the averages and the level that they speak of are another
    market's.
    """
    memory = checkpoint.memory(symbol)
    checkpoint.breakouts[symbol] = BreakoutMemory(last_bar=memory.last_bar)
    checkpoint.bars[symbol] = []
    for key in [each for each in checkpoint.sma if sma.symbol_of(each) == symbol]:
        del checkpoint.sma[key]
