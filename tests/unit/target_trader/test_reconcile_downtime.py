"""Everything that a broker can do while the bot is away is in the books afterwards."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.matching import drop_empty_trades
from target_trader.names import IntentState, Side
from target_trader.picture import BrokerExecution, BrokerOrder, Picture
from target_trader.reconcile import Reconciled, reconcile
from target_trader.report import FillKind, Verdict
from target_trader.state.checkpoint import Checkpoint, LastSignal, TradeStatus, new_checkpoint
from tests.support.pictures import (
    CONTEXT,
    DAY,
    EARLIER,
    ENTRY_FILL,
    NOW,
    PARTIAL,
    STOP,
    fill,
    held,
    order,
    quantity,
    ref,
    state,
    states,
    steps,
)

TRADE = "PS60|TSLA|L|20251006|1"


def over(leg: str, status: str, *, filled: int = 0) -> BrokerOrder:
    """Return an order as the broker tells it when it is done: without its ids."""
    return replace(order(leg, 0, status=status), order_id=0, client_id=0, filled=Decimal(filled))


def by_hand(
    side: str,
    shares: int,
    price: str,
    *,
    number: int = 0,
    at: datetime = NOW - timedelta(minutes=2),
) -> BrokerExecution:
    """Return a fill of an order that was given in TWS."""
    return replace(
        fill("stop", shares, price, at=at, number=90 + number),
        side=side,
        order_id=0,
        client_id=0,
        perm_id=500 + number,
        order_ref="",
    )


def told(entry: BrokerExecution, realized: str, commission: str = "1.00") -> BrokerExecution:
    """Return an execution with the broker's own figures."""
    return replace(entry, realized_pnl=Decimal(realized), commission=Decimal(commission))


def twice(books: Checkpoint, picture: Picture) -> Reconciled:
    """Reconcile, and check that doing it again changes nothing."""
    once = reconcile(books, picture, context=CONTEXT)
    again = reconcile(once.checkpoint, picture, context=CONTEXT)
    assert again.checkpoint == once.checkpoint
    return once


def kinds(outcome: Reconciled) -> list[FillKind]:
    """Return how each execution of the report came in or went out."""
    return [each.kind for finding in outcome.record.symbols for each in finding.fills]


def test_a_stop_that_filled_in_part_leaves_the_rest_held_and_protected() -> None:
    picture = Picture(
        (held(60),), (order("stop", 100, "443.37"),), (), (ENTRY_FILL, fill("stop", 40, "443.37"))
    )
    outcome = twice(state(), picture)
    assert quantity(outcome) == 60
    stop = outcome.checkpoint.intents[1]
    assert (stop.filled, stop.state) == (Decimal(40), IntentState.WORKING)


def test_an_entry_that_filled_in_part_and_was_cancelled_keeps_what_it_has() -> None:
    done = over("entry", "Cancelled", filled=60)
    picture = Picture((held(60),), (STOP, PARTIAL), (done,), (fill("entry", 60, "445.25"),))
    outcome = twice(state(entered=0), picture)
    assert quantity(outcome) == 60
    assert states(outcome)["entry"] == IntentState.CANCELLED
    assert outcome.checkpoint.positions[TRADE].status is TradeStatus.OPEN


def test_an_entry_that_expired_unfilled_is_over_and_its_trade_dropped() -> None:
    done = tuple(over(leg, "Cancelled") for leg in ("entry", "stop", "partial"))
    outcome = twice(state(entered=0), Picture(completed_orders=done))
    assert set(states(outcome).values()) == {IntentState.CANCELLED}
    assert outcome.checkpoint.positions == {}
    assert outcome.checkpoint.attempts == {"TSLA|LONG|444.77": 1}


def test_an_entry_that_was_rejected_is_an_attempt_and_no_position() -> None:
    done = over("entry", "Inactive")
    outcome = twice(state(entered=0), Picture(completed_orders=(done,)))
    assert states(outcome)["entry"] == IntentState.REJECTED
    assert outcome.checkpoint.attempts == {"TSLA|LONG|444.77": 1}


