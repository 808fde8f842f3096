"""Which contracts exist."""

from datetime import date

import pytest

from fakebroker.exchange.catalog import Catalog, con_id_of, symbol_of
from fakebroker.values import Contract

CATALOG = Catalog()
FRIDAY = date(2025, 10, 10)


@pytest.mark.parametrize(
    ("symbol", "con_id"),
    [
        ("TSLA", 76792991),
        ("AAPL", 265598),
        ("NVDA", 4815747),
        ("AMD", 4391),
        ("MSFT", 272093),
        ("SPY", 756733),
    ],
)
def test_famous_stocks_have_ibs_contract_ids(symbol: str, con_id: int) -> None:
    (found,) = CATALOG.find(Contract(symbol=symbol))
    assert found.contract.con_id == con_id
    assert CATALOG.find(Contract(symbol="", con_id=con_id)) == (found,)


@pytest.mark.parametrize("symbol", ["A", "IBM", "BRK.B", "ZZZZZZ", "Z....."])
def test_every_other_symbol_has_an_id_that_leads_back_to_it(symbol: str) -> None:
    con_id = con_id_of(symbol)
    assert 0 < con_id < 2**31
    assert symbol_of(con_id) == symbol
    assert CATALOG.resolve(Contract(symbol="", con_id=con_id)) == CATALOG.stock(symbol)


@pytest.mark.parametrize("con_id", [1, 999_999_999, 1_000_000_000, 1_000_000_028, 2**31 - 1, -5])
def test_an_id_that_no_symbol_has_finds_nothing(con_id: int) -> None:
    assert CATALOG.find(Contract(symbol="", con_id=con_id)) == ()


@pytest.mark.parametrize(
    "contract",
    [
        Contract(symbol="XX?"),
        Contract(symbol="tsla"),
        Contract(symbol=""),
        Contract(symbol=".A"),
        Contract(symbol="ABCDEFG"),
        Contract(symbol="TSLA", sec_type="OPT"),
        Contract(symbol="TSLA", currency="EUR"),
        Contract(symbol="TSLA", exchange="MOON"),
        Contract(symbol="TSLA", con_id=265598),
        Contract(symbol="TSLA", last_trade_date="20251219"),
    ],
)
def test_what_does_not_exist_is_not_found(contract: Contract) -> None:
    assert CATALOG.find(contract) == ()


def test_a_contract_is_fully_qualified() -> None:
    assert CATALOG.resolve(Contract(symbol="TSLA", exchange="", currency="")) == Contract(
        symbol="TSLA",
        con_id=76792991,
        exchange="SMART",
        primary_exchange="NASDAQ",
        local_symbol="TSLA",
        trading_class="NMS",
    )


def test_hours_are_in_ibs_form_and_weekends_closed() -> None:
    (found,) = CATALOG.find(Contract(symbol="TSLA"), today=FRIDAY)
    assert found.liquid_hours.startswith(
        "20251010:0930-20251010:1600;20251011:CLOSED;20251012:CLOSED;20251013:0930"
    )
    assert found.trading_hours.startswith("20251010:0400-20251010:2000;")
