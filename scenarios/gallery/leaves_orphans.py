"""A trader that cancels the exits of a position when it hears that the position is closed.

Live it does. A position that is closed by hand while the bot is dead leaves no trade to look after:
the stop and the profit exit of it go on working, and the next touch of either opens a position that
nobody wanted. (R04 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.orders import OrderDesk
from target_trader.state.checkpoint import Position
from target_trader.strategy.exits import Action, Cancel


class LooksAfterPositions(OrderDesk):
    """The order desk that acts for what is held."""

    def perform(self, position: Position | None, actions: tuple[Action, ...]) -> None:
        """Carry out the steps, but cancel nothing for a position that is no more."""
        if position is None or position.open_shares == 0:
            actions = tuple(each for each in actions if not isinstance(each, Cancel))
        super().perform(position, actions)


if __name__ == "__main__":
    main(orders_factory=LooksAfterPositions)