def test_a_partial_that_a_person_cancelled_stays_cancelled() -> None:
    done = over("partial", "Cancelled")
    outcome = twice(state(), Picture((held(100),), (STOP,), (done,), (ENTRY_FILL,)))
    assert states(outcome)["partial"] == IntentState.CANCELLED
    assert steps(outcome) == []


def test_a_position_that_was_reduced_by_hand_is_the_same_trade_with_less() -> None:
    sold = told(by_hand("SLD", 30, "446.25"), "29.00")
    outcome = twice(state(), Picture((held(70),), (STOP, PARTIAL), (), (ENTRY_FILL, sold)))
    position = outcome.checkpoint.positions[TRADE]
    assert (position.open_shares, position.status) == (Decimal(70), TradeStatus.PARTIAL)
    assert outcome.checkpoint.session.daily_pnl == 29
    assert FillKind.BY_HAND in kinds(outcome)


def test_a_position_that_was_added_to_by_hand_is_the_same_trade_at_the_new_average() -> None:
    bought = by_hand("BOT", 100, "447.25")
    outcome = twice(state(), Picture((held(200),), (STOP, PARTIAL), (), (ENTRY_FILL, bought)))
    position = outcome.checkpoint.positions[TRADE]
    assert (position.open_shares, position.entry_price) == (Decimal(200), Decimal("446.25"))
    assert outcome.checkpoint.session.trades_today == 1


def test_a_position_that_was_flipped_by_hand_is_closed_and_the_other_one_protected() -> None:
    sold = told(by_hand("SLD", 150, "446.25"), "98.50")
    picture = Picture((held(-50, cost="446.24"),), (), (), (ENTRY_FILL, sold))
    outcome = twice(state(), picture)
    old = outcome.checkpoint.positions[TRADE]
    assert (old.open_shares, old.status) == (Decimal(0), TradeStatus.CLOSED)
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.side, position.open_shares) == (Side.SHORT, Decimal(50))
    assert steps(outcome) == ["stop1"]
    assert outcome.checkpoint.session.daily_pnl == Decimal("98.50")
    assert "State file shows 100 shares, IBKR shows -50 shares" in outcome.report.text()


def test_a_round_trip_by_hand_while_flat_counts_in_the_days_profit() -> None:
    trips = (by_hand("BOT", 10, "445"), told(by_hand("SLD", 10, "440", number=1), "-52.00"))
    outcome = twice(new_checkpoint(DAY, now=EARLIER), Picture(executions=trips))
    assert outcome.checkpoint.positions == {}
    assert outcome.checkpoint.session.daily_pnl == -52


def test_a_correction_replaces_the_fill_and_is_told_with_both_figures() -> None:
    corrected = replace(
        ENTRY_FILL,
        exec_id=ENTRY_FILL.exec_id[:-1] + "2",
        shares=Decimal(90),
        price=Decimal("445.30"),
    )
    outcome = twice(state(), Picture((held(90),), (STOP, PARTIAL), (), (corrected,)))
    assert quantity(outcome) == 90
    assert "correction booked: BOT 90 @ 445.3 (was BOT 100 @ 445.25)" in outcome.report.text()
    assert [each.exec_id[-2:] for each in outcome.checkpoint.executions.values()] == ["02"]
    assert kinds(outcome) == [FillKind.CORRECTED]


def test_a_correction_to_no_shares_undoes_the_trade() -> None:
    undone = replace(ENTRY_FILL, exec_id=ENTRY_FILL.exec_id[:-1] + "2", shares=Decimal(0))
    outcome = twice(state(), Picture((), (STOP, PARTIAL), (), (undone,)))
    assert quantity(outcome) == 0
    assert outcome.checkpoint.session.trades_today == 0
    assert outcome.checkpoint.session.daily_pnl == 0


