"""placeOrder in: from fields to a contract and order terms (tws-protocol.md section 2.2).

Two steps. The walk reads every field under its name, following the conditional blocks, so that
nothing is left over. Then the fields that the exchange understands become typed terms, and the
rest goes into `echoed` as it came. What a field means is not decided here.
"""

from decimal import Decimal

from fakebroker.protocol import order_fields as names
from fakebroker.protocol import versions
from fakebroker.protocol.fields import INFINITE, FieldReader, is_unset
from fakebroker.protocol.requests import PlaceOrder
from fakebroker.values import Action, Contract, OrderTerms

# Another spelling of `Infinite`, in the manner of Python and Java.
INFINITIES = frozenset({INFINITE, "Infinity", "inf"})

MAIN = names.words("""
    secIdType secId action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose
    origin orderRef transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth
    hidden
    """)
ATTRIBUTES = names.words("""
    sharesAllocation discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage
    """)
EXTENDED = names.words("""
    modelCode shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone
    minQty percentOffset eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice
    stockRefPrice delta stockRangeLower stockRangeUpper overridePercentageConstraints volatility
    volatilityType deltaNeutralOrderType deltaNeutralAuxPrice
    """)
TRAILING = names.words("""
    continuousUpdate referencePriceType trailStopPrice trailingPercent scaleInitLevelSize
    scaleSubsLevelSize scalePriceIncrement
    """)
ACTIVE = ("scaleTable", "activeStartTime", "activeStopTime", "hedgeType")
CLEARING = ("optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld")
FLAGS = ("algoId", "whatIf", "orderMiscOptions", "solicited", "randomizeSize", "randomizePrice")
ADJUSTED = names.words("""
    adjustedOrderType triggerPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice
    adjustedTrailingAmount adjustableTrailingUnit extOperator softDollarTier.name
    softDollarTier.value cashQty mifid2DecisionMaker mifid2DecisionAlgo mifid2ExecutionTrader
    mifid2ExecutionAlgo dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice
    usePriceMgmtAlgo
    """)
NEWER = (
    (versions.DURATION, "duration"),
    (versions.POST_TO_ATS, "postToAts"),
    (versions.AUTO_CANCEL_PARENT, "autoCancelParent"),
    (versions.ADVANCED_REJECT, "advancedErrorOverride"),
    (versions.MANUAL_ORDER_TIME, "manualOrderTime"),
)


def decode_place_order(reader: FieldReader, server_version: int) -> PlaceOrder:
    """Return the order that the fields after the message id describe.

    Raises:
        ProtocolError: A field is missing, left over, or not what it must be.
    """
    order_id = reader.integer("orderId")
    contract = reader.contract()
    walk = OrderWalk(reader)
    walk_main(walk, contract, server_version)
    walk_blocks(walk)
    walk_tail(walk, contract, server_version)
    reader.finish()
    return PlaceOrder(order_id, contract, terms_of(walk))


class OrderWalk:
    """The fields of an order read so far, by name; unset ones are left out."""

    def __init__(self, reader: FieldReader) -> None:
        self.reader = reader
        self._values: dict[str, str] = {}

    def take(self, *field_names: str) -> None:
        """Read the next fields under these names.

        Raises:
            ProtocolError: One is missing, or should be a number and is none.
        """
        for name in field_names:
            text = self.reader.text(name)
            if not text:
                continue
            # Most are a plain zero, which is a number and a text.
            if text != "0" and not names.is_text(name):
                if is_unset(text):
                    continue
                if name != "competeAgainstBestOffset" or text not in INFINITIES:
                    self.reader.to_number(name, text)
            self._values[name] = text

    def take_list(self, name: str, parts: tuple[str, ...]) -> None:
        """Read a count and so many things of the same parts."""
        for index in range(self.take_count(name)):
            self.take(*(f"{names.numbered(name, index)}.{part}" for part in parts))

    def take_count(self, name: str) -> int:
        """Read how many of something follow; nothing is kept when there are none."""
        count = self.reader.count(name)
        if count:
            self._values[name] = str(count)
        return count

    def get(self, name: str) -> str:
        """Return a field read before, empty when unset."""
        return self._values.get(name, "")

    def has(self, name: str) -> bool:
        """Say whether a field read before was set."""
        return name in self._values

    # Taking a field out: what is left in the end is echoed.

    def text(self, name: str, default: str = "") -> str:
        """Take out a field as text."""
        return self._values.pop(name, default)

    def number(self, name: str) -> Decimal | None:
        """Take out a field as a number, None when unset."""
        text = self._values.pop(name, "")
        return self.reader.to_number(name, text) if text else None

    def integer(self, name: str) -> int:
        """Take out a field as a whole number, 0 when unset."""
        text = self._values.pop(name, "")
        return self.reader.to_integer(name, text) if text else 0

    def boolean(self, name: str) -> bool:
        """Take out a field as true or false; unset is false to TWS (section 1, point 5)."""
        return self.reader.to_boolean(name, self._values.pop(name, ""))

    def rest(self) -> tuple[tuple[str, str], ...]:
        """Return what has not been taken out, in the order of the wire."""
        return tuple(self._values.items())


