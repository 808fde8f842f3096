"""Whole days over TCP on which the connection, the gateway or IBKR's own line is the trouble."""

from decimal import Decimal

from fakebroker.control_messages import BookOrder
from fakebroker.faults.field import (
    ClientIdStuck,
    CompetingSession,
    FillsLostInWindow,
    GatewayRestart,
    HalfAlive,
)
from fakebroker.faults.wire import ConnectivityLost, Drop, Notice, RefuseConnections, Silence
from tests.unit.target_trader.trading_days import Days, TradingDay

# Broken at 445.25, partial at 447.13, target at 460.25.
ONE_TRADE = ["445.25", "445.30", "447.50", "448.00", "458.00", "460.50", "460.00", "460.00"]
ENTERED = 24

IMPATIENT = """
from target_trader import gateway, recovery
from target_trader.__main__ import main

recovery.SILENCE_SECONDS = 0.3
gateway.ANSWER_SECONDS = 1.0

if __name__ == "__main__":
    main()
"""


def legs_filled(day: TradingDay) -> list[str]:
    """The legs that were filled, in order."""
    return [each[0] for each in day.fills()]


def new_ids(day: TradingDay) -> list[int]:
    """The order ids of the orders that were sent, each once, in the order of sending."""
    ids = [int(each["fields"]["order_id"]) for each in day.sent("placeOrder")]
    return list(dict.fromkeys(ids))


def stop_of(day: TradingDay) -> BookOrder:
    """The one working stop."""
    [stop] = [each for each in day.books().orders if each.working and each.order_type == "STP"]
    return stop


def test_a_client_id_that_is_still_taken_is_tried_again_and_no_other_one(trading_day: Days) -> None:
    day = trading_day(ONE_TRADE)
    day.control.fault(ClientIdStuck(client_id=2001))
    day.start_bot()
    day.wait_for_log("client id 2001 is still in use (326)")
    day.control.heal("all")
    day.settle(ready=True)
    tried = {each["fields"]["client_id"] for each in day.sent("startApi")}
    assert {int(each) for each in tried} == {2001}
    assert len(day.sent("startApi")) >= 2
    assert day.stop() == 0


def test_a_fill_of_the_gap_before_1102_is_found_and_followed(trading_day: Days) -> None:
    day = trading_day(ONE_TRADE)
    day.launch()
    day.play(ENTERED)
    fault = day.control.fault(FillsLostInWindow())
    day.play(1)
    assert legs_filled(day) == ["1|entry", "1|partial"]
    assert day.belief()["positions"]["TSLA"]["quantity"] == "100"
    day.control.heal(fault)
    day.settle()
    assert day.belief()["positions"]["TSLA"]["quantity"] == "50"
    assert (stop_of(day).aux_price, stop_of(day).remaining) == (Decimal("445.25"), Decimal(50))
    assert len(day.sent("reqRealTimeBars")) == 1
    day.play()
    assert legs_filled(day) == ["1|entry", "1|partial", "1|target"]
    assert day.stop() == 0
    day.check_agreement()


def test_nothing_is_entered_between_1100_and_1102(trading_day: Days) -> None:
    day = trading_day(["445.25", "444.00", "444.00", "445.25", "445.25"])
    day.launch()
    day.play(22)
    fault = day.control.fault(FillsLostInWindow())
    day.play(1)
    assert day.sent("placeOrder") == []
    assert "Entry blocked: TSLA: IBKR is away" in day.log()
    day.control.heal(fault)
    day.play()
    assert legs_filled(day) == ["1|entry"]
    assert day.stop() == 0
    day.check_agreement()


def test_after_1101_the_bars_are_asked_for_anew_and_the_old_request_is_dropped(
    trading_day: Days,
) -> None:
    day = trading_day(ONE_TRADE)
    day.launch()
    day.play(10)
    fault = day.control.fault(ConnectivityLost(restored=1101))
    day.play(2)
    day.control.heal(fault)
    day.settle()
    assert "IBKR is connected again (1101)" in day.log()
    asked = [each["fields"]["req_id"] for each in day.sent("reqRealTimeBars")]
    assert len(set(asked)) == len(asked) == 2
    dropped = [each["fields"]["req_id"] for each in day.sent("cancelRealTimeBars")]
    assert dropped == asked[:1]
    day.play()
    assert legs_filled(day) == ["1|entry", "1|partial", "1|target"]
    assert day.stop() == 0
    day.check_agreement()


def test_a_gateway_that_restarts_in_mid_trade_finds_the_bot_back_and_its_exits_followed(
    trading_day: Days,
) -> None:
    day = trading_day(ONE_TRADE)
    day.launch()
    day.play(ENTERED)
    sent = new_ids(day)
    day.control.fault(GatewayRestart(seconds=None))
    day.wait_for_log("No connection to IBKR (try 1)")
    day.control.heal("all")
    day.settle(ready=True)
    assert new_ids(day) == sent
    day.play()
    assert legs_filled(day) == ["1|entry", "1|partial", "1|target"]
    assert {int(each["fields"]["client_id"]) for each in day.sent("startApi")} == {2001}
    assert day.stop() == 0
    day.check_agreement()


