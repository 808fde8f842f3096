"""A trader that counts an attempt when the broker has acknowledged it.

"What was refused was no attempt." But an entry that the broker has and has not acknowledged when
the bot dies is never counted, because the next life finds it working already; and so the level is
tried a third time. (O10 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.events import BrokerEvents
from target_trader.library import Trade
from target_trader.orders import Bracket, OrderDesk
from target_trader.picture import Picture
from target_trader.reconcile import Reconciled
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class CountsLater(OrderDesk):
    """The order desk, which does not count."""

    def remember(self, bracket: Bracket) -> None:
        """Remember the bracket without its attempt."""
        attempts = self.books.checkpoint.attempts
        attempts[bracket.attempt_key] = attempts.get(bracket.attempt_key, 0) - 1
        super().remember(bracket)


class CountsAcknowledged(BrokerEvents):
    """The broker's messages, of which the first about an entry counts it."""

    def on_open_order(self, trade: Trade) -> None:
        """Count an entry that is acknowledged for the first time."""
        attempts = self.books.checkpoint.attempts
        intent = self.books.checkpoint.intent_by_id(trade.order.orderId)
        if intent is not None and intent.attempt_key is not None and intent.unseen:
            attempts[intent.attempt_key] = attempts.get(intent.attempt_key, 0) + 1
        super().on_open_order(trade)


class KeepsItsCount(Recovery):
    """A recovery for which attempts are the bot's own affair."""

    def compare(self, picture: Picture) -> Reconciled:
        """Take everything from the broker but the count."""
        outcome = super().compare(picture)
        outcome.checkpoint.attempts = dict(self.books.checkpoint.attempts)
        return outcome


class Bot(Trader):
    """The reference bot with these parts."""

    events_type = CountsAcknowledged
    recovery_type = KeepsItsCount


if __name__ == "__main__":
    main(trader_class=Bot, orders_factory=CountsLater)
