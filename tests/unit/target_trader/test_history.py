"""The history: a reader that was away gets everything once, and afterwards only what is new."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.clock import NEW_YORK
from target_trader.history import (
    Event,
    ExecutionEvent,
    History,
    OrderEvent,
    note_bookings,
    tell_history,
)
from target_trader.ledger import book
from target_trader.names import IntentState, Side
from target_trader.picture import BrokerExecution
from target_trader.state.checkpoint import (
    Checkpoint,
    ContractRecord,
    OrderAudit,
    Position,
    TradeStatus,
    new_checkpoint,
)

NOW = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)


def trade_id(number: int) -> str:
    """Name the number-th trade of the day."""
    return f"PS60|T{number}|L|20251006|1"


def begin_trade(checkpoint: Checkpoint, number: int, *, minutes: int = 0) -> None:
    """Put a trade into the books that has had no fill yet."""
    checkpoint.positions[trade_id(number)] = Position(
        trade_id=trade_id(number),
        symbol=f"T{number}",
        side=Side.LONG,
        contract=ContractRecord(symbol=f"T{number}"),
        pivot=Decimal(100),
        target1=None,
        target2=None,
        planned_entry=Decimal(100),
        initial_stop=Decimal(99),
        partial_price=None,
        planned_shares=Decimal(75),
        entry_reason="STRONG break",
        signal_time=NOW + timedelta(minutes=minutes),
        stop_price=Decimal(99),
    )


def fill(
    checkpoint: Checkpoint,
    number: int,
    leg: str,
    shares: int,
    price: str,
    *,
    at: int,
    commission: str | None = None,
    revision: int = 1,
) -> str:
    """Book and note a fill of the number-th trade; return its execId."""
    execution = BrokerExecution(
        exec_id=f"0000e0d5.67fe66{number:02d}.{at:02d}.{revision:02d}",
        time=NOW + timedelta(minutes=at),
        symbol=f"T{number}",
        side="BOT" if leg == "entry" else "SLD",
        shares=Decimal(shares),
        price=Decimal(price),
        order_id=0,
        client_id=2001,
        perm_id=0,
        order_ref=f"{trade_id(number)}|{leg}",
    )
    if commission is not None:
        execution = replace(execution, commission=Decimal(commission))
    assert book(checkpoint, execution)
    note_bookings(checkpoint)
    return execution.exec_id


def change(checkpoint: Checkpoint, number: int, state: IntentState, *, at: int) -> None:
    """Note that the stop of the number-th trade has changed."""
    checkpoint.order_audit.append(
        OrderAudit(
            number=len(checkpoint.order_audit) + 1,
            time=NOW + timedelta(minutes=at),
            order_ref=f"{trade_id(number)}|stop",
            order_id=7,
            perm_id=None,
            state=state,
            quantity=Decimal(75),
            filled=Decimal(0),
            price=Decimal(99),
        )
    )


@pytest.fixture
def books() -> Checkpoint:
    """Books with the document's three trades: closed, partly closed, open."""
    checkpoint = new_checkpoint(date(2025, 10, 6), now=NOW)
    for number in (1, 2, 3):
        begin_trade(checkpoint, number, minutes=number)
    fill(checkpoint, 1, "entry", 75, "100", at=1)
    change(checkpoint, 1, IntentState.WORKING, at=1)
    fill(checkpoint, 2, "entry", 150, "100", at=2)
    fill(checkpoint, 2, "partial", 50, "100.50", at=3)
    fill(checkpoint, 3, "entry", 75, "100", at=4)
    fill(checkpoint, 1, "stop", 75, "102", at=5)
    return checkpoint


def keys(history: History) -> list[str]:
    """Name the events of a history: execIds, and states of orders."""
    return [key(each) for each in history.events]


def key(event: Event) -> str:
    return event.exec_id if isinstance(event, ExecutionEvent) else event.state.value


def test_a_fully_closed_trade_is_told_as_the_document_tells_it(books: Checkpoint) -> None:
    trade = tell_history(books).trades[0]
    assert trade.trade_id == trade_id(1)
    assert trade.status is TradeStatus.CLOSED
    assert (trade.quantity, trade.qty_closed, trade.pnl) == (Decimal(75), Decimal(75), Decimal(150))
    assert trade.entry_execution_ids == ("0000e0d5.67fe6601.01.01",)
    assert trade.exit_execution_ids == ("0000e0d5.67fe6601.05.01",)


def test_a_partly_closed_trade_is_told_as_the_document_tells_it(books: Checkpoint) -> None:
    trade = tell_history(books).trades[1]
    assert trade.status is TradeStatus.PARTIAL
    assert (trade.quantity, trade.qty_closed, trade.pnl) == (Decimal(150), Decimal(50), Decimal(25))


def test_an_open_trade_is_told_as_the_document_tells_it(books: Checkpoint) -> None:
    trade = tell_history(books).trades[2]
    assert trade.status is TradeStatus.OPEN
    assert (trade.quantity, trade.qty_closed, trade.pnl) == (Decimal(75), Decimal(0), Decimal(0))
    assert len(trade.entry_execution_ids) == 1
    assert trade.exit_execution_ids == ()


