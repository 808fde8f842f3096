"""The names of an order's fields on the wire, shared by placeOrder in and openOrder out.

Names are those of tws-protocol.md section 2.2. Things that repeat are numbered, as in
`comboLegs[0].conId`, and their count stands under a name of its own. A value of an order is kept
under these names as text, so what a client sent can be echoed without understanding it.
"""

from typing import Final


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text: a row of field names in the order of the wire."""
    return tuple(text.split())


COMBO_LEG: Final = (
    "conId",
    "ratio",
    "action",
    "exchange",
    "openClose",
    "shortSaleSlot",
    "designatedLocation",
    "exemptCode",
)
TAG_VALUE: Final = ("tag", "value")
PRICE: Final = ("price",)
DELTA_NEUTRAL: Final = (
    "deltaNeutralConId",
    "deltaNeutralSettlingFirm",
    "deltaNeutralClearingAccount",
    "deltaNeutralClearingIntent",
    "deltaNeutralOpenClose",
    "deltaNeutralShortSale",
    "deltaNeutralShortSaleSlot",
    "deltaNeutralDesignatedLocation",
)
SCALE: Final = (
    "scalePriceAdjustValue",
    "scalePriceAdjustInterval",
    "scaleProfitOffset",
    "scaleAutoReset",
    "scaleInitPosition",
    "scaleInitFillQty",
    "scaleRandomPercent",
)
DELTA_NEUTRAL_CONTRACT: Final = (
    "deltaNeutralContract.conId",
    "deltaNeutralContract.delta",
    "deltaNeutralContract.price",
)
PEG_BENCH: Final = (
    "referenceContractId",
    "isPeggedChangeAmountDecrease",
    "peggedChangeAmount",
    "referenceChangeAmount",
    "referenceExchangeId",
)
CONDITIONS_TAIL: Final = ("conditionsIgnoreRth", "conditionsCancelOrder")
MID_OFFSETS: Final = ("midOffsetAtWhole", "midOffsetAtHalf")

# What follows the type of a condition. The types are TWS's: price, time, margin, execution,
# volume, percent change.
CONDITION_BODIES: Final[dict[str, tuple[str, ...]]] = {
    "1": ("conjunction", "isMore", "price", "conId", "exchange", "triggerMethod"),
    "3": ("conjunction", "isMore", "time"),
    "4": ("conjunction", "isMore", "percent"),
    "5": ("conjunction", "secType", "exchange", "symbol"),
    "6": ("conjunction", "isMore", "volume", "conId", "exchange"),
    "7": ("conjunction", "isMore", "changePercent", "conId", "exchange"),
}

# Clients write these with and without the blank; TWS answers with it.
PEG_BENCH_TYPES: Final = frozenset({"PEG BENCH", "PEGBENCH"})
PEG_BEST_TYPES: Final = frozenset({"PEG BEST", "PEGBEST"})
PEG_MID_TYPES: Final = frozenset({"PEG MID", "PEGMID"})

# The exchange for which placeOrder has a minTradeQty.
IBKR_ATS: Final = "IBKRATS"
BAG: Final = "BAG"

# Everything else is a number or a boolean, and is checked to be one.
TEXTS: Final = frozenset(
    words("""
    secIdType secId action orderType tif ocaGroup account openClose orderRef designatedLocation
    sharesAllocation goodAfterTime goodTillDate faGroup faMethod faPercentage faProfile modelCode
    rule80A settlingFirm deltaNeutralOrderType deltaNeutralSettlingFirm
    deltaNeutralClearingAccount deltaNeutralClearingIntent deltaNeutralOpenClose
    deltaNeutralDesignatedLocation scaleTable activeStartTime activeStopTime hedgeType hedgeParam
    clearingAccount clearingIntent algoStrategy algoId orderMiscOptions referenceExchangeId
    conditionType conjunction exchange time secType symbol adjustedOrderType extOperator name value
    tag mifid2DecisionMaker mifid2DecisionAlgo mifid2ExecutionTrader mifid2ExecutionAlgo
    advancedErrorOverride manualOrderTime
    """)
)


def is_text(name: str) -> bool:
    """Say whether a field is free text, by the last part of its name."""
    return name.rpartition(".")[2] in TEXTS


def numbered(name: str, index: int) -> str:
    """Return the name of the i-th of things that repeat, counted from 0."""
    return f"{name}[{index}]"
