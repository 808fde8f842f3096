"""Whole days over TCP: what is saved and when, corrections, halts, the turn of the day."""

import signal
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from fakebroker.faults.field import BustExecution, CompletedWithoutFills, CorrectExecution
from target_trader.clock import NEW_YORK
from target_trader.names import IntentState
from target_trader.reconciliation import Outcome, read_last
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.choice import open_store, read_state
from tests.unit.target_trader.trading_days import WARMUP, Days, TradingDay

KEY = "TSLA|LONG|444.77"
ENTERED = 24


def stored(day: TradingDay) -> Checkpoint:
    """What is on disk."""
    checkpoint = read_state(StoreKind.JSON, day.folder / "state").checkpoint
    assert checkpoint is not None
    return checkpoint


def store(day: TradingDay, checkpoint: Checkpoint) -> None:
    """Put a state on disk in the place of the one that is there."""
    folder = day.folder / "state"
    for path in folder.glob("*.json*"):
        path.unlink()
    kept = open_store(StoreKind.JSON, folder)
    kept.save(checkpoint)
    kept.close()


def stops(day: TradingDay) -> list[tuple[Decimal | None, Decimal]]:
    """Price and open shares of the working stops."""
    working = [each for each in day.books().orders if each.working]
    return [(each.aux_price, each.remaining) for each in working if each.order_type == "STP"]


def test_a_correction_under_a_living_bot_counts_once_and_the_exits_follow(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.30", "445.30", "447.50", "447.50"])
    day.launch()
    day.play(ENTERED)
    day.control.fault(CorrectExecution.model_validate({"shares": "90", "when": {"on": "now"}}))
    day.settle()
    assert day.belief()["positions"]["TSLA"]["quantity"] == "90"
    assert stops(day) == [(Decimal("443.37"), Decimal(90))]
    assert len(day.belief()["executions"]) == 1
    assert "FILL corrected: BOT 90 TSLA @ 445.25" in day.log()
    day.play()
    assert stops(day) == [(Decimal("445.25"), Decimal(45))]
    assert day.stop() == 0
    day.check_agreement()


def test_a_fill_that_the_exchange_takes_back_leaves_neither_position_nor_exits(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 14])
    day.launch()
    day.play(ENTERED)
    day.control.fault(BustExecution.model_validate({"when": {"on": "now"}}))
    day.play()
    assert day.belief()["positions"] == {}
    assert stops(day) == []
    assert day.stop() == 0
    day.check_agreement()


@pytest.mark.parametrize("taken_back", [False, True], ids=["corrected", "busted"])
def test_what_an_exit_has_earned_follows_when_its_entry_is_changed_afterwards(
    trading_day: Days, taken_back: bool
) -> None:
    """The broker restates the profit of the exit, and tells it only to those who ask."""
    day = trading_day(["445.25", "445.30", *["447.50"] * 6], fill_split=["60", "40"])
    day.launch()
    day.play(ENTERED + 1)
    assert [each[0] for each in day.fills()][-1] == "1|partial"
    earned = Decimal(day.belief()["realized_pnl"])
    second = day.books().executions[1].exec_id
    change = {"exec_id": second, "when": {"on": "now"}}
    if taken_back:
        day.control.fault(BustExecution.model_validate(change))
    else:
        day.control.fault(CorrectExecution.model_validate({**change, "price": "445.75"}))
    day.play()
    assert Decimal(day.belief()["realized_pnl"]) != earned
    assert day.belief()["positions"]["TSLA"]["quantity"] == ("10" if taken_back else "50")
    assert day.stop() == 0
    day.check_agreement()


@pytest.mark.parametrize(
    "point",
    ["", "intents.saved=1*off->1*kill", "order.sent.partial=1*off->1*kill"],
    ids=["alive", "killed-before-sending", "killed-when-sent"],
)
def test_a_second_trade_of_a_symbol_has_its_own_protection_also_over_a_crash(
    trading_day: Days, point: str
) -> None:
    """Scaling in; a bracket that was never sent is known to be lost, and sent, ten seconds on."""
    broken_twice = ["445.25", "445.30", "444.50", *["445.25"] * 8]
    day = trading_day([*broken_twice, "447.50", "447.50", "445.00", "445.00", "445.00"])
    (day.folder / "config.toml").write_text("[risk]\nscale_in = true\n")
    day.options = ("--config", str(day.folder / "config.toml"))
    day.launch(point)
    day.play(ENTERED + 2)
    if point:
        assert f"failpoint {point.partition('=')[0]}: kill" in day.log()
        day.kill()
        day.launch()
    day.play(7)
    assert day.belief()["positions"]["TSLA"]["quantity"] == "200"
    protecting = [each for each in day.books().orders if each.working and each.order_type == "STP"]
    assert [each.order_ref.split("|")[-2:] for each in protecting] == [["1", "stop"], ["2", "stop"]]
    assert [each.remaining for each in protecting] == [Decimal(100), Decimal(100)]
    assert len({each.oca_group for each in protecting}) == 2
    day.kill()
    sent = len(day.sent("placeOrder"))
    day.launch()
    assert len(day.sent("placeOrder")) == sent
    day.check_agreement()
    day.play()
    assert sorted(each[0] for each in day.fills()) == sorted(
        f"{attempt}|{leg}" for attempt in "12" for leg in ("entry", "partial", "stop")
    )
    assert day.stop() == 0
    day.check_agreement()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_bot_that_is_told_to_stop_saves_a_full_checkpoint_and_leaves_its_exits(
    trading_day: Days, number: signal.Signals
) -> None:
    day = trading_day(["445.25", "446.00", "446.50"], position_delay=0)
    day.launch()
    day.play()
    assert day.stop(number) == 0
    checkpoint, books = stored(day), day.books()
    assert checkpoint.saved_at == books.now.astimezone(NEW_YORK)
    assert checkpoint.cash == books.cash
    [position] = checkpoint.open_positions()
    assert position.last_price == Decimal("446.50")
    assert stops(day) == [(Decimal("443.37"), Decimal(100))]
    assert day.sent("cancelOrder") == []


