"""A trader whose orderRefs hold the number of its process.

Within one life they are unique and found again; the next life makes others for the same trade. An
order that was not acknowledged when the bot died is then a stranger's order, and its fill a
stranger's position, which gets a second stop. (O05 in the catalogue of recovery bugs.)
"""

import os
from decimal import Decimal

from target_trader.__main__ import main
from target_trader.names import Leg, order_ref
from target_trader.orders import OrderDesk
from target_trader.recovery import Recovery
from target_trader.state.checkpoint import Intent, Position
from target_trader.trader import Trader


def name_of(trade_id: str, leg: Leg, *, ordinal: int = 1) -> str:
    """Name an order of this process."""
    return f"{os.getpid()}|{order_ref(trade_id, leg, ordinal=ordinal)}"


class NamesByProcess(OrderDesk):
    """The order desk with such names."""

    def intent(
        self, position: Position, leg: Leg, *, quantity: Decimal, ordinal: int = 1
    ) -> Intent:
        """Plan an order and name it."""
        intent = super().intent(position, leg, quantity=quantity, ordinal=ordinal)
        intent.order_ref = name_of(position.trade_id, leg, ordinal=ordinal)
        return intent


class Renames(Recovery):
    """A recovery that names again what the broker has not confirmed."""

    def open_books(self) -> None:
        """Take the state into force; the unconfirmed is looked for by its name of today."""
        super().open_books()
        for each in self.books.checkpoint.intents:
            if each.perm_id is None:
                each.order_ref = name_of(each.trade_id, each.leg, ordinal=each.ordinal)


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = Renames


if __name__ == "__main__":
    main(trader_class=Bot, orders_factory=NamesByProcess)
