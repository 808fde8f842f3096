"""The log: a line for a person, an object for a machine, the exchange's time in both."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.clock import NEW_YORK, MarketClock
from target_trader.errors import TraderError
from target_trader.log import LOG, ExchangeTimeFormatter, JsonFormatter, start_logging, tell
from target_trader.settings import LogFormat

NOON = datetime(2025, 10, 6, 12, 0, 5, tzinfo=NEW_YORK)


@pytest.fixture
def clock() -> MarketClock:
    """A clock that stands at noon of a day long gone."""
    clock = MarketClock()
    clock.advance(NOON)
    return clock


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    """Give the root logger back its handlers."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers, root.level = handlers, level


def lines(text: str) -> list[dict[str, object]]:
    """Read a log of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_has_exchange_time_level_event_message_and_the_fields(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock, kind=LogFormat.JSON)
    tell("fill_booked", "FILL BOT 100", symbol="TSLA", shares=Decimal(100), price=Decimal("1.50"))
    assert lines(capsys.readouterr().err) == [
        {
            "time": "2025-10-06T12:00:05-04:00",
            "level": "INFO",
            "event": "fill_booked",
            "message": "FILL BOT 100",
            "symbol": "TSLA",
            "shares": "100",
            "price": "1.50",
        }
    ]


def test_the_same_event_is_a_plain_line_in_the_text_format(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock)
    tell("fill_booked", "FILL BOT 100", symbol="TSLA")
    tell("failed", "no disk", level=logging.ERROR)
    assert capsys.readouterr().err == "12:00:05 FILL BOT 100\n12:00:05 ERROR: no disk\n"


def test_a_field_never_overwrites_what_every_line_has(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock, kind=LogFormat.JSON)
    tell("late", "words", time="yesterday", exception="none")
    (line,) = lines(capsys.readouterr().err)
    assert line["time"] == "2025-10-06T12:00:05-04:00"
    assert line["field_time"] == "yesterday"
    assert line["field_exception"] == "none"


def test_an_exception_stays_inside_its_one_line(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock, kind=LogFormat.JSON)
    try:
        dict[str, int]()["TSLA"]
    except KeyError:
        LOG.exception("lost\nin two lines")
    (line,) = lines(capsys.readouterr().err)
    assert line["event"] == "log"
    assert line["message"] == "lost\nin two lines"
    assert "KeyError: 'TSLA'" in str(line["exception"])


def test_a_library_s_warning_names_its_logger_and_its_broker_errors_are_left_to_the_bot(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock, kind=LogFormat.JSON)
    for library in ("ib_insync", "ib_async"):
        logging.getLogger(f"{library}.wrapper").error("Error 201")
        logging.getLogger(f"{library}.client").error("Peer closed connection")
    told = lines(capsys.readouterr().err)
    assert [each["logger"] for each in told] == ["ib_insync.client", "ib_async.client"]


def test_a_log_file_gets_what_stderr_gets_and_keeps_what_it_had(
    clock: MarketClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trader.log"
    file.write_text("before\n")
    start_logging(clock, file=file)
    tell("started", "Grüße")
    assert file.read_text() == "before\n12:00:05 Grüße\n"
    assert capsys.readouterr().err == "12:00:05 Grüße\n"


def test_a_log_file_that_cannot_be_written_is_the_user_s_to_mend(
    clock: MarketClock, tmp_path: Path
) -> None:
    with pytest.raises(TraderError, match=r"log file .*none/trader\.log cannot be written"):
        start_logging(clock, file=tmp_path / "none" / "trader.log")


def test_every_formatter_takes_a_record_that_was_not_told(clock: MarketClock) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s=%s", ("a", 1), None)
    assert ExchangeTimeFormatter(clock).format(record) == "12:00:05 a=1"
    assert json.loads(JsonFormatter(clock).format(record))["message"] == "a=1"


def test_nothing_is_written_to_stdout(
    clock: MarketClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(clock, kind=LogFormat.JSON)
    tell("started", "hello")
    assert capsys.readouterr().out == ""
