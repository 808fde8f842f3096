"""What the broker owes for later: things that become due at an exchange time.

IB's position and account pages lag the fill, and a commission may come late (tws-protocol.md
sections 3.5 and 0b.15). Each such debt is a value in one queue, ordered by time and then by the
order in which it was made, so that the same inputs pay the same debts in the same order.
"""

import heapq
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AccountNews:
    """Positions, portfolio and account values of one contract are to be told to subscribers."""

    con_id: int


@dataclass(frozen=True, slots=True)
class CommissionNews:
    """The commission of an execution is to be told to the client whose order it was."""

    exec_id: str


@dataclass(frozen=True, slots=True)
class ClientIdFree:
    """The id of a client that vanished may be used again."""

    client_id: int


Debt = AccountNews | CommissionNews | ClientIdFree


class DebtQueue:
    """Debts in the order in which they fall due."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Debt]] = []
        self._made = 0

    def owe(self, debt: Debt, due: datetime) -> None:
        """Remember a debt that falls due at `due`."""
        self._made += 1
        heapq.heappush(self._heap, (due, self._made, debt))

    def next_due(self) -> datetime | None:
        """Return when the first debt falls due."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Debt:
        """Remove the first debt and return it."""
        return heapq.heappop(self._heap)[2]
