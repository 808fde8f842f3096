"""Hours, products, accounts and corrections as an unmodified ib_insync sees them."""

import pytest
from ib_insync import (
    IB,
    Contract,
    Forex,
    Future,
    LimitOrder,
    MarketOrder,
    Option,
    Order,
    Stock,
    Trade,
)

from tests.support.brokers import RunningBroker, tape_text, wait_until
from tests.support.clients import Connect, Start, codes_of, settle

EXTRA = {"account": "DU7654321", "cash": "5000"}


def send(ib: IB, contract: Contract, order: Order) -> Trade:
    """Place an order and wait until the broker has said something of it."""
    trade = ib.placeOrder(contract, order)
    wait_until(ib, lambda: trade.orderStatus.permId or trade.log[-1].errorCode)
    return trade


@pytest.mark.parametrize(
    ("contract", "key", "price", "multiplier"),
    [
        (Future("ES", "202512", "CME"), "ESZ5", "6700", 50),
        (Option("TSLA", "20251219", 400, "C", "SMART"), "TSLA251219C00400000", "12", 100),
        (Forex("EURUSD"), "EUR.USD", "1.16", 1),
    ],
)
def test_futures_options_and_forex_qualify_and_trade(
    start_broker: Start,
    connect: Connect,
    contract: Contract,
    key: str,
    price: str,
    multiplier: int,
) -> None:
    broker = start_broker(tape=tape_text((price, price), symbol=key))
    broker.control.step()
    ib = connect(broker)
    assert ib.qualifyContracts(contract) == [contract]
    assert contract.conId

    trade = ib.placeOrder(contract, MarketOrder("BUY", 2))
    wait_until(ib, trade.isDone)
    assert trade.orderStatus.status == "Filled"
    (row,) = ib.reqPositions()
    assert (row.contract.conId, row.position) == (contract.conId, 2)
    commission = trade.fills[0].commissionReport.commission
    assert row.avgCost == pytest.approx(float(price) * multiplier + commission / 2)


def test_an_order_before_the_open_is_pre_submitted_with_399_and_lives(
    start_broker: Start, connect: Connect
) -> None:
    tape = tape_text(("100", "100")).replace("T10:00", "T08:00")
    broker = start_broker(tape=tape, market_hours="sessions")
    broker.control.step()
    ib = connect(broker)
    codes = codes_of(ib)
    trade = send(ib, Stock("TSLA", "SMART", "USD"), LimitOrder("BUY", 10, 100))
    wait_until(ib, lambda: 399 in codes)
    assert trade.orderStatus.status == "PreSubmitted"
    assert [row.status for row in broker.control.books().orders] == ["PreSubmitted"]


def test_a_short_sale_is_inactive_with_404_until_shares_are_located(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(locate_after_bars=1)
    broker.control.step()
    ib = connect(broker)
    codes = codes_of(ib)
    trade = send(ib, Stock("TSLA", "SMART", "USD"), MarketOrder("SELL", 10))
    wait_until(ib, lambda: 404 in codes)
    assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("Inactive", "locate")
    broker.control.step()
    broker.control.step()
    wait_until(ib, lambda: trade.orderStatus.status == "Filled")


def test_two_accounts_are_managed_and_each_has_its_own_cash(
    start_broker: Start, connect: Connect
) -> None:
    broker: RunningBroker = start_broker(accounts=[EXTRA])
    broker.control.step()
    ib = connect(broker)
    assert ib.managedAccounts() == ["DU1234567", "DU7654321"]
    stock = Stock("TSLA", "SMART", "USD")
    nameless = send(ib, stock, MarketOrder("BUY", 10))
    assert nameless.log[-1].errorCode == 435
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10, account="DU7654321"))
    wait_until(ib, trade.isDone)
    assert [(row.account, row.position) for row in ib.reqPositions()] == [("DU7654321", 10)]
    cash = {
        row.account: float(row.value)
        for row in ib.accountSummary()
        if row.tag == "TotalCashValue" and row.account in ib.managedAccounts()
    }
    assert cash == {"DU1234567": 100_000, "DU7654321": 3999}


def test_a_trailing_limit_and_an_order_for_the_close_are_taken_as_they_are_sent(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker()
    broker.control.step()
    ib = connect(broker)
    stock = Stock("TSLA", "SMART", "USD")
    trail = Order(
        action="SELL", totalQuantity=10, orderType="TRAIL LIMIT", auxPrice=2, lmtPriceOffset=0.5
    )
    trade = send(ib, stock, trail)
    assert trade.orderStatus.status == "PreSubmitted"
    (row,) = broker.control.books().orders
    assert float(row.limit_price or 0) == 97.5
    close = send(ib, stock, Order(action="BUY", totalQuantity=1, orderType="MOC"))
    assert close.orderStatus.status == "PreSubmitted"


def test_portfolio_news_are_those_of_the_account_that_was_subscribed(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(accounts=[EXTRA], position_delay=0)
    broker.control.step()
    ib = connect(broker)
    # With several accounts ib_insync subscribes to none by itself.
    ib.reqAccountUpdates("DU7654321")
    ib.reqPositions()
    told: list[tuple[str, float]] = []
    ib.updatePortfolioEvent += lambda item: told.append((item.account, item.position))
    for account, shares in (("DU1234567", 10), ("DU7654321", 5)):
        send(ib, Stock("TSLA", "SMART", "USD"), MarketOrder("BUY", shares, account=account))
    wait_until(ib, lambda: len(ib.positions()) == 2)
    settle(ib)
    assert told == [("DU7654321", 5.0)]
