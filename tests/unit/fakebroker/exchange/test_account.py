"""Money and shares."""

from decimal import Decimal

import pytest

from fakebroker.exchange.account import Account
from fakebroker.exchange.events import Commissioned, Filled, OrderChanged, PositionChanged
from fakebroker.exchange.instruments import order_commission
from fakebroker.settings import BrokerSettings, CommissionPolicy
from tests.unit.fakebroker.exchange.desk import TSLA, Desk, amounts, commissions


@pytest.mark.parametrize(
    ("shares", "price", "charge"),
    [
        (100, "50", "1.00"),
        (1000, "50", "5.000"),
        (1, "50", "0.50"),
        (100_000, "0.10", "100.0000"),
    ],
)
def test_an_order_costs_half_a_cent_a_share_at_least_a_dollar_at_most_a_hundredth(
    shares: int, price: str, charge: str
) -> None:
    value = shares * Decimal(price)
    assert order_commission(CommissionPolicy(), Decimal(shares), value) == Decimal(charge)


def test_the_minimum_is_charged_once_an_order() -> None:
    desk = Desk(BrokerSettings(fill_split=(Decimal(100), Decimal(100), Decimal(800))))
    desk.price(10)
    assert commissions(desk.place(1, "BUY", 1000)) == [1, 0, 4]


def test_a_fill_is_reported_as_fill_order_commission_position() -> None:
    desk = Desk()
    desk.price(100)
    events = desk.place(1, "BUY", 100)[1:]
    assert [type(event) for event in events] == [
        Filled,
        OrderChanged,
        Commissioned,
        PositionChanged,
    ]


def test_average_cost_includes_commissions() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    (row,) = desk.exchange.positions()
    assert (row.quantity, row.average_cost, row.market_price) == amounts(100, "100.01", 100)
    assert desk.exchange.cash == Decimal(100_000) - 10_000 - 1


def test_a_short_position_costs_what_it_brought_less_commissions() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 100)
    (row,) = desk.exchange.positions()
    assert (row.quantity, row.average_cost) == amounts(-100, "99.99")


def test_an_opening_fill_realises_nothing_and_a_closing_one_its_profit_net_of_both_costs() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    desk.price(110)
    desk.place(2, "SELL", 50)
    desk.place(3, "SELL", 50)
    realized = [row.realized_pnl for row in desk.exchange.executions()]
    assert realized == [None, Decimal("498.5"), Decimal("498.5")]
    (row,) = desk.exchange.positions()
    assert (row.quantity, row.average_cost, row.realized_pnl) == amounts(0, 0, 997)


def test_covering_a_short_realises_the_fall() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "SELL", 100)
    desk.price(90)
    desk.place(2, "BUY", 100)
    assert desk.exchange.executions()[1].realized_pnl == 998


def test_a_trade_through_zero_closes_the_old_side_and_opens_the_new() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    desk.price(110)
    desk.place(2, "SELL", 400)
    second = desk.exchange.executions()[1]
    assert second.commission == 2
    assert second.realized_pnl == 1000 - 1 - Decimal("0.5")
    (row,) = desk.exchange.positions()
    assert (row.quantity, row.average_cost) == amounts(-300, "109.995")


def test_a_divided_cost_loses_nothing() -> None:
    account = Account("DU1234567", Decimal(1000))
    account.book(TSLA, Decimal(3), price=Decimal("33.33"), commission=Decimal("1.00"))
    realized = Decimal(0)
    for _ in range(3):
        part = account.book(TSLA, Decimal(-1), price=Decimal(40), commission=Decimal("0.40"))
        assert part is not None
        realized += part
    assert account.cash == 1000 + realized


def test_the_rows_of_the_account_are_those_of_tws_in_cents() -> None:
    desk = Desk()
    desk.price(100)
    desk.place(1, "BUY", 100)
    desk.price(110)
    rows = {row.key: row for row in desk.exchange.account_values()}
    assert {key: rows[key].value for key in rows if rows[key].currency == "USD"} == {
        "AvailableFunds": "98249.00",
        "BuyingPower": "392996.00",
        "CashBalance": "89999.00",
        "EquityWithLoanValue": "100999.00",
        "ExcessLiquidity": "98249.00",
        "FullAvailableFunds": "98249.00",
        "FullExcessLiquidity": "98249.00",
        "FullInitMarginReq": "2750.00",
        "FullMaintMarginReq": "2750.00",
        "GrossPositionValue": "11000.00",
        "InitMarginReq": "2750.00",
        "MaintMarginReq": "2750.00",
        "NetLiquidation": "100999.00",
        "RealizedPnL": "0.00",
        "StockMarketValue": "11000.00",
        "TotalCashBalance": "89999.00",
        "TotalCashValue": "89999.00",
        "UnrealizedPnL": "999.00",
    }
    assert rows["AccountType"].value == "INDIVIDUAL"
    assert rows["AccountCode"].value == "DU1234567"