def test_ids_that_the_gateway_has_forgotten_are_not_given_again(trading_day: Days) -> None:
    day = trading_day(["445.25", "443.00", "444.00", "444.00", "445.25", "445.25"])
    day.launch()
    day.play(ENTERED + 1)
    assert legs_filled(day) == ["1|entry", "1|stop"]
    first = new_ids(day)
    day.control.fault(GatewayRestart(seconds=None, forget_ids=max(first)))
    day.wait_for_log("No connection to IBKR (try 1)")
    day.control.heal("all")
    day.settle(ready=True)
    day.play()
    assert legs_filled(day) == ["1|entry", "1|stop", "2|entry"]
    assert min(new_ids(day)[len(first) :]) > max(first)
    assert day.stop() == 0
    day.check_agreement()


def test_a_broker_that_is_away_at_the_start_is_reconciled_as_soon_as_it_is_back(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", *["445.30"] * 6])
    day.launch()
    day.play(ENTERED)
    assert day.stop() == 0
    day.control.fault(RefuseConnections())
    day.start_bot()
    day.wait_for_log("No new entries until it answers and everything has been reconciled")
    assert "positions may have drifted" in day.log()
    day.control.manual_order("TSLA", action="SELL", quantity=Decimal(40))
    day.control.step()
    day.control.heal("all")
    day.settle(ready=True)
    assert day.belief()["positions"]["TSLA"]["quantity"] == "60"
    assert stop_of(day).remaining == 60
    assert day.stop() == 0
    day.check_agreement()


def test_a_gateway_that_takes_connections_and_never_answers_is_left_and_tried_again(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.25"])
    day.control.fault(HalfAlive())
    day.start_bot()
    day.wait_for_log("No connection to IBKR (try 1)")
    day.control.heal("all")
    day.settle(ready=True)
    day.play()
    assert legs_filled(day) == ["1|entry"]
    assert day.stop() == 0


def test_a_connection_that_is_dead_without_an_end_is_noticed_and_replaced(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.25"])
    program = day.folder / "impatient.py"
    program.write_text(IMPATIENT)
    day.launch(program=(str(program),))
    day.control.fault(Silence())
    day.wait_for_log("nothing is heard from it and it does not tell its time")
    day.control.heal("all")
    day.wait_for_log("✓ State recovery complete")
    assert day.stop() == 0


def test_a_broker_that_does_not_tell_its_time_is_asked_again_before_the_state_is_judged(
    trading_day: Days,
) -> None:
    """By the machine's clock the state of the day that is replayed would be of another day."""
    day = trading_day(["445.25"] * 3)
    program = day.folder / "impatient.py"
    program.write_text(IMPATIENT)
    day.launch()
    day.play(ENTERED)
    day.kill()
    day.control.fault(Drop(message="reqCurrentTime"))
    day.start_bot(program=(str(program),))
    day.wait_for_log("it does not tell its time, so it is not known which day it is")
    day.control.heal("all")
    day.wait_for_log("✓ State recovery complete")
    assert "ignoring" not in day.log()
    assert day.stop() == 0
    day.check_agreement()
    assert day.belief()["attempts"] == {"TSLA|LONG|444.77": 1}


def test_bars_that_stop_in_market_hours_are_said_and_asked_for_again(trading_day: Days) -> None:
    day = trading_day(["444.50"] * 4)
    program = day.folder / "impatient.py"
    program.write_text(IMPATIENT)
    day.launch(program=(str(program),))
    day.play(2)
    fault = day.control.fault(CompetingSession())
    day.wait_for_log("No bars of TSLA, so no entries in it: IBKR says 10197")
    for _ in range(14):
        day.control.step()
    day.wait_for_log("No bars since 10:00:10: no entries; subscribing again")
    day.control.heal(fault)
    assert len(day.sent("cancelRealTimeBars")) >= 1
    assert day.stop() == 0


def test_bars_without_a_word_about_the_line_bring_the_bot_to_connect_anew(
    trading_day: Days,
) -> None:
    day = trading_day(["444.50"] * 65)
    day.launch()
    day.play(ENTERED)
    day.control.fault(FillsLostInWindow())
    day.play(60)
    assert len(day.sent("startApi")) == 1
    day.play(2)
    day.settle(ready=True)
    assert "Bars come, but IBKR has not said that its line is up: connecting anew" in day.log()
    assert len(day.sent("startApi")) == 2
    assert day.stop() == 0


def test_what_is_said_about_the_farms_changes_nothing(trading_day: Days) -> None:
    day = trading_day(["445.25", "445.25"])
    day.launch()
    day.play(21)
    asked = len(day.sent("reqExecutions"))
    for code in (2103, 2104, 2105, 2107, 2110, 2157, 2158):
        day.control.fault(Notice(code=code, text="a farm"))
    day.settle()
    assert len(day.sent("reqExecutions")) == asked
    assert "IBKR says 2103: a farm" in day.log()
    assert "WARNING" not in day.log()
    day.play()
    assert legs_filled(day) == ["1|entry"]
    assert day.stop() == 0
