"""Market data and account feeds as an unmodified ib_insync sees them, over TCP."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from ib_insync import IB, Contract, Forex, MarketOrder, Option, Stock
from ib_insync.objects import PriceIncrement, TickByTickMidPoint

from fakebroker.control import ControlClient
from tests.support.brokers import DEADLINE_SECONDS, RunningBroker, wait_until

Connect = Callable[..., IB]
Start = Callable[..., RunningBroker]
TSLA = Stock("TSLA", "SMART", "USD")
TICKS = """time,symbol,price,size
2025-10-06T10:00:00-04:00,TSLA,100,10
2025-10-06T10:00:01-04:00,TSLA,100.5,20
2025-10-06T10:00:04-04:00,TSLA,99,30
2025-10-06T10:00:05-04:00,TSLA,101,40
"""


@pytest.fixture
def start_on_tape() -> Iterator[Start]:
    """Return a function that starts a broker in lockstep on `--tape` whatever it is given."""
    running: list[tuple[subprocess.Popen[bytes], ControlClient]] = []
    with tempfile.TemporaryDirectory(prefix="cg-") as name:
        folder = Path(name)

        def start(tape: str, *options: str) -> RunningBroker:
            control, journal = folder / f"c{len(running)}", folder / f"j{len(running)}"
            if not tape.startswith("synthetic:"):
                path = folder / "tape.csv"
                path.write_text(tape, encoding="utf-8")
                tape = str(path)
            reader, writer = os.pipe()
            command = [sys.executable, "-m", "fakebroker", "--port", "0", "--clock", "lockstep"]
            command += ["--tape", tape, "--control", str(control), "--journal", str(journal)]
            command += ["--ready-fd", str(writer), *options]
            process = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL)
            os.close(writer)
            with os.fdopen(reader) as ready:
                line = ready.readline()
            if not line:
                pytest.fail(f"the broker did not start: exit code {process.wait(DEADLINE_SECONDS)}")
            client = ControlClient(control)
            running.append((process, client))
            return RunningBroker(json.loads(line)["port"], client, journal)

        yield start
        for process, client in running:
            client.close()
            process.terminate()
            process.wait(DEADLINE_SECONDS)


@pytest.fixture
def errors() -> Callable[[IB], list[tuple[int, int]]]:
    """Return a function that collects (request id, code) of a client's errors."""

    def collect(ib: IB) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []

        def note(req_id: int, code: int, _text: str, _contract: Contract | None) -> None:
            found.append((req_id, code))

        ib.errorEvent += note
        return found

    return collect


def step(broker: RunningBroker, count: int) -> None:
    for _ in range(count):
        broker.control.step()


def known(value: float) -> bool:
    return not math.isnan(value)


def test_market_data_comes_at_once_and_with_every_bar(
    broker: RunningBroker, connect: Connect
) -> None:
    step(broker, 2)
    ib = connect(broker)
    ticker = ib.reqMktData(TSLA)
    wait_until(ib, lambda: known(ticker.halted))

    assert (ticker.bid, ticker.ask, ticker.last) == (101, 101.01, 101)
    assert (ticker.bidSize, ticker.askSize) == (100, 100)
    assert (ticker.open, ticker.high, ticker.low) == (100, 101, 100)
    assert (ticker.volume, ticker.halted, ticker.marketDataType) == (2000, 0, 1)
    assert (ticker.markPrice, ticker.minTick) == (101, 0.01)
    assert known(ticker.close)

    step(broker, 1)
    wait_until(ib, lambda: ticker.last == 102)
    assert (ticker.bid, ticker.ask, ticker.high, ticker.volume) == (102, 102.01, 102, 3000)

    ib.cancelMktData(TSLA)
    step(broker, 1)
    ib.reqCurrentTime()
    assert ticker.last == 102


def test_a_snapshot_ends_and_stays_what_it_was(broker: RunningBroker, connect: Connect) -> None:
    step(broker, 1)
    ib = connect(broker)
    [ticker] = ib.reqTickers(TSLA)
    assert ticker.last == 100
    step(broker, 2)
    ib.reqCurrentTime()
    assert ticker.last == 100


