"""A trader that makes up a fill for what it finds at the broker.

Its state keeps positions and no executions, so after a restart nothing explains what is held: it
infers a fill of that size, and the next restart infers another one. The real fill then comes from
the broker's list, and is booked as well. (R15 in the catalogue of recovery bugs.)
"""

from dataclasses import replace

from target_trader.__main__ import main
from target_trader.picture import BrokerExecution, BrokerPosition, Picture
from target_trader.reconcile import Reconciled
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class Infers(Recovery):
    """A recovery that explains."""

    inferred = False

    def compare(self, picture: Picture) -> Reconciled:
        """Add a fill for each position, once a life."""
        if not self.inferred and self.resumed:
            fills = tuple(self.fill_of(each) for each in picture.positions)
            picture = replace(picture, executions=picture.executions + fills)
        self.inferred = True
        return super().compare(picture)

    def fill_of(self, position: BrokerPosition) -> BrokerExecution:
        """Make up the fill that made a position."""
        now = self.books.clock.now()
        return BrokerExecution(
            exec_id=f"inferred.{now:%H%M%S}.01",
            time=now,
            symbol=position.symbol,
            side="BOT" if position.quantity > 0 else "SLD",
            shares=abs(position.quantity),
            price=position.average_cost,
            order_id=0,
            client_id=self.options.client_id,
            perm_id=0,
            order_ref="",
        )


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = Infers


if __name__ == "__main__":
    main(trader_class=Bot)
