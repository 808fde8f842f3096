"""Whole days over TCP against the fake broker: traded, killed, traded on."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.choice import open_store, read_state

Days = Callable[..., Any]

# Broken at 445.25, stopped out, broken again, partial at 447.13, target at 460.25, third break.
TWO_ATTEMPTS = [
    *("445.25", "445.00", "443.00", "444.00"),
    *("445.25", "446.00", "447.50", "448.00", "458.00", "460.50"),
    *("444.00", "446.00", "446.00"),
]
STORES = pytest.mark.parametrize("store", ["json", "sqlite"])

SENDS_FIRST = """
from target_trader.__main__ import main
from target_trader.orders import OrderDesk

class SendsFirst(OrderDesk):
    def submit_bracket(self, signal, setup):
        bracket = self.plan_bracket(signal, setup)
        self.transmit(bracket)
        self.remember(bracket)

if __name__ == "__main__":
    main(orders_factory=SendsFirst)
"""


@STORES
def test_a_day_of_two_attempts_is_traded_with_the_desks_numbers(
    trading_day: Days, store: str
) -> None:
    day = trading_day(TWO_ATTEMPTS, store=store)
    day.launch()
    assert day.play() is None
    assert day.fills() == [
        ("1|entry", "BOT", Decimal(100), Decimal("445.25")),
        ("1|stop", "SLD", Decimal(100), Decimal("443.37")),
        ("2|entry", "BOT", Decimal(100), Decimal("445.25")),
        ("2|partial", "SLD", Decimal(50), Decimal("447.13")),
        ("2|target", "SLD", Decimal(50), Decimal("460.25")),
    ]
    assert "Entry blocked: TSLA LONG has used 2 of 2 attempts at 444.77" in day.log()
    assert day.stop() == 0
    day.check_agreement()


def test_a_bracket_is_three_orders_of_which_the_last_transmits(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.00"])
    day.launch()
    day.play()
    sent = [each["fields"] for each in day.sent("placeOrder")]
    legs = [each["order_ref"].rpartition("|")[2] for each in sent]
    assert legs == ["entry", "stop", "partial"]
    orders = {each.order_ref.rpartition("|")[2]: each for each in day.books().orders}
    assert orders["stop"].aux_price == Decimal("443.37")
    assert orders["partial"].limit_price == Decimal("447.13")
    assert orders["stop"].oca_group == orders["partial"].oca_group == "PS60|TSLA|L|20251006|1|exits"
    assert day.stop() == 0
    day.check_agreement()


POINTS = [
    ("intents.before_save", 1),
    ("intents.saved", 1),
    ("order.sent.entry", 2),
    ("order.sent.stop", 1),
    ("order.sent.partial", 1),
    ("order.sent.target", 1),
    ("fill.before_save", 1),
    ("fill.before_save", 2),
    ("fill.before_save", 5),
    ("fill.saved", 1),
    ("fill.saved", 6),
    ("exits.before_modify", 1),
    ("exits.modified", 1),
    ("recovery.loaded", 1),
    ("recovery.reconciled", 1),
]
STORE_POINTS = [
    *itertools.product(["json"], [("state.temp_written", 4), ("state.backed_up", 6)]),
    *itertools.product(["json"], [("state.temp_synced", 15), ("state.renamed", 14)]),
    *itertools.product(["sqlite"], [("sqlite.before_commit", 13), ("sqlite.committed", 14)]),
]


@pytest.mark.parametrize(
    ("store", "point"), [*itertools.product(["json", "sqlite"], POINTS), *STORE_POINTS]
)
def test_a_kill_at_any_failpoint_costs_nothing_but_time(
    trading_day: Days, store: str, point: tuple[str, int]
) -> None:
    name, passage = point
    day = trading_day(TWO_ATTEMPTS, store=store, fill_split=["60", "40"])
    day.launch(f"{name}={passage - 1}*off->1*kill")
    day.play()
    assert f"failpoint {name}: kill" in day.log()
    day.kill()
    sent = {each["fields"]["order_ref"] for each in day.sent("placeOrder")}
    assert sent <= {each["order_ref"] for each in day.belief()["intents"]}
    day.launch()
    assert day.play() is None
    assert day.stop() == 0
    day.check_agreement()
    assert "Traceback" not in day.log()


@pytest.mark.parametrize(
    "knobs",
    [
        {"dup_status": True, "fill_split": ["33", "33", "34"]},
        {"drop_status": True},
        {"commission_delay": 10, "position_delay": 12},
        {"push_open_orders_on_connect": False},
        {"list_untransmitted": True},
        {"liquidity_per_bar": 30},
    ],
    ids="+".join,
)
@pytest.mark.parametrize("point", ["order.sent.stop=1*kill", "fill.saved=1*off->1*kill"])
def test_a_difficult_broker_changes_nothing_of_it(
    trading_day: Days, knobs: dict[str, Any], point: str
) -> None:
    day = trading_day([*TWO_ATTEMPTS, *["446.00"] * 4], **knobs)
    day.launch(point)
    day.play()
    day.kill()
    day.launch()
    assert day.play() is None
    assert day.stop() == 0
    day.check_agreement()


def test_a_bot_that_is_told_to_stop_leaves_its_stop_at_the_broker(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.00", "445.00"])
    day.launch()
    day.play()
    assert day.stop() == 0
    working = {each.order_ref.rpartition("|")[2] for each in day.books().orders if each.working}
    assert working == {"stop", "partial"}
    assert day.sent("cancelOrder") == []
    day.check_agreement()


def test_a_second_life_sends_nothing_when_nothing_has_changed(trading_day: Days) -> None:
    day = trading_day(["445.25", *["445.30"] * 10])
    day.launch()
    day.play(26)
    day.kill()
    sent = len(day.sent("placeOrder"))
    day.launch()
    day.play()
    assert len(day.sent("placeOrder")) == sent == 3
    day.kill()
    day.check_agreement()


def test_a_partial_that_filled_while_the_bot_was_dead_moves_the_stop_to_breakeven(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.30", "447.50", "448.00", "448.00"])
    day.launch()
    day.play(24)
    day.kill()
    day.play(3)
    day.launch()
    stop = next(each for each in day.books().orders if each.order_ref.endswith("|stop"))
    assert (stop.aux_price, stop.remaining, stop.working) == (Decimal("445.25"), 50, True)
    assert "State file shows 100 shares, IBKR shows 50 shares" in day.log()
    day.kill()
    day.check_agreement()


def test_a_stop_that_filled_while_the_bot_was_dead_is_found_and_not_answered(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.30", "443.00", "442.00", "442.00"])
    day.launch()
    day.play(24)
    day.kill()
    day.play(3)
    day.launch()
    assert "Position was closed by broker during downtime" in day.log()
    assert len(day.sent("placeOrder")) == 3
    day.kill()
    day.check_agreement()


def test_a_stop_that_was_cancelled_while_the_bot_was_dead_is_placed_anew(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 5])
    day.launch()
    day.play(24)
    day.kill()
    stop = next(each for each in day.books().orders if each.order_ref.endswith("|stop"))
    day.control.cancel(stop.perm_id)
    day.launch()
    working = [each.order_ref for each in day.books().orders if each.working]
    assert "PS60|TSLA|L|20251006|1|stop2" in working
    day.kill()
    day.check_agreement()


def test_a_stop_that_is_cancelled_under_a_living_bot_is_placed_anew_at_once(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 5])
    day.launch()
    day.play(24)
    stop = next(each for each in day.books().orders if each.order_ref.endswith("|stop"))
    day.control.cancel(stop.perm_id)
    day.settle()
    assert "PS60|TSLA|L|20251006|1|stop2" in [
        each.order_ref for each in day.books().orders if each.working
    ]
    day.kill()
    day.check_agreement()


def test_a_position_that_was_sold_by_hand_is_closed_and_its_exits_are_taken_back(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 8])
    day.launch()
    day.play(24)
    day.kill()
    day.control.manual_order("TSLA", action="SELL", quantity=Decimal(100))
    day.play(1)
    day.launch()
    day.play(2)
    assert [each.order_ref for each in day.books().orders if each.working] == []
    day.kill()
    day.check_agreement()


def test_a_bot_with_another_client_id_leaves_the_old_orders_alone(trading_day: Days) -> None:
    day = trading_day(["445.25", *["445.30"] * 8])
    day.launch()
    day.play(24)
    day.kill()
    day.launch(client_id=2002)
    day.play()
    assert len(day.sent("placeOrder")) == 3
    assert day.sent("cancelOrder") == []
    day.kill()
    day.check_agreement()


@STORES
def test_a_lost_state_halts_entries_and_still_protects(trading_day: Days, store: str) -> None:
    day = trading_day(["445.25", "445.00", "444.00", "445.25", "445.25"], store=store)
    day.launch()
    day.play(24)
    day.kill()
    for path in (day.folder / "state").glob("trader*.*"):
        if path.suffix != ".lock":
            path.write_bytes(b"rubbish" * 1000)
    stop = next(each for each in day.books().orders if each.order_ref.endswith("|stop"))
    day.control.cancel(stop.perm_id)
    day.launch()
    assert "DAMAGED STATE" in day.log()
    assert "HALTED, no new entries" in day.log()
    day.kill()
    day.check_agreement()
    assert day.belief()["halted"] is not None
    assert day.belief()["attempts"] == {"TSLA|LONG|444.77": 1}


def test_a_state_of_yesterday_is_refused_with_the_reason(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.00"])
    day.launch()
    day.play(10)
    day.kill()
    folder = day.folder / "state"
    stored: Checkpoint | None = read_state(StoreKind.JSON, folder).checkpoint
    assert stored is not None
    for path in folder.glob("*.json"):
        path.unlink()
    stored.day, stored.saved_at = date(2025, 10, 5), stored.saved_at - timedelta(days=1)
    stored.attempts["TSLA|LONG|444.77"] = 2
    store = open_store(StoreKind.JSON, folder)
    store.save(stored)
    store.close()
    day.launch()
    assert "State file is from 2025-10-05, today is 2025-10-06 - ignoring" in day.log()
    day.play()
    day.kill()
    assert day.belief()["attempts"] == {}


def test_a_quick_restart_does_not_warm_up_again(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.00"])
    day.launch()
    day.play(22)
    day.kill()
    day.launch()
    day.play()
    assert [each[0] for each in day.fills()] == ["1|entry"]
    day.kill()


def test_bars_are_asked_for_only_after_everything_has_been_asked_and_answered(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25"])
    day.launch()
    lines = (day.folder / "journal.jsonl").read_text().splitlines()
    traffic = [each["message"] for each in map(json.loads, lines) if "message" in each]
    asked = traffic.index("reqRealTimeBars")
    for end in ("openOrderEnd", "positionEnd", "completedOrdersEnd", "execDetailsEnd"):
        assert end in traffic[:asked]
    assert "placeOrder" not in traffic[:asked]
    day.kill()


def test_a_broker_that_comes_back_finds_the_bot_recovered_and_trading(trading_day: Days) -> None:
    day = trading_day(["445.25", "446.00", "445.50"])
    day.launch()
    day.play(15)
    day.end_broker()
    day.wait_for_log("The connection to IBKR is lost")
    day.start_broker()
    day.settle(ready=True)
    day.play()
    assert [each[0] for each in day.fills()] == ["1|entry"]
    assert day.stop() == 0
    day.check_agreement()


def test_without_a_broker_the_bot_says_so_and_can_be_stopped(trading_day: Days) -> None:
    day = trading_day(["445.25"])
    day.end_broker()
    day.start_bot()
    day.wait_for_log("IBKR is unavailable: the state file alone is used")
    assert day.stop() == 0
    day.start_broker()


def test_a_broken_bot_is_this_bot_with_one_step_replaced(trading_day: Days) -> None:
    """The hook of `__main__`: send first, remember after; a kill between shows the difference."""
    day = trading_day(["445.25", "445.00"])
    broken = day.folder / "sends_first.py"
    broken.write_text(SENDS_FIRST)
    day.launch("intents.before_save=1*kill", program=(str(broken),))
    day.play()
    day.kill()
    assert len(day.sent("placeOrder")) == 3
    assert day.belief()["intents"] == []


def test_the_bot_imports_neither_the_fake_broker_nor_the_harness() -> None:
    words = "import target_trader.__main__, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert "ib_insync" in roots
    assert not roots & {"fakebroker", "harness", "scenarios"}


def test_a_bracket_that_was_never_sent_is_sent_once_with_the_same_refs_and_new_ids(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["446.00"] * 6])
    day.launch("intents.saved=1*kill")
    day.play()
    planned = day.belief()["intents"]
    assert [each["state"] for each in planned] == ["planned"] * 3
    day.kill()
    day.launch()
    day.play(1)
    assert day.sent("placeOrder") == []
    day.play()
    sent = [each["fields"] for each in day.sent("placeOrder")]
    assert [each["order_ref"] for each in sent] == [each["order_ref"] for each in planned]
    ids = [each["order_id"] for each in day.belief()["intents"]]
    assert len(set(ids)) == len(ids) == 6
    assert day.belief()["attempts"] == {"TSLA|LONG|444.77": 1}
    day.kill()
    day.check_agreement()
