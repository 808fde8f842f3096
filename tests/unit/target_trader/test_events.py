"""What a message of the broker does to the books, one at a time, and when the broker is asked."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ib_insync import Execution, OrderStatus, TradeLogEntry

from target_trader.books import Books
from target_trader.clock import MarketClock
from target_trader.events import BrokerEvents
from target_trader.library import IB, CommissionReport, Contract, Fill, Order, Stock, Trade
from target_trader.names import IntentState, Leg
from target_trader.orders import OrderDesk
from target_trader.picture import BrokerExecution
from target_trader.questions import Questions
from target_trader.state.checkpoint import Checkpoint, Intent
from target_trader.state.json_store import JsonStore
from target_trader.strategy.exits import ExitOrder, Modify
from tests.support.pictures import CONTEXT, NOW, RULES, fill, ref, state

ENTRY, STOP = 10, 11


class Floor:
    """The books of one bracket, the handlers of messages, and what they have wished for."""

    def __init__(self, folder: Path, *, entered: int = 100) -> None:
        clock = MarketClock()
        clock.advance(NOW)
        self.store = JsonStore(folder)
        self.books = Books(state(entered=entered), self.store, clock=clock, rules=RULES)
        self.orders = OrderDesk(IB(), self.books, rules=RULES, client_id=2001)
        self.questions = Questions(clock, grace=RULES.grace)
        self.managed: list[str] = []
        self.events = BrokerEvents(
            self.books,
            self.orders,
            context=lambda: CONTEXT,
            manage=self.managed.append,
            tidy=self.managed.append,
            questions=self.questions,
        )

    @property
    def day(self) -> Checkpoint:
        """The checkpoint in force."""
        return self.books.checkpoint

    def intent(self, leg: Leg) -> Intent:
        """The order of a leg."""
        return next(each for each in self.day.intents if each.leg is leg)

    def asked(self) -> bool:
        """Whether the broker is to be asked now; the wish is taken out."""
        found = not self.questions.wakes.empty()
        while not self.questions.wakes.empty():
            self.questions.wakes.get_nowait()
        return found

    def asks_later(self) -> bool:
        """Whether the broker is to be asked when the grace is over."""
        return self.questions.ripe(NOW + RULES.grace + timedelta(seconds=1))


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    """Return the books of a bracket that has been entered."""
    made = Floor(tmp_path)
    yield made
    made.store.close()


def told(execution: BrokerExecution) -> tuple[Trade, Fill]:
    """An execution as the library tells it."""
    stock = Stock(execution.symbol, "SMART", "USD")
    words = Execution(
        execId=execution.exec_id,
        time=execution.time,
        side=execution.side,
        shares=float(execution.shares),
        price=float(execution.price),
        permId=execution.perm_id,
        clientId=execution.client_id,
        orderId=execution.order_id,
        orderRef=execution.order_ref,
    )
    return Trade(contract=stock), Fill(stock, words, CommissionReport(), execution.time)


def report(execution: BrokerExecution, *, realized: float = 0.0) -> CommissionReport:
    """A commission of a dollar."""
    return CommissionReport(execId=execution.exec_id, commission=1.0, realizedPNL=realized)


def an_order(
    order_id: int, status: str, *, name: str, error: int = 0, filled: float = 0.0
) -> Trade:
    """One of the bracket's orders, or any other, as the library tells of it."""
    order = Order(
        orderId=order_id,
        clientId=2001,
        permId=1000 + order_id,
        action="SELL",
        orderType="STP",
        totalQuantity=100,
        auxPrice=443.37,
        orderRef=name,
    )
    made = Trade(Stock("TSLA", "SMART", "USD"), order, OrderStatus(order_id, status, filled))
    made.log.append(TradeLogEntry(NOW, status, "", error))
    return made


def stop(status: str, *, error: int = 0, filled: float = 0.0) -> Trade:
    """The bracket's stop."""
    return an_order(STOP, status, name=ref("stop"), error=error, filled=filled)


def test_a_fill_in_a_symbol_that_is_nobodys_business_is_not_booked(floor: Floor) -> None:
    foreign = replace(fill("entry", 10, "99", symbol="KO"), order_ref="", order_id=0)
    floor.events.on_execution(*told(foreign))
    assert len(floor.day.executions) == 1
    assert not floor.asked()


def test_a_fill_that_no_trade_explains_is_booked_and_asked_about(floor: Floor) -> None:
    by_hand = replace(fill("stop", 40, "446"), order_ref="", order_id=0, perm_id=9, client_id=0)
    floor.events.on_execution(*told(by_hand))
    assert len(floor.day.executions) == 2
    assert floor.asked()
    assert floor.managed == []


def test_a_fill_that_comes_twice_is_followed_once(floor: Floor) -> None:
    partial = fill("partial", 50, "447.13")
    for _ in range(2):
        floor.events.on_execution(*told(partial))
    assert floor.managed == ["TSLA"]
    assert not floor.asked()