def walk_main(walk: OrderWalk, contract: Contract, server_version: int) -> None:
    """Read from the main fields to the delta neutral block."""
    walk.take(*MAIN)
    if contract.sec_type == names.BAG:
        walk.take_list("comboLegs", names.COMBO_LEG)
        walk.take_list("orderComboLegs", names.PRICE)
        walk.take_list("smartComboRoutingParams", names.TAG_VALUE)
    walk.take(*ATTRIBUTES)
    if server_version < versions.NO_FA_PROFILE:
        walk.take("faProfile")
    walk.take(*EXTENDED)
    if walk.has("deltaNeutralOrderType"):
        walk.take(*names.DELTA_NEUTRAL)


def walk_blocks(walk: OrderWalk) -> None:
    """Read from the trailing fields to the flags after the algorithm."""
    walk.take(*TRAILING)
    increment = walk.get("scalePriceIncrement")
    if increment and Decimal(increment) > 0:
        walk.take(*names.SCALE)
    walk.take(*ACTIVE)
    if walk.has("hedgeType"):
        walk.take("hedgeParam")
    walk.take(*CLEARING)
    if walk.reader.boolean("deltaNeutralContractPresent"):
        walk.take(*names.DELTA_NEUTRAL_CONTRACT)
    walk.take("algoStrategy")
    if walk.has("algoStrategy"):
        walk.take_list("algoParams", names.TAG_VALUE)
    walk.take(*FLAGS)


def walk_tail(walk: OrderWalk, contract: Contract, server_version: int) -> None:
    """Read from the benchmark block to the end."""
    order_type = walk.get("orderType")
    if order_type in names.PEG_BENCH_TYPES:
        walk.take(*names.PEG_BENCH)
    walk_conditions(walk)
    walk.take(*ADJUSTED)
    walk.take(*(name for since, name in NEWER if server_version >= since))
    if server_version < versions.PEG_OFFSETS:
        return
    if contract.exchange == names.IBKR_ATS:
        walk.take("minTradeQty")
    if order_type in names.PEG_BEST_TYPES:
        walk.take("minCompeteSize", "competeAgainstBestOffset")
        if walk.get("competeAgainstBestOffset") in INFINITIES:
            walk.take(*names.MID_OFFSETS)
    elif order_type in names.PEG_MID_TYPES:
        walk.take(*names.MID_OFFSETS)


def walk_conditions(walk: OrderWalk) -> None:
    """Read the conditions, whose bodies depend on their types.

    Raises:
        ProtocolError: A condition has a type that TWS does not have.
    """
    count = walk.take_count("conditions")
    if not count:
        return
    for index in range(count):
        prefix = names.numbered("conditions", index)
        walk.take(f"{prefix}.conditionType")
        kind = walk.get(f"{prefix}.conditionType")
        body = names.CONDITION_BODIES.get(kind)
        if body is None:
            wanted = f"one of {', '.join(names.CONDITION_BODIES)}"
            raise walk.reader.wrong(f"{prefix}.conditionType", kind, wanted)
        walk.take(*(f"{prefix}.{part}" for part in body))
    walk.take(*names.CONDITIONS_TAIL)


def terms_of(walk: OrderWalk) -> OrderTerms:
    """Return the terms that were walked; what has no name there is echoed.

    Raises:
        ProtocolError: The action is none, or a whole number or a boolean is not.
    """
    return OrderTerms(
        action=action_of(walk),
        quantity=walk.number("totalQuantity") or Decimal(0),
        order_type=walk.text("orderType"),
        limit_price=walk.number("lmtPrice"),
        aux_price=walk.number("auxPrice"),
        tif=walk.text("tif", "DAY"),
        oca_group=walk.text("ocaGroup"),
        oca_type=walk.integer("ocaType"),
        account=walk.text("account"),
        order_ref=walk.text("orderRef"),
        transmit=walk.boolean("transmit"),
        parent_id=walk.integer("parentId"),
        outside_rth=walk.boolean("outsideRth"),
        trigger_method=walk.integer("triggerMethod"),
        good_after_time=walk.text("goodAfterTime"),
        good_till_date=walk.text("goodTillDate"),
        trail_stop_price=walk.number("trailStopPrice"),
        trailing_percent=walk.number("trailingPercent"),
        what_if=walk.boolean("whatIf"),
        auto_cancel_parent=walk.boolean("autoCancelParent"),
        echoed=walk.rest(),
    )


def action_of(walk: OrderWalk) -> Action:
    """Take out the side of the order.

    Raises:
        ProtocolError: It is neither BUY nor SELL.
    """
    text = walk.text("action")
    try:
        return Action(text)
    except ValueError as error:
        raise walk.reader.wrong("action", text, "BUY or SELL") from error
