"""Downtimes, played at a broker without any socket."""

import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self, cast

import pytest
from pydantic import ValidationError

from fakebroker.broker import Broker
from fakebroker.clock import LockstepClock
from fakebroker.control import ControlClient, answer_line
from fakebroker.control_messages import Books
from fakebroker.durable import Durable
from fakebroker.exchange.exchange import Exchange
from fakebroker.faults.field import GatewayRestart
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.server import Gateway
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms
from harness.downtime import (
    Act,
    BrokerFault,
    CancelOrder,
    CorrectFill,
    DaysPass,
    Downtime,
    ExpireOrder,
    FillOrder,
    ManualTrade,
    MarketGoesOn,
    OrderChoice,
    PriceMoves,
    RejectOrder,
    TimePasses,
)
from harness.downtime.broker_faults import FAULTS, trouble_of
from harness.downtime.catalog import DOWNTIMES, PART, downtime_of
from harness.downtime.choosing import UnfitError
from harness.downtime.dates import days_until
from harness.downtime.play import play_downtime
from harness.errors import UserError
from tests.support.brokers import tape_text

TAPE = parse_tape(tape_text(("100",) * 8), name="tape")
START = TAPE.bars[0].time
CLIENT = 2001
STOP = OrderChoice(symbol="TSLA", leg="stop")
ENTRY = OrderChoice(symbol="TSLA", leg="entry")


class NoSocket:
    """What the control client takes for its socket: the gateway is in this process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._answer = b""

    def settimeout(self, seconds: float) -> None:
        """There is nothing to wait for."""

    def makefile(self, mode: str) -> Self:
        assert mode == "rb"
        return self

    def sendall(self, line: bytes) -> None:
        self._answer = answer_line(line, self._gateway.serve)

    def readline(self, _limit: int) -> bytes:
        return self._answer


def order(
    number: int, leg: str, action: str, quantity: int, price: str | None = None, *, parent: int = 0
) -> Callable[[Exchange], object]:
    """Return what places an order of a bot; a stop has a stop price, others a limit or none."""
    kind = "MKT" if price is None else "STP" if leg == "stop" else "LMT"
    value = None if price is None else Decimal(price)
    terms = OrderTerms(
        Action(action),
        Decimal(quantity),
        kind,
        limit_price=value if kind == "LMT" else None,
        aux_price=value if kind == "STP" else None,
        tif="GTC",
        parent_id=parent,
        order_ref=f"PS60|TSLA|L|20251006|1|{leg}",
    )
    return lambda exchange: exchange.place(CLIENT, number, Contract("TSLA"), terms, now=START)


LONG = (order(1, "entry", "BUY", 100), order(2, "stop", "SELL", 100, "95"))
SHORT = (order(1, "entry", "SELL", 100), order(2, "stop", "BUY", 100, "105"))
WAITING = (order(1, "entry", "BUY", 100, "90"),)
BRACKET = (*WAITING, order(2, "stop", "SELL", 100, "85", parent=1))


def control_of(
    *orders: Callable[[Exchange], object], lines: list[str] | None = None
) -> ControlClient:
    """Return a broker after a bar at 100, with these orders, and a journal in `lines`."""
    settings = BrokerSettings(price_without_tape=Decimal(100))
    exchange = Exchange(settings)
    for place in orders:
        place(exchange)
    journal = Journal(([] if lines is None else lines).append)
    broker = Broker(settings, Market(TAPE), start=START, journal=journal)
    broker.reopen(Durable(START, 0, exchange.book))
    broker.step()
    gateway = Gateway(broker, LockstepClock(lambda: broker.now), lockstep=True)
    return ControlClient(cast("socket.socket", NoSocket(gateway)))


def play(control: ControlClient, *acts: Act, until: datetime | None = None) -> Books:
    play_downtime(Downtime(acts=acts, until=until), control, stepped=lambda: None)
    return control.books()


class Skips:
    """The acts that were skipped, and why."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.reasons: list[str] = []

    def __call__(self, act: str, reason: str) -> None:
        self.acts.append(act)
        self.reasons.append(reason)


def held(books: Books) -> Decimal:
    return sum((row.quantity for row in books.positions), Decimal(0))


def amounts(*values: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(value) for value in values)


def status_of(books: Books, leg: str) -> str:
    return next(row.status for row in books.orders if row.order_ref.endswith(leg))


def test_an_order_fills_at_its_own_price_unless_another_is_said() -> None:
    books = play(control_of(*LONG), FillOrder(order=STOP))
    assert (held(books), books.executions[-1].price) == amounts(0, 95)
    books = play(control_of(*LONG), FillOrder(order=STOP, price=Decimal(94)))
    assert books.executions[-1].price == 94
    books = play(control_of(*WAITING), FillOrder(order=ENTRY))
    assert (held(books), books.executions[-1].price) == amounts(100, 90)


