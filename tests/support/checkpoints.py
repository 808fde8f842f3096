"""A checkpoint in which every kind of record occurs, for whoever stores or reads one."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from target_trader.clock import NEW_YORK
from target_trader.names import IntentState, Leg, Side
from target_trader.state.checkpoint import (
    BarRecord,
    BookedExecution,
    Breakout,
    BreakoutKind,
    BreakoutMemory,
    Checkpoint,
    ContractRecord,
    EquityPoint,
    HaltKind,
    Intent,
    LastSignal,
    OrderAudit,
    PartialRecord,
    Position,
    SmaMemory,
    WatchedRecord,
    new_checkpoint,
)

NOW = datetime(2025, 10, 6, 10, 5, 50, tzinfo=NEW_YORK)
DAY = date(2025, 10, 6)
TRADE = "PS60|TSLA|L|20251006|1"
STEM = "0000e0d5.67fe667b.01"
ATTEMPT = "TSLA|LONG|444.77"
PRICE = Decimal("445.25")


def full_position() -> Position:
    """A trade whose partial is taken."""
    return Position(
        trade_id=TRADE,
        symbol="TSLA",
        side=Side.LONG,
        contract=ContractRecord(symbol="TSLA", con_id=76792991),
        pivot=Decimal("444.77"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
        planned_entry=PRICE,
        initial_stop=Decimal("443.37"),
        partial_price=Decimal("447.13"),
        planned_shares=Decimal(100),
        entry_reason="WEAK break",
        signal_time=NOW,
        stop_price=PRICE,
        stop_order_id=12345,
        entry_time=NOW,
        shares=Decimal(100),
        closed_shares=Decimal(50),
        remaining=Decimal("0.5"),
        partials_taken=[PartialRecord(time=NOW, price=Decimal("447.13"), shares=Decimal(50))],
        order_ids={"stop": 12345},
    )


def full_intent() -> Intent:
    """A working stop."""
    return Intent(
        order_ref=f"{TRADE}|stop",
        trade_id=TRADE,
        leg=Leg.STOP,
        symbol="TSLA",
        side=Side.LONG,
        action="SELL",
        order_type="STP",
        quantity=Decimal(50),
        stop_price=PRICE,
        order_id=12345,
        perm_id=1500000002,
        state=IntentState.WORKING,
        planned_at=NOW,
    )


def full_execution() -> BookedExecution:
    """The fill of the entry."""
    return BookedExecution(
        exec_id=f"{STEM}.01",
        time=NOW,
        symbol="TSLA",
        side="BOT",
        shares=Decimal(100),
        price=PRICE,
        order_id=12344,
        client_id=2001,
        perm_id=1500000001,
        order_ref=f"{TRADE}|entry",
        trade_id=TRADE,
        leg=Leg.ENTRY,
        commission=Decimal("1.00"),
    )


def bar_at(seconds: int) -> BarRecord:
    """A bar that starts so many seconds after NOW."""
    moment = NOW + timedelta(seconds=seconds)
    return BarRecord(
        time=moment, open=PRICE, high=PRICE, low=PRICE, close=PRICE, volume=Decimal(900)
    )


def full_audit() -> OrderAudit:
    """The stop was acknowledged."""
    return OrderAudit(
        number=1,
        time=NOW,
        order_ref=f"{TRADE}|stop",
        order_id=12345,
        perm_id=1500000002,
        state=IntentState.WORKING,
        quantity=Decimal(50),
        filled=Decimal(0),
        price=PRICE,
    )


def full_checkpoint() -> Checkpoint:
    """A checkpoint in which every kind of record occurs."""
    checkpoint = new_checkpoint(DAY, now=NOW)
    checkpoint.attempts[ATTEMPT] = 2
    checkpoint.cash = Decimal("25000.50")
    checkpoint.session.daily_pnl = Decimal("-250.50")
    checkpoint.session.trades_today = 5
    checkpoint.session.filter_blocks["max_attempts"] = 1
    checkpoint.session.watchlist = [
        WatchedRecord(symbol="TSLA", resistance=PRICE, support=PRICE, target1=PRICE, target2=PRICE)
    ]
    checkpoint.positions[TRADE] = full_position()
    checkpoint.intents.append(full_intent())
    checkpoint.executions[STEM] = full_execution()
    checkpoint.bars["TSLA"] = [bar_at(0)]
    checkpoint.bars["NVDA"] = []
    checkpoint.breakouts["TSLA"] = BreakoutMemory(
        bars_seen=25,
        last_bar=NOW,
        pending=Side.LONG,
        breakout=Breakout(
            bar=1,
            side=Side.LONG,
            bar_time=NOW,
            price=PRICE,
            kind=BreakoutKind.STRONG,
            volume_ratio=Decimal("1.75"),
            candle_close=PRICE,
        ),
    )
    checkpoint.sma["TSLA:60"] = SmaMemory(closes=[PRICE], fast_sum=PRICE, last_bar=NOW, above=True)
    checkpoint.last_signals["AAPL:10:30"] = LastSignal(signal="BUY", bar_time=NOW, price=PRICE)
    checkpoint.circuit_breaker.failures = 4
    checkpoint.halt("a person must look", now=NOW, kind=HaltKind.ENGINE)
    checkpoint.frozen["NVDA"] = "books and broker differ"
    checkpoint.equity_curve.append(EquityPoint(time=NOW, equity=Decimal(25000), daily_pnl=PRICE))
    checkpoint.order_audit.append(full_audit())
    return checkpoint
