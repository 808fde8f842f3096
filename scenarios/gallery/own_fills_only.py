"""A trader that asks for the fills of its own client id.

The filter looks tidy and hides what a person does in TWS. When the position was closed by hand
while the bot was dead, it sees that the shares are gone and not what they were sold for: the day's
loss is missing from the day's loss. (F07 in the catalogue of recovery bugs.)
"""

from collections.abc import Awaitable, Sequence

from target_trader.__main__ import main
from target_trader.gateway import Gateway
from target_trader.library import Fill
from target_trader.trader import Trader


class AsksForItsOwn(Gateway):
    """The connection with a filter in the question."""

    def executions(self) -> Awaitable[Sequence[Fill]]:
        """Ask for the executions of this client."""
        return self.own()

    async def own(self) -> Sequence[Fill]:
        """Leave out those of other clients."""
        fills = await super().executions()
        return [each for each in fills if each.execution.clientId == self.client_id]


class Bot(Trader):
    """The reference bot with that connection."""

    gateway_type = AsksForItsOwn


if __name__ == "__main__":
    main(trader_class=Bot)
