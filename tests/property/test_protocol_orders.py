"""An order that ib_insync places comes back to ib_insync as it was, whatever it asks for."""

import string
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ib_insync import ComboLeg, Order, TagValue
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

from fakebroker.protocol.order_fields import words
from fakebroker.protocol.replies import CompletedOrder
from fakebroker.values import OrderStatus
from tests.unit.fakebroker.protocol.wire import open_order, placed, told

# An order has a hundred attributes: drawing one costs much more than trying it.
fewer = settings(max_examples=40, deadline=None)

VERSIONS = st.sampled_from([157, 159, 160, 162, 164, 169, 170, 176])
WORD = st.text(string.ascii_letters + string.digits + " |.:-_/\\", min_size=1, max_size=12)
# Zero asks for nothing in most fields, and TWS answers it with its own way to say so.
PRICE = st.floats(0.0001, 1e6).map(lambda price: round(price, 4))
COUNT = st.integers(1, 10**6)
YES = st.just(value=True)

# Attributes of an order that openOrder tells. Those that completedOrder does not tell are below.
TEXTS = words("""
    tif ocaGroup account orderRef goodAfterTime goodTillDate faGroup faMethod faPercentage faProfile
    modelCode rule80A settlingFirm designatedLocation clearingAccount clearingIntent
    adjustedOrderType
    """)
PRICES = words("""
    totalQuantity lmtPrice auxPrice trailStopPrice trailingPercent percentOffset startingPrice
    stockRefPrice delta stockRangeLower stockRangeUpper volatility discretionaryAmt nbboPriceCap
    deltaNeutralAuxPrice cashQty triggerPrice lmtPriceOffset adjustedStopPrice
    adjustedStopLimitPrice adjustedTrailingAmount
    """)
COUNTS = words("""
    origin displaySize shortSaleSlot minQty ocaType parentId triggerMethod auctionStrategy
    volatilityType referencePriceType exemptCode scaleInitLevelSize scaleSubsLevelSize
    adjustableTrailingUnit
    """)
FLAGS = words("""
    outsideRth hidden blockOrder sweepToFill allOrNone eTradeOnly firmQuoteOnly optOutSmartRouting
    notHeld solicited randomizeSize randomizePrice continuousUpdate isOmsContainer
    discretionaryUpToLimitPrice usePriceMgmtAlgo dontUseAutoPriceForHedge
    """)
NOT_IN_COMPLETED = frozenset(
    words("""
    parentId auctionStrategy blockOrder eTradeOnly firmQuoteOnly nbboPriceCap optOutSmartRouting
    adjustedOrderType triggerPrice adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount
    adjustableTrailingUnit discretionaryUpToLimitPrice usePriceMgmtAlgo totalQuantity
    """)
)
BLOCKS = words("""
    deltaNeutralOrderType deltaNeutralConId deltaNeutralOpenClose deltaNeutralDesignatedLocation
    hedgeType hedgeParam
    scalePriceIncrement scaleProfitOffset scaleInitPosition scaleAutoReset algoStrategy algoParams
    conditions conditionsIgnoreRth smartComboRoutingParams orderComboLegs
    """)

