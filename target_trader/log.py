"""Plain lines on stderr, each with the exchange's time of day.

The time is the bot's clock and not the machine's, so that the log of a replayed day reads
like the log of that day.
"""

import logging
import sys

from target_trader.clock import Clock

LOG = logging.getLogger("target_trader")


class ExchangeTimeFormatter(logging.Formatter):
    """Puts the exchange time in front, and the level when it is not an information."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Return `10:05:50 message`."""
        text = super().format(record)
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        return f"{self.clock.now():%H:%M:%S} {level}{text}".rstrip()


def start_logging(clock: Clock) -> None:
    """Send the bot's log, and the warnings of the libraries, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ExchangeTimeFormatter(clock))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    # Every error of the broker comes to `events.py` as an event, and is judged and told there.
    logging.getLogger("ib_insync.wrapper").setLevel(logging.CRITICAL)
