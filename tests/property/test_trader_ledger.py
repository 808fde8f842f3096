"""The ledger alone: whatever order fills are told in, and however often, the books are the same.

No reconciliation repairs anything here. Each fill has every telling that IB knows: the execution
without and with its commission, and the same again for each correction (tws-protocol.md 3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.ledger import book
from target_trader.names import IntentState, Leg, Side
from target_trader.picture import BrokerExecution
from target_trader.state.checkpoint import (
    Checkpoint,
    ContractRecord,
    Intent,
    Position,
    TradeStatus,
    canonical,
    new_checkpoint,
)
from tests.conftest import DEEP, DEEP_EXAMPLES

NOW = datetime(2025, 10, 6, 10, 5, tzinfo=NEW_YORK)
IS_DEEP = settings.get_current_profile_name() == DEEP
LEGS = (Leg.ENTRY, Leg.STOP, Leg.PARTIAL)
thorough = settings(
    max_examples=DEEP_EXAMPLES * 2 if IS_DEEP else 100, deadline=None, derandomize=not IS_DEEP
)


@dataclass(frozen=True)
class Telling:
    """What IB finally says of one fill, and how often it was corrected before."""

    number: int
    leg: Leg
    side: Side
    shares: Decimal
    price: Decimal
    fee: Decimal
    earned: Decimal | None
    corrections: int

    def of(self, revision: int, *, paid: bool) -> BrokerExecution:
        """Tell one revision; every one before the last has other shares and another price."""
        last = revision == 1 + self.corrections
        entry = self.leg is Leg.ENTRY
        return BrokerExecution(
            exec_id=f"0000e0d5.67fe{self.number:04x}.01.{revision:02d}",
            time=NOW + timedelta(seconds=self.number),
            symbol="TSLA",
            side="BOT" if entry is (self.side is Side.LONG) else "SLD",
            shares=self.shares if last else self.shares + 7 * revision,
            price=self.price if last else self.price + revision,
            order_id=10 + LEGS.index(self.leg),
            client_id=2001,
            perm_id=5010 + LEGS.index(self.leg),
            order_ref=f"{trade(self.side)}|{self.leg}",
            commission=(self.fee if last else self.fee + 1) if paid else None,
            realized_pnl=(self.earned if last else Decimal(-999)) if paid and not entry else None,
        )

    def all(self) -> list[BrokerExecution]:
        """Every telling there is."""
        revisions = range(1, 2 + self.corrections)
        return [self.of(each, paid=paid) for each in revisions for paid in (False, True)]


def trade(side: Side) -> str:
    return f"PS60|TSLA|{side.value[0]}|20251006|1"


def bracket(side: Side) -> Checkpoint:
    """Return books with a bracket, and an earlier send of it under the same refs, lost.

    It is large, so that no earlier revision of a fill makes an order look done.
    """
    books = new_checkpoint(date(2025, 10, 6), now=NOW)
    name = trade(side)
    books.positions[name] = Position(
        trade_id=name,
        symbol="TSLA",
        side=side,
        contract=ContractRecord(symbol="TSLA"),
        pivot=Decimal("444.77"),
        target1=None,
        target2=None,
        planned_entry=Decimal("445.25"),
        initial_stop=Decimal("443.37"),
        partial_price=Decimal("447.13"),
        planned_shares=Decimal(100),
        entry_reason="break",
        signal_time=NOW,
        stop_price=Decimal("443.37"),
    )
    for first, state, perm in ((1, IntentState.LOST, 4001), (10, IntentState.SENT, None)):
        for number, leg in enumerate(LEGS):
            intent = Intent(
                order_ref=f"{name}|{leg}",
                trade_id=name,
                leg=leg,
                symbol="TSLA",
                side=side,
                action=side.entry_action if leg is Leg.ENTRY else side.exit_action,
                order_type="MKT",
                quantity=Decimal(1000),
                order_id=first + number,
                perm_id=None if perm is None else perm + number,
                state=state,
                planned_at=NOW,
            )
            books.intents.append(intent)
    return books


@st.composite
def days(draw: st.DrawFn) -> tuple[Side, list[Telling]]:
    """Draw the fills of a bracket: it closes no more than it has entered."""
    side = draw(st.sampled_from(Side))
    entered = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    closed = draw(st.lists(st.integers(1, 40), max_size=3).filter(lambda c: sum(c) <= sum(entered)))
    legs = [Leg.ENTRY] * len(entered)
    legs += [draw(st.sampled_from((Leg.STOP, Leg.PARTIAL))) for _ in closed]
    fills = []
    for number, (leg, shares) in enumerate(zip(legs, entered + closed, strict=True)):
        cents = draw(st.integers(43000, 46000))
        telling = Telling(
            number=number,
            leg=leg,
            side=side,
            shares=Decimal(shares),
            price=Decimal(cents) / 100,
            fee=Decimal(draw(st.sampled_from(("0.35", "1.00")))),
            earned=Decimal(draw(st.integers(-50_000, 50_000))) / 100,
            corrections=draw(st.sampled_from((0, 0, 1, 2))),
        )
        fills.append(telling)
    return side, fills


def heard(side: Side, told: Sequence[BrokerExecution]) -> Checkpoint:
    """Return the books after these tellings, saved and loaded after each."""
    books = bracket(side)
    for each in told:
        book(books, each)
        books = Checkpoint.model_validate_json(canonical(books))
    return books


@thorough
@given(day=days(), data=st.data())
def test_the_order_and_the_number_of_tellings_do_not_matter(
    day: tuple[Side, list[Telling]], data: st.DataObject
) -> None:
    side, fills = day
    once = [telling for fill in fills for telling in fill.all()]
    extra = data.draw(st.lists(st.sampled_from(once), max_size=6))
    books = heard(side, data.draw(st.permutations(once + extra)))
    check_books(books, fills, side=side)
    assert by_stem(books) == by_stem(heard(side, once))


@thorough
@given(day=days(), data=st.data())
def test_what_is_told_again_or_is_older_changes_nothing(
    day: tuple[Side, list[Telling]], data: st.DataObject
) -> None:
    side, fills = day
    once = [telling for fill in fills for telling in fill.all()]
    books = heard(side, once)
    before = canonical(books)
    for each in data.draw(st.permutations(once)):
        assert not book(books, each)
    assert canonical(books) == before


def by_stem(books: Checkpoint) -> dict[str, object]:
    """Return the books but for the order in which the fills came."""
    tree = books.model_dump(mode="json")
    tree["executions"] = sorted(tree["executions"].items())
    return tree


def check_books(books: Checkpoint, fills: list[Telling], *, side: Side) -> None:
    """Add the final tellings up by hand, and compare."""
    entries = [each for each in fills if each.leg is Leg.ENTRY]
    exits = [each for each in fills if each.leg is not Leg.ENTRY]
    entered = sum((each.shares for each in entries), Decimal(0))
    closed = sum((each.shares for each in exits), Decimal(0))
    position = books.positions[trade(side)]
    assert (position.shares, position.closed_shares) == (entered, closed)
    assert books.held("TSLA") == (entered - closed) * (1 if side is Side.LONG else -1)
    assert (
        position.entry_price
        == sum((each.shares * each.price for each in entries), Decimal(0)) / entered
    )
    wanted = TradeStatus.PARTIAL if closed else TradeStatus.OPEN
    assert position.status is (TradeStatus.CLOSED if closed == entered else wanted)
    earned = sum((each.earned or Decimal(0) for each in exits), Decimal(0))
    assert books.session.daily_pnl == position.realized_pnl == earned
    assert books.session.trades_today == 1
    commissions = [each.commission for each in books.executions.values()]
    assert sorted(filter(None, commissions)) == sorted(each.fee for each in fills)
    partials = sum((each.shares for each in exits if each.leg is Leg.PARTIAL), Decimal(0))
    assert sum((each.shares for each in position.partials_taken), Decimal(0)) == partials
    for intent in books.intents:
        own = [each.shares for each in fills if each.leg is intent.leg]
        assert intent.filled == (0 if intent.state is IntentState.LOST else sum(own, Decimal(0)))


@thorough
@given(day=days())
def test_until_the_commission_comes_a_fill_earns_its_distance_from_the_entry(
    day: tuple[Side, list[Telling]],
) -> None:
    side, fills = day
    books = heard(side, [fill.of(1 + fill.corrections, paid=False) for fill in fills])
    entries = [each for each in fills if each.leg is Leg.ENTRY]
    paid = sum((each.shares * each.price for each in entries), Decimal(0)) / sum(
        (each.shares for each in entries), Decimal(0)
    )
    way = 1 if side is Side.LONG else -1
    exits = [each for each in fills if each.leg is not Leg.ENTRY]
    earned = sum(((each.price - paid) * each.shares * way for each in exits), Decimal(0))
    assert abs(books.session.daily_pnl - earned) < Decimal("0.0000001")
