"""Futures, options and forex: which exist, and what they do to money."""

from datetime import date
from decimal import Decimal

import pytest

from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.instruments import initial_margin, market_key, tick_of
from fakebroker.settings import BrokerSettings, CommissionPolicy
from fakebroker.values import Contract
from tests.unit.fakebroker.exchange.desk import Desk, amounts, changes, fills, refusals

CATALOG = Catalog()
TODAY = date(2025, 10, 6)
FREE = CommissionPolicy(
    per_share=Decimal(0),
    minimum=Decimal(0),
    option_per_contract=Decimal(0),
    future_per_contract=Decimal(0),
    forex_minimum=Decimal(0),
    forex_fraction=Decimal(0),
)


def future(local_symbol: str, exchange: str = "CME") -> Contract:
    return Contract(symbol="", sec_type="FUT", local_symbol=local_symbol, exchange=exchange)


def option(strike: str = "400", right: str = "C", expiry: str = "20251219") -> Contract:
    return Contract(
        symbol="TSLA", sec_type="OPT", last_trade_date=expiry, strike=Decimal(strike), right=right
    )


EURUSD = Contract(symbol="EUR", sec_type="CASH", exchange="IDEALPRO")
KINDS = [
    future("ESZ5"),
    future("CLF6", "NYMEX"),
    future("GCZ5", "COMEX"),
    future("NQH9"),
    option(),
    option("2000", "P", "20391230"),
    option("0.5", "P", "20200103"),
    EURUSD,
]


@pytest.mark.parametrize("asked", KINDS)
def test_an_id_alone_leads_back_to_its_contract(asked: Contract) -> None:
    (found,) = CATALOG.find(asked)
    contract = found.contract
    assert 0 < contract.con_id < 2**31
    by_id = Contract(
        symbol="", sec_type="", con_id=contract.con_id, exchange=contract.exchange, currency=""
    )
    assert CATALOG.resolve(by_id) == contract
    assert CATALOG.resolve(contract) == contract


def test_contract_ids_of_different_kinds_do_not_meet() -> None:
    found = [CATALOG.resolve(asked) for asked in KINDS]
    ids = [contract.con_id for contract in found if contract is not None]
    assert len(set(ids)) == len(KINDS)
    assert all(CATALOG.resolve(Contract(symbol="", con_id=con_id)) is None for con_id in ids)


@pytest.mark.parametrize(
    ("local_symbol", "exchange", "multiplier", "expiry", "tick"),
    [
        ("ESZ5", "CME", "50", "20251219", "0.25"),
        ("NQZ5", "CME", "20", "20251219", "0.25"),
        ("CLZ5", "NYMEX", "1000", "20251120", "0.01"),
        ("GCZ5", "COMEX", "100", "20251229", "0.1"),
    ],
)
def test_a_future_is_fully_qualified(
    local_symbol: str, exchange: str, multiplier: str, expiry: str, tick: str
) -> None:
    (found,) = CATALOG.find(future(local_symbol, exchange))
    contract = found.contract
    assert (contract.multiplier, contract.last_trade_date) == (multiplier, expiry)
    assert (contract.exchange, contract.currency) == (exchange, "USD")
    assert found.min_tick == tick_of(contract) == Decimal(tick)
    assert market_key(contract) == local_symbol


def test_a_future_is_found_by_month_or_by_day_and_without_either_the_next_are_listed() -> None:
    def named(expiry: str) -> list[str]:
        asked = Contract(symbol="ES", sec_type="FUT", exchange="CME", last_trade_date=expiry)
        found = CATALOG.find(asked, today=TODAY)
        return [row.contract.local_symbol for row in found]

    assert named("202512") == named("20251219") == ["ESZ5"]
    assert named("") == ["ESZ5", "ESH6", "ESM6", "ESU6"]
    assert named("202511") == named("20251218") == named("203512") == []


def test_a_crude_future_is_found_by_its_last_day_in_the_month_before() -> None:
    asked = Contract(symbol="CL", sec_type="FUT", exchange="NYMEX", last_trade_date="20251120")
    assert [row.contract.local_symbol for row in CATALOG.find(asked)] == ["CLZ5"]


def test_an_option_without_a_right_is_call_and_put() -> None:
    found = CATALOG.find(option(right=""))
    assert [row.contract.local_symbol for row in found] == [
        "TSLA  251219C00400000",
        "TSLA  251219P00400000",
    ]
    assert market_key(found[0].contract) == "TSLA251219C00400000"
    assert found[0].under_con_id == 76792991
    assert CATALOG.resolve(Contract("", "OPT", local_symbol="TSLA  251219P00400000")) == (
        found[1].contract
    )


@pytest.mark.parametrize(
    "asked",
    [
        option("400.3"),
        option("2000.5"),
        option("0"),
        option(expiry="20251218"),
        option(expiry="20250231"),
        option(right="X"),
        Contract(symbol="IBM", sec_type="OPT", last_trade_date="20251219", strike=Decimal(100)),
        future("ESF5"),
        future("ESZ5", "NYMEX"),
        Contract(symbol="ES", sec_type="FUT", last_trade_date="202512", multiplier="20"),
        Contract(symbol="EUR", sec_type="CASH", currency="JPY", exchange="IDEALPRO"),
        Contract(symbol="JPY", sec_type="CASH", exchange="IDEALPRO"),
        Contract(symbol="", sec_type="FUT", con_id=1_500_009_999, exchange=""),
    ],
)
def test_a_derivative_that_does_not_exist_is_not_found(asked: Contract) -> None:
    assert CATALOG.find(asked) == ()


