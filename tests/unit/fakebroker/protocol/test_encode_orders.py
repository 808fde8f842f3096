from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from ib_insync import ComboLeg, Order, OrderState, TagValue
from ib_insync import Contract as IbContract
from ib_insync.order import OrderComboLeg, PriceCondition, TimeCondition
from ib_insync.util import UNSET_DOUBLE, UNSET_INTEGER

from fakebroker.protocol import encode
from fakebroker.protocol.order_fields import words
from fakebroker.protocol.replies import CompletedOrder, OpenOrder
from fakebroker.values import OrderStatus, OrderTerms
from tests.unit.fakebroker.protocol.wire import (
    MARGINS,
    MARKET_ORDER,
    TESLA,
    open_order,
    placed,
    told,
)

DONE_AT = datetime(2025, 10, 6, 14, 28, 30, tzinfo=UTC)
LAYOUTS = [157, 162, 164, 170, 176]


def opened(terms: OrderTerms = MARKET_ORDER, **changes: Any) -> OpenOrder:  # noqa: ANN401 (attributes of many types)
    reply = OpenOrder(13, TESLA, terms, 100, 1376327563, OrderStatus.PRE_SUBMITTED)
    return replace(reply, **changes)


def completed(terms: OrderTerms = MARKET_ORDER, **changes: Any) -> CompletedOrder:  # noqa: ANN401 (attributes of many types)
    reply = CompletedOrder(
        contract=TESLA,
        terms=terms,
        perm_id=1376327563,
        status=OrderStatus.FILLED,
        filled_quantity=Decimal(100),
        completed_time=DONE_AT,
        completed_status="Filled Size: 100",
    )
    return replace(reply, **changes)


def told_open(reply: OpenOrder, server_version: int) -> tuple[IbContract, Order, OrderState]:
    """Return what ib_insync makes of an openOrder."""
    _, contract, order, state = told(reply, server_version)
    return contract, order, state


@pytest.mark.parametrize(
    ("server_version", "open_fields", "completed_fields"),
    [
        (157, 128, 96),
        (164, 131, 96),
        (170, 136, 101),
        (173, 136, 101),
        (176, 136, 101),
        (177, 135, 100),
        (178, 135, 100),
    ],
)
def test_a_plain_order_has_the_recorded_number_of_fields(
    server_version: int, open_fields: int, completed_fields: int
) -> None:
    assert len(encode(opened(), server_version)) == open_fields
    assert len(encode(completed(), server_version)) == completed_fields


def test_only_the_profile_goes_at_177() -> None:
    terms = replace(MARKET_ORDER, echoed=(("faProfile", "profile"),))
    for reply in (opened(terms), completed(terms)):
        fields = encode(reply, 176)
        fields.remove("profile")
        assert encode(reply, 177) == fields == encode(reply, 178)


def test_a_plain_order_is_told_with_the_values_of_real_tws() -> None:
    fields = encode(opened(), 164)
    assert fields[:20] == [
        *["5", "13", "76792991", "TSLA", "STK", "", "0", "?", "", "SMART", "USD", "TSLA", "NMS"],
        *["BUY", "100", "MKT", "0.0", "0.0", "DAY", ""],
    ]
    contract, order, state = told_open(opened(), 176)
    assert contract.right == "?"
    assert (order.clientId, order.permId, order.orderId) == (100, 1376327563, 13)
    assert (order.openClose, order.exemptCode, order.ocaType) == ("", -1, 3)
    assert order.displaySize == order.scaleInitLevelSize == UNSET_INTEGER
    assert (order.deltaNeutralOrderType, order.deltaNeutralOpenClose) == ("None", "?")
    assert order.clearingIntent == "IB"
    assert order.adjustedOrderType == "None"
    assert order.triggerPrice == order.lmtPriceOffset == order.adjustedStopPrice == UNSET_DOUBLE
    assert order.trailStopPrice == UNSET_DOUBLE
    assert order.dontUseAutoPriceForHedge is True
    assert (order.minCompeteSize, order.competeAgainstBestOffset) == (100, 0.02)
    assert state.status == "PreSubmitted"
    # ib_insync keeps these as the text of the wire.
    assert float(state.initMarginBefore) == UNSET_DOUBLE
    assert state.commission == UNSET_DOUBLE


