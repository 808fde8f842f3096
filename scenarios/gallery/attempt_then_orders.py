"""A trader that saves the attempt first and the orders of it after that.

Two transactions for one decision. Killed between them, the level has lost an attempt for which no
order was ever planned, nobody gives it back, and the break that it was for is not taken any more.
(S15 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.failpoints import failpoint
from target_trader.orders import Bracket, OrderDesk
from target_trader.settings import Setup
from target_trader.strategy.signal import Signal


class SavesTwice(OrderDesk):
    """The order desk with a save for each table."""

    def submit_bracket(self, signal: Signal, setup: Setup) -> None:
        """Save the attempt, save the orders, send."""
        if self.is_forbidden(signal.symbol):
            return
        bracket = self.plan_bracket(signal, setup)
        attempts = self.books.checkpoint.attempts
        attempts[bracket.attempt_key] = attempts.get(bracket.attempt_key, 0) + 1
        self.books.save()
        failpoint("intents.before_save")
        self.remember_orders(bracket)
        self.transmit(bracket)

    def remember_orders(self, bracket: Bracket) -> None:
        """Make trade and intents durable."""
        checkpoint = self.books.checkpoint
        bracket.position.order_ids = {each.leg.value: each.order_id for each in bracket.intents}
        checkpoint.positions[bracket.position.trade_id] = bracket.position
        checkpoint.intents.extend(bracket.intents)
        self.books.save()
        failpoint("intents.saved")


if __name__ == "__main__":
    main(orders_factory=SavesTwice)