def test_a_price_off_a_products_own_tick_is_110() -> None:
    desk = Desk()
    placed = desk.place(1, "BUY", 1, "LMT", contract=future("ESZ5"), limit_price="6700.30")
    assert refusals(placed) == [110]
    placed = desk.place(2, "BUY", 1, "LMT", contract=EURUSD, limit_price="1.16005")
    assert refusals(placed) == []


def test_a_future_costs_margin_and_cash_only_moves_by_what_is_realised() -> None:
    desk = Desk(BrokerSettings(commission=FREE))
    es = future("ESZ5")
    desk.bar(6700, 6700, 6700, 6700, symbol="ESZ5")
    desk.place(1, "BUY", 2, contract=es)
    assert desk.exchange.cash == 100_000
    desk.bar(6710, 6710, 6710, 6710, symbol="ESZ5")
    (held,) = desk.exchange.positions()
    assert held.average_cost == 6700 * 50
    values = {row.key: row.value for row in desk.exchange.account_values()}
    assert values["NetLiquidation"] == "101000.00"
    assert values["UnrealizedPnL"] == "1000.00"
    assert values["InitMarginReq"] == "30000.00"
    assert values["MaintMarginReq"] == "27000.00"
    assert values["GrossPositionValue"] == values["StockMarketValue"] == "0.00"
    desk.place(2, "SELL", 3, contract=es)
    assert desk.exchange.cash == 101_000
    assert desk.exchange.positions()[0].quantity == -1
    desk.bar(6700, 6700, 6700, 6700, symbol="ESZ5")
    desk.place(3, "BUY", 1, contract=es)
    assert desk.exchange.cash == 101_500
    assert desk.exchange.positions()[0].realized_pnl == 1500


def test_a_futures_commission_is_in_cash_at_once_and_in_the_profit_when_it_is_closed() -> None:
    desk = Desk()
    desk.bar(6700, 6700, 6700, 6700, symbol="ESZ5")
    desk.place(1, "BUY", 1, contract=future("ESZ5"))
    assert desk.exchange.cash == Decimal("99997.75")
    desk.place(2, "SELL", 1, contract=future("ESZ5"))
    assert desk.exchange.cash == Decimal("99995.50")
    assert desk.exchange.executions()[1].realized_pnl == Decimal("-4.50")


def test_a_future_beyond_the_margin_is_rejected() -> None:
    desk = Desk()
    desk.bar(6700, 6700, 6700, 6700, symbol="ESZ5")
    assert changes(desk.place(1, "BUY", 7, contract=future("ESZ5"))) == [(1, "rejected")]


def test_an_option_is_paid_for_a_hundred_times_its_price() -> None:
    desk = Desk()
    key = "TSLA251219C00400000"
    desk.bar(12, 12, 12, 12, symbol=key)
    assert fills(desk.place(1, "BUY", 3, contract=option())) == [(1, "BOT", "3", "12")]
    assert desk.exchange.cash == Decimal(100_000) - 3600 - Decimal("1.95")
    assert desk.exchange.positions()[0].average_cost == Decimal("1200.65")
    desk.bar(15, 15, 15, 15, symbol=key)
    values = {row.key: row.value for row in desk.exchange.account_values()}
    assert (values["OptionMarketValue"], values["InitMarginReq"]) == ("4500.00", "4500.00")
    desk.place(2, "SELL", 3, contract=option())
    assert desk.exchange.executions()[1].realized_pnl == Decimal("896.10")
    assert desk.exchange.cash == Decimal("100896.10")


def test_a_short_option_needs_part_of_its_strike() -> None:
    contract = CATALOG.resolve(option())
    assert contract is not None
    assert initial_margin(contract, *amounts(-1, -1200)) == 1200 + 8000


def test_an_option_and_its_stock_have_prices_and_positions_of_their_own() -> None:
    desk = Desk()
    desk.price(400)
    desk.bar(12, 12, 12, 12, symbol="TSLA251219C00400000")
    desk.place(1, "BUY", 1)
    desk.place(2, "BUY", 1, contract=option())
    assert [row.market_price for row in desk.exchange.positions()] == [400, 12]


def test_a_forex_pair_trades_in_its_quote_currency() -> None:
    desk = Desk()
    desk.bar("1.16", "1.16", "1.16", "1.16", symbol="EUR.USD")
    desk.place(1, "BUY", 20_000, contract=EURUSD)
    assert desk.exchange.cash == Decimal(100_000) - 23_200 - 2
    desk.bar("1.17", "1.17", "1.17", "1.17", symbol="EUR.USD")
    values = {row.key: row.value for row in desk.exchange.account_values()}
    assert values["NetLiquidation"] == "100198.00"
    assert values["InitMarginReq"] == "702.00"
