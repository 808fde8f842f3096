"""A trader that cancels the other exits itself and does not leave it to the broker.

Its exits are in no OCA group: when one has filled, the bot cancels the rest. While it is dead
nobody does. The stop sells what is left, the price turns, and the target sells it again: short.
(R05 in the catalogue of recovery bugs.)
"""

from decimal import Decimal

from target_trader.__main__ import main
from target_trader.names import Leg
from target_trader.orders import OrderDesk
from target_trader.state.checkpoint import Intent, Position


class GroupsNothing(OrderDesk):
    """The order desk without OCA groups."""

    def intent(
        self, position: Position, leg: Leg, *, quantity: Decimal, ordinal: int = 1
    ) -> Intent:
        """Plan an order that stands alone."""
        intent = super().intent(position, leg, quantity=quantity, ordinal=ordinal)
        intent.oca_group = ""
        return intent


if __name__ == "__main__":
    main(orders_factory=GroupsNothing)
