"""The log: plain lines on stderr, or one JSON object a line, each with the exchange's time.

The time is the bot's clock and not the machine's, so that the log of a replayed day reads
like the log of that day. `tell` is how a part of the bot says what happened: the words are for a
person, the event and its fields for a machine.
"""

import json
import logging
import sys
from pathlib import Path
from typing import assert_never

from target_trader.clock import Clock
from target_trader.errors import TraderError
from target_trader.settings import LogFormat

LOG = logging.getLogger("target_trader")
# What an event may not be overwritten by; a field of such a name is written as `field_time`.
RESERVED = frozenset({"time", "level", "event", "message", "logger", "exception"})


def tell(event: str, words: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log something that happened, for a person and for a machine.

    Args:
        event: what happened, `fill_booked`; one word per kind of event.
        words: the line that a person reads.
        level: how loud it is.
        fields: the facts, by name; what is not a string or a number is written with `str`.
    """
    LOG.log(level, "%s", words, extra={"event": event, "fields": fields})


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


class JsonFormatter(logging.Formatter):
    """Writes one JSON object: time, level, event, message, the event's fields.

    A line that was not told as an event has the event `log`; a library's line has its logger's
    name besides. An exception's traceback is in `exception`, so that an object is always one line.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Return the object; its time is ISO 8601 with New York's offset."""
        told = vars(record)
        line: dict[str, object] = {
            "time": self.clock.now().isoformat(),
            "level": record.levelname,
            "event": told.get("event", "log"),
            "message": record.getMessage(),
        }
        if record.name != LOG.name:
            line["logger"] = record.name
        fields: dict[str, object] = told.get("fields", {})
        for name, value in fields.items():
            line[f"field_{name}" if name in RESERVED else name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def formatter_of(kind: LogFormat, clock: Clock) -> logging.Formatter:
    """Make the formatter of a kind."""
    match kind:
        case LogFormat.TEXT:
            return ExchangeTimeFormatter(clock)
        case LogFormat.JSON:
            return JsonFormatter(clock)
        case _:
            assert_never(kind)


def start_logging(
    clock: Clock, *, kind: LogFormat = LogFormat.TEXT, file: Path | None = None
) -> None:
    """Send the bot's log, and the warnings of the libraries, to stderr and perhaps to a file.

    Args:
        clock: the bot's clock.
        kind: how a line is written.
        file: appended to besides stderr, in the same format.

    Raises:
        TraderError: the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        try:
            handlers.append(logging.FileHandler(file, encoding="utf-8"))
        except OSError as error:
            raise TraderError(f"the log file {file} cannot be written: {error}") from error
    for handler in handlers:
        handler.setFormatter(formatter_of(kind, clock))
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    # Every error of the broker comes to `events.py` as an event, and is judged and told there.
    for library in ("ib_insync", "ib_async"):
        logging.getLogger(f"{library}.wrapper").setLevel(logging.CRITICAL)
