"""The desk's rules: an exit at market, when it gives up, when nothing is sent at all."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.books import Books
from target_trader.clock import NEW_YORK, MarketClock
from target_trader.library import IB
from target_trader.names import SMA, IntentState, Leg, Side, trade_id
from target_trader.orders import OrderDesk
from target_trader.settings import Rules, Setup, StoreKind
from target_trader.state.checkpoint import (
    BreakoutKind,
    Checkpoint,
    HaltKind,
    Intent,
    Position,
    new_checkpoint,
)
from target_trader.state.choice import open_store, read_state
from target_trader.strategy.exits import Cancel, ExitOrder, Modify, Place
from target_trader.strategy.signal import Signal

DAY = date(2025, 10, 6)
TEN = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
RULES = Rules()
SETUP = Setup(
    symbol="TSLA",
    resistance=Decimal("444.77"),
    support=Decimal("432.50"),
    target1=Decimal("460.25"),
    target2=Decimal("470.50"),
)
BREAK = Signal(
    symbol="TSLA",
    side=Side.LONG,
    pivot=Decimal("444.77"),
    price=Decimal("445.25"),
    bar_time=TEN,
    kind=BreakoutKind.STRONG,
    reason="STRONG break of resistance 444.77 at 445.25",
)
CROSS = Signal(
    symbol="TSLA",
    side=Side.SHORT,
    pivot=None,
    price=Decimal("445.25"),
    bar_time=TEN,
    kind=None,
    reason="SMA 10 crossed below 30 at 445.25",
    strategy=SMA,
)
AT_MARKET = ExitOrder(Leg.EXIT, "SELL", "MKT", Decimal(100), None)
STOP = ExitOrder(Leg.STOP, "SELL", "STP", Decimal(100), Decimal("443.37"))


class PaperDesk(OrderDesk):
    """Plans and remembers like the real desk; what it would send, it writes down.

    Changes and cancels go the real way: nobody is connected, so that they raise.
    """

    def __init__(self, folder: Path, rules: Rules = RULES) -> None:
        clock = MarketClock()
        clock.advance(TEN)
        self.folder = folder
        self.store = open_store(StoreKind.JSON, folder)
        first = new_checkpoint(DAY, now=TEN)
        books = Books(first, self.store, clock=clock, rules=rules)
        super().__init__(IB(), books, rules=rules, client_id=2001)
        self.sent: list[Intent] = []
        self.durable: list[bool] = []

    def next_order_id(self) -> int:
        """Count, because nobody is connected."""
        return len(self.day.intents) + 1000

    def send(self, intent: Intent, *, transmit: bool) -> None:
        """Write the order down, and whether a next life would know of it."""
        stored = read_state(StoreKind.JSON, self.folder).checkpoint
        known = stored is not None and stored.intent_by_id(intent.order_id) is not None
        self.durable.append(known)
        self.sent.append(intent)
        intent.state = IntentState.SENT if transmit else IntentState.PLANNED

    @property
    def day(self) -> Checkpoint:
        """The checkpoint in force."""
        return self.books.checkpoint

    def entered(self) -> Position:
        """Enter a break and let the broker fill it."""
        self.submit_bracket(BREAK, SETUP)
        (position,) = self.day.positions.values()
        position.shares = Decimal(100)
        for intent in self.day.intents:
            filled = intent.leg is Leg.ENTRY
            intent.state = IntentState.FILLED if filled else IntentState.WORKING
        self.sent.clear()
        return position


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[PaperDesk]:
    """Return a desk of a fresh day."""
    made = PaperDesk(tmp_path)
    yield made
    made.store.close()


def test_an_exit_at_market_is_in_the_group_of_the_stop_and_durable_before_it_is_sent(
    desk: PaperDesk,
) -> None:
    position = desk.entered()
    desk.perform(position, (Place(AT_MARKET, 1),))
    (intent,) = desk.sent
    assert intent.order_ref == "PS60|TSLA|L|20251006|1|exit"
    assert (intent.action, intent.order_type, intent.quantity) == ("SELL", "MKT", Decimal(100))
    assert (intent.limit_price, intent.stop_price, intent.tif) == (None, None, "DAY")
    stop = next(each for each in desk.day.intents if each.leg is Leg.STOP)
    assert intent.oca_group == stop.oca_group == "PS60|TSLA|L|20251006|1|exits"
    assert desk.durable == [True] * 4
    assert position.order_ids["exit"] == intent.order_id


def test_every_order_of_a_bracket_is_durable_before_the_first_is_sent(desk: PaperDesk) -> None:
    desk.submit_bracket(BREAK, SETUP)
    assert desk.durable == [True] * 3
    assert [each.leg for each in desk.sent] == [Leg.ENTRY, Leg.STOP, Leg.PARTIAL]
    assert [each.tif for each in desk.sent] == ["DAY", "GTC", "GTC"]
    assert [each.order_type for each in desk.sent] == ["MKT", "STP", "LMT"]


def test_a_crossover_sends_an_entry_and_a_stop_on_the_tick(desk: PaperDesk) -> None:
    desk.submit_bracket(CROSS, SETUP)
    assert [each.order_ref for each in desk.sent] == [
        "SMA|TSLA|S|20251006|1|entry",
        "SMA|TSLA|S|20251006|1|stop",
    ]
    assert [each.action for each in desk.sent] == ["SELL", "BUY"]
    assert desk.sent[1].stop_price == Decimal("449.70")


def test_the_same_signal_in_the_same_state_has_the_same_refs(tmp_path: Path) -> None:
    refs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        desk = PaperDesk(tmp_path / name)
        desk.submit_bracket(BREAK, SETUP)
        refs.append([each.order_ref for each in desk.sent])
        desk.store.close()
    assert refs[0] == refs[1]


def test_a_name_that_a_trade_of_the_day_has_is_not_given_again(desk: PaperDesk) -> None:
    desk.entered()
    desk.day.attempts.clear()
    desk.submit_bracket(BREAK, SETUP)
    assert desk.sent[0].order_ref == "PS60|TSLA|L|20251006|2|entry"


def test_attempts_of_the_two_strategies_are_numbered_apart(desk: PaperDesk) -> None:
    desk.entered()
    desk.submit_bracket(CROSS, SETUP)
    assert desk.sent[0].order_ref == "SMA|TSLA|S|20251006|1|entry"
    assert desk.day.attempts == {"TSLA|LONG|444.77": 1, "SMA:TSLA|SHORT": 1}


def failed(position: Position, leg: Leg, state: IntentState, *, number: int) -> Intent:
    """Return an exit that has come to nothing."""
    return Intent(
        order_ref=f"{position.trade_id}|{leg}{number}",
        trade_id=position.trade_id,
        leg=leg,
        ordinal=number,
        symbol="TSLA",
        side=Side.LONG,
        action="SELL",
        order_type="MKT",
        quantity=Decimal(100),
        order_id=10 + number,
        state=state,
        planned_at=TEN,
    )


@pytest.mark.parametrize(
    ("leg", "state", "halts"),
    [
        (Leg.STOP, IntentState.REJECTED, True),
        (Leg.STOP, IntentState.CANCELLED, False),
        (Leg.EXIT, IntentState.REJECTED, True),
        (Leg.EXIT, IntentState.CANCELLED, True),
        (Leg.EXIT, IntentState.LOST, False),
        (Leg.TARGET, IntentState.REJECTED, False),
    ],
)
def test_an_exit_that_fails_three_times_halts_the_entries_and_is_not_sent_a_fourth_time(
    desk: PaperDesk, leg: Leg, state: IntentState, *, halts: bool
) -> None:
    position = desk.entered()
    desk.day.intents += [failed(position, leg, state, number=each) for each in (1, 2)]
    order = STOP if leg is Leg.STOP else ExitOrder(leg, "SELL", "MKT", Decimal(100), None)
    desk.perform(position, (Place(order, 3),))
    assert (len(desk.sent), desk.day.halted) == (1, None)
    desk.day.intents.append(failed(position, leg, state, number=3))
    desk.perform(position, (Place(order, 4),))
    assert (len(desk.sent), desk.day.halted is not None) == ((1, True) if halts else (2, False))


def test_an_exit_that_filled_in_part_and_was_cancelled_has_not_failed(desk: PaperDesk) -> None:
    position = desk.entered()
    for number in (1, 2, 3):
        intent = failed(position, Leg.EXIT, IntentState.CANCELLED, number=number)
        intent.filled = Decimal(10)
        desk.day.intents.append(intent)
    desk.perform(position, (Place(AT_MARKET, 4),))
    assert len(desk.sent) == 1


@pytest.mark.parametrize("cause", ["frozen", "halted"])
def test_nothing_is_sent_in_a_frozen_symbol_nor_by_a_halted_engine(
    desk: PaperDesk, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    position = desk.entered()
    stop = next(each for each in desk.day.intents if each.leg is Leg.STOP)
    moved = Modify(stop.order_id, ExitOrder(Leg.STOP, "SELL", "STP", Decimal(50), Decimal(445)))
    if cause == "frozen":
        desk.day.frozen["TSLA"] = "state 100, IBKR 50"
    else:
        desk.day.halt("state 100, IBKR 50", now=TEN, kind=HaltKind.ENGINE)
    before = desk.day.model_copy(deep=True)
    desk.perform(position, (Place(AT_MARKET, 1), moved, Cancel(stop.order_id)))
    desk.submit_bracket(BREAK, SETUP)
    assert desk.sent == []
    assert desk.day == before
    assert caplog.text.count("TSLA is closed to orders: state 100, IBKR 50") == 4


def test_without_a_reason_to_be_silent_changes_and_cancels_reach_for_the_socket(
    desk: PaperDesk,
) -> None:
    position = desk.entered()
    stop = next(each for each in desk.day.intents if each.leg is Leg.STOP)
    moved = Modify(stop.order_id, ExitOrder(Leg.STOP, "SELL", "STP", Decimal(50), Decimal(445)))
    desk.day.frozen["NVDA"] = "another symbol"
    desk.day.halt("no new entries", now=TEN)
    for action in (moved, Cancel(stop.order_id)):
        with pytest.raises(ConnectionError):
            desk.perform(position, (action,))


def test_a_halt_of_entries_still_lets_a_missing_stop_be_sent(desk: PaperDesk) -> None:
    position = desk.entered()
    desk.day.halt("attempts unknown", now=TEN)
    desk.perform(position, (Place(STOP, 2),))
    assert [each.order_ref for each in desk.sent] == [
        f"{trade_id('TSLA', Side.LONG, day=DAY, attempt=1)}|stop2"
    ]
    assert position.stop_order_id == desk.sent[0].order_id
