"""What forbids an entry, limit by limit, with the documents' figures."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.clock import NEW_YORK
from target_trader.names import SMA, IntentState, Leg, Side, trade_id
from target_trader.risk import check_entry, is_flat, may_enter, money_at_risk
from target_trader.settings import Hours, Rules
from target_trader.state.checkpoint import (
    BreakoutKind,
    BreakoutMemory,
    Checkpoint,
    ContractRecord,
    HaltKind,
    Intent,
    Position,
    new_checkpoint,
)
from target_trader.strategy.signal import Signal, risk_of, stop_of

DAY = date(2025, 10, 6)
TEN = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
RULES = Rules()
SIGNAL = Signal(
    symbol="TSLA",
    side=Side.LONG,
    pivot=Decimal("444.77"),
    price=Decimal("445.25"),
    bar_time=TEN,
    kind=BreakoutKind.WEAK,
    reason="WEAK break",
)
CROSS = replace(SIGNAL, pivot=None, kind=None, strategy=SMA, price=Decimal("100.00"))
WARM = BreakoutMemory(bars_seen=20)


def checkpoint() -> Checkpoint:
    """Return a fresh day."""
    return new_checkpoint(DAY, now=TEN)


def block_of(
    day: Checkpoint,
    signal: Signal = SIGNAL,
    *,
    rules: Rules = RULES,
    memory: BreakoutMemory = WARM,
) -> str | None:
    """Return the name of what blocks a signal."""
    block = check_entry(day, signal, memory=memory, rules=rules)
    return None if block is None else block.name


def add_trade(
    day: Checkpoint,
    symbol: str,
    *,
    filled: int,
    side: Side = Side.LONG,
    attempt: int = 1,
    stop: str = "98.60",
) -> Position:
    """Add a trade of 100 shares at 100 dollars; its entry works while less has filled."""
    name = trade_id(symbol, side, day=DAY, attempt=attempt)
    day.positions[name] = position = Position(
        trade_id=name,
        symbol=symbol,
        side=side,
        contract=ContractRecord(symbol=symbol),
        pivot=Decimal(100),
        target1=None,
        target2=None,
        planned_entry=Decimal(100),
        initial_stop=Decimal(stop),
        partial_price=None,
        planned_shares=Decimal(100),
        entry_reason="break",
        signal_time=TEN,
        stop_price=Decimal(stop),
        entry_price=Decimal(100) if filled else Decimal(0),
        shares=Decimal(filled),
    )
    done = IntentState.FILLED if filled == 100 else IntentState.WORKING
    day.intents += [
        order(name, symbol, Leg.ENTRY, state=done, side=side),
        order(name, symbol, Leg.STOP, state=IntentState.WORKING, side=side),
    ]
    return position


def order(name: str, symbol: str, leg: Leg, *, state: IntentState, side: Side) -> Intent:
    """Return one order of a trade."""
    return Intent(
        order_ref=f"{name}|{leg}",
        trade_id=name,
        leg=leg,
        symbol=symbol,
        side=side,
        action="BUY",
        order_type="MKT",
        quantity=Decimal(100),
        order_id=7,
        state=state,
        planned_at=TEN,
    )


def test_a_warm_flat_day_lets_the_first_and_the_second_attempt_in() -> None:
    day = checkpoint()
    assert block_of(day) is None
    day.attempts["TSLA|LONG|444.77"] = 1
    assert block_of(day) is None


def test_the_third_attempt_is_blocked_in_the_words_of_the_desk() -> None:
    day = checkpoint()
    day.attempts["TSLA|LONG|444.77"] = 2
    block = check_entry(day, SIGNAL, memory=WARM, rules=RULES)
    assert block is not None
    assert block.name == "max_attempts"
    assert block.words == "Entry blocked: TSLA LONG has used 2 of 2 attempts at 444.77"


def test_attempts_of_the_other_side_and_of_another_level_do_not_count() -> None:
    day = checkpoint()
    day.attempts = {"TSLA|SHORT|432.50": 2, "TSLA|LONG|450.00": 2, "NVDA|LONG|444.77": 2}
    assert block_of(day) is None


def test_crossovers_have_no_budget_of_their_own_and_use_up_no_levels() -> None:
    day = checkpoint()
    day.attempts["SMA:TSLA|LONG"] = 9
    assert block_of(day, CROSS) is None
    assert block_of(day) is None


def test_nineteen_bars_are_too_few() -> None:
    assert block_of(checkpoint(), memory=BreakoutMemory(bars_seen=19)) == "warmup"


def test_a_halt_of_either_kind_blocks_every_entry() -> None:
    for kind in HaltKind:
        day = checkpoint()
        day.halt("attempts unknown", now=TEN, kind=kind)
        assert block_of(day) == "halted"


def test_a_tripped_breaker_blocks_and_a_count_below_it_does_not() -> None:
    day = checkpoint()
    day.circuit_breaker.failures = 4
    assert block_of(day) is None
    day.circuit_breaker.tripped_at = TEN
    assert block_of(day) == "circuit_breaker"


def test_a_frozen_symbol_is_not_entered_and_another_one_is() -> None:
    day = checkpoint()
    day.frozen["TSLA"] = "state 100, IBKR 50"
    assert block_of(day) == "frozen"
    assert block_of(day, replace(SIGNAL, symbol="NVDA")) is None


def test_a_state_in_doubt_enters_nothing() -> None:
    day = checkpoint()
    day.session.doubted_since = TEN
    assert block_of(day) == "doubted"


@pytest.mark.parametrize(
    ("clock", "blocked"),
    [
        ("2025-10-06T09:29:55", "hours"),
        ("2025-10-06T09:30:00", None),
        ("2025-10-06T15:59:50", None),
        # It ends at 16:00, when the order would be sent.
        ("2025-10-06T15:59:55", "hours"),
        ("2025-10-06T04:00:00", "hours"),
        ("2025-10-04T12:00:00", "hours"),
        # The days after the clocks were changed in New York.
        ("2025-03-10T09:30:00", None),
        ("2025-11-03T09:29:55", "hours"),
    ],
)
def test_entries_are_taken_in_regular_hours_only(clock: str, blocked: str | None) -> None:
    moment = datetime.fromisoformat(clock).replace(tzinfo=NEW_YORK)
    signal = replace(SIGNAL, bar_time=moment)
    assert block_of(checkpoint(), signal) == blocked
    assert block_of(checkpoint(), signal, rules=replace(RULES, hours=Hours.ANY)) is None


@pytest.mark.parametrize(
    ("pnl", "blocked"),
    [("0", None), ("-812.00", None), ("-812.01", "daily_loss"), ("-1000", "daily_loss")],
)
def test_the_daily_loss_counts_what_the_new_trade_could_lose(pnl: str, blocked: str | None) -> None:
    day = checkpoint()
    day.session.daily_pnl = Decimal(pnl)
    assert risk_of(SIGNAL, RULES) == 188
    assert block_of(day) == blocked


def test_with_800_of_1000_dollars_lost_a_trade_that_could_lose_250_is_blocked() -> None:
    day = checkpoint()
    day.session.daily_pnl = Decimal("-800.0")
    rules = replace(RULES, stop_distance=Decimal("2.02"))
    assert risk_of(SIGNAL, rules) == 250
    block = check_entry(day, SIGNAL, memory=WARM, rules=rules)
    assert block is not None
    assert block.words == (
        "Entry blocked: TSLA LONG: daily P&L $-800.0, $0.00 at risk, "
        "this trade could lose $250.00, the limit is $1000"
    )
    assert block_of(day, rules=replace(RULES, stop_distance=Decimal("1.52"))) is None


def test_entries_on_their_way_and_open_trades_are_at_risk_alike() -> None:
    day = checkpoint()
    day.session.daily_pnl = Decimal(-600)
    pending = add_trade(day, "NVDA", filled=0)
    assert money_at_risk(day) == 140
    add_trade(day, "AMD", filled=60)
    assert money_at_risk(day) == 280
    # 600 lost, 280 at risk, 188 for the new one.
    assert block_of(day) == "daily_loss"
    del day.positions[pending.trade_id]
    assert block_of(day) is None


def test_a_trade_whose_stop_is_at_breakeven_is_not_at_risk() -> None:
    day = checkpoint()
    position = add_trade(day, "NVDA", filled=100)
    assert money_at_risk(day) == 140
    position.stop_price = Decimal("100.50")
    assert money_at_risk(day) == 0


def test_a_short_trade_is_at_risk_upwards() -> None:
    day = checkpoint()
    add_trade(day, "NVDA", filled=100, side=Side.SHORT, stop="101.40")
    assert money_at_risk(day) == 140


def test_after_18_trades_two_more_are_taken_and_not_three() -> None:
    day = checkpoint()
    day.session.trades_today = 18
    assert block_of(day) is None
    add_trade(day, "NVDA", filled=0)
    assert block_of(day) is None
    add_trade(day, "AMD", filled=0)
    assert block_of(day) == "daily_trades"


def test_an_entry_that_came_to_nothing_is_neither_a_trade_nor_at_risk() -> None:
    day = checkpoint()
    add_trade(day, "NVDA", filled=0)
    day.intents[0].state = IntentState.REJECTED
    day.intents[1].state = IntentState.CANCELLED
    day.session.trades_today = 19
    assert (block_of(day), money_at_risk(day)) == (None, Decimal(0))


def test_a_trade_that_has_begun_to_fill_is_counted_once() -> None:
    day = checkpoint()
    add_trade(day, "NVDA", filled=60)
    day.session.trades_today = 19
    assert block_of(day) is None
    day.session.trades_today = 20
    assert block_of(day) == "daily_trades"


def test_an_entry_that_may_have_been_sent_blocks_the_next_one() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=0)
    day.intents[0].state = IntentState.UNKNOWN
    assert not is_flat(day, "TSLA")
    assert is_flat(day, "NVDA")
    assert block_of(day) == "position"
    assert block_of(day, CROSS) == "position"


def test_a_position_of_either_strategy_blocks_the_other() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=100).strategy = SMA
    assert block_of(day) == "position"
    assert block_of(day, CROSS) == "position"


def test_exits_that_still_work_for_a_closed_trade_block() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=100).closed_shares = Decimal(100)
    assert block_of(day) == "open_exits"


SCALING = replace(RULES, scale_in=True)


def test_scaling_in_adds_a_second_trade_of_the_same_side_and_no_third() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=100)
    assert may_enter(day, "TSLA", rules=SCALING)
    assert not may_enter(day, "TSLA", rules=RULES)
    assert block_of(day, rules=SCALING) is None
    add_trade(day, "TSLA", filled=100, attempt=2)
    assert not may_enter(day, "TSLA", rules=SCALING)
    assert block_of(day, rules=SCALING) == "scale"


def test_scaling_in_never_adds_the_opposite_side_nor_to_a_trade_that_is_leaving() -> None:
    day = checkpoint()
    position = add_trade(day, "TSLA", filled=100)
    short = replace(SIGNAL, side=Side.SHORT, pivot=Decimal("432.50"), price=Decimal("432.00"))
    assert block_of(day, short, rules=SCALING) == "position"
    position.exit_requested = "SMA"
    assert block_of(day, rules=SCALING) == "position"


def test_scaling_in_waits_for_an_entry_that_is_filling() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=60)
    assert not may_enter(day, "TSLA", rules=SCALING)
    assert block_of(day, rules=SCALING) == "position"


def test_entries_build_up_no_more_shares_than_the_limit() -> None:
    day = checkpoint()
    add_trade(day, "TSLA", filled=100)
    assert block_of(day, rules=replace(SCALING, max_shares=Decimal(199))) == "position_size"
    assert block_of(day, rules=replace(SCALING, max_shares=Decimal(200))) is None


def test_the_stop_of_a_crossover_is_a_part_of_the_price_away_on_the_tick() -> None:
    signal = replace(CROSS, price=Decimal("175.03"))
    assert stop_of(signal, RULES) == Decimal("173.28")
    assert stop_of(replace(signal, side=Side.SHORT), RULES) == Decimal("176.78")
    assert stop_of(SIGNAL, RULES) == Decimal("443.37")


def test_a_bar_of_a_day_is_judged_in_new_york_whatever_its_zone() -> None:
    moment = datetime.fromisoformat("2025-10-06T13:30:00+00:00")
    assert block_of(checkpoint(), replace(SIGNAL, bar_time=moment)) is None
    early = moment - timedelta(seconds=5)
    assert block_of(checkpoint(), replace(SIGNAL, bar_time=early)) == "hours"
