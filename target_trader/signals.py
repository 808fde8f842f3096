"""From bar to entry: the memory is stepped, the limits are asked, the bracket is sent."""

from target_trader.books import Books
from target_trader.log import LOG
from target_trader.orders import OrderDesk
from target_trader.risk import check_entry, is_flat
from target_trader.settings import Rules, Watchlist
from target_trader.state.checkpoint import BarRecord
from target_trader.strategy.breakout import Signal, mean_volume, step

VOLUME_WINDOW = 20


class SignalDesk:
    """Keeps bars and memories of the watched symbols and trades what they say."""

    def __init__(
        self, books: Books, orders: OrderDesk, *, watchlist: Watchlist, rules: Rules
    ) -> None:
        self.books = books
        self.orders = orders
        self.watchlist = watchlist
        self.rules = rules

    def take(self, symbol: str, bar: BarRecord) -> Signal | None:
        """Take a bar into the symbol's buffer and memory; return the signal that it gives."""
        setup = self.watchlist.setup(symbol)
        if setup is None:
            return None
        checkpoint = self.books.checkpoint
        memory = checkpoint.memory(symbol)
        buffer = checkpoint.bars.setdefault(symbol, [])
        if memory.last_bar is not None and bar.time <= memory.last_bar:
            return None
        signal = step(
            memory,
            bar,
            setup=setup,
            rules=self.rules,
            mean_volume=mean_volume(buffer, window=VOLUME_WINDOW),
            flat=is_flat(checkpoint, symbol),
        )
        buffer.append(bar)
        del buffer[: -self.rules.bars_kept]
        return signal

    def consider(self, signal: Signal, *, link_up: bool) -> None:
        """Trade a signal unless a limit forbids it."""
        checkpoint = self.books.checkpoint
        memory = checkpoint.memory(signal.symbol)
        block = check_entry(checkpoint, signal, memory=memory, rules=self.rules)
        setup = self.watchlist.setup(signal.symbol)
        if block is not None:
            blocks = checkpoint.session.filter_blocks
            blocks[block.name] = blocks.get(block.name, 0) + 1
            LOG.warning("%s", block.words)
        elif not link_up:
            LOG.warning("Entry blocked: %s: IBKR is away", signal.symbol)
        elif setup is not None:
            self.orders.submit_bracket(signal, setup)
