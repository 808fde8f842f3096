from decimal import Decimal
from math import inf
from typing import Any

import pytest
from ib_insync import ComboLeg, Order, Stock, TagValue
from ib_insync import Contract as IbContract
from ib_insync.contract import DeltaNeutralContract
from ib_insync.order import (
    ExecutionCondition,
    MarginCondition,
    OrderComboLeg,
    PercentChangeCondition,
    PriceCondition,
    TimeCondition,
    VolumeCondition,
)

from fakebroker.protocol import ProtocolFailed
from fakebroker.protocol.requests import PlaceOrder
from fakebroker.values import Action, Contract, OrderTerms
from tests.unit.fakebroker.protocol.wire import placed, received, spoken

TESLA = Stock("TSLA", "SMART", "USD")


def bought(**changes: Any) -> Order:  # noqa: ANN401 (attributes of many types)
    details: dict[str, Any] = {"action": "BUY", "totalQuantity": 100, "orderType": "MKT"}
    return Order(**(details | changes))


def fields_of(server_version: int, order: Order) -> list[str]:
    return spoken(server_version, lambda client: client.placeOrder(7, TESLA, order))


def refusal(server_version: int, fields: list[str]) -> str:
    event = received(server_version, fields)
    assert isinstance(event, ProtocolFailed), event
    return event.reason


def replaced(fields: list[str], old: str, new: str) -> list[str]:
    """Return the fields with the one that has this value changed."""
    assert fields.count(old) == 1, fields
    return [new if field == old else field for field in fields]


def order_at_178(order: Order) -> list[str]:
    """Return the fields of an order as clients write them from 177 on, without faProfile."""
    order.faProfile = "to be dropped"
    fields = fields_of(178, order)
    fields.remove("to be dropped")
    return fields


def test_a_plain_order_has_the_recorded_number_of_fields() -> None:
    assert len(fields_of(157, bought())) == 110
    assert len(fields_of(176, bought())) == 115
    assert len(order_at_178(bought())) == 114


@pytest.mark.parametrize("server_version", [157, 176])
def test_a_plain_market_order_arrives(server_version: int) -> None:
    order = placed(server_version, bought(orderRef="PS60|TSLA|L|20251006|1|entry"))
    assert order.order_id == 7
    assert order.contract == Contract("TSLA")
    assert order.terms.limit_price is None
    assert order.terms == OrderTerms(
        Action.BUY,
        Decimal(100),
        "MKT",
        order_ref="PS60|TSLA|L|20251006|1|entry",
        echoed=order.terms.echoed,
    )


def test_an_order_arrives_without_the_profile_at_178() -> None:
    event = received(178, order_at_178(bought(faPercentage="50", modelCode="M")))
    assert isinstance(event, PlaceOrder)
    assert dict(event.terms.echoed)["faPercentage"] == "50"
    assert dict(event.terms.echoed)["modelCode"] == "M"


def test_every_field_that_the_exchange_knows_arrives_typed() -> None:
    order = bought(
        action="SELL",
        totalQuantity=12.5,
        orderType="TRAIL LIMIT",
        lmtPrice=444.77,
        auxPrice=0.5,
        tif="GTC",
        ocaGroup="exits",
        ocaType=1,
        account="DU1234567",
        orderRef="ref",
        transmit=False,
        parentId=6,
        outsideRth=True,
        triggerMethod=7,
        goodAfterTime="20251006 10:00:00",
        goodTillDate="20251007 10:00:00",
        trailStopPrice=440.25,
        trailingPercent=1.5,
        whatIf=True,
        autoCancelParent=True,
    )
    terms = placed(176, order).terms
    assert terms == OrderTerms(
        action=Action.SELL,
        quantity=Decimal("12.5"),
        order_type="TRAIL LIMIT",
        limit_price=Decimal("444.77"),
        aux_price=Decimal("0.5"),
        tif="GTC",
        oca_group="exits",
        oca_type=1,
        account="DU1234567",
        order_ref="ref",
        transmit=False,
        parent_id=6,
        outside_rth=True,
        trigger_method=7,
        good_after_time="20251006 10:00:00",
        good_till_date="20251007 10:00:00",
        trail_stop_price=Decimal("440.25"),
        trailing_percent=Decimal("1.5"),
        what_if=True,
        auto_cancel_parent=True,
        echoed=terms.echoed,
    )


def test_the_rest_is_kept_by_name_as_it_was_written() -> None:
    order = bought(
        displaySize=30, hidden=True, rule80A="I", minQty=10, cashQty=500.5, openClose="C"
    )
    echoed = dict(placed(176, order).terms.echoed)
    expected = {
        "displaySize": "30",
        "hidden": "1",
        "rule80A": "I",
        "minQty": "10",
        "cashQty": "500.5",
        "openClose": "C",
    }
    assert expected.items() <= echoed.items()
    assert "faGroup" not in echoed
    assert "orderRef" not in echoed


