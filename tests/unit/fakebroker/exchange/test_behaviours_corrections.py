"""Executions that change after the fact: behaviour 26 of section 0b."""

from decimal import Decimal

import pytest

from fakebroker.exchange.corrections import corrected_id
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import Commissioned, Filled, PositionChanged
from fakebroker.settings import BrokerSettings
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, fills

FIRST = "0000e0d5.67fe667b.01.01"


def desk_with_a_fill(shares: int = 100) -> Desk:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", shares)
    return desk


def test_a_correction_has_the_same_id_with_the_last_part_raised_and_replaces() -> None:
    desk = desk_with_a_fill()
    events = desk.exchange.correct(FIRST, Decimal(90), Decimal(101), now=desk.tick())
    filled, _, cost, position = events
    assert isinstance(filled, Filled)
    assert (filled.execution.exec_id, filled.corrects) == ("0000e0d5.67fe667b.01.02", FIRST)
    assert (filled.execution.shares, filled.execution.cum_qty) == amounts(90, 90)
    assert isinstance(cost, Commissioned)
    assert isinstance(position, PositionChanged)
    assert filled.position_after == position.quantity == desk.held() == 90
    assert [row.execution.exec_id for row in desk.exchange.executions()] == [
        "0000e0d5.67fe667b.01.02"
    ]
    assert desk.exchange.cash == Decimal(100_000) - 90 * 101 - 1


def test_a_correction_can_be_corrected_again() -> None:
    assert corrected_id("a.b.01.09") == "a.b.01.10"
    desk = desk_with_a_fill()
    desk.exchange.correct(FIRST, Decimal(90), Decimal(100), now=desk.tick())
    desk.exchange.correct(corrected_id(FIRST), Decimal(100), Decimal(99), now=desk.tick())
    assert [row.execution.exec_id[-2:] for row in desk.exchange.executions()] == ["03"]
    assert desk.exchange.cash == Decimal(100_000) - 9900 - 1


def test_what_later_executions_realised_follows_a_correction() -> None:
    desk = desk_with_a_fill()
    desk.price(110)
    desk.place(2, "SELL", 100)
    before = desk.exchange.executions()[1].realized_pnl
    desk.exchange.correct(FIRST, Decimal(100), Decimal(104), now=desk.tick())
    after = desk.exchange.executions()[1].realized_pnl
    assert (before, after) == amounts(998, 598)
    assert desk.exchange.positions()[0].realized_pnl == 598
    assert desk.exchange.cash == Decimal(100_598)


def test_a_corrected_order_keeps_its_status_and_has_filled_what_is_true_now() -> None:
    desk = desk_with_a_fill()
    desk.exchange.correct(FIRST, Decimal(90), Decimal(101), now=desk.tick())
    view = desk.view(1)
    assert (view.status.value, view.filled, view.avg_fill_price) == ("Filled", *amounts(90, 101))


def test_a_correction_that_fills_a_live_order_ends_it() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(4)))
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="100")
    desk.exchange.correct(FIRST, Decimal(10), Decimal(100), now=desk.tick())
    assert desk.status(1) == "Filled"
    assert fills(desk.price(99)) == []


@pytest.mark.parametrize(
    ("shares", "price"), [("0", "100"), ("1.5", "1"), ("NaN", "1"), ("1", "0")]
)
def test_a_correction_to_nonsense_is_refused(shares: str, price: str) -> None:
    desk = desk_with_a_fill()
    with pytest.raises(ExchangeError, match="cannot correct to"):
        desk.exchange.correct(FIRST, Decimal(shares), Decimal(price), now=desk.tick())


def test_a_correction_cannot_give_an_order_more_than_it_asked_for() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(4)))
    desk.price(100)
    desk.place(1, "BUY", 10, "LMT", limit_price="100")
    desk.cancel(1)
    # A cancelled order that had filled whole would be both.
    with pytest.raises(ExchangeError, match="can have 9 at most"):
        desk.exchange.correct(FIRST, Decimal(10), Decimal(100), now=desk.tick())
    assert desk.held() == 4


def test_an_unknown_execution_is_neither_corrected_nor_busted() -> None:
    desk = desk_with_a_fill()
    with pytest.raises(ExchangeError, match="no execution has id x"):
        desk.exchange.correct("x", Decimal(1), Decimal(1), now=desk.tick())
    with pytest.raises(ExchangeError, match="no execution has id x"):
        desk.exchange.bust("x", now=desk.tick())


def test_a_busted_execution_was_never_there() -> None:
    desk = desk_with_a_fill()
    desk.price(110)
    desk.place(2, "SELL", 40)
    second = desk.exchange.executions()[1].execution.exec_id
    events = desk.exchange.bust(second, now=desk.tick())
    assert changes(events) == [(2, "busted")]
    assert desk.held() == 100
    assert desk.exchange.cash == Decimal(100_000) - 10_000 - 1
    assert desk.exchange.positions()[0].realized_pnl == 0
    assert [row.execution.exec_id for row in desk.exchange.executions()] == [FIRST]
    assert (desk.status(2), desk.view(2).filled) == ("Filled", Decimal(0))


def test_a_position_that_a_bust_leaves_nothing_of_is_told_as_flat() -> None:
    desk = desk_with_a_fill()
    desk.exchange.bust(FIRST, now=desk.tick())
    [position] = desk.exchange.positions()
    assert (position.quantity, position.average_cost) == (Decimal(0), Decimal(0))


def test_a_live_order_fills_again_what_was_busted() -> None:
    desk = Desk(BrokerSettings(liquidity_per_bar=Decimal(4)))
    desk.price(100)
    desk.place(1, "BUY", 8, "LMT", limit_price="100")
    desk.exchange.bust(FIRST, now=desk.tick())
    desk.price(100)
    desk.price(100)
    assert desk.status(1) == "Filled"
    assert desk.held() == 8