def test_everything_is_told_to_a_reader_that_knows_nothing(books: Checkpoint) -> None:
    history = tell_history(books)
    assert not history.is_delta
    assert (history.event_count, history.trade_count) == (6, 3)
    assert [event.time for event in history.events] == sorted(
        event.time for event in history.events
    )
    assert len({event.event_id for event in history.events}) == 6
    (order,) = [event for event in history.events if isinstance(event, OrderEvent)]
    assert order.trade_id == trade_id(1)


def test_no_state_is_an_empty_history() -> None:
    assert json.loads(tell_history(None).model_dump_json()) == {
        "day": None,
        "saved_at": None,
        "events": [],
        "trades": [],
        "event_count": 0,
        "trade_count": 0,
        "is_delta": False,
    }


def test_wherever_a_reader_stopped_it_gets_the_rest_and_nothing_twice(books: Checkpoint) -> None:
    whole = tell_history(books)
    for stopped, event in enumerate(whole.events, start=1):
        delta = tell_history(books, after_event=event.event_id)
        assert delta.is_delta
        assert delta.events == whole.events[stopped:]
        assert delta.event_count == len(delta.events)


def test_a_delta_holds_the_trades_that_have_changed_and_no_other(books: Checkpoint) -> None:
    last = tell_history(books).events[-1].event_id
    assert tell_history(books, after_event=last).trades == ()
    fill(books, 2, "stop", 100, "99", at=9)
    (trade,) = tell_history(books, after_event=last).trades
    assert (trade.trade_id, trade.status) == (trade_id(2), TradeStatus.CLOSED)


def test_a_trade_that_the_reader_has_not_seen_is_in_its_delta(books: Checkpoint) -> None:
    last = tell_history(books).events[-1].event_id
    delta = tell_history(books, after_event=last, after_trade=trade_id(2))
    assert [trade.trade_id for trade in delta.trades] == [trade_id(3)]


def test_a_fill_of_the_downtime_reaches_a_reader_that_has_seen_later_events(
    books: Checkpoint,
) -> None:
    last = tell_history(books).events[-1].event_id
    late = fill(books, 2, "stop", 100, "99", at=4)
    assert keys(tell_history(books, after_event=last)) == [late]


def test_a_correction_and_a_late_commission_are_told_again(books: Checkpoint) -> None:
    last = tell_history(books).events[-1].event_id
    corrected = fill(books, 3, "entry", 70, "100", at=4, revision=2)
    delta = tell_history(books, after_event=last)
    assert keys(delta) == [corrected]
    assert delta.trades[0].quantity == 70
    fill(books, 3, "entry", 70, "100", at=4, revision=2, commission="1.25")
    delta = tell_history(books, after_event=delta.events[-1].event_id)
    assert [each.commission for each in delta.events if isinstance(each, ExecutionEvent)] == [
        Decimal("1.25")
    ]
    assert len(tell_history(books).events) == 6


def test_noting_what_is_noted_changes_nothing(books: Checkpoint) -> None:
    before = list(books.session.bookings)
    note_bookings(books)
    assert books.session.bookings == before


@pytest.mark.parametrize(
    "unknown", ["exec_xxx", "", "20251003-1-0", "20251006-99-0", "20251006-1-99", "20251006-1"]
)
def test_an_event_that_the_state_does_not_know_gives_everything_and_says_so(
    books: Checkpoint, unknown: str
) -> None:
    assert tell_history(books, after_event=unknown) == tell_history(books)


def test_a_trade_that_the_state_does_not_know_gives_everything_and_says_so(
    books: Checkpoint,
) -> None:
    last = tell_history(books).events[-1].event_id
    assert tell_history(books, after_trade="trade_xxx") == tell_history(books)
    assert tell_history(books, after_event=last, after_trade="trade_xxx") == tell_history(books)


def test_with_a_trade_alone_what_can_have_changed_since_it_began_is_told(
    books: Checkpoint,
) -> None:
    delta = tell_history(books, after_trade=trade_id(3))
    assert delta.is_delta
    # The first was closed after the third began, the second is not closed, the third neither.
    assert [trade.trade_id for trade in delta.trades] == [trade_id(number) for number in (1, 2, 3)]
    begin_trade(books, 4, minutes=6)
    fill(books, 4, "entry", 10, "50", at=6)
    delta = tell_history(books, after_trade=trade_id(4))
    assert [trade.trade_id for trade in delta.trades] == [trade_id(2), trade_id(3), trade_id(4)]
    assert delta.event_count == 7


def test_a_trade_is_told_from_its_first_fill_on(books: Checkpoint) -> None:
    begin_trade(books, 4, minutes=6)
    assert tell_history(books).trade_count == 3


def test_decimals_are_text_so_that_no_reader_loses_a_cent(books: Checkpoint) -> None:
    told = json.loads(tell_history(books).model_dump_json())
    assert Decimal(told["trades"][1]["pnl"]) == 25
    assert isinstance(told["trades"][1]["pnl"], str)