def test_delayed_data_have_their_own_ticks(broker: RunningBroker, connect: Connect) -> None:
    step(broker, 2)
    ib = connect(broker)
    ib.reqMarketDataType(3)
    [ticker] = ib.reqTickers(TSLA)
    assert (ticker.bid, ticker.ask, ticker.last, ticker.marketDataType) == (101, 101.01, 101, 3)
    kinds = {fields["tick_type"] for fields in sent(broker, "tickPrice")}
    assert kinds == {66, 67, 68, 72, 73, 75, 76}


def sent(broker: RunningBroker, message: str) -> list[dict[str, object]]:
    """The fields of the messages of one kind that went out."""
    found = [row["fields"] for row in broker.records("sent") if row["message"] == message]
    assert all(isinstance(fields, dict) for fields in found)
    return cast("list[dict[str, object]]", found)


def test_the_spread_and_its_sizes_are_settings(start_broker: Start, connect: Connect) -> None:
    broker = start_broker(quote_spread_ticks=4, quote_size=300)
    step(broker, 1)
    ib = connect(broker)
    [ticker] = ib.reqTickers(TSLA)
    assert (ticker.bid, ticker.ask, ticker.bidSize) == (99.98, 100.02, 300)


def test_errors_name_what_is_wrong_with_an_id(
    broker: RunningBroker,
    connect: Connect,
    errors: Callable[[IB], list[tuple[int, int]]],
) -> None:
    ib = connect(broker)
    found = errors(ib)
    client = ib.client
    client.reqMktData(901, TSLA, "", False, False, [])
    client.reqMktData(901, TSLA, "", False, False, [])
    client.cancelMktData(902)
    client.cancelTickByTickData(903)
    client.cancelHistoricalData(904)
    client.cancelPnL(905)
    client.cancelRealTimeBars(906)
    client.reqMktData(907, Stock("NO SUCH", "SMART", "USD"), "", False, False, [])
    client.reqTickByTickData(908, TSLA, "Nonsense", 0, False)
    ib.reqCurrentTime()
    assert [row for row in found if row[0] > 900] == [
        (901, 322),
        (902, 300),
        (903, 300),
        (904, 366),
        (905, 300),
        (906, 300),
        (907, 200),
        (908, 321),
    ]


def test_history_has_what_was_played_and_nothing_of_what_is_to_come(
    broker: RunningBroker, connect: Connect
) -> None:
    ib = connect(broker)
    assert not ib.reqHistoricalData(TSLA, "", "1 D", "5 secs", "TRADES", False)
    step(broker, 7)
    bars = ib.reqHistoricalData(TSLA, "", "1 D", "5 secs", "TRADES", False, formatDate=2)
    assert [bar.close for bar in bars] == [100, 101, 102, 103, 104, 99, 95]
    assert bars[0].date == datetime(2025, 10, 6, 14, 0, tzinfo=UTC)

    [a, b, c, d] = ib.reqHistoricalData(TSLA, "", "1 D", "10 secs", "TRADES", True)
    assert (a.open, a.high, a.low, a.close, a.volume) == (100, 101, 100, 101, 2000)
    assert (c.open, c.high, c.low, c.close) == (103, 104, 99, 99)
    assert (b.close, d.close, d.volume) == (103, 95, 1000)
    [a, *rest] = ib.reqHistoricalData(TSLA, "", "15 S", "5 secs", "TRADES", False)
    assert (a.close, len(rest)) == (104, 2)
    [day] = ib.reqHistoricalData(TSLA, "", "3 D", "1 day", "TRADES", True)
    assert (day.open, day.high, day.low, day.close, day.volume) == (100, 104, 95, 95, 7000)
    [mid, *_] = ib.reqHistoricalData(TSLA, "", "1 D", "1 min", "MIDPOINT", False)
    assert (mid.close, mid.volume) == (95.005, -1)
    assert ib.reqHeadTimeStamp(TSLA, "TRADES", False, 2) == datetime(2025, 10, 6, 14, tzinfo=UTC)