CONJUNCTION = st.sampled_from("ao")
CONDITION = st.one_of(
    st.builds(PriceCondition, st.just(1), CONJUNCTION, st.booleans(), PRICE, COUNT, WORD, COUNT),
    st.builds(TimeCondition, st.just(3), CONJUNCTION, st.booleans(), WORD),
    st.builds(MarginCondition, st.just(4), CONJUNCTION, st.booleans(), COUNT),
    st.builds(ExecutionCondition, st.just(5), CONJUNCTION, WORD, WORD, WORD),
    st.builds(VolumeCondition, st.just(6), CONJUNCTION, st.booleans(), COUNT, COUNT, WORD),
    st.builds(PercentChangeCondition, st.just(7), CONJUNCTION, st.booleans(), PRICE, COUNT, WORD),
)
TAG_VALUES = st.lists(st.builds(TagValue, WORD, WORD), max_size=3)
LEG = st.builds(ComboLeg, COUNT, COUNT, st.sampled_from(["BUY", "SELL"]), WORD, COUNT)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Draw an order that sets any of its attributes."""
    details: dict[str, Any] = {"action": draw(st.sampled_from(["BUY", "SELL"]))}
    details["orderType"] = draw(st.sampled_from(["MKT", "LMT", "STP", "TRAIL", "PEG MID"]))
    kinds = ((TEXTS, WORD), (PRICES, PRICE), (COUNTS, COUNT), (FLAGS, YES))
    for names, values in kinds:
        strategy: st.SearchStrategy[object] = values
        details |= draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, strategy)))
    details.setdefault("totalQuantity", 100.0)
    if draw(st.booleans()):
        details |= {"deltaNeutralOrderType": draw(WORD), "deltaNeutralConId": draw(COUNT)}
        details |= {"deltaNeutralOpenClose": draw(WORD), "deltaNeutralAuxPrice": draw(PRICE)}
        details |= {"deltaNeutralDesignatedLocation": draw(WORD)}
    if draw(st.booleans()):
        details |= {"hedgeType": "D", "hedgeParam": draw(WORD)}
    if draw(st.booleans()):
        details |= {"scalePriceIncrement": draw(PRICE), "scaleProfitOffset": draw(PRICE)}
        details |= {"scaleInitPosition": draw(COUNT), "scaleAutoReset": draw(st.booleans())}
    if draw(st.booleans()):
        details |= {"algoStrategy": draw(WORD), "algoParams": draw(TAG_VALUES)}
    details["conditions"] = draw(st.lists(CONDITION, max_size=3))
    if details["conditions"]:
        details["conditionsIgnoreRth"] = draw(st.booleans())
    return Order(**details)


@st.composite
def contracts(draw: st.DrawFn, order: Order) -> IbContract:
    """Draw a stock, or a BAG whose legs go into contract and order."""
    contract = IbContract(conId=draw(COUNT), symbol=draw(WORD), exchange="SMART", currency="USD")
    contract.secType = draw(st.sampled_from(["STK", "BAG"]))
    contract.strike = draw(PRICE)
    if contract.secType == "BAG":
        contract.comboLegs = draw(st.lists(LEG, max_size=3))
        order.orderComboLegs = draw(st.lists(st.builds(OrderComboLeg, PRICE), max_size=3))
        order.smartComboRoutingParams = draw(TAG_VALUES)
    if draw(st.booleans()):
        contract.deltaNeutralContract = DeltaNeutralContract(draw(COUNT), draw(PRICE), draw(PRICE))
    return contract


def expected(order: Order, name: str) -> object:
    """Return what ib_insync has to hear for an attribute that it sent."""
    value = getattr(order, name)
    default = getattr(Order(), name)
    return value if value != default else getattr(PLAIN, name)


# What is told for an order that asks for nothing: every layout tells the same.
PLAIN: Order = told(
    open_order(placed(176, Order(action="BUY", totalQuantity=100, orderType="MKT"))), 176
)[2]


@fewer
@given(data=st.data(), order=orders(), server_version=VERSIONS)
def test_an_order_comes_back_in_open_order_as_it_was_placed(
    data: st.DataObject, order: Order, server_version: int
) -> None:
    contract = data.draw(contracts(order))
    request = placed(server_version, order, contract)
    order_id, told_contract, told_order, state = told(open_order(request), server_version)
    assert (order_id, state.status) == (7, "Submitted")
    for name in ("conId", "symbol", "secType", "strike", "exchange", "currency"):
        assert getattr(told_contract, name) == getattr(contract, name), name
    assert told_contract.comboLegs == (contract.comboLegs or [])
    assert told_contract.deltaNeutralContract == contract.deltaNeutralContract
    for name in ("action", "orderType", *TEXTS, *PRICES, *COUNTS, *FLAGS, *BLOCKS):
        assert getattr(told_order, name) == expected(order, name), name


@fewer
@given(data=st.data(), order=orders(), server_version=VERSIONS)
def test_an_order_comes_back_in_completed_order_as_it_was_placed(
    data: st.DataObject, order: Order, server_version: int
) -> None:
    contract = data.draw(contracts(order))
    request = placed(server_version, order, contract)
    reply = CompletedOrder(
        contract=request.contract,
        terms=request.terms,
        perm_id=5,
        status=OrderStatus.CANCELLED,
        filled_quantity=Decimal(0),
        completed_time=datetime(2025, 10, 6, 14, 0, tzinfo=UTC),
        completed_status="Cancelled by Trader",
    )
    told_contract, told_order, _ = told(reply, server_version)
    assert told_contract.deltaNeutralContract == contract.deltaNeutralContract
    assert told_order.totalQuantity == order.totalQuantity
    names = ("action", "orderType", *TEXTS, *PRICES, *COUNTS, *FLAGS, *BLOCKS)
    for name in names:
        if name not in NOT_IN_COMPLETED and name != "deltaNeutralOpenClose":
            assert getattr(told_order, name) == expected(order, name), name


@fewer
@given(order=orders(), server_version=VERSIONS)
def test_an_order_placed_again_from_what_was_told_asks_for_the_same(
    order: Order, server_version: int
) -> None:
    """ib_insync modifies an order with the values that openOrder gave it."""
    first = placed(server_version, order)
    again = told(open_order(first), server_version)[2]
    again.transmit = True
    second = placed(server_version, again)
    prices = {"limit_price": Decimal(0), "aux_price": Decimal(0)}
    defaulted = replace(
        first.terms,
        limit_price=first.terms.limit_price or prices["limit_price"],
        aux_price=first.terms.aux_price or prices["aux_price"],
        oca_type=first.terms.oca_type or 3,
        echoed=second.terms.echoed,
    )
    assert second.terms == defaulted
