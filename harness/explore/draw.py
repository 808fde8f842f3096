"""From a seed to a list of named choices.

The seed makes the list and is then done with: the case keeps what was chosen, not how. Seed 0 is
the plain choice (orders fill in one piece, ids as the broker gives them by default).
"""

import random

from pydantic import Field

from fakebroker.settings import BrokerSettings
from harness.values import Value

PLAIN = BrokerSettings()
SPLITS: tuple[tuple[int, ...], ...] = (
    (),
    (60, 40),
    (1, 99),
    (33, 33, 34),
    (99, 1),
    (50, 50),
    (1, 1, 1, 97),
)


class Choices(Value):
    """What a scenario may vary without changing its story.

    Attributes:
        seed: where the choices come from, for the record; 0 for the plain ones.
        fill_split: sizes, in shares, that a market order is executed in; () is in one piece.
        first_order_id: the first id that the broker offers to a client.
        first_perm_id: the first permanent id that the broker gives to an order.
    """

    seed: int = Field(default=0, ge=0)
    fill_split: tuple[int, ...] = ()
    first_order_id: int = Field(default=PLAIN.first_order_id, ge=1)
    first_perm_id: int = Field(default=PLAIN.first_perm_id, ge=1)

    def settings(self, base: BrokerSettings = PLAIN) -> BrokerSettings:
        """The broker's settings with these choices in place of its own."""
        chosen = self.model_dump(exclude={"seed"})
        return BrokerSettings.model_validate({**base.model_dump(), **chosen})


def draw(seed: int) -> Choices:
    """Draw the choices of a seed; the same seed always gives the same choices."""
    if seed == 0:
        return Choices()
    source = random.Random(seed)
    return Choices(
        seed=seed,
        fill_split=source.choice(SPLITS),
        first_order_id=source.choice((1, 2, 17, 1_000, 2**30)),
        first_perm_id=source.randrange(1_000_001, 2_000_000_000),
    )
