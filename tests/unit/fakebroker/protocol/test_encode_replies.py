from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import pytest
from ib_insync.util import UNSET_DOUBLE

from fakebroker.protocol import Reply, encode
from fakebroker.protocol import market_replies as m
from fakebroker.protocol import replies as r
from fakebroker.protocol.order_fields import words
from fakebroker.values import OrderStatus
from tests.unit.fakebroker.protocol.wire import MARKET_ORDER, TESLA, told, understood

NOON = datetime(2025, 10, 6, 16, 0, 0, tzinfo=UTC)
EPOCH = 1759766400
D = Decimal
EXECUTION = r.Execution(
    exec_id="0000e0d5.67fe667b.01.01",
    time=NOON,
    account="DU1234567",
    exchange="ISLAND",
    side="BOT",
    shares=D(60),
    price=D("444.77"),
    perm_id=1376327563,
    client_id=11,
    cum_qty=D(60),
    avg_price=D("444.77"),
    order_ref="PS60|TSLA|L|20251006|1|entry",
)
EXEC_DETAILS = r.ExecDetails(-1, 17, TESLA, EXECUTION)
STATUS = r.OrderStatusReport(
    order_id=17,
    status=OrderStatus.SUBMITTED,
    filled=D(60),
    remaining=D(40),
    avg_fill_price=D("444.77"),
    perm_id=1376327563,
    parent_id=16,
    last_fill_price=D("444.80"),
    client_id=11,
    why_held="child",
)
BAR = m.HistoricalBar(NOON, D("1.5"), D(3), D(1), D(2), D(1000), D("2.25"), 7)
DETAILS = r.ContractDetails(
    req_id=2,
    contract=TESLA,
    market_name="NMS",
    order_types="LMT,MKT",
    valid_exchanges="SMART,NASDAQ",
    long_name="TESLA INC",
    time_zone_id="US/Eastern",
    trading_hours="20251006:0400-20251006:2000;20251007:CLOSED",
    sec_ids=(("ISIN", "US88160R1014"),),
    market_rule_ids="26,26",
    stock_type="COMMON",
    min_size=D("0.0001"),
)
PORTFOLIO = r.PortfolioValue(
    contract=TESLA,
    position=D(-50),
    market_price=D("444.5"),
    market_value=D(-22225),
    average_cost=D("445.25"),
    unrealized_pnl=D("37.5"),
    realized_pnl=D(0),
    account="DU1234567",
)
STRUCTURED: list[Reply] = [
    r.OpenOrder(1, TESLA, MARKET_ORDER, 1, 2, OrderStatus.SUBMITTED),
    r.CompletedOrder(TESLA, MARKET_ORDER, 2, OrderStatus.FILLED, D(100), NOON, "Filled"),
    EXEC_DETAILS,
    STATUS,
    DETAILS,
    PORTFOLIO,
    r.Position("DU1234567", TESLA, D(50), D("445.25")),
    r.PositionMulti(3, "DU1234567", TESLA, D(50), D("445.25"), "model"),
    m.RealtimeBar(12, NOON, D("1.5"), D(3), D(1), D(2), D(1000), D("2.25"), 7),
    m.HistoricalData(13, NOON, NOON, (BAR,)),
    m.HistoricalDataUpdate(13, BAR),
    m.HistoricalTicksLast(15, (m.HistoricalTickLast(NOON, D(2), D(100), "N", "x", 2),), done=True),
    m.SymbolSamples(10, (m.SymbolSample(5, "TSLA", "STK", "NASDAQ", "USD", ("OPT",), "Tesla"),)),
]
# What ib_insync has to hear for a message: the method of its wrapper and the arguments.
SIMPLE: list[tuple[Reply, str, tuple[Any, ...]]] = [
    (r.ManagedAccounts(("DU1", "DU2")), "managedAccounts", ("DU1,DU2",)),
    (r.NextValidId(17), "nextValidId", (17,)),
    (r.ErrorMessage(17, 201, "no", '{"a":1}'), "error", (17, 201, "no", '{"a":1}')),
    (r.CurrentTime(NOON), "currentTime", (EPOCH,)),
    (r.OpenOrderEnd(), "openOrderEnd", ()),
    (r.OrderBound(1376327563, 0, -5), "orderBound", (1376327563, 0, -5)),
    (r.CompletedOrdersEnd(), "completedOrdersEnd", ()),
    (r.ExecDetailsEnd(5), "execDetailsEnd", (5,)),
    (
        r.AccountValue("NetLiquidation", "100000.00", "USD", "DU1"),
        "updateAccountValue",
        ("NetLiquidation", "100000.00", "USD", "DU1"),
    ),
    (r.AccountUpdateTime(NOON), "updateAccountTime", ("12:00",)),
    (r.AccountDownloadEnd("DU1"), "accountDownloadEnd", ("DU1",)),
    (
        r.AccountUpdateMulti(3, "DU1", "m", "Cash", "5", "USD"),
        "accountUpdateMulti",
        (3, "DU1", "m", "Cash", "5", "USD"),
    ),
    (r.AccountUpdateMultiEnd(3), "accountUpdateMultiEnd", (3,)),
    (
        r.AccountSummary(4, "DU1", "Cash", "5", "USD"),
        "accountSummary",
        (4, "DU1", "Cash", "5", "USD"),
    ),
    (r.AccountSummaryEnd(4), "accountSummaryEnd", (4,)),
    (r.PositionEnd(), "positionEnd", ()),
    (r.PositionMultiEnd(6), "positionMultiEnd", (6,)),
    (r.PnL(7, D("1.5"), D(-2), None), "pnl", (7, 1.5, -2.0, UNSET_DOUBLE)),
    (
        r.PnLSingle(8, D(50), D("1.5"), D(-2), None, D(22225)),
        "pnlSingle",
        (8, 50.0, 1.5, -2.0, UNSET_DOUBLE, 22225.0),
    ),
    (r.ContractDetailsEnd(2), "contractDetailsEnd", (2,)),
    (
        m.SecDefOptParams(
            9, "CBOE", 76792991, "TSLA", "100", (date(2025, 10, 17),), (D(440), D("442.5"))
        ),
        "securityDefinitionOptionParameter",
        (9, "CBOE", "76792991", "TSLA", "100", ["20251017"], [440.0, 442.5]),
    ),
    (m.SecDefOptParamsEnd(9), "securityDefinitionOptionParameterEnd", (9,)),
    (m.TickPrice(11, 4, D("444.77"), D(100), 1), "priceSizeTick", (11, 4, 444.77, 100.0)),
    (m.TickPrice(11, 1, None), "priceSizeTick", (11, 1, -1.0, 0.0)),
    (m.TickSize(11, 8, D(12345)), "tickSize", (11, 8, 12345.0)),
    (m.TickGeneric(11, 49, D(0)), "tickGeneric", (11, 49, 0.0)),
    (m.TickString(11, 45, str(EPOCH)), "tickString", (11, 45, str(EPOCH))),
    (m.TickReqParams(11, D("0.01"), "9c0001", 3), "tickReqParams", (11, 0.01, "9c0001", 3)),
    (m.TickSnapshotEnd(11), "tickSnapshotEnd", (11,)),
    (m.MarketDataType(11, 3), "marketDataType", (11, 3)),
    (
        m.RealtimeBar(12, NOON, D("1.5"), D(3), D(1), D(2), D(1000), D("2.25"), 7),
        "realtimeBar",
        (12, EPOCH, 1.5, 3.0, 1.0, 2.0, 1000.0, 2.25, 7),
    ),
    (m.HeadTimestamp(14, NOON), "headTimestamp", (14, "20251006  12:00:00")),
    (m.HeadTimestamp(14, NOON, format_date=2), "headTimestamp", (14, str(EPOCH))),
    (m.TickByTickMidPoint(16, NOON, D("444.775")), "tickByTickMidPoint", (16, EPOCH, 444.775)),
]