def test_an_execution_that_was_taken_back_is_unbooked() -> None:
    outcome = twice(state(), Picture((), (STOP, PARTIAL)))
    assert outcome.checkpoint.executions == {}
    assert quantity(outcome) == 0
    assert kinds(outcome) == [FillKind.BUSTED]
    assert "taken back by the exchange, unbooked: BOT 100 @ 445.25" in outcome.report.text()


def test_a_close_that_was_taken_back_opens_the_trade_again_and_protects_it() -> None:
    closed = reconcile(
        state(),
        Picture((), (), (), (ENTRY_FILL, told(fill("stop", 100, "443.37"), "-190"))),
        context=CONTEXT,
    )
    assert closed.checkpoint.session.daily_pnl == -190
    outcome = twice(closed.checkpoint, Picture((held(100),), (), (), (ENTRY_FILL,)))
    assert quantity(outcome) == 100
    assert outcome.checkpoint.session.daily_pnl == 0
    assert steps(outcome) == ["stop2"]


def test_executions_missing_from_an_answer_stay_booked_while_the_position_stands() -> None:
    outcome = twice(state(), Picture((held(100),), (STOP, PARTIAL)))
    assert quantity(outcome) == 100
    assert len(outcome.checkpoint.executions) == 1


def test_an_entry_taken_back_after_its_stop_has_filled_leaves_a_position_of_the_other_side() -> (
    None
):
    stopped = fill("stop", 100, "443.37")
    flat = twice(state(), Picture((), (), (), (ENTRY_FILL, stopped))).checkpoint
    outcome = twice(flat, Picture((held(-100, cost="443.37"),), (), (), (stopped,)))
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.side, position.open_shares) == (Side.SHORT, Decimal(100))
    assert steps(outcome) == ["stop1"]


def test_executions_missing_from_an_answer_stay_booked_when_they_explain_nothing() -> None:
    outcome = twice(state(), Picture((held(60),), (STOP, PARTIAL)))
    assert quantity(outcome) == 60
    assert len(outcome.checkpoint.executions) == 1
    assert [each.verdict for each in outcome.record.symbols] == [Verdict.SYNCED]


def test_a_trade_that_a_correction_opens_again_cancels_out_with_what_was_flipped_since() -> None:
    sold = by_hand("SLD", 150, "446.25")
    flipped = twice(
        state(), Picture((held(-50, cost="446.24"),), (), (), (ENTRY_FILL, sold))
    ).checkpoint
    less = replace(sold, exec_id=sold.exec_id[:-1] + "2", shares=Decimal(120))
    outcome = twice(flipped, Picture((held(-20, cost="446.24"),), (), (), (ENTRY_FILL, less)))
    shares = [each.signed_quantity for each in outcome.checkpoint.open_positions()]
    assert shares == [Decimal(-20)]


def test_a_fill_younger_than_the_answer_is_not_taken_for_one_that_was_taken_back() -> None:
    books = state()
    late = replace(fill("partial", 50, "447.13", at=NOW - timedelta(seconds=1)))
    books = reconcile(
        books, Picture((held(50),), (STOP,), (), (ENTRY_FILL, late)), context=CONTEXT
    ).checkpoint
    outcome = reconcile(books, Picture((held(100),), (STOP,), (), (ENTRY_FILL,)), context=CONTEXT)
    assert quantity(outcome) == 50
    assert outcome.ask_again
    assert [each.verdict for each in outcome.record.symbols] == [Verdict.LAGGING]


def test_a_commission_that_comes_late_is_booked_and_is_no_news() -> None:
    stopped = fill("stop", 100, "443.37")
    closed = twice(state(), Picture((), (), (), (ENTRY_FILL, stopped))).checkpoint
    assert closed.session.daily_pnl == Decimal("-188.00")
    outcome = twice(closed, Picture((), (), (), (ENTRY_FILL, told(stopped, "-190.25"))))
    assert outcome.checkpoint.session.daily_pnl == Decimal("-190.25")
    assert kinds(outcome) == []