@pytest.mark.parametrize("server_version", LAYOUTS)
def test_what_clients_send_when_they_ask_for_nothing_changes_nothing(server_version: int) -> None:
    request = placed(server_version, Order(action="BUY", totalQuantity=100, orderType="MKT"))
    request = replace(request, contract=TESLA, terms=replace(request.terms, account="DU1234567"))
    reply = replace(open_order(request), order_id=13, client_id=100)
    plain = opened(status=OrderStatus.SUBMITTED)
    assert encode(reply, server_version) == encode(plain, server_version)


def test_the_shares_allocation_names_the_order_the_account_and_the_quantity() -> None:
    assert "1376327563.0/DU1234567/100" in encode(opened(), 176)


@pytest.mark.parametrize("server_version", LAYOUTS)
def test_what_the_exchange_knows_of_an_order_is_told(server_version: int) -> None:
    terms = replace(
        MARKET_ORDER,
        order_type="TRAIL",
        limit_price=Decimal("444.77"),
        aux_price=Decimal("0.50"),
        quantity=Decimal("12.5"),
        tif="GTC",
        oca_group="exits",
        oca_type=1,
        order_ref="PS60|TSLA|L|20251006|1|entry",
        parent_id=6,
        outside_rth=True,
        trigger_method=7,
        good_after_time="20251006 10:00:00",
        good_till_date="20251007 10:00:00",
        trail_stop_price=Decimal("440.25"),
        trailing_percent=Decimal("1.5"),
        auto_cancel_parent=True,
    )
    _, order, _ = told_open(opened(terms), server_version)
    assert (order.orderType, order.totalQuantity) == ("TRAIL", 12.5)
    assert (order.lmtPrice, order.auxPrice) == (444.77, 0.5)
    assert (order.tif, order.ocaGroup, order.ocaType) == ("GTC", "exits", 1)
    assert order.orderRef == "PS60|TSLA|L|20251006|1|entry"
    assert (order.parentId, order.outsideRth, order.triggerMethod) == (6, True, 7)
    assert order.goodAfterTime == "20251006 10:00:00"
    assert order.goodTillDate == "20251007 10:00:00"
    assert (order.trailStopPrice, order.trailingPercent) == (440.25, 1.5)
    assert order.autoCancelParent is (server_version >= 162)
    _, done, _ = told(completed(terms), server_version)
    assert done.orderRef == "PS60|TSLA|L|20251006|1|entry"
    assert (done.lmtPrice, done.ocaGroup, done.trailStopPrice) == (444.77, "exits", 440.25)


def test_a_what_if_answer_has_margins_and_no_other_order_has() -> None:
    margins = replace(MARGINS, commission=Decimal("1.5"), max_commission=Decimal(2))
    terms = replace(MARKET_ORDER, what_if=True)
    _, order, state = told_open(opened(terms, margins=margins), 176)
    assert order.whatIf is True
    assert (state.initMarginBefore, state.equityWithLoanAfter) == ("1.0", "9.0")
    assert (state.commission, state.minCommission, state.maxCommission) == (1.5, UNSET_DOUBLE, 2)
    assert state.commissionCurrency == "USD"


def test_the_commission_comes_with_its_currency_and_without_margins() -> None:
    _, _, state = told_open(opened(commission=Decimal("1.05")), 176)
    assert (state.commission, state.commissionCurrency) == (1.05, "USD")
    assert float(state.initMarginAfter) == UNSET_DOUBLE


def test_a_warning_is_told_with_the_order() -> None:
    assert told_open(opened(warning_text="beware"), 176)[2].warningText == "beware"