@pytest.mark.parametrize("server_version", [166, 176])
@pytest.mark.parametrize(
    ("reply", "method", "arguments"),
    SIMPLE,
    ids=[f"{number}-{reply.MESSAGE}" for number, (reply, _, _) in enumerate(SIMPLE)],
)
def test_what_is_said_is_what_ib_insync_hears(
    reply: Reply, method: str, arguments: tuple[Any, ...], server_version: int
) -> None:
    assert understood(reply, server_version) == [(method, arguments)]


def test_every_reply_is_tried_above_or_below() -> None:
    below = {r.CommissionReport, m.MarketRule, m.TickByTickLast, m.TickByTickBidAsk}
    tried = {type(reply) for reply, _, _ in SIMPLE} | {type(reply) for reply in STRUCTURED}
    assert tried | below == set(get_args(Reply))


def test_the_message_ids_are_those_of_tws() -> None:
    ids = {reply.MESSAGE: encode(reply, 176)[0] for reply in STRUCTURED}
    ids |= {reply.MESSAGE: encode(reply, 176)[0] for reply, _, _ in SIMPLE}
    expected = words(
        "openOrder 5 orderStatus 3 error 4 execDetails 11 completedOrder 101 contractDetails 10"
        " accountValue 6 portfolioValue 7 accountUpdateTime 8 nextValidId 9 managedAccounts 15"
        " currentTime 49 realtimeBar 50 openOrderEnd 53 position 61 positionEnd 62"
        " completedOrdersEnd 102 execDetailsEnd 55 accountDownloadEnd 54"
    )
    for message, wanted in zip(expected[::2], expected[1::2], strict=True):
        assert ids[message] == wanted, message