@pytest.mark.parametrize(
    "unset",
    ["", "2147483647", "1.7976931348623157E308", "1.7976931348623157e+308", "1.79769313486232E308"],
)
def test_an_unset_number_is_none_however_it_is_spelt(unset: str) -> None:
    fields = fields_of(176, bought(lmtPrice=444.77, minQty=4321))
    for value in ("444.77", "4321"):
        fields = replaced(fields, value, unset)
    event = received(176, fields)
    assert isinstance(event, PlaceOrder)
    assert event.terms.limit_price is None
    assert "minQty" not in dict(event.terms.echoed)


def test_a_price_of_zero_is_not_unset() -> None:
    assert placed(176, bought(lmtPrice=0.0)).terms.limit_price == Decimal(0)


def test_an_empty_transmit_means_that_the_order_is_parked() -> None:
    """@stoqey/ib leaves it empty when nobody sets it."""
    fields = fields_of(176, bought(orderRef="mark"))
    at = fields.index("mark") + 1
    assert fields[at] == "1"
    event = received(176, [*fields[:at], "", *fields[at + 1 :]])
    assert isinstance(event, PlaceOrder)
    assert event.terms.transmit is False


@pytest.mark.parametrize("server_version", [157, 176])
def test_a_bag_arrives_with_legs_prices_and_routing(server_version: int) -> None:
    legs = [ComboLeg(1, 1, "BUY", "IPE"), ComboLeg(2, 3, "SELL", "IPE", exemptCode=-1)]
    order = bought(
        orderComboLegs=[OrderComboLeg(1.25), OrderComboLeg()],
        smartComboRoutingParams=[TagValue("NonGuaranteed", "1")],
    )
    contract = IbContract(secType="BAG", symbol="WTI", exchange="SMART", comboLegs=legs)
    echoed = dict(placed(server_version, order, contract).terms.echoed)
    expected = {
        "comboLegs": "2",
        "comboLegs[0].conId": "1",
        "comboLegs[1].ratio": "3",
        "comboLegs[1].action": "SELL",
        "comboLegs[1].exemptCode": "-1",
        "orderComboLegs": "2",
        "orderComboLegs[0].price": "1.25",
        "smartComboRoutingParams[0].tag": "NonGuaranteed",
    }
    assert expected.items() <= echoed.items()
    assert "orderComboLegs[1].price" not in echoed


BLOCKS: list[tuple[dict[str, Any], dict[str, str]]] = [
    (
        {"deltaNeutralOrderType": "LMT", "deltaNeutralConId": 5, "deltaNeutralOpenClose": "O"},
        {"deltaNeutralConId": "5", "deltaNeutralOpenClose": "O"},
    ),
    (
        {"scalePriceIncrement": 0.1, "scaleProfitOffset": 0.2, "scaleInitPosition": 40},
        {"scaleProfitOffset": "0.2", "scaleInitPosition": "40"},
    ),
    ({"hedgeType": "D", "hedgeParam": "0.5"}, {"hedgeType": "D", "hedgeParam": "0.5"}),
    (
        {"algoStrategy": "Twap", "algoParams": [TagValue("a", "1"), TagValue("b", "2")]},
        {"algoParams": "2", "algoParams[1].tag": "b", "algoParams[1].value": "2"},
    ),
    ({"algoStrategy": "Twap"}, {"algoStrategy": "Twap"}),
    (
        {"orderType": "PEG BENCH", "referenceContractId": 8, "referenceExchangeId": "ISLAND"},
        {"referenceContractId": "8", "referenceExchangeId": "ISLAND"},
    ),
    (
        {"conditions": [PriceCondition(1, "a", True, 444.5, 76792991, "SMART", 2)]},
        {"conditions[0].price": "444.5", "conditions[0].exchange": "SMART"},
    ),
    (
        {"conditions": [TimeCondition(3, "o", False, "20251006 10:00:00")]},
        {"conditions[0].conjunction": "o", "conditions[0].time": "20251006 10:00:00"},
    ),
    (
        {"conditions": [MarginCondition(4, "a", True, 30), ExecutionCondition(5, "a", "STK")]},
        {"conditions[0].percent": "30", "conditions[1].secType": "STK"},
    ),
    (
        {
            "conditions": [
                VolumeCondition(6, "a", True, 1000, 9, "SMART"),
                PercentChangeCondition(7, "a", False, 2.5, 9, "SMART"),
            ],
            "conditionsIgnoreRth": True,
        },
        {
            "conditions[0].volume": "1000",
            "conditions[1].changePercent": "2.5",
            "conditionsIgnoreRth": "1",
        },
    ),
    (
        {"adjustedOrderType": "TRAIL", "triggerPrice": 3.5, "lmtPriceOffset": 0.0},
        {"adjustedOrderType": "TRAIL", "triggerPrice": "3.5", "lmtPriceOffset": "0.0"},
    ),
]


