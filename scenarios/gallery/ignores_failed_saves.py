"""A trader that logs a save that failed, and goes on.

The database is locked or its Redis is down for a few seconds; the bot sends its orders all the same
and means to save them the next time. Killed before that, it knows nothing of orders that the broker
has. (S06 in the catalogue of recovery bugs.)
"""

import logging

from target_trader.__main__ import main
from target_trader.books import Books
from target_trader.log import tell
from target_trader.trader import Trader


class Careless(Books):
    """The books, which are open whether or not they are durable."""

    def save(self) -> None:
        """Save if it can be done."""
        try:
            super().save()
        except OSError as error:
            tell("save_failed", f"The state is not saved: {error}", level=logging.ERROR)


class Unsaved(Trader):
    """The trader with these books."""

    books_type = Careless


if __name__ == "__main__":
    main(trader_class=Unsaved)