@pytest.mark.parametrize(("part", "left"), [("0.4", 60), ("0.001", 99), ("0.999", 1)])
def test_a_part_is_whole_shares_and_never_nothing_nor_all(part: str, left: int) -> None:
    books = play(control_of(*LONG), FillOrder(order=STOP, part=Decimal(part)))
    assert held(books) == left


def test_a_single_share_cannot_fill_in_part() -> None:
    control = control_of(order(1, "entry", "BUY", 1, "90"))
    with pytest.raises(UnfitError, match="has 1 left and cannot fill partly"):
        play(control, FillOrder(order=ENTRY, part=Decimal("0.5")))


def test_the_stop_of_an_entry_that_still_fills_sells_what_it_has_bought() -> None:
    half = FillOrder(order=ENTRY, part=Decimal("0.6"))
    assert held(play(control_of(*BRACKET), half)) == 60
    assert held(play(control_of(*BRACKET), half, FillOrder(order=STOP))) == 0
    assert held(play(control_of(*BRACKET), half, FillOrder(order=STOP, part=PART))) == 36
    with pytest.raises(UnfitError, match="working there: BUY LMT TSLA"):
        play(control_of(*BRACKET), FillOrder(order=STOP))


def test_an_order_is_cancelled_expired_and_rejected() -> None:
    lines: list[str] = []
    cancel = CancelOrder(order=STOP)
    assert status_of(play(control_of(*LONG, lines=lines), cancel), "stop") == "Cancelled"
    assert '"reason":"Order Canceled - reason:cancelled by the broker"' in lines[-1]
    by_hand = CancelOrder(order=STOP, by_hand=True)
    assert status_of(play(control_of(*LONG, lines=lines), by_hand), "stop") == "Cancelled"
    assert '"reason":"Order Canceled - reason:"' in lines[-1]
    assert status_of(play(control_of(*LONG), ExpireOrder(order=STOP)), "stop") == "Cancelled"
    assert status_of(play(control_of(*LONG), RejectOrder(order=STOP)), "stop") == "Inactive"


@pytest.mark.parametrize(
    ("change", "long", "short"),
    [("close", 0, 0), ("reduce", 60, -60), ("add", 140, -140), ("flip", -100, 100)],
)
def test_somebody_trades_what_is_held(change: str, long: int, short: int) -> None:
    act = ManualTrade.model_validate({"symbol": "TSLA", "change": change, "part": "0.4"})
    assert held(play(control_of(*LONG), act)) == long
    assert held(play(control_of(*SHORT), act)) == short


def test_an_execution_is_corrected_and_taken_back() -> None:
    books = play(
        control_of(*LONG),
        CorrectFill(symbol="TSLA", leg="entry", shares_by=Decimal(-10), price_by=Decimal("0.05")),
    )
    execution = books.executions[-1]
    assert execution.exec_id.endswith(".02")
    assert (execution.shares, held(books)) == amounts(90, 90)
    assert execution.price == Decimal("100.05")
    books = play(control_of(*LONG), CorrectFill(symbol="TSLA", busted=True))
    assert (held(books), len(books.executions)) == (Decimal(0), 0)


@pytest.mark.parametrize(("shares_by", "words"), [(-100, "0 shares at"), (10, "cannot")])
def test_a_correction_that_cannot_be_is_told(shares_by: int, words: str) -> None:
    with pytest.raises(UnfitError, match=words):
        play(control_of(*LONG), CorrectFill(symbol="TSLA", shares_by=Decimal(shares_by)))


@pytest.mark.parametrize(("orders", "landing"), [(LONG, 94), (SHORT, 106)])
def test_a_gap_lands_beyond_the_stop_on_either_side(
    orders: tuple[Callable[[Exchange], object], ...], landing: int
) -> None:
    books = play(control_of(*orders), PriceMoves(symbol="TSLA", beyond=STOP))
    assert (held(books), books.executions[-1].price) == amounts(0, landing)


def test_a_price_that_walks_fills_the_stop_where_it_is() -> None:
    act = PriceMoves(symbol="TSLA", to=Decimal(90), jumps=False)
    assert play(control_of(*LONG), act).executions[-1].price == 95


def test_a_move_of_the_price_has_one_goal() -> None:
    with pytest.raises(ValidationError, match="either `to` or `beyond`"):
        PriceMoves(symbol="TSLA")


def test_the_market_goes_on_for_as_long_as_was_said() -> None:
    control = control_of()
    play(control, MarketGoesOn(seconds=10))
    assert control.status().bars_played == 3


def test_until_is_a_time_of_the_tape_however_late_it_is_played() -> None:
    control = control_of()
    play(control, TimePasses(seconds=3600), until=START + timedelta(seconds=15))
    status = control.status()
    assert (status.bars_played, status.now) == (3, START + timedelta(hours=1, seconds=15))


