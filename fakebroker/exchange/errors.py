"""What goes wrong at the exchange through whoever drives it, never through a client.

A client's mistake is an event (`Refused`): the protocol has words for it. These are for the side
door, for callers and for bugs.
"""


class ExchangeError(Exception):
    """The exchange was asked for something impossible; the message says what and what would do."""


class TransitionError(Exception):
    """An order met an event that its stage has no row for: a bug in the exchange."""
