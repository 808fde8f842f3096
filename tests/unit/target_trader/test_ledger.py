"""Fills are booked once, whatever the broker repeats or corrects."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.clock import NEW_YORK
from target_trader.ledger import book, refold, unbook
from target_trader.names import IntentState, Leg, Side
from target_trader.picture import BrokerExecution
from target_trader.state.checkpoint import (
    Checkpoint,
    Intent,
    TradeStatus,
    new_checkpoint,
)
from tests.support.pictures import planned

NOW = datetime(2025, 10, 6, 10, 5, 50, tzinfo=NEW_YORK)
TRADE = "PS60|TSLA|L|20251006|1"


def day_with_bracket() -> Checkpoint:
    """Return the books right after the bracket was remembered."""
    checkpoint = new_checkpoint(date(2025, 10, 6), now=NOW)
    checkpoint.positions[TRADE] = planned(TRADE, at=NOW)
    for number, (leg, quantity) in enumerate(
        [(Leg.ENTRY, 100), (Leg.STOP, 100), (Leg.PARTIAL, 50)]
    ):
        checkpoint.intents.append(
            Intent(
                order_ref=f"{TRADE}|{leg}",
                trade_id=TRADE,
                leg=leg,
                symbol="TSLA",
                side=Side.LONG,
                action="BUY" if leg is Leg.ENTRY else "SELL",
                order_type="MKT",
                quantity=Decimal(quantity),
                order_id=10 + number,
                planned_at=NOW,
            )
        )
    return checkpoint


def fill(
    number: int,
    leg: str,
    shares: int,
    price: str,
    *,
    revision: int = 1,
    commission: str | None = None,
    realized: str | None = None,
) -> BrokerExecution:
    """Return the number-th execution of the day."""
    order = {"entry": 10, "stop": 11, "partial": 12}[leg]
    return BrokerExecution(
        exec_id=f"0000e0d5.67fe66{number:02d}.01.{revision:02d}",
        time=NOW + timedelta(seconds=number),
        symbol="TSLA",
        side="BOT" if leg == "entry" else "SLD",
        shares=Decimal(shares),
        price=Decimal(price),
        order_id=order,
        client_id=2001,
        perm_id=1000 + order,
        order_ref=f"{TRADE}|{leg}",
        commission=None if commission is None else Decimal(commission),
        realized_pnl=None if realized is None else Decimal(realized),
    )


def test_a_fill_makes_position_intent_and_counters_in_one_step() -> None:
    books = day_with_bracket()
    assert book(books, fill(1, "entry", 100, "445.25"))
    position = books.positions[TRADE]
    assert (position.shares, position.entry_price) == (Decimal(100), Decimal("445.25"))
    assert (position.status, position.remaining) == (TradeStatus.OPEN, Decimal(1))
    assert books.intents[0].state is IntentState.FILLED
    assert books.session.trades_today == 1


def test_the_same_fill_twice_is_booked_once() -> None:
    books = day_with_bracket()
    assert book(books, fill(1, "entry", 60, "445.25"))
    assert not book(books, fill(1, "entry", 60, "445.25"))
    assert books.positions[TRADE].shares == 60
    assert len(books.executions) == 1


def test_partial_fills_add_up_and_average() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 60, "445.00"))
    book(books, fill(2, "entry", 40, "446.00"))
    assert books.positions[TRADE].shares == 100
    assert books.positions[TRADE].entry_price == Decimal("445.40")
    assert books.session.trades_today == 1


def test_a_correction_replaces_what_it_corrects() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    assert book(books, fill(1, "entry", 90, "445.30", revision=2))
    assert (books.positions[TRADE].shares, books.positions[TRADE].entry_price) == (
        Decimal(90),
        Decimal("445.30"),
    )
    assert [each.exec_id[-2:] for each in books.executions.values()] == ["02"]


def test_the_corrected_fill_told_again_changes_nothing() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 90, "445.30", revision=2))
    assert not book(books, fill(1, "entry", 100, "445.25"))
    assert books.positions[TRADE].shares == 90


def test_the_partial_is_one_record_however_many_fills_it_took() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(2, "partial", 20, "447.13"))
    assert [each.shares for each in books.positions[TRADE].partials_taken] == [20]
    book(books, fill(3, "partial", 30, "447.23"))
    position = books.positions[TRADE]
    assert [(each.shares, each.price) for each in position.partials_taken] == [
        (Decimal(50), Decimal("447.19"))
    ]
    assert (position.status, position.open_shares) == (TradeStatus.PARTIAL, Decimal(50))
    assert position.remaining == Decimal("0.5")


def test_realised_pnl_is_the_distance_until_the_broker_tells_its_own() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(2, "stop", 100, "443.37"))
    assert books.session.daily_pnl == Decimal("-188.00")
    assert books.positions[TRADE].status is TradeStatus.CLOSED
    assert book(books, fill(2, "stop", 100, "443.37", commission="1.00", realized="-190.00"))
    assert books.session.daily_pnl == Decimal("-190.00")


def test_a_commission_that_is_known_is_not_forgotten_when_the_fill_is_told_without() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(2, "stop", 100, "443.37", commission="1.00", realized="-190.00"))
    assert not book(books, fill(2, "stop", 100, "443.37"))
    assert books.session.daily_pnl == Decimal("-190.00")


def test_a_short_trade_earns_when_price_falls() -> None:
    books = day_with_bracket()
    books.positions[TRADE].side = Side.SHORT
    for number, (side, price) in enumerate([("SLD", "432.00"), ("BOT", "430.00")]):
        book(books, replace(fill(number, "entry", 100, price), side=side))
    assert books.session.daily_pnl == 200
    assert books.positions[TRADE].open_shares == 0


def test_a_fill_of_somebody_else_is_noted_and_belongs_to_no_trade() -> None:
    books = day_with_bracket()
    stranger = BrokerExecution(
        exec_id="0000e0d5.1.01.01",
        time=NOW,
        symbol="TSLA",
        side="SLD",
        shares=Decimal(100),
        price=Decimal(444),
        order_id=0,
        client_id=0,
        perm_id=77,
        order_ref="",
    )
    book(books, stranger)
    assert [each.trade_id for each in books.executions.values()] == [""]
    assert books.positions[TRADE].closed_shares == 0


def test_a_fill_is_told_from_a_namesake_by_its_perm_id() -> None:
    books = day_with_bracket()
    lost = books.intents[0].model_copy(
        update={"order_id": 3, "perm_id": 555, "state": IntentState.LOST}
    )
    books.intents.insert(0, lost)
    book(books, fill(1, "entry", 100, "445.25"))
    assert [each.filled for each in books.intents[:2]] == [0, 100]
    assert books.intents[1].perm_id == 1010


@pytest.mark.parametrize(
    ("entered", "closed", "status"),
    [(75, 75, TradeStatus.CLOSED), (150, 50, TradeStatus.PARTIAL), (75, 0, TradeStatus.OPEN)],
)
def test_the_status_follows_from_the_entered_and_the_closed_shares(
    entered: int, closed: int, status: TradeStatus
) -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", entered, "445.25"))
    if closed:
        book(books, fill(2, "stop", closed, "447.25"))
    assert books.positions[TRADE].status is status


def test_the_days_counters_begin_at_the_reset() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(2, "stop", 100, "443.37", realized="-190.00"))
    assert (books.session.daily_pnl, books.session.trades_today) == (Decimal(-190), 1)
    books.session.reset_at = NOW + timedelta(minutes=1)
    refold(books)
    assert (books.session.daily_pnl, books.session.trades_today) == (Decimal(0), 0)
    books.session.reset_at = NOW
    refold(books)
    assert (books.session.daily_pnl, books.session.trades_today) == (Decimal(-190), 1)


def test_a_trade_that_was_opened_before_the_reset_is_no_trade_of_the_session() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 60, "445.25"))
    books.session.reset_at = NOW + timedelta(minutes=1)
    book(books, replace(fill(2, "entry", 40, "445.25"), time=NOW + timedelta(minutes=2)))
    assert books.session.trades_today == 0


def test_the_brokers_profit_counts_whoever_gave_the_order() -> None:
    books = day_with_bracket()
    stranger = replace(fill(1, "stop", 5, "444", realized="-12.50"), order_ref="", perm_id=77)
    book(books, stranger)
    assert books.session.daily_pnl == Decimal("-12.50")


def test_a_realised_profit_is_not_forgotten_when_only_the_commission_is_told_again() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(2, "stop", 100, "443.37", commission="1.00", realized="-190.00"))
    assert not book(books, fill(2, "stop", 100, "443.37", commission="1.00"))
    assert books.session.daily_pnl == Decimal("-190.00")


def test_an_execution_that_is_unbooked_leaves_nothing_behind() -> None:
    books = day_with_bracket()
    before = books.model_copy(deep=True)
    book(books, fill(1, "entry", 40, "445.25"))
    unbook(books, list(books.executions))
    assert books.positions == before.positions
    assert (books.session, books.executions) == (before.session, {})
    assert books.intents[0].filled == 0


def test_a_correction_to_no_shares_is_no_fill_and_no_trade() -> None:
    books = day_with_bracket()
    book(books, fill(1, "entry", 100, "445.25"))
    book(books, fill(1, "entry", 0, "445.25", revision=2))
    position = books.positions[TRADE]
    assert (position.status, books.session.trades_today) == (TradeStatus.PENDING, 0)
