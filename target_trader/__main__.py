"""`python -m target_trader`: the reference bot, and what a bot broken on purpose begins with.

from target_trader.__main__ import main
from target_trader.orders import OrderDesk

class SendsFirst(OrderDesk):
    def submit_bracket(self, signal, setup):
        bracket = self.plan_bracket(signal, setup)
        self.transmit(bracket)
        self.remember(bracket)

if __name__ == "__main__":
    main(orders_factory=SendsFirst)
"""

from target_trader.command_line import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
