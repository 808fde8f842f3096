"""A trader that writes its intent down after it has sent the order.

It looks right and passes every test that does not crash it: the order goes out, the intent is on
disk a millisecond later. Killed inside that millisecond it wakes up with no memory of an order that
the broker has, and at the next bar it may buy again. (O01 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.orders import OrderDesk
from target_trader.settings import Setup
from target_trader.strategy.signal import Signal


class SendsFirst(OrderDesk):
    """The order desk with two lines in the wrong order."""

    def submit_bracket(self, signal: Signal, setup: Setup) -> None:
        """Send the bracket, then remember it."""
        bracket = self.plan_bracket(signal, setup)
        self.transmit(bracket)
        self.remember(bracket)


if __name__ == "__main__":
    main(orders_factory=SendsFirst)
