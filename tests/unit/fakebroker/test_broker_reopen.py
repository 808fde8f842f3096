"""What a broker makes of books that an earlier process kept."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fakebroker.broker import Broker
from fakebroker.durable import Durable
from fakebroker.exchange.exchange import Exchange
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms
from tests.support.brokers import CLOSES, tape_text

NOON = datetime(2025, 10, 6, 16, 0, tzinfo=UTC)
TAPE = parse_tape(tape_text(), name="tape")


def kept_books(settings: BrokerSettings) -> Durable:
    """Return books with a fill, a DAY order and a GTC order."""
    exchange = Exchange(settings)
    for order_id, (kind, price, tif) in enumerate(
        [("MKT", None, "DAY"), ("LMT", Decimal(80), "DAY"), ("LMT", Decimal(70), "GTC")], start=1
    ):
        terms = OrderTerms(Action.BUY, Decimal(1), kind, limit_price=price, tif=tif)
        exchange.place(1, order_id, Contract("TSLA"), terms, now=NOON)
    return Durable(NOON, 0, exchange.book)


@pytest.mark.parametrize(
    ("later", "executions", "statuses"),
    [
        (timedelta(minutes=5), 1, ["Filled", "Submitted", "Submitted"]),
        (timedelta(days=1), 0, ["Cancelled", "Submitted"]),
    ],
)
def test_orders_of_the_day_end_with_it_and_its_executions_are_gone_the_next_day(
    later: timedelta, executions: int, statuses: list[str]
) -> None:
    settings = BrokerSettings(price_without_tape=Decimal(100))
    broker = Broker(settings, Market(), start=NOON + later, journal=Journal(list[str]().append))

    broker.reopen(kept_books(settings))

    books = broker.books(broker.now)
    assert broker.now == NOON + later
    assert len(books.executions) == executions
    assert [order.status for order in books.orders] == statuses


def test_the_tape_goes_on_after_what_was_played_and_time_never_goes_back() -> None:
    settings = BrokerSettings()
    start = TAPE.bars[0].time
    broker = Broker(settings, Market(TAPE), start=start, journal=Journal(list[str]().append))
    kept = Durable(start + 4 * TAPE.period, 3, Exchange(settings).book)

    broker.reopen(kept)

    assert (broker.now, broker.bars_played) == (kept.now, 3)
    assert broker.bars_left == len(CLOSES) - 3
    assert broker.step()[0].time == kept.now