def test_an_error_has_no_reject_field_below_166() -> None:
    """The official client at 157 rejects a message with a field too many."""
    reply = r.ErrorMessage(-1, 2104, "Market data farm connection is OK:usfarm")
    below = ["4", "2", "-1", "2104", "Market data farm connection is OK:usfarm"]
    assert encode(reply, 157) == encode(reply, 165) == below
    assert encode(reply, 166) == [*below, ""]


def test_an_order_status_is_told() -> None:
    assert told(STATUS, 176) == (
        *(17, "Submitted", 60.0, 40.0, 444.77, 1376327563, 16, 444.8, 11, "child", 0.0),
    )
    assert encode(STATUS, 157) == encode(STATUS, 178)


@pytest.mark.parametrize("server_version", [157, 173, 174, 176])
def test_an_execution_is_told_with_its_moment(server_version: int) -> None:
    """Below 174 the time has no zone, and a client knows only what it was told to assume."""
    fields = encode(EXEC_DETAILS, server_version)
    assert len(fields) == 31
    if server_version < 174:
        assert fields[15] == "20251006  12:00:00"
    else:
        assert fields[15] == "20251006 12:00:00 America/New_York"
        assert told(EXEC_DETAILS, server_version)[2].time == NOON
    req_id, contract, execution = told(EXEC_DETAILS, server_version)
    assert (req_id, contract.conId, contract.exchange) == (-1, 76792991, "ISLAND")
    assert (execution.orderId, execution.permId, execution.clientId) == (17, 1376327563, 11)
    assert (execution.execId, execution.side) == ("0000e0d5.67fe667b.01.01", "BOT")
    assert (execution.shares, execution.price) == (60, 444.77)
    assert (execution.cumQty, execution.avgPrice) == (60, 444.77)
    assert execution.orderRef == "PS60|TSLA|L|20251006|1|entry"
    assert execution.lastLiquidity == 1


def test_an_execution_says_at_178_whether_its_price_may_change() -> None:
    assert encode(EXEC_DETAILS, 178) == [*encode(EXEC_DETAILS, 177), "0"]


@pytest.mark.parametrize(("pnl", "heard"), [(None, UNSET_DOUBLE), (D("-150.00"), -150.0)])
def test_an_opening_fill_has_no_realised_profit(pnl: Decimal | None, heard: float) -> None:
    reply = r.CommissionReport("0000e0d5.67fe667b.01.01", D("1.05"), "USD", pnl)
    assert len(encode(reply, 176)) == 8
    (report,) = told(reply, 176)
    assert (report.execId, report.commission) == ("0000e0d5.67fe667b.01.01", 1.05)
    assert (report.realizedPNL, report.yield_) == (heard, UNSET_DOUBLE)


def test_a_position_is_told_with_the_listing_exchange() -> None:
    reply = r.Position("DU1234567", TESLA, D(50), D("445.25"))
    assert len(encode(reply, 176)) == 16
    account, contract, quantity, cost = told(reply, 176)
    assert (account, quantity, cost) == ("DU1234567", 50, 445.25)
    assert (contract.conId, contract.exchange, contract.right) == (76792991, "NASDAQ", "")
    multi = r.PositionMulti(3, "DU1234567", TESLA, D(50), D("445.25"), "model")
    req_id, account, model, contract, quantity, _ = told(multi, 176)
    assert (req_id, account, model, quantity) == (3, "DU1234567", "model", 50)
    assert contract.localSymbol == "TSLA"


def test_a_portfolio_value_is_told() -> None:
    assert len(encode(PORTFOLIO, 176)) == 20
    contract, *amounts, account = told(PORTFOLIO, 176)
    assert (contract.conId, contract.primaryExchange) == (76792991, "NASDAQ")
    assert amounts == [-50, 444.5, -22225, 445.25, 37.5, 0]
    assert account == "DU1234567"


@pytest.mark.parametrize("server_version", [157, 162, 164, 176])
def test_contract_details_are_told_in_both_layouts(server_version: int) -> None:
    req_id, details = told(DETAILS, server_version)
    assert req_id == 2
    contract = details.contract
    assert (contract.conId, contract.symbol, contract.exchange) == (76792991, "TSLA", "SMART")
    assert (contract.primaryExchange, contract.tradingClass) == ("NASDAQ", "NMS")
    assert (details.minTick, details.priceMagnifier, details.aggGroup) == (0.01, 1, 1)
    assert (details.longName, details.stockType) == ("TESLA INC", "COMMON")
    assert details.secIdList == [("ISIN", "US88160R1014")]
    assert details.tradingHours == "20251006:0400-20251006:2000;20251007:CLOSED"
    assert details.marketRuleIds == "26,26"
    assert details.minSize == (0.0001 if server_version >= 164 else 0)