def test_every_minute_has_a_point_of_the_equity_curve_and_every_order_its_audit(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["446.00"] * 14])
    day.launch()
    day.play()
    day.kill()
    checkpoint = stored(day)
    assert [f"{each.time:%H:%M}" for each in checkpoint.equity_curve] == [
        f"10:0{minute}" for minute in range(4)
    ]
    assert checkpoint.equity_curve[0].equity == Decimal(100_000)
    # The commission of the entry is gone; IB tells what the market adds every three minutes.
    assert checkpoint.equity_curve[-1].equity == Decimal(99_999)
    entry = [each for each in checkpoint.order_audit if each.order_ref.endswith("|entry")]
    states = [each.state for each in entry]
    assert (states[0], states[-1]) == (IntentState.PLANNED, IntentState.FILLED)
    numbers = [each.number for each in checkpoint.order_audit]
    assert numbers == list(range(1, len(numbers) + 1))


def test_bars_alone_are_saved_every_ten_seconds(trading_day: Days) -> None:
    day = trading_day(["444.50"])
    day.launch()
    day.play(9)
    day.kill()
    assert stored(day).memory("TSLA").bars_seen in {8, 9}


def test_a_crash_in_the_warm_up_does_not_begin_it_again(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.25"])
    day.launch()
    day.play(10)
    day.kill()
    day.launch()
    day.play()
    assert [each[0] for each in day.fills()] == ["1|entry"]
    assert day.stop() == 0
    day.check_agreement()


def test_a_state_from_the_future_is_refused_and_nothing_is_entered(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.25"])
    day.launch()
    day.play(5)
    day.kill()
    checkpoint = stored(day)
    checkpoint.saved_at += timedelta(hours=3)
    checkpoint.attempts[KEY] = 1
    store(day, checkpoint)
    day.launch()
    assert "State is from the future" in day.log()
    day.play()
    assert day.sent("placeOrder") == []
    assert day.belief()["halted"] is not None
    assert day.stop() == 0


def test_a_second_bot_on_the_same_folder_refuses_and_the_first_trades_on(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.25"])
    day.launch()
    first = day.bot
    day.start_bot(client_id=2002)
    assert day.ended() == 2
    day.bot = first
    assert [each["fields"]["client_id"] for each in day.sent("startApi")] == [2001]
    day.play()
    assert [each[0] for each in day.fills()] == ["1|entry"]
    assert day.stop() == 0
    day.check_agreement()


def test_the_next_morning_has_fresh_attempts_and_the_same_breaker_and_position(
    trading_day: Days,
) -> None:
    """Monday evening to Tuesday morning in one life: midnight, then the open."""
    monday = datetime(2025, 10, 6, 15, 50, tzinfo=NEW_YORK)
    tuesday = datetime(2025, 10, 7, 9, 28, tzinfo=NEW_YORK)
    day = trading_day.of_runs(
        [
            (monday, [*WARMUP, "445.25", "446.00", "446.00"]),
            (tuesday, ["446.00"] * 30),
        ]
    )
    before = new_checkpoint(date(2025, 10, 6), now=monday - timedelta(minutes=5))
    before.circuit_breaker.failures = 3
    before.session.filter_blocks["warmup"] = 7
    (day.folder / "state").mkdir()
    store(day, before)
    day.launch()
    day.play(25)
    assert day.belief()["attempts"] == {KEY: 1}
    day.play()
    checkpoint = stored(day)
    assert checkpoint.day == date(2025, 10, 7)
    assert checkpoint.attempts == {}
    assert checkpoint.session.filter_blocks == {}
    assert checkpoint.session.reset_at == tuesday.replace(minute=30)
    assert checkpoint.session.trades_today == 0
    assert checkpoint.circuit_breaker.failures == 3
    assert day.stop() == 0
    assert day.belief()["positions"]["TSLA"]["quantity"] == "100"
    assert stops(day) == [(Decimal("443.37"), Decimal(100))]


def test_a_difference_that_nothing_explains_halts_every_start_until_a_person_resumes(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 14])
    (day.folder / "config.toml").write_text('[recovery]\npolicy = "HALT_AND_ALERT"\n')
    day.options = ("--config", str(day.folder / "config.toml"))
    day.launch()
    # The entry has to be older than a position may lag behind it.
    day.play(ENTERED + 7)
    day.kill()
    sent = len(day.sent("placeOrder"))
    hidden = day.control.fault(CompletedWithoutFills(executions=True))
    day.control.manual_order("TSLA", action="SELL", quantity=Decimal(40))
    day.control.step()
    for _ in range(2):
        day.start_bot()
        assert day.ended() == 3, day.log()
        assert len(day.sent("placeOrder")) == sent
        assert day.sent("cancelOrder") == []
    assert "HALTED, nothing is sent" in day.log()
    last = read_last(day.folder / "state")
    assert last is not None
    assert last.outcome is Outcome.HALTED
    day.control.heal(hidden)
    code, out, err = day.command("resume", "--note", "looked at the account")
    assert code == 0, err
    assert "lifted: " in out
    day.launch()
    assert day.belief()["positions"]["TSLA"]["quantity"] == "60"
    assert stops(day) == [(Decimal("443.37"), Decimal(60))]
    assert day.stop() == 0
    day.check_agreement()
