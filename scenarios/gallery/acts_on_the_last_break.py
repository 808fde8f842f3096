"""A trader that remembers the last break and, only in memory, that it has acted on it.

When it starts it looks whether there is a break that it has not traded yet, so that none is missed
by a restart. There always is: the last one. It was bought, it was stopped out while the bot was
dead, and it is bought again. (O17 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.settings import Setup
from target_trader.signals import SignalDesk
from target_trader.strategy.breakout import signal_of
from target_trader.strategy.signal import Signal
from target_trader.trader import Trader


class Acts(SignalDesk):
    """The desk of the signals, which looks back."""

    acted: frozenset[Signal] = frozenset()

    def consider(self, signal: Signal, *, link_up: bool, fresh: bool = True) -> None:
        """Trade a signal, and remember that."""
        self.acted |= {signal}
        super().consider(signal, link_up=link_up, fresh=fresh)

    def look_back(self, setup: Setup) -> None:
        """Trade the last break of a symbol, if the last bar was one."""
        bars = self.books.checkpoint.bars.get(setup.symbol)
        breakout = self.books.checkpoint.memory(setup.symbol).breakout
        if bars and breakout is not None and breakout.bar_time == bars[-1].time:
            signal = signal_of(breakout, bars[-1], setup=setup)
            if signal not in self.acted:
                self.consider(signal, link_up=True)


class Bot(Trader):
    """The reference bot with that desk."""

    signals_type = Acts
    signals: Acts

    def resume(self) -> None:
        """Go on, with what was missed first."""
        super().resume()
        for setup in self.options.watchlist.setups:
            self.signals.look_back(setup)


if __name__ == "__main__":
    main(trader_class=Bot)