def test_a_day_passes_and_the_tape_goes_on_at_its_clock_time() -> None:
    control = control_of(*LONG)
    books = play(control, DaysPass(to="the next trading day"))
    assert books.now == START + timedelta(days=1, seconds=5)
    assert (len(books.executions), held(books)) == (0, Decimal(100))
    assert status_of(books, "stop") == "PreSubmitted"


def test_a_fault_is_armed() -> None:
    control = control_of()
    play(control, BrokerFault(fault=GatewayRestart()))
    assert [state.fault.name for state in control.faults()] == ["gateway_restart"]


def test_what_does_not_fit_is_an_error_unless_it_is_optional() -> None:
    control = control_of()
    with pytest.raises(UnfitError, match="the TSLA stop order was to be found"):
        play(control, FillOrder(order=STOP))
    skips = Skips()
    acts = (FillOrder(order=STOP, optional=True), MarketGoesOn(seconds=5))
    play_downtime(Downtime(acts=acts), control, stepped=lambda: None, skipped=skips)
    assert skips.acts == ["the TSLA stop order is filled"]
    assert skips.reasons[0].endswith("0 orders fit; working there: nothing")
    assert control.status().bars_played == 2


def test_what_the_broker_refuses_is_skipped_too() -> None:
    skips = Skips()
    downtime = Downtime(acts=(FillOrder(order=STOP, shares=Decimal(500), optional=True),))
    play_downtime(downtime, control_of(*LONG), stepped=lambda: None, skipped=skips)
    assert "at most 100 are left to fill" in skips.reasons[0]


@pytest.mark.parametrize(
    ("now", "arrival", "there"),
    [
        ("2025-10-06T10:00:00-04:00", "the next trading day", "2025-10-07T10:00:00-04:00"),
        ("2025-10-10T10:00:00-04:00", "the next trading day", "2025-10-13T10:00:00-04:00"),
        ("2025-10-06T10:00:00-04:00", "the next week", "2025-10-13T10:00:00-04:00"),
        ("2025-10-31T10:00:00-04:00", "the next week", "2025-11-03T10:00:00-05:00"),
        ("2025-10-06T10:00:00-04:00", "after the clocks change", "2025-11-03T10:00:00-05:00"),
        ("2026-03-06T10:00:00-05:00", "after the clocks change", "2026-03-09T10:00:00-04:00"),
    ],
)
def test_a_later_day_is_so_far_away_as_the_clocks_make_it(
    now: str, arrival: str, there: str
) -> None:
    act = DaysPass.model_validate({"to": arrival})
    start = datetime.fromisoformat(now)
    assert start + days_until(act.to, start) == datetime.fromisoformat(there)


def test_an_act_that_stands_at_its_defaults_is_written_as_ever() -> None:
    act = FillOrder(order=STOP, price=Decimal(95))
    assert set(act.model_dump(mode="json")) == {"kind", "order", "price", "shares"}
    assert set(CancelOrder(order=STOP).model_dump(mode="json")) == {"kind", "order"}


@pytest.mark.parametrize("slug", DOWNTIMES)
def test_every_downtime_is_a_value_that_can_be_stored(slug: str) -> None:
    downtime = downtime_of(slug, "TSLA")
    assert Downtime.model_validate_json(downtime.model_dump_json()) == downtime
    assert all(act.optional for act in downtime.acts) or DOWNTIMES[slug].needs == "nothing"


@pytest.mark.parametrize("slug", DOWNTIMES)
def test_every_downtime_can_be_played_and_repeats(slug: str) -> None:
    told: list[tuple[Books, list[str]]] = []
    for _ in range(2):
        control, skips = control_of(*LONG), Skips()
        downtime = downtime_of(slug, "TSLA")
        play_downtime(downtime, control, stepped=lambda: None, skipped=skips)
        told.append((control.books(), skips.acts))
    assert told[0] == told[1]
    fits = DOWNTIMES[slug].needs in {"nothing", "position", "stop"}
    assert (told[0][1] == []) is fits


@pytest.mark.parametrize("slug", FAULTS)
def test_every_fault_can_be_armed_and_stored(slug: str) -> None:
    trouble = trouble_of(slug)
    control = control_of()
    play(control, *trouble.downtime.acts)
    assert [state.fault for state in control.faults()] == [trouble.fault]
    downtime = trouble.downtime
    assert Downtime.model_validate_json(downtime.model_dump_json()) == downtime
    assert set(FAULTS).isdisjoint(DOWNTIMES)


def test_a_slug_that_does_not_exist_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="no downtime 'stop-fill'; there are nothing, stop-fills"):
        downtime_of("stop-fill", "TSLA")
    with pytest.raises(UserError, match="no broker fault 'x'; there are statuses-twice"):
        trouble_of("x")
