"""Several accounts under one login."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from fakebroker.exchange.events import PositionChanged
from fakebroker.settings import BrokerSettings, ExtraAccount
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, refusals

FIRST, SECOND = "DU1234567", "DU7654321"
TWO = BrokerSettings(accounts=(ExtraAccount(account=SECOND, cash=Decimal(5000)),))


def desk_at(price: int = 100) -> Desk:
    desk = Desk(TWO)
    desk.price(price)
    return desk


def test_each_account_has_cash_and_positions_of_its_own() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, account=FIRST)
    events = desk.place(2, "BUY", 20, account=SECOND)
    assert desk.exchange.managed_accounts() == (FIRST, SECOND)
    assert desk.exchange.cash == desk.exchange.cash_of(FIRST) == 98_999
    assert desk.exchange.cash_of(SECOND) == 2999
    held = [(row.account, row.quantity) for row in desk.exchange.positions()]
    assert held == [(FIRST, Decimal(10)), (SECOND, Decimal(20))]
    told = [event for event in events if isinstance(event, PositionChanged)]
    assert [(event.account, event.quantity) for event in told] == [(SECOND, Decimal(20))]
    assert [row.execution.account for row in desk.exchange.executions()] == [FIRST, SECOND]


def test_margin_is_that_of_the_orders_own_account() -> None:
    desk = desk_at()
    assert changes(desk.place(1, "BUY", 300, account=SECOND)) == [(1, "rejected")]
    assert changes(desk.place(2, "BUY", 300, account=FIRST))[-1] == (2, "filled")
    assert changes(desk.place(3, "SELL", 300, account=SECOND)) == [(3, "rejected")]


def test_with_several_accounts_an_order_names_one_of_them() -> None:
    desk = desk_at()
    assert refusals(desk.place(1, "BUY", 10)) == [435]
    assert refusals(desk.place(2, "BUY", 10, account="DU999")) == [321]
    assert desk.exchange.orders() == ()


def test_account_values_are_those_of_the_account_that_was_asked_for() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 20, account=SECOND)
    first = {row.key: row.value for row in desk.exchange.account_values()}
    second = {row.key: row.value for row in desk.exchange.account_values(SECOND)}
    assert (first["AccountCode"], first["CashBalance"]) == (FIRST, "100000.00")
    assert (second["AccountCode"], second["CashBalance"]) == (SECOND, "2999.00")


def test_a_snapshot_has_the_books_of_every_account() -> None:
    desk = desk_at()
    before = desk.exchange.snapshot()
    desk.place(1, "BUY", 20, account=SECOND)
    desk.exchange.restore(before)
    assert desk.exchange.cash_of(SECOND) == 5000
    assert desk.exchange.positions() == ()


def test_a_correction_changes_the_account_of_its_order_only() -> None:
    desk = desk_at()
    desk.place(1, "BUY", 10, account=FIRST)
    desk.place(2, "BUY", 20, account=SECOND)
    second = desk.exchange.executions()[1].execution.exec_id
    desk.exchange.correct(second, Decimal(10), Decimal(100), now=desk.tick())
    assert (desk.exchange.cash_of(FIRST), desk.exchange.cash_of(SECOND)) == amounts(98_999, 3999)


def test_an_account_cannot_be_there_twice() -> None:
    with pytest.raises(ValidationError, match="DU1234567 is there twice"):
        BrokerSettings(accounts=(ExtraAccount(account=FIRST),))