def test_history_that_is_kept_up_to_date_grows(broker: RunningBroker, connect: Connect) -> None:
    step(broker, 3)
    ib = connect(broker)
    bars = ib.reqHistoricalData(
        TSLA, "", "1 D", "10 secs", "TRADES", False, formatDate=2, keepUpToDate=True
    )
    assert [bar.close for bar in bars] == [101, 102]
    step(broker, 1)
    wait_until(ib, lambda: bars[-1].close == 103)
    assert (len(bars), bars[-1].volume) == (2, 2000)
    step(broker, 1)
    wait_until(ib, lambda: len(bars) == 3)
    ib.cancelHistoricalData(bars)
    step(broker, 1)
    ib.reqCurrentTime()
    assert bars[-1].close == 104


@pytest.mark.parametrize(
    ("end", "duration", "size", "code"),
    [
        ("", "1 D", "7 secs", 321),
        ("", "1 X", "5 secs", 321),
        ("yesterday", "1 D", "5 secs", 321),
        ("", "1 D", "1 secs", 162),
        ("20200101 10:00:00 UTC", "1 D", "5 secs", 162),
    ],
)
def test_history_that_cannot_be_had_is_an_error(
    broker: RunningBroker,
    connect: Connect,
    errors: Callable[[IB], list[tuple[int, int]]],
    end: str,
    duration: str,
    size: str,
    code: int,
) -> None:
    step(broker, 1)
    ib = connect(broker)
    found = errors(ib)
    assert not ib.reqHistoricalData(TSLA, end, duration, size, "TRADES", False)
    assert [row[1] for row in found] == [code]


def test_ticks_of_a_tick_tape_come_one_by_one(start_on_tape: Start, connect: Connect) -> None:
    broker = start_on_tape(TICKS)
    ib = connect(broker)
    trades = ib.reqTickByTickData(TSLA, "AllLast")
    quotes = ib.reqTickByTickData(Stock("TSLA", "ISLAND", "USD"), "BidAsk")
    bars = ib.reqRealTimeBars(TSLA, 5, "TRADES", useRTH=False)
    ticker = ib.reqMktData(Stock("TSLA", "IEX", "USD"))
    ib.reqCurrentTime()
    seen: list[tuple[float, float]] = []
    asks: list[float] = []
    trades.updateEvent += lambda t: seen.extend((k.price, k.size) for k in t.tickByTicks)
    quotes.updateEvent += lambda t: asks.extend(k.askPrice for k in t.tickByTicks)

    kinds = [broker.control.step().kind for _ in range(5)]
    assert kinds == ["tick", "tick", "tick", "bar", "tick"]
    wait_until(ib, lambda: len(seen) == 4 and len(bars) == 1 and ticker.last == 101)
    assert seen == [(100, 10), (100.5, 20), (99, 30), (101, 40)]
    assert asks == [100.01, 100.51, 99.01, 101.01]
    assert (bars[0].open_, bars[0].high, bars[0].low, bars[0].close) == (100, 100.5, 99, 99)
    assert (bars[0].volume, ticker.volume, ticker.lastSize) == (60, 100, 40)

    past = ib.reqHistoricalTicks(TSLA, "20251006 10:00:01", "", 2, "TRADES", False)
    assert [tick.price for tick in past] == [100.5, 99]
    past = ib.reqHistoricalTicks(TSLA, "", "20251006 10:00:05", 1, "TRADES", False)
    assert [tick.price for tick in past] == [99]
    ib.cancelTickByTickData(TSLA, "AllLast")


def test_a_tick_tape_fills_at_the_price_of_each_trade(
    start_on_tape: Start, connect: Connect
) -> None:
    broker = start_on_tape(TICKS)
    step(broker, 2)
    ib = connect(broker)
    [contract] = ib.qualifyContracts(TSLA)
    trade = ib.placeOrder(contract, MarketOrder("BUY", 5))
    wait_until(ib, trade.isDone)
    assert trade.orderStatus.avgFillPrice == 100.5