@pytest.mark.parametrize("server_version", [157, 176])
@pytest.mark.parametrize(("changes", "expected"), BLOCKS)
def test_a_conditional_block_is_read_and_nothing_is_left_over(
    server_version: int, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    """The field after the block is cashQty's neighbour: it would be wrong if one were missed."""
    order = bought(**changes, extOperator="operator", cashQty=77.5)
    echoed = dict(placed(server_version, order).terms.echoed)
    expected = expected | {"extOperator": "operator", "cashQty": "77.5"}
    assert expected.items() <= echoed.items()


def test_the_delta_neutral_contract_of_an_order_arrives() -> None:
    contract = Stock("TSLA", "SMART", "USD", deltaNeutralContract=DeltaNeutralContract(9, 0.5, 2.0))
    echoed = dict(placed(176, bought(notHeld=True), contract).terms.echoed)
    expected = {
        "notHeld": "1",
        "deltaNeutralContract.conId": "9",
        "deltaNeutralContract.delta": "0.5",
        "deltaNeutralContract.price": "2.0",
    }
    assert expected.items() <= echoed.items()


@pytest.mark.parametrize(
    ("exchange", "changes", "expected"),
    [
        ("IBKRATS", {"minTradeQty": 5}, {"minTradeQty": "5"}),
        (
            "SMART",
            {"orderType": "PEG BEST", "minCompeteSize": 200, "competeAgainstBestOffset": 0.03},
            {"minCompeteSize": "200", "competeAgainstBestOffset": "0.03"},
        ),
        (
            "IBKRATS",
            {
                "orderType": "PEG BEST",
                "competeAgainstBestOffset": inf,
                "midOffsetAtWhole": 0.01,
                "midOffsetAtHalf": 0.005,
            },
            {"competeAgainstBestOffset": "Infinite", "midOffsetAtHalf": "0.005"},
        ),
        (
            "SMART",
            {"orderType": "PEG MID", "midOffsetAtWhole": 0.01},
            {"midOffsetAtWhole": "0.01"},
        ),
    ],
)
def test_the_peg_fields_arrive_from_170_on(
    exchange: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    contract = Stock("TSLA", exchange, "USD")
    assert expected.items() <= dict(placed(176, bought(**changes), contract).terms.echoed).items()
    below = dict(placed(169, bought(**changes), contract).terms.echoed)
    assert not expected.keys() & below.keys()


def test_peg_types_may_be_written_without_the_blank() -> None:
    fields = fields_of(176, bought(orderType="PEG BENCH", referenceContractId=8))
    event = received(176, replaced(fields, "PEG BENCH", "PEGBENCH"))
    assert isinstance(event, PlaceOrder)
    assert dict(event.terms.echoed)["referenceContractId"] == "8"


def test_newer_fields_arrive_at_their_versions() -> None:
    order = bought(
        duration=60, postToAts=1, advancedErrorOverride="8229", manualOrderTime="20251006-10:00:00"
    )
    names = {
        "duration": 158,
        "postToAts": 160,
        "advancedErrorOverride": 166,
        "manualOrderTime": 169,
    }
    for server_version in (157, 159, 160, 165, 166, 168, 169, 176):
        echoed = dict(placed(server_version, order).terms.echoed)
        assert {name for name, since in names.items() if server_version >= since} == (
            names.keys() & echoed.keys()
        )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("BUY", "HOLD", "placeOrder: the field action is 'HOLD', not BUY or SELL"),
        ("321", "many", "placeOrder: the field totalQuantity is 'many', not a number"),
        ("321", "NaN", "placeOrder: the field totalQuantity is 'NaN', not a number"),
        ("444.77", "Infinite", "placeOrder: the field lmtPrice is 'Infinite', not a number"),
        ("444.77", "1_0", "placeOrder: the field lmtPrice is '1_0', not a number"),
        ("65", "1.5", "placeOrder: the field parentId is '1.5', not a whole number"),
        ("4321", "some", "placeOrder: the field minQty is 'some', not a number"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(old: str, new: str, reason: str) -> None:
    order = bought(totalQuantity=321, lmtPrice=444.77, parentId=65, minQty=4321)
    assert refusal(176, replaced(fields_of(176, order), old, new)) == reason


def test_an_order_that_ends_early_names_the_missing_field() -> None:
    fields = fields_of(176, bought())
    assert refusal(176, fields[:-1]) == "placeOrder ends before its field manualOrderTime"


def test_an_order_with_a_field_too_many_is_refused() -> None:
    fields = [*fields_of(176, bought()), "left"]
    assert refusal(176, fields) == "placeOrder has 1 fields too many: ['left']"


def test_a_condition_of_an_unknown_type_is_refused() -> None:
    order = bought(conditions=[TimeCondition(3, "a", True, "20251006 10:00:00")])
    fields = fields_of(176, order)
    at = fields.index("20251006 10:00:00") - 3
    assert fields[at] == "3"
    reason = refusal(176, [*fields[:at], "2", *fields[at + 1 :]])
    assert reason.startswith("placeOrder: the field conditions[0].conditionType is '2', not one of")
