"""What of a broker outlives its process: the books, the place on the tape, the time.

Sessions, subscriptions, the client id table and legs that wait for transmit=1 live in the gateway
and die with it (tws-protocol.md sections 3.3 and 3.10). How this gets to a disk is not known here.
"""

from dataclasses import dataclass
from datetime import datetime

from fakebroker.exchange.book import Book


@dataclass(frozen=True, slots=True)
class Durable:
    """The state to keep. `book` may be the living one: whoever gets it reads and lets go."""

    now: datetime
    """Exchange time, aware."""
    market_cursor: int
    """How many things of the tape have been told (`Market.cursor`)."""
    book: Book