def test_ticks_of_bars_make_the_bar(broker: RunningBroker, connect: Connect) -> None:
    step(broker, 1)
    ib = connect(broker)
    ticker = ib.reqTickByTickData(TSLA, "MidPoint", numberOfTicks=1)
    wait_until(ib, lambda: ticker.tickByTicks)
    [tick] = ticker.tickByTicks
    assert isinstance(tick, TickByTickMidPoint)
    assert tick.midPoint == 100.005
    last = ib.reqTickByTickData(Stock("TSLA", "IEX", "USD"), "Last")
    seen: list[tuple[float, float]] = []
    last.updateEvent += lambda t: seen.extend((k.price, k.size) for k in t.tickByTicks)
    ib.reqCurrentTime()
    step(broker, 1)
    wait_until(ib, lambda: seen)
    assert seen[0][0] == 100
    assert seen[-1][0] == 101
    assert sum(size for _, size in seen) == 1000


def test_profit_and_loss_follow_the_market_and_the_fills(
    broker: RunningBroker, connect: Connect
) -> None:
    step(broker, 1)
    ib = connect(broker)
    [contract] = ib.qualifyContracts(TSLA)
    pnl = ib.reqPnL("DU1234567")
    single = ib.reqPnLSingle("DU1234567", "", contract.conId)
    wait_until(ib, lambda: known(pnl.dailyPnL) and known(single.value))
    assert (pnl.dailyPnL, pnl.unrealizedPnL, pnl.realizedPnL) == (0, 0, 0)

    trade = ib.placeOrder(contract, MarketOrder("BUY", 10))
    wait_until(ib, trade.isDone)
    step(broker, 2)
    wait_until(ib, lambda: single.value == 1010)
    assert pnl.unrealizedPnL == pytest.approx(9)
    assert single.position == 10
    assert single.unrealizedPnL == pytest.approx(9)

    trade = ib.placeOrder(contract, MarketOrder("SELL", 10))
    wait_until(ib, trade.isDone)
    step(broker, 2)
    wait_until(ib, lambda: single.position == 0)
    assert pnl.realizedPnL == pytest.approx(8)
    assert pnl.unrealizedPnL == 0
    ib.cancelPnL("DU1234567")
    ib.cancelPnLSingle("DU1234567", "", contract.conId)
    ib.reqCurrentTime()


def test_the_summary_is_told_again_after_a_fill(broker: RunningBroker, connect: Connect) -> None:
    step(broker, 1)
    ib = connect(broker)
    first = {row.tag: row.value for row in ib.accountSummary()}
    assert float(first["TotalCashValue"]) == 100_000
    [contract] = ib.qualifyContracts(TSLA)
    trade = ib.placeOrder(contract, MarketOrder("BUY", 10))
    wait_until(ib, trade.isDone)
    step(broker, 2)

    def cash() -> float:
        return next(float(r.value) for r in ib.accountSummary() if r.tag == "TotalCashValue")

    wait_until(ib, lambda: cash() == 98_999)


def test_positions_of_one_account_are_told_when_they_change(
    broker: RunningBroker, connect: Connect
) -> None:
    step(broker, 1)
    ib = connect(broker)
    ib.client.reqPositionsMulti(800, "DU1234567", "")
    [contract] = ib.qualifyContracts(TSLA)
    trade = ib.placeOrder(contract, MarketOrder("BUY", 10))
    wait_until(ib, trade.isDone)
    step(broker, 2)
    ib.reqCurrentTime()
    [fields] = sent(broker, "positionMulti")
    assert fields["position"] == "10"
    assert len(sent(broker, "positionMultiEnd")) == 1