def test_fills_of_yesterday_that_are_not_served_any_more_stay_booked() -> None:
    books = state()
    for each in books.executions.values():
        each.time = NOW - timedelta(days=1)
    books.positions[TRADE].entry_time = NOW - timedelta(days=1)
    outcome = twice(books, Picture((held(100),), (STOP, PARTIAL)))
    assert quantity(outcome) == 100
    assert outcome.checkpoint.positions[TRADE].entry_price == Decimal("445.25")
    assert outcome.checkpoint.session.trades_today == 0


def test_yesterdays_position_without_yesterdays_fills_is_held_once() -> None:
    guard = replace(STOP, order_ref="PS60|TSLA|L|20251003|2|stop")
    outcome = twice(new_checkpoint(DAY, now=EARLIER), Picture((held(100),), (guard,)))
    assert quantity(outcome) == 100
    assert steps(outcome) == []


@pytest.mark.parametrize("left", [0, 40])
def test_yesterdays_trade_that_closes_today_is_closed_by_what_it_sold(left: int) -> None:
    sold = told(
        replace(
            fill("stop", 100 - left, "443.37"),
            order_ref="PS60|TSLA|L|20251003|2|stop",
            perm_id=1011,
        ),
        "-112.00",
    )
    stop = replace(STOP, order_ref="PS60|TSLA|L|20251003|2|stop")
    picture = Picture((held(left),) if left else (), (stop,) if left else (), (), (sold,))
    outcome = twice(new_checkpoint(DAY, now=EARLIER), picture)
    assert quantity(outcome) == left
    assert outcome.checkpoint.session.daily_pnl == -112
    assert outcome.checkpoint.session.trades_today == 0
    assert outcome.checkpoint.attempts == {}


def test_yesterdays_trade_earns_nothing_before_the_broker_tells_what_it_earned() -> None:
    sold = replace(fill("stop", 100, "443.37"), order_ref="PS60|TSLA|L|20251003|2|stop")
    outcome = twice(new_checkpoint(DAY, now=EARLIER), Picture(executions=(sold,)))
    assert outcome.checkpoint.session.daily_pnl == 0


def test_two_trades_of_one_symbol_are_compared_as_their_sum() -> None:
    books = two_trades()
    outcome = twice(books, Picture((held(150),), (STOP, PARTIAL), (), served(books)))
    assert [each.verdict for each in outcome.record.symbols] == [Verdict.CONFIRMED]


def test_an_unexplained_loss_of_shares_is_taken_from_the_newest_trade_first() -> None:
    books = two_trades()
    outcome = twice(books, Picture((held(80),), (STOP, PARTIAL), (), served(books)))
    shares = {name: each.open_shares for name, each in outcome.checkpoint.positions.items()}
    assert shares == {TRADE: Decimal(80), "PS60|TSLA|L|20251006|2": Decimal(0)}


def test_an_unexplained_gain_of_shares_goes_to_the_newest_trade() -> None:
    books = two_trades()
    outcome = twice(books, Picture((held(170),), (STOP, PARTIAL), (), served(books)))
    shares = {name: each.open_shares for name, each in outcome.checkpoint.positions.items()}
    assert shares == {TRADE: Decimal(100), "PS60|TSLA|L|20251006|2": Decimal(70)}


def test_shares_sold_beyond_one_trade_are_taken_from_the_other() -> None:
    books = two_trades()
    sold = by_hand("SLD", 80, "446.00")
    outcome = twice(books, Picture((held(70),), (STOP, PARTIAL), (), (*served(books), sold)))
    shares = {name: each.open_shares for name, each in outcome.checkpoint.positions.items()}
    assert shares == {TRADE: Decimal(70), "PS60|TSLA|L|20251006|2": Decimal(0)}


