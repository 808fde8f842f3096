"""A trader that trades as soon as it is connected and asks afterwards.

It connects without waiting for positions, orders and executions, which saves a second, takes its
own state for the truth and asks the broker after the grace period. A breakout in between is traded
as if nothing had happened while it was dead. (R08 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.gateway import Gateway
from target_trader.recovery import Recovery
from target_trader.trader import Trader


class ConnectsFast(Gateway):
    """The connection without its first questions."""

    async def connect(self) -> None:
        """Log in, nothing else."""
        await self.ib.client.connectAsync(self.host, self.port, clientId=self.client_id)


class AsksLater(Recovery):
    """A recovery that can wait."""

    async def settle(self, *, first: bool) -> None:
        """Ask the broker, but not at once."""
        if first:
            self.questions.ask_later("the bot has been started")
        else:
            await super().settle(first=False)


class Bot(Trader):
    """The reference bot with these parts."""

    gateway_type = ConnectsFast
    recovery_type = AsksLater


if __name__ == "__main__":
    main(trader_class=Bot)