@pytest.mark.parametrize("server_version", LAYOUTS)
def test_a_filled_order_is_told_as_completed(server_version: int) -> None:
    contract, order, state = told(completed(), server_version)
    assert contract.conId == 76792991
    assert (order.permId, order.orderId, order.clientId) == (1376327563, 0, 0)
    assert (order.totalQuantity, order.filledQuantity) == (0, 100)
    assert order.parentPermId == 9223372036854775807
    assert order.refFuturesConId == UNSET_INTEGER
    assert state.status == "Filled"
    assert state.completedTime == "20251006 10:28:30 America/New_York"
    assert state.completedStatus == "Filled Size: 100"


def test_a_completed_child_names_its_parent() -> None:
    assert told(completed(parent_perm_id=1376327562), 176)[1].parentPermId == 1376327562


def test_a_cancelled_order_has_the_quantity_that_was_not_filled() -> None:
    reply = completed(status=OrderStatus.CANCELLED, filled_quantity=Decimal(40))
    _, order, state = told(reply, 176)
    assert (order.totalQuantity, order.filledQuantity) == (60, 40)
    assert state.status == "Cancelled"


@pytest.mark.parametrize("server_version", LAYOUTS)
def test_every_conditional_block_comes_back_to_the_client(server_version: int) -> None:
    legs = [ComboLeg(1, 1, "BUY", "IPE"), ComboLeg(2, 3, "SELL", "IPE")]
    bag = IbContract(secType="BAG", symbol="WTI", exchange="SMART", comboLegs=legs)
    order = Order(
        action="BUY",
        totalQuantity=10,
        orderType="PEG BENCH",
        orderComboLegs=[OrderComboLeg(1.25), OrderComboLeg()],
        smartComboRoutingParams=[TagValue("NonGuaranteed", "1")],
        deltaNeutralOrderType="LMT",
        deltaNeutralConId=5,
        deltaNeutralDesignatedLocation="here",
        scaleInitLevelSize=3,
        scalePriceIncrement=0.1,
        scaleProfitOffset=0.2,
        scaleRandomPercent=True,
        hedgeType="D",
        hedgeParam="0.5",
        algoStrategy="Twap",
        algoParams=[TagValue("startTime", "10:00:00"), TagValue("allowPastEndTime", "1")],
        referenceContractId=8,
        referenceExchangeId="ISLAND",
        conditions=[
            PriceCondition(1, "a", True, 444.5, 76792991, "SMART", 2),
            TimeCondition(3, "o", False, "20251006 10:00:00"),
        ],
        conditionsCancelOrder=True,
        cashQty=77.5,
    )
    request = placed(server_version, order, bag)
    contract, told_order, _ = told_open(open_order(request), server_version)
    assert contract.comboLegs == legs
    assert contract.comboLegsDescrip == "1|1,2|-3"
    done = told(completed(request.terms, contract=request.contract), server_version)[1]
    kept = words(
        "orderComboLegs smartComboRoutingParams deltaNeutralOrderType deltaNeutralConId"
        " deltaNeutralDesignatedLocation scaleInitLevelSize scalePriceIncrement scaleProfitOffset"
        " scaleRandomPercent hedgeType hedgeParam algoStrategy algoParams referenceContractId"
        " referenceExchangeId conditions conditionsCancelOrder cashQty"
    )
    for name in kept:
        assert getattr(told_order, name) == getattr(order, name), name
        assert getattr(done, name) == getattr(order, name), name


def test_a_peg_type_without_the_blank_is_told_with_it() -> None:
    """Clients look for the block of PEG BENCH only behind that spelling."""
    terms = replace(MARKET_ORDER, order_type="PEGBENCH", echoed=(("referenceContractId", "8"),))
    _, order, _ = told_open(opened(terms), 176)
    assert (order.orderType, order.referenceContractId) == ("PEG BENCH", 8)