def two_trades() -> Checkpoint:
    """Return books with 100 shares in the first trade and 50 in a second, later one."""
    books = state()
    second = replace(
        fill("entry", 50, "446.00", number=7, order=40, at=EARLIER + timedelta(minutes=3)),
        order_ref=ref("entry", attempt=2),
    )
    return reconcile(
        books, Picture((held(150),), (STOP, PARTIAL), (), (ENTRY_FILL, second)), context=CONTEXT
    ).checkpoint


def served(books: Checkpoint) -> tuple[BrokerExecution, ...]:
    """Return what the broker serves of the booked executions: all of them."""
    return (
        ENTRY_FILL,
        *(
            BrokerExecution(
                exec_id=each.exec_id,
                time=each.time,
                symbol=each.symbol,
                side=each.side,
                shares=each.shares,
                price=each.price,
                order_id=each.order_id,
                client_id=each.client_id,
                perm_id=each.perm_id,
                order_ref=each.order_ref,
            )
            for each in books.executions.values()
            if each.order_ref == ref("entry", attempt=2)
        ),
    )


SMA_REF = "SMA|TSLA|L|20251006|2"
SMA_FILL = replace(ENTRY_FILL, order_ref=f"{SMA_REF}|entry")


def test_a_crossovers_trade_that_only_the_broker_knows_is_rebuilt_without_levels() -> None:
    outcome = twice(new_checkpoint(DAY, now=EARLIER), Picture((held(100),), (), (), (SMA_FILL,)))
    position = outcome.checkpoint.positions[SMA_REF]
    assert (position.strategy, position.pivot, position.target1) == ("SMA", None, None)
    assert position.partial_price is None
    assert position.initial_stop == Decimal("440.80")
    assert steps(outcome) == ["stop1"]


def test_a_crossovers_attempt_counts_for_itself_and_its_signal_is_remembered() -> None:
    outcome = twice(new_checkpoint(DAY, now=EARLIER), Picture((held(100),), (), (), (SMA_FILL,)))
    assert outcome.checkpoint.attempts == {"SMA:TSLA|LONG": 2}
    assert outcome.checkpoint.last_signals["TSLA:10:30"].signal == "BUY"


def test_a_crossovers_entry_that_is_lost_may_be_taken_again() -> None:
    books = state(entered=0)
    (position,) = books.positions.values()
    books.positions = {SMA_REF: position.model_copy(update={"trade_id": SMA_REF})}
    books.attempts = {"SMA:TSLA|LONG": 2}
    books.last_signals["TSLA:10:30"] = LastSignal(
        signal="BUY", bar_time=EARLIER, price=Decimal(445)
    )
    for each in books.intents:
        each.trade_id, each.order_ref = SMA_REF, f"{SMA_REF}|{each.leg}"
        each.attempt_key = each.attempt_key and "SMA:TSLA|LONG"
    withdrawn = replace(CONTEXT, withdrawn=frozenset({10, 11, 12}))
    outcome = reconcile(books, Picture(), context=withdrawn)
    assert outcome.checkpoint.attempts == {"SMA:TSLA|LONG": 1}
    assert outcome.checkpoint.last_signals["TSLA:10:30"].pending is Side.LONG
    assert outcome.checkpoint.memory("TSLA").pending is None


def test_a_working_exit_tells_that_the_position_was_to_be_closed() -> None:
    leaving = order("stop", 100, order_ref=ref("exit"), order_id=30, perm_id=88, order_type="MKT")
    outcome = twice(state(), Picture((held(100),), (STOP, PARTIAL, leaving), (), (ENTRY_FILL,)))
    position = outcome.checkpoint.positions[TRADE]
    assert position.exit_requested == f"{ref('exit')} works at IBKR"
    assert position.order_ids == {"stop": 11, "partial": 12, "exit": 30}