def test_symbols_rules_and_chains_can_be_found(broker: RunningBroker, connect: Connect) -> None:
    ib = connect(broker)
    found = [row.contract for row in ib.reqMatchingSymbols("TSL")]
    assert [contract.symbol for contract in found if contract] == ["TSL", "TSLA"]
    [row] = ib.reqMatchingSymbols("apple inc")
    assert row.contract == Contract("STK", 265598, "AAPL", primaryExchange="NASDAQ", currency="USD")
    assert row.derivativeSecTypes == ["OPT"]
    # ib_insync says that a rule is a list of floats; it gives PriceIncrements.
    assert repr(ib.reqMarketRule(26)) == repr([PriceIncrement(0.0, 0.01)])

    [contract] = ib.qualifyContracts(TSLA)
    chains = ib.reqSecDefOptParams("TSLA", "", "STK", contract.conId)
    assert [chain.exchange for chain in chains] == ["SMART", "CBOE"]
    expiry, strike = chains[0].expirations[0], chains[0].strikes[-1]
    [option] = ib.qualifyContracts(Option("TSLA", expiry, strike, "C", "SMART"))
    assert option.conId
    assert ib.reqSecDefOptParams("ZZZ", "", "STK", 0) == []


def test_client_0_is_bound_to_manual_orders_with_negative_ids(
    start_broker: Start, connect: Connect
) -> None:
    broker = start_broker(liquidity_per_bar=1)
    step(broker, 1)
    broker.control.manual_order("TSLA", "BUY", quantity=Decimal(30))
    ib = connect(broker, client_id=0)
    [first] = ib.reqOpenOrders()
    assert first.order.orderId == -1
    broker.control.manual_order("TSLA", "BUY", quantity=Decimal(40))
    wait_until(ib, lambda: len(ib.openTrades()) == 2)
    assert sorted(trade.order.orderId for trade in ib.openTrades()) == [-2, -1]
    bound = [fields["order_id"] for fields in sent(broker, "orderBound")]
    assert bound == [-1, -2]

    ib.cancelOrder(first.order)
    wait_until(ib, lambda: len(ib.openTrades()) == 1)


def test_only_client_0_can_bind(
    broker: RunningBroker,
    connect: Connect,
    errors: Callable[[IB], list[tuple[int, int]]],
) -> None:
    ib = connect(broker, client_id=5)
    found = errors(ib)
    ib.reqAutoOpenOrders(True)
    ib.reqCurrentTime()
    assert found == [(-1, 321)]


def test_a_halt_is_told_and_ends(start_on_tape: Start, connect: Connect) -> None:
    broker = start_on_tape("synthetic:halt:TSLA:10min", "--seed", "7")
    ib = connect(broker)
    ticker = ib.reqMktData(TSLA)
    ib.reqCurrentTime()
    kinds: list[str] = []
    while not kinds or kinds[-1] != "halt":
        kinds.append(broker.control.step().kind)
    wait_until(ib, lambda: ticker.halted == 1)
    assert ticker.bid == -1
    [contract] = ib.qualifyContracts(TSLA)
    trade = ib.placeOrder(contract, MarketOrder("BUY", 5))
    wait_until(ib, lambda: trade.orderStatus.status != "PendingSubmit")
    ib.reqCurrentTime()
    assert not trade.fills
    assert broker.control.step().kind == "halt"
    step(broker, 1)
    wait_until(ib, lambda: ticker.halted == 0 and ticker.bid > 0 and trade.fills)
    assert trade.fills[0].execution.price == float(str(broker.records("bar")[-1]["open"]))


def test_forex_quotes_have_their_own_tick(start_on_tape: Start, connect: Connect) -> None:
    bar = "2025-10-06T10:00:00-04:00,EUR.USD,1.1,1.1,1.1,1.1,1000\n"
    broker = start_on_tape("time,symbol,open,high,low,close,volume\n" + bar)
    step(broker, 1)
    ib = connect(broker)
    [ticker] = ib.reqTickers(Forex("EURUSD"))
    assert (ticker.bid, ticker.ask) == (1.1, 1.10005)