def test_a_correction_is_followed_and_the_broker_asked_what_has_changed_with_it(
    floor: Floor,
) -> None:
    first = next(iter(floor.day.executions.values())).exec_id
    corrected = fill("entry", 100, "445.75")
    corrected = replace(corrected, exec_id=first.removesuffix("01") + "02")
    floor.events.on_execution(*told(corrected))
    assert [each.price for each in floor.day.executions.values()] == [Decimal("445.75")]
    assert floor.managed == ["TSLA"]
    assert floor.asked()


def test_a_commission_belongs_to_a_booked_fill_or_waits_for_it(floor: Floor) -> None:
    trade, early = told(fill("partial", 50, "447.13"))
    floor.events.on_commission(trade, early, report(fill("partial", 50, "447.13"), realized=93))
    assert floor.day.session.daily_pnl == 0
    floor.events.on_execution(trade, early)
    floor.events.on_commission(trade, early, report(fill("partial", 50, "447.13"), realized=93))
    assert floor.day.session.daily_pnl == 93


def test_an_order_of_ours_that_the_books_do_not_have_is_asked_about(floor: Floor) -> None:
    floor.events.on_open_order(an_order(77, "Submitted", name="by hand"))
    assert not floor.asked()
    floor.events.on_open_order(an_order(77, "Submitted", name=ref("target")))
    assert floor.asked()


def test_a_lost_order_that_works_after_all_is_asked_about_and_not_believed(floor: Floor) -> None:
    floor.intent(Leg.STOP).state = IntentState.LOST
    floor.events.on_open_order(stop("PreSubmitted"))
    assert floor.asked()
    assert floor.intent(Leg.STOP).state is IntentState.LOST


def test_an_echo_from_before_our_change_does_not_undo_it(floor: Floor) -> None:
    moved = ExitOrder(Leg.STOP, "SELL", "STP", Decimal(50), Decimal("445.25"))
    intent = floor.intent(Leg.STOP)
    floor.orders.changing[STOP] = Modify(STOP, moved)
    intent.stop_price = Decimal("445.25")
    old = stop("PreSubmitted")
    floor.events.on_open_order(old)
    assert intent.stop_price == Decimal("445.25")
    assert STOP in floor.orders.changing
    old.order.auxPrice = 445.25
    floor.events.on_open_order(old)
    assert floor.orders.changing == {}


def test_an_echo_that_cuts_an_order_to_what_has_filled_ends_it(floor: Floor) -> None:
    partial = fill("partial", 20, "447.13")
    floor.events.on_execution(*told(partial))
    cut = an_order(12, "Submitted", name=ref("partial"))
    cut.order.totalQuantity = 20
    floor.events.on_open_order(cut)
    assert floor.intent(Leg.PARTIAL).state is IntentState.FILLED


def test_the_librarys_own_mark_after_an_error_is_not_the_brokers_word(floor: Floor) -> None:
    floor.events.on_status(stop("Cancelled", error=10349))
    assert floor.intent(Leg.STOP).state is IntentState.WORKING
    assert not floor.asked()


def test_a_status_of_an_order_that_is_not_ours_or_has_no_permanent_id_says_nothing(
    floor: Floor,
) -> None:
    floor.events.on_status(an_order(77, "Cancelled", name="by hand"))
    early = stop("Cancelled")
    early.order.permId = 0
    floor.events.on_status(early)
    assert floor.intent(Leg.STOP).state is IntentState.WORKING
    assert not floor.asked()


@pytest.mark.parametrize("status", ["Cancelled", "ApiCancelled", "Inactive"])
def test_a_stop_that_ends_under_a_position_is_asked_about_and_not_given_up(
    floor: Floor, status: str
) -> None:
    floor.events.on_status(stop(status))
    assert floor.asked()
    assert floor.intent(Leg.STOP).live


def test_an_exit_that_is_cancelled_when_the_trade_is_flat_is_simply_done(floor: Floor) -> None:
    floor.events.on_execution(*told(fill("partial", 100, "447.13")))
    floor.events.on_status(stop("Cancelled"))
    assert floor.intent(Leg.STOP).state is IntentState.CANCELLED
    assert not floor.asked()
    floor.events.on_status(stop("Inactive"))
    assert not floor.asked()


def test_an_order_that_is_told_filled_without_its_fills_is_asked_about_after_the_grace(
    floor: Floor,
) -> None:
    floor.events.on_status(stop("Filled", filled=100))
    assert not floor.asked()
    assert floor.intent(Leg.STOP).live
    assert floor.asks_later()


def test_fills_that_come_within_the_grace_leave_nothing_to_ask(floor: Floor) -> None:
    floor.events.on_status(stop("Filled", filled=100))
    floor.events.on_execution(*told(fill("stop", 100, "443.37")))
    assert not floor.asks_later()


