"""What an unmodified ib_insync makes of the codes of section 3.8, each sent by its fault."""

import socket

import pytest
from ib_insync import IB, LimitOrder, Stock

from fakebroker.faults import codes, field, wire
from tests.support.brokers import RunningBroker, wait_for_broker, wait_until
from tests.support.clients import (
    SHORT,
    Connect,
    Start,
    codes_of,
    errors_of,
    orders,
    place,
    resting,
    settle,
    step_past,
    wait_until_gone,
)

TSLA = Stock("TSLA", "SMART", "USD")


def spoken_to(broker: RunningBroker, connect: Connect) -> tuple[IB, list[int]]:
    """Return a client after the first bar, and the codes that it is told from here on."""
    ib = connect(broker)
    broker.control.step()
    return ib, codes_of(ib)


# Market data


@pytest.mark.parametrize("code", [354, 10089, 10168])
def test_a_market_that_nobody_pays_for_has_no_data(
    broker: RunningBroker, connect: Connect, code: int
) -> None:
    ib, told = spoken_to(broker, connect)
    number = broker.control.fault(codes.NoMarketData.model_validate({"code": code}))
    ticker = ib.reqMktData(TSLA)
    broker.control.step()
    settle(ib)
    assert told == [code]
    assert ticker.last != ticker.last  # Not a number: nothing came.
    broker.control.heal(number)
    assert [each.last for each in ib.reqTickers(TSLA)] == [101]


@pytest.mark.parametrize(("data_type", "code"), [(3, 354), (1, 10167)])
def test_delayed_data_come_in_place_of_live_ones_with_a_warning(
    broker: RunningBroker, connect: Connect, *, data_type: int, code: int
) -> None:
    ib, told = spoken_to(broker, connect)
    ib.reqMarketDataType(data_type)
    broker.control.fault(codes.NoMarketData.model_validate({"code": code}))
    ticker = ib.reqMktData(TSLA)
    settle(ib)
    assert told == [10167]
    assert (ticker.last, ticker.marketDataType) == (100, 3)
    broker.control.step()
    wait_until(ib, lambda: ticker.last == 101)