def test_a_position_bought_by_hand_is_adopted_with_its_own_fills() -> None:
    bought = by_hand("BOT", 80, "450.00")
    outcome = twice(
        new_checkpoint(DAY, now=EARLIER), Picture((held(80, cost="450.01"),), (), (), (bought,))
    )
    position = outcome.checkpoint.position_of("TSLA")
    assert position is not None
    assert (position.entry_price, position.baseline_shares) == (Decimal(450), Decimal(0))
    assert steps(outcome) == ["stop1"]


def test_a_second_adopted_position_of_a_day_has_a_name_of_its_own() -> None:
    first = twice(new_checkpoint(DAY, now=EARLIER), Picture((held(80),)))
    sold = by_hand("SLD", 80, "446.00")
    flat = twice(first.checkpoint, Picture((), (), (), (sold,)))
    again = twice(flat.checkpoint, Picture((held(30),), (), (), (sold,)))
    position = again.checkpoint.position_of("TSLA")
    assert position is not None
    assert position.trade_id == "PS60|TSLA|L|20251006|A2"


def test_a_fill_of_nobody_that_is_young_is_asked_about_again() -> None:
    young = by_hand("SLD", 100, "446.00", at=NOW - timedelta(seconds=1))
    outcome = reconcile(
        state(), Picture((held(100),), (STOP, PARTIAL), (), (ENTRY_FILL, young)), context=CONTEXT
    )
    assert outcome.ask_again
    assert quantity(outcome) == 100


def test_a_difference_that_a_young_fill_of_nobody_made_worse_is_asked_about_again() -> None:
    young = by_hand("SLD", 10, "446.00", at=NOW - timedelta(seconds=1))
    outcome = reconcile(
        state(), Picture((held(60),), (STOP, PARTIAL), (), (ENTRY_FILL, young)), context=CONTEXT
    )
    assert outcome.ask_again


def test_a_trade_that_was_closed_without_ever_being_entered_is_not_dropped() -> None:
    checkpoint = state()
    trade = checkpoint.positions[TRADE]
    checkpoint.executions.clear()
    checkpoint.intents.clear()
    trade.shares, trade.closed_shares = Decimal(0), Decimal(100)
    drop_empty_trades(checkpoint)
    assert list(checkpoint.positions) == [TRADE]
    trade.closed_shares = Decimal(0)
    drop_empty_trades(checkpoint)
    assert checkpoint.positions == {}


def test_a_fill_of_nobody_inside_an_adopted_position_can_be_taken_back_too() -> None:
    """80 held, of which only 30 were bought today: the 30 are taken back."""
    bought = by_hand("BOT", 30, "450.00")
    adopted = twice(
        new_checkpoint(DAY, now=EARLIER), Picture((held(80),), (), (), (bought,))
    ).checkpoint
    outcome = twice(adopted, Picture((held(50),)))
    assert quantity(outcome) == 50
    assert outcome.checkpoint.executions == {}


def test_an_attempt_at_a_level_that_is_not_watched_any_more_is_not_counted() -> None:
    entry = replace(ENTRY_FILL, symbol="IBM", order_ref=ref("entry", symbol="IBM"))
    outcome = twice(
        new_checkpoint(DAY, now=EARLIER), Picture((held(100, "IBM"),), (), (), (entry,))
    )
    assert quantity(outcome, "IBM") == 100
    assert outcome.checkpoint.attempts == {}


def test_shares_closed_beyond_a_trade_by_its_own_orders_are_another_position() -> None:
    stopped = fill("stop", 100, "443.37"), fill("partial", 50, "447.13")
    outcome = twice(state(), Picture((held(-50, cost="445"),), (), (), (ENTRY_FILL, *stopped)))
    shares = [each.signed_quantity for each in outcome.checkpoint.open_positions()]
    assert shares == [Decimal(-50)]
    assert "was closed by more shares than it held" in outcome.report.text()
