"""The quote and the ticks that tell it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fakebroker.market.tape import Bar, Halt
from fakebroker.marketdata.quotes import Quote, quote_of, quote_ticks
from fakebroker.marketdata.record import Record, StockRecord
from fakebroker.protocol.market_replies import TickGeneric, TickPrice
from fakebroker.settings import BrokerSettings

CENT = Decimal("0.01")
START = datetime(2025, 10, 6, 14, tzinfo=UTC)
SETTINGS = BrokerSettings()


def bar(close: int, start: datetime = START) -> Bar:
    price = Decimal(close)
    return Bar("TSLA", start, price, price, price, price, Decimal(100))


def quote(record: Record) -> Quote:
    return quote_of(record.stock("TSLA"), SETTINGS, CENT)


def test_nothing_is_known_before_anything_was_played() -> None:
    assert quote(Record()) == Quote()
    assert [type(tick) for tick in quote_ticks(1, Quote(), None, delayed=False)] == [TickGeneric]


def test_without_a_tape_the_price_is_the_settings() -> None:
    settings = BrokerSettings(price_without_tape=Decimal(50))
    found = quote_of(StockRecord(), settings, CENT)
    assert (found.bid, found.ask, found.last) == (Decimal(50), Decimal("50.01"), Decimal(50))


def test_the_close_is_that_of_the_day_before() -> None:
    record = Record()
    record.note(bar(10))
    record.note(bar(12, START + timedelta(seconds=5)))
    assert quote(record).close == 10
    record.note(bar(11, START + timedelta(days=1)))
    found = quote(record)
    assert (found.close, found.open, found.high) == (Decimal(12), Decimal(11), Decimal(11))
    assert found.volume == 100


def test_an_equal_quote_is_not_told_again() -> None:
    record = Record()
    record.note(bar(10))
    found = quote(record)
    assert list(quote_ticks(1, found, found, delayed=False)) == []


def test_only_what_changed_is_told() -> None:
    record = Record()
    record.note(bar(10))
    found = quote(record)
    changed = replace(found, high=Decimal(11))
    assert list(quote_ticks(1, changed, found, delayed=False)) == [TickPrice(1, 6, Decimal(11))]


def test_a_halt_takes_the_quote_away_and_is_told() -> None:
    record = Record()
    record.note(bar(10))
    before = quote(record)
    record.note(Halt("TSLA", START, halted=True))
    found = quote(record)
    ticks = list(quote_ticks(1, found, before, delayed=False))
    assert TickGeneric(1, 49, Decimal(1)) in ticks
    assert [tick.price for tick in ticks if isinstance(tick, TickPrice)] == [None, None]


def test_a_copy_of_the_record_goes_its_own_way() -> None:
    record = Record()
    record.note(bar(10))
    other = record.copy()
    record.note(bar(12, START + timedelta(seconds=5)))
    assert quote(other).last == 10
    assert len(other.stock("TSLA").bars) == 1