def test_bars_without_permission_or_out_of_pace_are_refused_with_420(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    number = broker.control.fault(codes.NoMarketData(symbol="TSLA"))
    ib.reqRealTimeBars(TSLA, 5, "TRADES", useRTH=False)
    settle(ib)
    broker.control.heal(number)
    broker.control.fault(codes.BarsPacing(requests_max=1))
    for _ in range(2):
        ib.reqRealTimeBars(TSLA, 5, "TRADES", useRTH=False)
    settle(ib)
    assert told == [420, 420]
    assert broker.control.status().subscriptions == 1


def test_history_stands_still_when_its_live_updates_break(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    bars = ib.reqHistoricalData(
        TSLA, "", "1 D", "5 secs", "TRADES", useRTH=False, keepUpToDate=True
    )
    broker.control.fault(codes.LiveUpdatesBroken(seconds=SHORT))
    wait_until(ib, lambda: told)
    count = len(bars)
    step_past(broker, 12)
    settle(ib)
    assert (told, len(bars)) == ([10182], count)
    again = ib.reqHistoricalData(
        TSLA, "", "1 D", "5 secs", "TRADES", useRTH=False, keepUpToDate=True
    )
    count = len(again)
    broker.control.step()
    wait_until(ib, lambda: len(again) > count)


def test_the_client_asks_again_by_itself_after_a_bust_event(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    bars = ib.reqRealTimeBars(TSLA, 5, "TRADES", useRTH=False)
    past = ib.reqHistoricalData(
        TSLA, "", "1 D", "5 secs", "TRADES", useRTH=False, keepUpToDate=True
    )
    wait_for_broker(broker, lambda status: status.subscriptions == 1)
    asked = len(requests(broker))
    broker.control.fault(codes.BustEvent())
    wait_until(ib, lambda: len(told) == 2)
    settle(ib)
    assert told == [10225, 10225]
    again = ["cancelRealTimeBars", "reqRealTimeBars", "cancelHistoricalData", "reqHistoricalData"]
    assert [it for it in requests(broker)[asked:] if it in again] == again
    count, known = len(bars), len(past)
    broker.control.step()
    wait_until(ib, lambda: len(bars) == count + 1 and len(past) > known)
    assert told == [10225, 10225]


def test_bars_of_a_client_that_does_not_ask_again_stand_still(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, _ = spoken_to(broker, connect)
    ticker = ib.reqTickByTickData(TSLA, "Last")
    settle(ib)
    broker.control.fault(codes.BustEvent(ticks=True))
    broker.control.step()
    settle(ib)
    assert ticker.tickByTicks == []
    ib.cancelTickByTickData(TSLA, "Last")
    ticker = ib.reqTickByTickData(TSLA, "Last")
    settle(ib)
    broker.control.step()
    wait_until(ib, lambda: ticker.tickByTicks)


def requests(broker: RunningBroker) -> list[str]:
    """The names of the requests that the broker has processed."""
    return [str(record["message"]) for record in broker.records("received")]


# The system


@pytest.mark.parametrize(("farm", "told"), [("market", [2108, 2104]), ("historical", [2107, 2106])])
def test_a_farm_is_inactive_until_it_is_asked(
    broker: RunningBroker, connect: Connect, *, farm: str, told: list[int]
) -> None:
    ib, heard = spoken_to(broker, connect)
    fault = {"farm": farm, "mode": "inactive", "seconds": 2}
    broker.control.fault(field.FarmFlap.model_validate(fault))
    step_past(broker, 3)
    wait_until(ib, lambda: len(heard) == 2)
    assert heard == told


def test_a_broken_server_link_is_a_loss_of_connectivity_by_another_name(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    number = broker.control.fault(wire.ConnectivityLost(code=2110))
    trade = place(ib, LimitOrder("BUY", 10, 50.0))
    settle(ib)
    assert orders(broker) == ()
    broker.control.heal(number)
    wait_until(ib, lambda: trade.orderStatus.status == "Submitted")
    assert told == [2110, 1102]


def test_a_port_reset_is_told_and_its_port_comes_back_with_the_orders(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    resting(ib, orderRef="kept")
    broker.control.fault(codes.PortReset(seconds=SHORT))
    wait_until_gone(ib)
    assert told == [1300]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))
    step_past(broker, 7)
    again = connect(broker)
    assert [trade.order.orderRef for trade in again.openTrades()] == ["kept"]


# The account


def test_account_updates_go_to_who_has_taken_them(broker: RunningBroker, connect: Connect) -> None:
    ib, told = spoken_to(broker, connect)
    broker.control.fault(codes.AccountUpdatesTaken(by=5))
    wait_until(ib, lambda: told)
    told_of: list[float] = []
    ib.updatePortfolioEvent += lambda item: told_of.append(item.position)
    trade = place(ib, LimitOrder("BUY", 10, 200.0))
    wait_until(ib, trade.isDone)
    step_past(broker, 5)
    settle(ib)
    assert told_of == []
    ib.client.reqAccountUpdates(True, "")
    wait_until(ib, lambda: len(told) == 2)
    assert told == [2100, 2101]


def test_one_account_for_all_keeps_another_client_from_another_account(
    start_broker: Start, connect: Connect
) -> None:
    extra = {"account": "DU7654321", "cash": 5000}
    broker = start_broker(accounts=[extra], account_updates="one_account")
    one, two = connect(broker, 1), connect(broker, 2)
    errors = errors_of(two)
    one.reqAccountUpdates("DU1234567")
    two.client.reqAccountUpdates(True, "DU7654321")
    wait_until(two, lambda: errors)
    assert errors == [(-1, 2101)]
    one.client.reqAccountUpdates(False, "DU1234567")
    settle(one)
    two.reqAccountUpdates("DU7654321")
    assert errors == [(-1, 2101)]


# Orders


def test_a_refused_cancel_is_a_cancelled_order_to_the_client_only(
    broker: RunningBroker, connect: Connect
) -> None:
    ib, told = spoken_to(broker, connect)
    broker.control.fault(codes.CancelRefused())
    trade = resting(ib)
    ib.cancelOrder(trade.order)
    wait_until(ib, lambda: told)
    assert (told, trade.orderStatus.status) == ([161], "Cancelled")
    assert orders(broker)[0].working
    assert len(ib.reqOpenOrders()) == 1


@pytest.mark.parametrize(("code", "status"), [(2102, "Submitted"), (103, "Cancelled")])
def test_a_modify_that_comes_too_early_leaves_the_old_price_at_the_broker(
    broker: RunningBroker, connect: Connect, *, code: int, status: str
) -> None:
    ib, told = spoken_to(broker, connect)
    broker.control.fault(codes.ModifyTooEarly.model_validate({"code": code}))
    trade = resting(ib)
    trade.order.lmtPrice = 60.0
    ib.placeOrder(trade.contract, trade.order)
    wait_until(ib, lambda: told)
    assert (told, trade.orderStatus.status) == ([code], status)
    assert [order.limit_price for order in orders(broker)] == [50]
    step_past(broker, 2)
    ib.client.placeOrder(trade.order.orderId, trade.contract, trade.order)
    settle(ib)
    assert [order.limit_price for order in orders(broker)] == [60]
