from collections.abc import Callable
from decimal import Decimal

import pytest
from ib_insync import ComboLeg as IbComboLeg
from ib_insync import Contract as IbContract
from ib_insync import ExecutionFilter as IbExecutionFilter
from ib_insync import Stock
from ib_insync.client import Client
from ib_insync.contract import DeltaNeutralContract

from fakebroker.protocol import Request
from fakebroker.protocol import requests as r
from fakebroker.protocol.decode_requests import DECODERS
from fakebroker.values import Contract
from tests.unit.fakebroker.protocol.wire import heard, received

IB_TESLA = Stock("TSLA", "SMART", "USD", primaryExchange="NASDAQ")
TESLA = Contract("TSLA", primary_exchange="NASDAQ")
IB_FILTER = IbExecutionFilter(11, "DU1", "20251006 09:30:00", "TSLA", "STK", "SMART", "BUY")
FILTER = r.ExecutionFilter(11, "DU1", "20251006 09:30:00", "TSLA", "STK", "SMART", "BUY")

# What ib_insync is told to send, and what has to arrive.
SAID: list[tuple[Callable[[Client], object], Request]] = [
    (lambda c: c.cancelOrder(17, "20251006-10:00:00"), r.CancelOrder(17, "20251006-10:00:00")),
    (lambda c: c.reqOpenOrders(), r.ReqOpenOrders()),
    (lambda c: c.reqAllOpenOrders(), r.ReqAllOpenOrders()),
    (lambda c: c.reqAutoOpenOrders(True), r.ReqAutoOpenOrders(auto_bind=True)),
    (lambda c: c.reqCompletedOrders(False), r.ReqCompletedOrders(api_only=False)),
    (lambda c: c.reqGlobalCancel(), r.ReqGlobalCancel()),
    (lambda c: c.reqExecutions(5, IB_FILTER), r.ReqExecutions(5, FILTER)),
    (
        lambda c: c.reqExecutions(5, IbExecutionFilter()),
        r.ReqExecutions(5, r.ExecutionFilter()),
    ),
    (lambda c: c.reqIds(1), r.ReqIds(1)),
    (lambda c: c.reqManagedAccts(), r.ReqManagedAccts()),
    (
        lambda c: c.reqAccountUpdates(True, "DU1"),
        r.ReqAccountUpdates(subscribe=True, account="DU1"),
    ),
    (lambda c: c.reqAccountUpdates(False, ""), r.ReqAccountUpdates(subscribe=False)),
    (
        lambda c: c.reqAccountUpdatesMulti(3, "DU1", "model", True),
        r.ReqAccountUpdatesMulti(3, "DU1", "model", ledger_and_nlv=True),
    ),
    (lambda c: c.cancelAccountUpdatesMulti(3), r.CancelAccountUpdatesMulti(3)),
    (lambda c: c.reqAccountSummary(4, "All", "Cash"), r.ReqAccountSummary(4, "All", "Cash")),
    (lambda c: c.cancelAccountSummary(4), r.CancelAccountSummary(4)),
    (lambda c: c.reqPositions(), r.ReqPositions()),
    (lambda c: c.cancelPositions(), r.CancelPositions()),
    (lambda c: c.reqPositionsMulti(6, "DU1", "m"), r.ReqPositionsMulti(6, "DU1", "m")),
    (lambda c: c.cancelPositionsMulti(6), r.CancelPositionsMulti(6)),
    (lambda c: c.reqPnL(7, "DU1", "m"), r.ReqPnL(7, "DU1", "m")),
    (lambda c: c.cancelPnL(7), r.CancelPnL(7)),
    (
        lambda c: c.reqPnLSingle(8, "DU1", "m", 76792991),
        r.ReqPnLSingle(8, "DU1", "m", 76792991),
    ),
    (lambda c: c.cancelPnLSingle(8), r.CancelPnLSingle(8)),
    (
        lambda c: c.reqSecDefOptParams(9, "TSLA", "", "STK", 76792991),
        r.ReqSecDefOptParams(9, "TSLA", "", "STK", 76792991),
    ),
    (lambda c: c.reqMatchingSymbols(10, "tes"), r.ReqMatchingSymbols(10, "tes")),
    (lambda c: c.reqMarketRule(26), r.ReqMarketRule(26)),
    (
        lambda c: c.reqMktData(11, IB_TESLA, "233", True, False, []),
        r.ReqMktData(11, TESLA, generic_tick_list="233", snapshot=True),
    ),
    (lambda c: c.cancelMktData(11), r.CancelMktData(11)),
    (lambda c: c.reqMarketDataType(3), r.ReqMarketDataType(3)),
    (
        lambda c: c.reqRealTimeBars(12, IB_TESLA, 5, "TRADES", True, []),
        r.ReqRealTimeBars(12, TESLA, 5, "TRADES", use_rth=True),
    ),
    (lambda c: c.cancelRealTimeBars(12), r.CancelRealTimeBars(12)),
    (
        lambda c: c.reqHistoricalData(
            13, IB_TESLA, "", "1 D", "1 min", "TRADES", True, 2, True, []
        ),
        r.ReqHistoricalData(
            req_id=13,
            contract=TESLA,
            include_expired=False,
            end_time="",
            bar_size="1 min",
            duration="1 D",
            use_rth=True,
            what_to_show="TRADES",
            format_date=2,
            keep_up_to_date=True,
        ),
    ),
    (lambda c: c.cancelHistoricalData(13), r.CancelHistoricalData(13)),
    (
        lambda c: c.reqHeadTimeStamp(14, IB_TESLA, "TRADES", False, 1),
        r.ReqHeadTimeStamp(
            14, TESLA, include_expired=False, use_rth=False, what_to_show="TRADES", format_date=1
        ),
    ),
    (lambda c: c.cancelHeadTimeStamp(14), r.CancelHeadTimeStamp(14)),
    (
        lambda c: c.reqHistoricalTicks(
            15, IB_TESLA, "20251006 10:00:00", "", 1000, "TRADES", False, True, []
        ),
        r.ReqHistoricalTicks(
            req_id=15,
            contract=TESLA,
            include_expired=False,
            start="20251006 10:00:00",
            end="",
            count=1000,
            what_to_show="TRADES",
            use_rth=False,
            ignore_size=True,
        ),
    ),
    (
        lambda c: c.reqTickByTickData(16, IB_TESLA, "BidAsk", 10, True),
        r.ReqTickByTickData(16, TESLA, "BidAsk", 10, ignore_size=True),
    ),
    (lambda c: c.cancelTickByTickData(16), r.CancelTickByTickData(16)),
    (lambda c: c.reqCurrentTime(), r.ReqCurrentTime()),
    (lambda c: c.setServerLogLevel(5), r.SetServerLogLevel(5)),
]