def test_a_status_that_tells_less_than_is_booked_is_doubted_until_one_tells_enough(
    floor: Floor,
) -> None:
    entry = an_order(ENTRY, "Filled", name=ref("entry"), filled=60)
    floor.events.on_status(entry)
    assert floor.asks_later()
    floor.events.on_status(entry)
    entry.orderStatus.filled = 100
    floor.events.on_status(entry)
    assert not floor.asks_later()


def test_the_first_status_of_an_order_makes_it_known(tmp_path: Path) -> None:
    floor = Floor(tmp_path, entered=0)
    intent = floor.intent(Leg.STOP)
    intent.state = IntentState.SENT
    floor.events.on_status(stop("PreSubmitted"))
    assert (intent.state, intent.perm_id) == (IntentState.WORKING, 1000 + STOP)
    floor.store.close()


def test_a_rejection_ends_an_order_that_was_never_seen_and_is_asked_about(floor: Floor) -> None:
    floor.intent(Leg.STOP).state = IntentState.SENT
    floor.events.on_error(STOP, 201, "Order rejected", None)
    assert floor.intent(Leg.STOP).state is IntentState.REJECTED
    assert floor.asked()
    floor.events.on_error(STOP, 201, "Order rejected", None)
    assert not floor.asked()


def test_a_rejection_of_a_working_order_is_about_a_change_and_counted_as_refused(
    floor: Floor,
) -> None:
    order = ExitOrder(Leg.STOP, "SELL", "STP", Decimal(50), Decimal("445.25"))
    floor.orders.changing[STOP] = Modify(STOP, order)
    floor.orders.cancelling.add(STOP)
    floor.events.on_error(STOP, 201, "Order rejected", None)
    assert floor.intent(Leg.STOP).state is IntentState.WORKING
    assert (floor.orders.refusals[STOP], floor.orders.changing) == (1, {})
    assert floor.orders.cancelling == set()
    assert floor.asked()


def test_what_only_informs_is_not_asked_about(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="target_trader")
    floor.events.withdrawn.add(STOP)
    floor.events.on_error(STOP, 10147, "not found", None)
    floor.events.on_error(STOP, 399, "not until the open", None)
    floor.events.on_error(-1, 2104, "a farm is connected", None)
    floor.events.on_error(4711, 200, "no such contract", None)
    assert not floor.asked()
    assert [each.getMessage() for each in caplog.records] == [
        "Order 11 is withdrawn: 10147 not found",
        "IBKR says 2104: a farm is connected",
        "IBKR says 200: no such contract (request 4711)",
    ]


@pytest.mark.parametrize(
    ("contract", "named"), [(Stock("TSLA", "SMART", "USD"), "TSLA"), (None, "request 5")]
)
def test_a_refused_subscription_is_told_with_what_it_was_for(
    floor: Floor, caplog: pytest.LogCaptureFixture, contract: Contract | None, named: str
) -> None:
    floor.events.on_error(5, 354, "not subscribed", contract)
    assert f"No bars of {named}, so no entries in it" in caplog.text
    assert not floor.asked()


def test_a_lost_line_is_told_once_and_nothing_is_asked_until_it_is_back(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        floor.events.on_error(-1, 1100, "lost", None)
    assert len(caplog.records) == 1
    floor.events.on_status(stop("Cancelled"))
    assert not floor.asked()
    floor.events.on_error(-1, 1102, "back", None)
    assert floor.asked()
    assert not floor.questions.data_lost
    floor.events.on_error(-1, 1101, "back, data lost", None)
    assert floor.questions.data_lost


def test_a_position_that_is_not_in_the_books_is_asked_about_unless_it_settles(
    floor: Floor,
) -> None:
    floor.events.on_position("KO", Decimal(5))
    floor.events.on_position("TSLA", Decimal(100))
    assert not floor.asks_later()
    floor.events.on_position("TSLA", Decimal(60))
    floor.events.on_position("TSLA", Decimal(100))
    assert not floor.asks_later()
    floor.events.on_position("TSLA", Decimal(60))
    assert floor.asks_later()


def test_what_a_connection_has_told_is_forgotten_with_it(floor: Floor) -> None:
    floor.events.on_position("TSLA", Decimal(60))
    floor.events.withdrawn.add(STOP)
    floor.events.forget_connection()
    assert not floor.asks_later()
    floor.events.on_error(STOP, 10147, "not found", None)
    assert floor.asked()


def test_an_exit_that_comes_to_work_after_its_trade_is_over_is_taken_back(floor: Floor) -> None:
    floor.events.on_execution(*told(fill("stop", 100, "443.37")))
    floor.managed.clear()
    late = floor.intent(Leg.PARTIAL)
    floor.events.on_status(an_order(late.order_id, "Submitted", name=late.order_ref))
    assert floor.managed == ["TSLA"]


def test_an_exit_that_works_for_what_is_held_is_left_alone(floor: Floor) -> None:
    working = floor.intent(Leg.PARTIAL)
    floor.events.on_status(an_order(working.order_id, "Submitted", name=working.order_ref))
    assert floor.managed == []
