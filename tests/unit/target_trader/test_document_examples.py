"""The documents' own states and stories, with their figures: stored, loaded, recovered.

The positions, levels and prices are those that the documents write down; docs/requirements.md says
which document gave which.
"""

import sqlite3
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.books import Books
from target_trader.clock import NEW_YORK, MarketClock
from target_trader.history import tell_history
from target_trader.ledger import book
from target_trader.matching import Context
from target_trader.names import Leg, Side
from target_trader.picture import BrokerExecution, BrokerOrder, BrokerPosition, Picture
from target_trader.reconcile import reconcile
from target_trader.settings import Rules, Setup, StoreKind, TraderOptions, Watchlist
from target_trader.startup import begin
from target_trader.state.checkpoint import (
    BarRecord,
    Checkpoint,
    ContractRecord,
    Intent,
    LastSignal,
    PartialRecord,
    Position,
    WatchedRecord,
    new_checkpoint,
)
from target_trader.state.choice import open_store
from target_trader.strategy.breakout import step
from target_trader.strategy.exits import desired_exits
from tests.support.stores import redis_url

STORES = pytest.mark.parametrize("kind", list(StoreKind))
DESK_DAY = date(2025, 10, 6)
CRASH_DAY = date(2025, 10, 9)


def at(text: str, *, day: date = DESK_DAY) -> datetime:
    """Return a New York time of a day."""
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=NEW_YORK)


def position(symbol: str, *, strategy: str = "PS60", **fields: object) -> Position:
    """Return a long position of 100 shares with other fields replaced."""
    given = {
        "trade_id": f"{strategy}|{symbol}|L|20251006|1",
        "symbol": symbol,
        "side": Side.LONG,
        "contract": ContractRecord(symbol=symbol),
        "pivot": None,
        "target1": None,
        "target2": None,
        "planned_entry": Decimal(100),
        "initial_stop": Decimal(99),
        "partial_price": None,
        "planned_shares": Decimal(100),
        "entry_reason": "STRONG break",
        "signal_time": at("10:05:45"),
        "stop_price": Decimal(99),
        "shares": Decimal(100),
        "strategy": strategy,
    }
    return Position.model_validate(given | fields)


def stored_and_loaded(checkpoint: Checkpoint, kind: StoreKind, folder: Path) -> Checkpoint:
    """Save with one life's store and load with the next one's."""
    url = redis_url(folder) if kind is StoreKind.REDIS else None
    first = open_store(kind, folder / "state", redis_url=url)
    first.save(checkpoint)
    first.close()
    second = open_store(kind, folder / "state", redis_url=url)
    loaded = second.load()
    second.close()
    assert loaded.checkpoint is not None, loaded.problems
    return loaded.checkpoint