def test_sizes_are_whole_below_163_and_exact_from_there() -> None:
    bar = m.RealtimeBar(12, NOON, D(1), D(1), D(1), D(1), D("1000.75"), D(1), 7)
    replies: list[tuple[Reply, int, str, str]] = [
        (m.TickSize(1, 8, D("0.75")), 4, "0", "0.75"),
        (m.TickPrice(1, 4, D("1.5"), D("2.0")), 5, "2", "2"),
        (bar, 8, "1000", "1000.75"),
        (r.PnLSingle(1, D("1.5"), None, None, None, None), 2, "1", "1.5"),
        (m.TickByTickLast(1, 2, NOON, D("1.5"), D("2.5")), 5, "2", "2.5"),
        (m.HistoricalData(1, NOON, NOON, (replace(BAR, volume=D("7.5")),)), 10, "7", "7.5"),
    ]
    for reply, at, whole, exact in replies:
        assert (encode(reply, 162)[at], encode(reply, 164)[at]) == (whole, exact), reply


@pytest.mark.parametrize(
    ("server_version", "format_date", "time", "shown"),
    [
        (162, 1, NOON, "20251006  12:00:00"),
        (176, 1, NOON, "20251006 12:00:00 America/New_York"),
        (176, 2, NOON, str(EPOCH)),
        (176, 1, date(2025, 10, 6), "20251006"),
        (176, 2, date(2025, 10, 6), "20251006"),
    ],
)
def test_bars_of_the_past_are_told_with_their_times(
    server_version: int, format_date: int, time: datetime | date, shown: str
) -> None:
    bar = replace(BAR, time=time)
    calls = understood(
        m.HistoricalData(13, NOON, NOON, (bar, bar), format_date=format_date), server_version
    )
    assert [method for method, _ in calls] == ["historicalData"] * 2 + ["historicalDataEnd"]
    heard = calls[0][1][1]
    assert heard.date == shown
    assert (heard.open, heard.high, heard.low, heard.close) == (1.5, 3, 1, 2)
    assert (heard.volume, heard.average, heard.barCount) == (1000, 2.25, 7)

    _, update = told(m.HistoricalDataUpdate(13, bar, format_date=format_date), server_version)
    assert update == heard


@pytest.mark.parametrize("server_version", [164, 176])
def test_symbol_samples_are_told(server_version: int) -> None:
    rows = (
        m.SymbolSample(5, "TSLA", "STK", "NASDAQ", "USD", ("OPT", "WAR"), "TESLA INC", "e1"),
        m.SymbolSample(6, "TSL", "STK", "NYSE", "USD"),
    )
    req_id, samples = told(m.SymbolSamples(10, rows), server_version)
    assert req_id == 10
    assert [sample.contract.symbol for sample in samples] == ["TSLA", "TSL"]
    assert samples[0].derivativeSecTypes == ["OPT", "WAR"]
    assert samples[0].contract.issuerId == ("e1" if server_version >= 176 else "")


def test_a_market_rule_is_told() -> None:
    steps = (m.PriceIncrement(D(0), D("0.0001")), m.PriceIncrement(D(1), D("0.01")))
    rule_id, heard = told(m.MarketRule(26, steps), 176)
    assert rule_id == 26
    assert [(step.lowEdge, step.increment) for step in heard] == [(0, 0.0001), (1, 0.01)]


def test_ticks_are_told_with_their_attributes() -> None:
    last = m.TickByTickLast(16, 1, NOON, D("444.5"), D(100), 2, "ISLAND", "T")
    *numbers, attributes, exchange, conditions = told(last, 176)
    assert numbers == [16, 1, EPOCH, 444.5, 100.0]
    assert (attributes.unreported, exchange, conditions) == (True, "ISLAND", "T")

    quote = m.TickByTickBidAsk(16, NOON, D("444.5"), D("444.75"), D(1), D(2), 1)
    *numbers, attributes = told(quote, 176)
    assert numbers == [16, EPOCH, 444.5, 444.75, 1.0, 2.0]
    assert attributes.bidPastLow is True

    past = m.HistoricalTickLast(NOON, D("444.5"), D(100), "ISLAND", "T", 1)
    req_id, ticks, done = told(m.HistoricalTicksLast(15, (past,), done=False), 176)
    assert (req_id, done) == (15, False)
    assert (ticks[0].time, ticks[0].price, ticks[0].exchange) == (NOON, 444.5, "ISLAND")


@pytest.mark.parametrize(
    "reply",
    [
        replace(EXEC_DETAILS, execution=replace(EXECUTION, time=NOON.replace(tzinfo=None))),
        r.CurrentTime(NOON.replace(tzinfo=None)),
    ],
)
def test_a_time_without_a_zone_is_refused(reply: Reply) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        encode(reply, 176)
