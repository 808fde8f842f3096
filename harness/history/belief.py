"""What a bot says that it believes: the JSON object that its `state` command prints.

Every field has a default, so that a small bot can tell a little; a field that is None was not
told and is not judged. Fields that we do not know are left out.
"""

from decimal import Decimal

from pydantic import Field

from harness.values import Seen, Shares


class BelievedPosition(Seen):
    """One open position as the bot has it; `quantity` in shares, negative when short."""

    quantity: Shares
    entry_price: Decimal | None = None
    stop_price: Decimal | None = None
    partials: int | None = None
    status: str | None = None


class Intent(Seen):
    """An order that the bot means to send or has sent, as its durable record explains it."""

    order_ref: str
    leg: str = ""
    state: str = ""
    quantity: Decimal | None = None
    order_id: int | None = None
    perm_id: int | None = None


class Belief(Seen):
    """What the bot believes, as far as it tells.

    Attributes:
        positions: open positions by symbol; flat symbols are left out.
        attempts: attempts used, by "SYMBOL|SIDE|PIVOT".
        intents: every order of the day that the bot has a durable record of; None: not told.
        executions: ids of the executions that are booked; None: not told.
        realized_pnl: realised profit of the day in the account's currency; None: not told.
        trades_today: entries of the day; None: not told.
        halted: why the bot refuses to trade; None when it trades.
    """

    positions: dict[str, BelievedPosition] = Field(default_factory=dict)
    attempts: dict[str, int] = Field(default_factory=dict)
    intents: tuple[Intent, ...] | None = None
    executions: tuple[str, ...] | None = None
    realized_pnl: Decimal | None = None
    trades_today: int | None = None
    halted: str | None = None

    def quantity(self, symbol: str) -> Decimal:
        """Shares that the bot believes to hold of a symbol, negative when short."""
        position = self.positions.get(symbol)
        return Decimal(0) if position is None else position.quantity