@STORES
def test_the_desks_position_session_and_bars_come_back_to_the_last_field(
    kind: StoreKind, tmp_path: Path
) -> None:
    checkpoint = new_checkpoint(DESK_DAY, now=at("10:08:20"))
    partial = PartialRecord(
        time=at("10:08:15"), price=Decimal("447.13"), shares=Decimal(50), reason="PARTIAL_50"
    )
    tesla = position(
        "TSLA",
        entry_price=Decimal("445.25"),
        entry_time=at("10:05:47"),
        closed_shares=Decimal(50),
        remaining=Decimal("0.5"),
        pivot=Decimal("444.77"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
        stop_price=Decimal("445.25"),
        stop_order_id=12345,
        contract=ContractRecord(symbol="TSLA", exchange="SMART", currency="USD"),
        partials_taken=[partial],
    )
    checkpoint.positions[tesla.trade_id] = tesla
    checkpoint.attempts = {"TSLA|LONG|444.77": 2, "NVDA|LONG|725.50": 1}
    session = checkpoint.session
    session.start_time = at("09:30:00")
    session.daily_pnl, session.trades_today = Decimal("756.19"), 3
    session.filter_blocks, session.entry_paths = {"attempts": 1}, {"STRONG": 2}
    session.watchlist = [
        watched("TSLA", "444.77", "432.50"),
        watched("NVDA", "725.50", "710.30"),
    ]
    checkpoint.bars["TSLA"] = [bar("10:00:00", "444.50"), bar("10:00:05", "444.77")]

    loaded = stored_and_loaded(checkpoint, kind, tmp_path)

    assert loaded == checkpoint
    back = loaded.positions[tesla.trade_id]
    assert (back.symbol, back.side, back.shares) == ("TSLA", Side.LONG, Decimal(100))
    assert (back.entry_price, back.entry_time) == (Decimal("445.25"), at("10:05:47"))
    assert (back.remaining, back.open_shares) == (Decimal("0.5"), Decimal(50))
    assert (back.pivot, back.target1, back.target2) == (
        Decimal("444.77"),
        Decimal("460.25"),
        Decimal("470.50"),
    )
    assert (back.stop_price, back.stop_order_id) == (Decimal("445.25"), 12345)
    assert (back.contract.exchange, back.contract.currency) == ("SMART", "USD")
    assert back.partials_taken == [partial]
    assert loaded.attempts == {"TSLA|LONG|444.77": 2, "NVDA|LONG|725.50": 1}
    assert [str(each.support) for each in loaded.session.watchlist] == ["432.50", "710.30"]
    assert (loaded.session.daily_pnl, loaded.session.trades_today) == (Decimal("756.19"), 3)
    assert [each.time for each in loaded.bars["TSLA"]] == [at("10:00:00"), at("10:00:05")]


def watched(symbol: str, resistance: str, support: str) -> WatchedRecord:
    """Return a line of the day's watchlist."""
    return WatchedRecord(
        symbol=symbol,
        resistance=Decimal(resistance),
        support=Decimal(support),
        target1=Decimal(resistance) + 10,
        target2=Decimal(resistance) + 20,
    )


def bar(time: str, close: str) -> BarRecord:
    """Return a five-second bar of one price."""
    price = Decimal(close)
    return BarRecord(
        time=at(time), open=price, high=price, low=price, close=price, volume=Decimal(1000)
    )


@STORES
def test_the_storys_checkpoint_comes_back_with_its_prices_order_and_cash(
    kind: StoreKind, tmp_path: Path
) -> None:
    checkpoint = new_checkpoint(date(2025, 10, 2), now=at("10:30:00.123456", day=date(2025, 10, 2)))
    for symbol, shares, cost, last in (
        ("AAPL", "100", "150.25", "155.50"),
        ("MSFT", "50", "320.00", "325.75"),
    ):
        held = position(
            symbol,
            strategy="SMA",
            shares=Decimal(shares),
            entry_price=Decimal(cost),
            last_price=Decimal(last),
        )
        checkpoint.positions[held.trade_id] = held
    checkpoint.intents.append(
        Intent(
            order_ref="SMA|GOOGL|L|20251002|1|entry",
            trade_id="SMA|GOOGL|L|20251002|1",
            leg=Leg.ENTRY,
            symbol="GOOGL",
            side=Side.LONG,
            action="BUY",
            order_type="LMT",
            quantity=Decimal(10),
            limit_price=Decimal("2800.00"),
            order_id=123,
            perm_id=456,
            planned_at=checkpoint.saved_at,
        )
    )
    checkpoint.cash = Decimal("25000.00")
    checkpoint.last_signals["AAPL:10:30"] = LastSignal(
        signal="BUY", bar_time=checkpoint.saved_at, price=Decimal("155.50")
    )

    loaded = stored_and_loaded(checkpoint, kind, tmp_path)

    assert loaded.saved_at.microsecond == 123456
    assert loaded.saved_at.utcoffset() is not None
    told = {
        each.symbol: (str(each.shares), str(each.entry_price), str(each.last_price), each.strategy)
        for each in loaded.positions.values()
    }
    assert told == {
        "AAPL": ("100", "150.25", "155.50", "SMA"),
        "MSFT": ("50", "320.00", "325.75", "SMA"),
    }
    [order] = loaded.intents
    assert (order.symbol, str(order.quantity), str(order.limit_price)) == ("GOOGL", "10", "2800.00")
    assert (order.order_id, order.perm_id, order.live) == (123, 456, True)
    assert str(loaded.cash) == "25000.00"
    assert loaded.last_signals["AAPL:10:30"].signal == "BUY"


# The crash of the ninth of October: AAPL LONG 100 @ 175.02, stop 174.50.


def apple_in_the_books() -> Checkpoint:
    """Return the state of 10:15: one entry filled, its stop working."""
    now = at("10:15:00", day=CRASH_DAY)
    checkpoint = new_checkpoint(CRASH_DAY, now=now)
    trade = "PS60|AAPL|L|20251009|1"
    checkpoint.attempts["AAPL|LONG|175"] = 1
    checkpoint.positions[trade] = position(
        "AAPL",
        trade_id=trade,
        pivot=Decimal(175),
        target1=Decimal(180),
        target2=Decimal(185),
        planned_entry=Decimal("175.02"),
        initial_stop=Decimal("174.50"),
        stop_price=Decimal("174.50"),
        signal_time=now,
        shares=Decimal(0),
    )
    for leg, order_id, kind in ((Leg.ENTRY, 100, "MKT"), (Leg.STOP, 101, "STP")):
        checkpoint.intents.append(
            Intent(
                order_ref=f"{trade}|{leg}",
                trade_id=trade,
                leg=leg,
                symbol="AAPL",
                side=Side.LONG,
                action="BUY" if leg is Leg.ENTRY else "SELL",
                order_type=kind,
                quantity=Decimal(100),
                stop_price=Decimal("174.50") if leg is Leg.STOP else None,
                order_id=order_id,
                client_id=2001,
                perm_id=order_id + 1000,
                planned_at=now,
            )
        )
    book(checkpoint, apple_fill(now))
    return checkpoint


def apple_fill(now: datetime) -> BrokerExecution:
    """Return the fill of the entry."""
    return BrokerExecution(
        exec_id="0000e0d5.68e7.01.01",
        time=now,
        symbol="AAPL",
        side="BOT",
        shares=Decimal(100),
        price=Decimal("175.02"),
        order_id=100,
        client_id=2001,
        perm_id=1100,
        order_ref="PS60|AAPL|L|20251009|1|entry",
    )


def apple_at_the_broker(now: datetime) -> Picture:
    """Return what IBKR says after the crash: 100 shares and the stop."""
    stop = BrokerOrder(
        order_id=101,
        client_id=2001,
        perm_id=1101,
        order_ref="PS60|AAPL|L|20251009|1|stop",
        symbol="AAPL",
        action="SELL",
        order_type="STP",
        quantity=Decimal(100),
        filled=Decimal(0),
        limit_price=None,
        stop_price=Decimal("174.50"),
        parent_id=100,
        status="PreSubmitted",
    )
    held = BrokerPosition("AAPL", Decimal(100), Decimal("175.02"))
    return Picture(
        open_orders=(stop,),
        completed_orders=(),
        executions=(apple_fill(now),),
        positions=(held,),
    )


def test_a_crash_with_apple_long_100_at_175_02_and_a_stop_at_174_50_is_recovered(
    tmp_path: Path,
) -> None:
    before = apple_in_the_books()
    options = apple_options(tmp_path)
    first = open_store(StoreKind.JSON, tmp_path)
    first.save(before)
    first.close()
    assert (tmp_path / "trader_state_20251009.json").exists()

    clock = MarketClock()
    clock.advance(at("10:25:00", day=CRASH_DAY))
    second = open_store(StoreKind.JSON, tmp_path)
    fresh = new_checkpoint(CRASH_DAY, now=clock.now())
    books = Books(fresh, second, clock=clock, rules=options.rules)
    begin(books, second.load(), options=options)
    context = Context(
        client_id=2001, watchlist=options.watchlist, rules=options.rules, now=clock.now()
    )
    outcome = reconcile(books.checkpoint, apple_at_the_broker(before.saved_at), context=context)
    second.close()

    assert "State file shows 100 shares, IBKR confirms 100 shares ✓" in outcome.report.text()
    after = outcome.checkpoint
    [apple] = after.open_positions()
    assert (apple.symbol, apple.signed_quantity) == ("AAPL", Decimal(100))
    assert (apple.entry_price, apple.stop_price) == (Decimal("175.02"), Decimal("174.50"))
    assert (apple.stop_order_id, apple.pivot) == (101, Decimal(175))
    assert after.attempts == {"AAPL|LONG|175": 1}
    wanted = {each.leg: (each.quantity, each.price) for each in desired_exits(apple, options.rules)}
    assert wanted[Leg.STOP] == (Decimal(100), Decimal("174.50"))


def apple_options(folder: Path) -> TraderOptions:
    """Return a bot that watches AAPL for a break of 175."""
    apple = Setup(
        symbol="AAPL",
        resistance=Decimal(175),
        support=Decimal(170),
        target1=Decimal(180),
        target2=Decimal(185),
    )
    return TraderOptions(
        host="127.0.0.1",
        port=7497,
        client_id=2001,
        state_dir=folder,
        store=StoreKind.JSON,
        watchlist=Watchlist(date=CRASH_DAY, setups=(apple,)),
        watchlist_name="watchlist.json",
        rules=Rules(),
    )


# The tracker


def test_each_symbol_has_a_memory_of_its_own_that_lasts_from_bar_to_bar() -> None:
    checkpoint = new_checkpoint(CRASH_DAY, now=at("09:45:00", day=CRASH_DAY))
    setup = apple_options(Path()).watchlist.setups[0]
    closes = (("174.90", "174.90"), ("175.02", "174.95"), ("175.10", "174.99"))
    for number, (apple, other) in enumerate(closes):
        for symbol, close in (("AAPL", apple), ("MSFT", other)):
            step(
                checkpoint.memory(symbol),
                bar(f"09:45:{5 * number:02}", close),
                setup=setup,
                rules=Rules(),
                mean_volume=Decimal(100),
                flat=True,
            )
    apple_broken, other_broken = (checkpoint.memory(each).breakout for each in ("AAPL", "MSFT"))
    assert apple_broken is not None
    assert (apple_broken.bar, apple_broken.price) == (2, Decimal("175.02"))
    assert other_broken is None
    assert set(checkpoint.breakouts) == {"AAPL", "MSFT"}
    assert checkpoint.memory("AAPL").bars_seen - apple_broken.bar == 1


# The summary that a reader makes of the trades


def test_total_profit_and_win_rate_follow_from_the_trades_that_are_told() -> None:
    checkpoint = new_checkpoint(DESK_DAY, now=at("10:00:00"))
    for number, pnl in enumerate(("150.50", "25.00", "-40.00", "0")):
        trade = position(f"T{number}", realized_pnl=Decimal(pnl), closed_shares=Decimal(100))
        checkpoint.positions[trade.trade_id] = trade
    trades = tell_history(checkpoint).trades
    assert sum((each.pnl for each in trades), Decimal(0)) == Decimal("135.50")
    assert sum(each.pnl > 0 for each in trades) / len(trades) == 0.5


def test_each_symbol_and_pair_of_periods_has_its_last_signal_under_its_own_key(
    tmp_path: Path,
) -> None:
    checkpoint = new_checkpoint(DESK_DAY, now=at("10:00:00"))
    signals = {"AAPL:10:30": "BUY", "NVDA:20:50": "SELL", "SPY:5:15": "BUY"}
    for key, signal in signals.items():
        checkpoint.last_signals[key] = LastSignal(
            signal=signal, bar_time=checkpoint.saved_at, price=Decimal(100)
        )
    store = open_store(StoreKind.SQLITE, tmp_path)
    store.save(checkpoint)
    store.close()
    with closing(sqlite3.connect(tmp_path / "trader.db")) as connection:
        query = "SELECT key, value FROM bot_state WHERE key LIKE 'last_signal:%'"
        told = dict(connection.execute(query).fetchall())
    assert told == {f"last_signal:{key}": signal for key, signal in signals.items()}
