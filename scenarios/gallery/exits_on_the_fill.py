"""A trader whose exits follow the fills that it hears.

When half is sold it moves the stop to the entry, and that is the only moment at which it does. A
partial exit that fills and is not heard of leaves the stop at the loss. (R01 in the catalogue of
recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.trader import Trader


class Bot(Trader):
    """The reference bot, which looks at its exits when something was filled and not before."""

    def manage(self, symbol: str, *, tidy: bool = True) -> None:
        """Follow a fill (`tidy` is False then)."""
        if not tidy:
            super().manage(symbol, tidy=True)


if __name__ == "__main__":
    main(trader_class=Bot)
