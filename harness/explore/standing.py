"""What the broker had at each moment of a run: positions, and which of the bot's orders worked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from harness.history import History, OrderRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """What the broker has.

    Attributes:
        positions: shares by symbol, negative when short; flat ones are left out.
        working: legs of the working orders ("stop"); of orders without a ref their types.
    """

    positions: tuple[tuple[str, Decimal], ...] = ()
    working: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether nothing is held."""
        return not self.positions


@dataclass(frozen=True, slots=True)
class Moment:
    """From this event on the broker has this."""

    seq: int
    time: datetime
    standing: Standing


def standings_of(history: History) -> tuple[Moment, ...]:
    """The changes of what the broker has, in their order."""
    positions: dict[str, Decimal] = {}
    orders: dict[int, OrderRecord] = {}
    fills = {fill.seq: fill for fill in history.fills}
    records = {record.seq: record for record in history.orders}
    moments: list[Moment] = []
    for event in history.events:
        if event.seq in fills:
            positions[fills[event.seq].symbol] = fills[event.seq].position_after
        elif event.seq in records:
            orders[records[event.seq].perm_id] = records[event.seq]
        elif moments:
            continue
        moments.append(Moment(event.seq, event.time, standing_of(positions, orders)))
    return tuple(moments)


def standing_of(positions: Mapping[str, Decimal], orders: Mapping[int, OrderRecord]) -> Standing:
    """What positions and orders come to."""
    held = tuple(sorted((symbol, shares) for symbol, shares in positions.items() if shares))
    legs = sorted(
        order.leg or order.order_type
        for order in orders.values()
        if not order.done and order.transmitted
    )
    return Standing(positions=held, working=tuple(dict.fromkeys(legs)))
