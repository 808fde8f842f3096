"""A trader that places its stop when it hears of the fill.

The entry goes out alone, and the exits follow every fill that is told. A fill that happens while
the bot is dead is never told as one: the position is found and has no stop. (R01 in the catalogue
of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.names import Leg
from target_trader.orders import OrderDesk
from target_trader.state.checkpoint import Intent, Position
from target_trader.trader import Trader


class EntersAlone(OrderDesk):
    """The order desk without children."""

    def bracket_intents(self, position: Position, *, key: str) -> tuple[Intent, ...]:
        """Plan the entry only."""
        planned = super().bracket_intents(position, key=key)
        return tuple(each for each in planned if each.leg is Leg.ENTRY)


class Bot(Trader):
    """The reference bot, which looks at its exits when something was filled and not before."""

    def manage(self, symbol: str, *, tidy: bool = True) -> None:
        """Follow a fill (`tidy` is False then)."""
        if not tidy:
            super().manage(symbol, tidy=True)


if __name__ == "__main__":
    main(trader_class=Bot, orders_factory=EntersAlone)