@pytest.mark.parametrize(
    ("say", "request_"),
    SAID,
    ids=[f"{number}-{request.MESSAGE}" for number, (_, request) in enumerate(SAID)],
)
def test_what_ib_insync_sends_arrives(say: Callable[[Client], object], request_: Request) -> None:
    assert heard(176, say) == request_


def test_every_message_is_tried_above_or_beside() -> None:
    """placeOrder, startApi and reqContractDetails have tests of their own."""
    tried = {request.MESSAGE for _, request in SAID}
    beside = {"placeOrder", "startApi", "reqContractDetails"}
    assert tried | beside == {name for name, _ in DECODERS.values()}
    assert len(DECODERS) == len(tried | beside)


@pytest.mark.parametrize("server_version", [157, 168])
def test_a_cancel_has_no_time_below_169(server_version: int) -> None:
    assert heard(server_version, lambda c: c.cancelOrder(17, "x")) == r.CancelOrder(17)


@pytest.mark.parametrize(("server_version", "issuer_id"), [(157, ""), (175, ""), (176, "e12")])
def test_contract_details_have_an_issuer_from_176_on(server_version: int, issuer_id: str) -> None:
    contract = IbContract(conId=5, secIdType="ISIN", secId="US88160R1014", issuerId="e12")
    expected = r.ReqContractDetails(
        req_id=2,
        contract=Contract("", "", con_id=5, exchange="", currency=""),
        sec_id_type="ISIN",
        sec_id="US88160R1014",
        issuer_id=issuer_id,
    )
    assert heard(server_version, lambda c: c.reqContractDetails(2, contract)) == expected


def test_the_legs_and_the_hedge_of_a_bag_arrive() -> None:
    legs = [IbComboLeg(1, 2, "BUY", "IPE"), IbComboLeg(3, 4, "SELL", "IPE")]
    hedge = DeltaNeutralContract(9, 0.5, 12.25)
    bag = IbContract(secType="BAG", symbol="WTI", comboLegs=legs, deltaNeutralContract=hedge)
    expected = (r.ComboLeg(1, 2, "BUY", "IPE"), r.ComboLeg(3, 4, "SELL", "IPE"))

    ticks = heard(176, lambda c: c.reqMktData(1, bag, "", False, False, []))
    assert isinstance(ticks, r.ReqMktData)
    assert ticks.legs == expected
    assert ticks.delta_neutral == r.DeltaNeutral(9, Decimal("0.5"), Decimal("12.25"))

    bars = heard(
        176, lambda c: c.reqHistoricalData(1, bag, "", "1 D", "1 min", "TRADES", 1, 1, 0, [])
    )
    assert isinstance(bars, r.ReqHistoricalData)
    assert bars.legs == expected


def test_fields_left_empty_by_other_clients_are_unset_or_false() -> None:
    """@stoqey/ib leaves most numbers and booleans empty."""
    contract = ["", "TSLA", "STK", "", "", "", "", "SMART", "", "USD", "", ""]
    event = received(176, ["50", "3", "12", *contract, "", "TRADES", "", ""])
    assert event == r.ReqRealTimeBars(12, Contract("TSLA"))


def test_an_official_client_may_spell_unset_as_the_largest_number() -> None:
    contract = ["2147483647", "TSLA", "STK", "", "1.7976931348623157e+308", "", "", "SMART"]
    event = received(176, ["97", "1", *contract, "", "USD", "", "", "Last", "0", "0"])
    assert event == r.ReqTickByTickData(1, Contract("TSLA"), "Last")
