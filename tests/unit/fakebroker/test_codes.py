"""Each error code of section 3.8 is really sent, and what its faults do to who they are about."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from fakebroker.faults import Fault, codes, field, wire
from fakebroker.outbox import AcceptConnections, Close, RefuseConnections, Send
from fakebroker.protocol.errors import ErrorCode
from tests.support.codes import SESSION, TSLA, Scene, is_sent

TICK_PRICE, TICK_SIZE, DATA_TYPE, BAR, UPDATE, TICK = "1", "2", "58", "50", "90", "99"


def kinds(messages: list[list[str]]) -> set[str]:
    return {fields[0] for fields in messages}


def codes_in(messages: list[list[str]]) -> list[int]:
    return [int(fields[3]) for fields in messages if fields[0] == "4"]


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: str(code.value))
def test_each_code_is_sent_in_its_situation(code: ErrorCode) -> None:
    assert is_sent(code)


def test_without_a_fault_none_of_these_codes_is_sent() -> None:
    scene = Scene()
    scene.data(1)
    scene.bars(2)
    scene.history(3)
    scene.place(1)
    scene.place(1, lmtPrice=51)
    scene.ask(lambda it: it.cancelOrder(1, ""))
    scene.step(3)
    assert scene.codes() == {202, 2104, 2106, 2158}


# Market data


@pytest.mark.parametrize("code", [354, 10089, 10168])
def test_who_may_not_see_a_market_is_refused_and_another_market_is_not(code: int) -> None:
    scene = Scene()
    scene.inject(codes.NoMarketData.model_validate({"symbol": "TSLA", "code": code}))
    assert codes_in(scene.data()) == [code]
    assert TICK_PRICE not in kinds(scene.step())
    scene.heal()
    assert TICK_PRICE in kinds(scene.data())
    scene.inject(codes.NoMarketData(symbol="AAPL"))
    assert codes_in(scene.data(10)) == []


@pytest.mark.parametrize(
    ("data_type", "code", "told"),
    [(1, 354, 354), (3, 354, 10167), (3, 10089, 10167), (3, 10168, 10168), (1, 10167, 10167)],
)
def test_delayed_data_are_for_who_asked_for_them_or_for_all(
    data_type: int, code: int, told: int
) -> None:
    scene = Scene()
    scene.ask(lambda it: it.reqMarketDataType(data_type))
    scene.inject(codes.NoMarketData.model_validate({"code": code}))
    answer = scene.data()
    assert codes_in(answer) == [told]
    types = {fields[3] for fields in answer if fields[0] == TICK_PRICE}
    delayed = {"66", "67", "68", "72", "73", "75", "76"}
    assert types == (delayed if told == 10167 else set())
    assert [fields[3] for fields in answer if fields[0] == DATA_TYPE] == ["3"] * bool(types)
    later = {fields[3] for fields in scene.step() if fields[0] == TICK_PRICE}
    assert bool(later) == bool(types)
    assert later <= delayed


def test_delayed_data_by_a_fault_are_for_one_request_only() -> None:
    scene = Scene()
    scene.inject(codes.NoMarketData(code=10167))
    scene.data()
    scene.heal()
    assert [fields[3] for fields in scene.data(10) if fields[0] == DATA_TYPE] == ["1"]


def test_delayed_data_that_never_came_are_not_left_for_a_later_request() -> None:
    scene = Scene(subscriptions_max=1)
    scene.bars(1)
    scene.inject(codes.NoMarketData(code=10167))
    assert codes_in(scene.data(2)) == [10167, 101]
    scene.heal()
    scene.ask(lambda it: it.cancelRealTimeBars(1))
    assert [fields[3] for fields in scene.data(3) if fields[0] == DATA_TYPE] == ["1"]


def test_real_time_bars_and_ticks_of_a_market_that_nobody_pays_for_are_refused() -> None:
    scene = Scene()
    scene.inject(codes.NoMarketData(code=10167))
    (error,) = [fields for fields in scene.bars() if fields[0] == "4"]
    assert error[3:5] == [
        "420",
        "Invalid Real-time Query:No market data permissions for NASDAQ STK",
    ]
    answer = scene.ask(lambda it: it.reqTickByTickData(10, TSLA, "Last", 0, False))
    assert codes_in(answer) == [354]
    assert scene.broker.subscriptions == 0


def test_requests_for_bars_are_counted_within_their_window() -> None:
    scene = Scene()
    scene.inject(codes.BarsPacing(requests_max=2, window=timedelta(seconds=7)))
    answers = [codes_in(scene.bars(number)) for number in range(1, 5)]
    assert answers == [[], [], [420], [420]]
    scene.step(2)
    assert codes_in(scene.bars(5)) == []


def test_live_updates_end_for_good_and_new_ones_get_their_past_only() -> None:
    scene = Scene()
    scene.history(1)
    scene.inject(codes.LiveUpdatesBroken())
    answer = scene.history(2)
    assert [fields[0] for fields in answer] == ["17", "4"]
    assert codes_in(answer) == [10182]
    scene.heal()
    assert UPDATE not in kinds(scene.step())
    scene.history(3)
    assert UPDATE in kinds(scene.step())


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_bust_event_makes_bars_stand_still_until_they_are_asked_for_again(
    *, cancelled: bool
) -> None:
    scene = Scene()
    scene.bars(1)
    scene.history(2)
    scene.inject(codes.BustEvent())
    assert codes_in(scene.messages).count(10225) == 2
    assert kinds(scene.step()) & {BAR, UPDATE} == set()
    if cancelled:
        assert scene.ask(lambda it: it.cancelRealTimeBars(1)) == []
        assert scene.ask(lambda it: it.cancelHistoricalData(2)) == []
    assert codes_in([*scene.bars(1), *scene.history(2)]) == []
    assert kinds(scene.step()) >= {BAR, UPDATE}


@pytest.mark.parametrize(("fields", "told"), [({}, False), ({"ticks": True}, True)])
def test_a_bust_event_reaches_ticks_and_other_stocks_as_it_is_told(
    fields: dict[str, bool], *, told: bool
) -> None:
    scene = Scene()
    scene.bars(1)
    scene.ask(lambda it: it.reqTickByTickData(2, TSLA, "Last", 0, False))
    scene.inject(codes.BustEvent.model_validate({"symbol": "AAPL", **fields}))
    assert 10225 not in scene.codes()
    scene.inject(codes.BustEvent.model_validate({"symbol": "TSLA", **fields}))
    assert codes_in(scene.messages).count(10225) == 1 + told
    assert (TICK in kinds(scene.step())) == (not told)


# The system


def test_a_port_reset_says_so_before_it_ends_the_connection() -> None:
    scene = Scene()
    number, effects = scene.broker.inject(codes.PortReset(), scene.broker.now)
    last, *rest = effects
    assert isinstance(last, Send)
    assert b"\x001300\0" in last.data
    assert rest == [Close(SESSION), RefuseConnections()]
    assert scene.broker.heal(number, scene.broker.now) == [AcceptConnections()]


def test_a_port_reset_at_a_time_says_so_too() -> None:
    scene = Scene()
    at = scene.broker.now + timedelta(seconds=1)
    scene.inject(codes.PortReset.model_validate({"when": {"on": "time", "at": at}}))
    scene.step()
    assert 1300 in scene.codes()


@pytest.mark.parametrize(
    ("farm", "inactive", "well"), [("market", 2108, 2104), ("historical", 2107, 2106)]
)
def test_a_farm_falls_asleep_and_comes_back(farm: str, inactive: int, well: int) -> None:
    scene = Scene()
    fault = {"farm": farm, "mode": "inactive", "seconds": 2}
    scene.messages.clear()
    scene.inject(field.FarmFlap.model_validate(fault))
    scene.step(4)
    assert codes_in(scene.messages) == [inactive, well]


def test_no_code_says_that_the_secdef_farm_is_inactive() -> None:
    with pytest.raises(ValidationError, match="no code says that the secdef farm is inactive"):
        field.FarmFlap(farm="secdef", mode="inactive")


def test_a_broken_server_link_is_told_in_place_of_1100() -> None:
    scene = Scene()
    scene.messages.clear()
    scene.inject(wire.ConnectivityLost(code=2110, repeats=2))
    assert scene.place(1) == []
    scene.heal()
    assert codes_in(scene.messages) == [2110, 2110, 1102]


# The account


def test_account_updates_that_are_taken_are_not_told_any_more() -> None:
    scene = Scene(position_delay=0)
    scene.ask(lambda it: it.reqAccountUpdates(True, ""))
    scene.inject(codes.AccountUpdatesTaken(by=5))
    assert kinds(scene.place(1, orderType="MKT")) & {"6", "7", "8"} == set()
    (refusal,) = scene.ask(lambda it: it.reqAccountUpdates(True, ""))
    assert refusal[2:4] == ["-1", "2101"]
    assert refusal[4].endswith(": 5")
    assert scene.ask(lambda it: it.reqAccountUpdates(False, "")) == []
    scene.heal()
    assert "54" in kinds(scene.ask(lambda it: it.reqAccountUpdates(True, "")))


def test_a_second_account_ends_the_first_with_2100() -> None:
    scene = Scene(accounts=[{"account": "DU7654321"}])
    assert codes_in(scene.ask(lambda it: it.reqAccountUpdates(True, "DU1234567"))) == []
    assert codes_in(scene.ask(lambda it: it.reqAccountUpdates(True, "DU1234567"))) == []
    assert codes_in(scene.ask(lambda it: it.reqAccountUpdates(True, "DU7654321"))) == [2100]


# Orders


def test_a_refused_cancel_names_the_perm_id_and_leaves_the_order_working() -> None:
    scene = Scene()
    scene.place(1)
    scene.inject(codes.CancelRefused())
    ((_, _, order_id, code, words, *_),) = scene.ask(lambda it: it.cancelOrder(1, ""))
    assert (order_id, code) == ("1", "161")
    assert words.endswith("Order permId =1500000001")
    assert scene.broker.books(scene.broker.now).orders[0].working
    assert codes_in(scene.ask(lambda it: it.cancelOrder(1, ""))) == [202]


def test_a_cancel_of_an_order_that_is_not_live_is_not_for_161() -> None:
    scene = Scene()
    scene.inject(codes.CancelRefused())
    assert codes_in(scene.ask(lambda it: it.cancelOrder(1, ""))) == [10147]


@pytest.mark.parametrize("code", [103, 2102])
def test_a_modify_right_after_its_order_changes_nothing(code: int) -> None:
    scene = Scene()
    scene.inject(codes.ModifyTooEarly.model_validate({"code": code}))
    assert codes_in(scene.place(1)) == []
    assert codes_in(scene.place(1, lmtPrice=51)) == [code]
    (order,) = scene.broker.books(scene.broker.now).orders
    assert order.limit_price == 50
    scene.step(2)
    assert codes_in(scene.place(1, lmtPrice=51)) == []
    (order,) = scene.broker.books(scene.broker.now).orders
    assert order.limit_price == Decimal(51)


# All of them


@pytest.mark.parametrize(
    "fault",
    [
        codes.NoMarketData(client_id=7),
        codes.LiveUpdatesBroken(client_id=7),
        codes.BustEvent(client_id=7),
        codes.AccountUpdatesTaken(client_id=7),
        codes.CancelRefused(client_id=7),
        codes.ModifyTooEarly(client_id=7),
        codes.BarsPacing(client_id=7, requests_max=0),
    ],
    ids=lambda fault: fault.name,
)
def test_a_fault_of_another_client_is_not_felt(fault: Fault) -> None:
    scene = Scene()
    scene.bars(1)
    scene.ask(lambda it: it.reqAccountUpdates(True, ""))
    scene.inject(fault)
    scene.data(2)
    scene.bars(3)
    scene.history(4)
    scene.place(1)
    scene.place(1, lmtPrice=51)
    scene.ask(lambda it: it.cancelOrder(1, ""))
    scene.ask(lambda it: it.reqAccountUpdates(True, ""))
    assert scene.codes() == {202, 2104, 2106, 2158}


def test_a_snapshot_keeps_what_was_counted_and_what_stands_still() -> None:
    scene = Scene()
    scene.inject(codes.BarsPacing(requests_max=1))
    scene.bars(1)
    scene.inject(codes.BustEvent())
    kept = scene.broker.snapshot()
    again = Scene()
    again.broker = type(scene.broker).resume(kept, journal=again.journal)
    assert BAR not in kinds(again.step())
    assert codes_in(again.bars(2)) == [420]
