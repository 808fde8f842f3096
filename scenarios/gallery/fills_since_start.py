"""A trader that asks for the fills since it was started.

What is older it has booked already, it thinks. A fill of the time in which it was dead is older
than the start and is never booked: the position follows the broker's, and the day's loss does not.
(F06 in the catalogue of recovery bugs.)
"""

from collections.abc import Awaitable, Sequence

from target_trader.__main__ import main
from target_trader.gateway import Gateway
from target_trader.library import Fill
from target_trader.trader import Trader


class AsksSinceStart(Gateway):
    """The connection with a filter in the question."""

    async def connect(self) -> None:
        """Connect and note which fills are old."""
        await super().connect()
        self.old = {each.execution.execId for each in self.ib.fills()}

    def executions(self) -> Awaitable[Sequence[Fill]]:
        """Ask for the executions that are new."""
        return self.since_start()

    async def since_start(self) -> Sequence[Fill]:
        """Leave out what happened before the connection."""
        fills = await super().executions()
        return [each for each in fills if each.execution.execId not in self.old]


class Bot(Trader):
    """The reference bot with that connection."""

    gateway_type = AsksSinceStart


if __name__ == "__main__":
    main(trader_class=Bot)
