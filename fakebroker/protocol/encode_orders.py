"""Orders out: openOrder and completedOrder (tws-protocol.md sections 2.6 and 2.7).

Both are a row of fields with conditional blocks between. Each field has the value that real TWS
sends for an order that asks for nothing special; what the client asked for stands in its place.
An order's fields are held under their names of section 2.2, whether typed or echoed.
"""

from decimal import Decimal
from typing import Final

from fakebroker.protocol import formats, versions
from fakebroker.protocol import order_fields as names
from fakebroker.protocol.fields import NUMBER, UNSET_DOUBLE, UNSET_INTEGER, UNSET_LONG
from fakebroker.protocol.replies import CompletedOrder, Margins, OpenOrder
from fakebroker.values import Contract, OrderTerms

# The recorded values of a plain stock order (section 2.6). Where none is given, TWS sends nothing.
DEFAULTS: Final[dict[str, str]] = {
    "lmtPrice": "0.0",
    "auxPrice": "0.0",
    "exemptCode": "-1",
    "displaySize": UNSET_INTEGER,
    "ocaType": "3",
    "volatilityType": "0",
    "deltaNeutralOrderType": "None",
    "deltaNeutralOpenClose": "?",
    "referencePriceType": "0",
    "scaleInitLevelSize": UNSET_INTEGER,
    "scaleSubsLevelSize": UNSET_INTEGER,
    "clearingIntent": "IB",
    "adjustedOrderType": "None",
    "triggerPrice": UNSET_DOUBLE,
    "lmtPriceOffset": UNSET_DOUBLE,
    "adjustedStopPrice": UNSET_DOUBLE,
    "adjustedStopLimitPrice": UNSET_DOUBLE,
    "adjustedTrailingAmount": UNSET_DOUBLE,
    "dontUseAutoPriceForHedge": "1",
    "minCompeteSize": "100",
    "competeAgainstBestOffset": "0.02",
} | dict.fromkeys(
    names.words("""
    totalQuantity clientId permId origin outsideRth hidden discretionaryAmt shortSaleSlot
    auctionStrategy blockOrder sweepToFill allOrNone eTradeOnly firmQuoteOnly parentId
    triggerMethod deltaNeutralConId
    deltaNeutralShortSale deltaNeutralShortSaleSlot continuousUpdate optOutSmartRouting notHeld
    solicited whatIf randomizeSize randomizePrice adjustableTrailingUnit cashQty isOmsContainer
    discretionaryUpToLimitPrice usePriceMgmtAlgo autoCancelParent
    """),
    "0",
)

# What clients send when they ask for nothing, where that is neither empty nor a zero.
ASKS_NOTHING: Final = {"openClose": "O", "exemptCode": "-1"}
# Here a zero says something.
ZERO_SPEAKS: Final = frozenset({"lmtPriceOffset", "trailStopPrice", "trailingPercent"})

OPEN_HEAD: Final = names.words("""
    action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin
    orderRef
    """)
OPEN_CLIENT: Final = names.words("""
    clientId permId outsideRth hidden discretionaryAmt goodAfterTime sharesAllocation faGroup
    faMethod faPercentage
    """)
OPEN_ATTRIBUTES: Final = names.words("""
    modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation
    exemptCode auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper
    displaySize blockOrder sweepToFill allOrNone minQty ocaType eTradeOnly firmQuoteOnly
    nbboPriceCap parentId triggerMethod volatility volatilityType deltaNeutralOrderType
    deltaNeutralAuxPrice
    """)
OPEN_TRAILING: Final = (
    "continuousUpdate",
    "referencePriceType",
    "trailStopPrice",
    "trailingPercent",
    "basisPoints",
    "basisPointsType",
    "comboLegsDescrip",
)
OPEN_ADJUSTED: Final = names.words("""
    adjustableTrailingUnit softDollarTier.name softDollarTier.value softDollarTier.displayName
    cashQty dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo
    """)
OPEN_NEWER: Final = (
    (versions.DURATION, "duration"),
    (versions.POST_TO_ATS, "postToAts"),
    (versions.AUTO_CANCEL_PARENT, "autoCancelParent"),
)
DONE_CLIENT: Final = names.words("""
    permId outsideRth hidden discretionaryAmt goodAfterTime faGroup faMethod faPercentage
    """)
DONE_ATTRIBUTES: Final = names.words("""
    modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation
    exemptCode startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize
    sweepToFill allOrNone minQty ocaType triggerMethod volatility volatilityType
    deltaNeutralOrderType deltaNeutralAuxPrice
    """)
DONE_DELTA_NEUTRAL: Final = (
    "deltaNeutralConId",
    "deltaNeutralShortSale",
    "deltaNeutralShortSaleSlot",
    "deltaNeutralDesignatedLocation",
)
DONE_TRAILING: Final = (
    "continuousUpdate",
    "referencePriceType",
    "trailStopPrice",
    "trailingPercent",
    "comboLegsDescrip",
)
PEG_OFFSETS: Final = (
    "minTradeQty",
    "minCompeteSize",
    "competeAgainstBestOffset",
    "midOffsetAtWhole",
    "midOffsetAtHalf",
)
RANDOMIZE: Final = ("randomizeSize", "randomizePrice")
SCALE_SIZES: Final = ("scaleInitLevelSize", "scaleSubsLevelSize", "scalePriceIncrement")
# Nobody can place an order as an insider here, so it is always this text of TWS.
SHAREHOLDER: Final = "Not an insider or substantial shareholder"


class OrderRow:
    """The fields of one order message, being written in order."""

    def __init__(self, values: dict[str, str]) -> None:
        self.fields: list[str] = []
        self._values = values

    def raw(self, *texts: str) -> None:
        """Write fields as they are."""
        self.fields += texts

    def put(self, *field_names: str) -> None:
        """Write these fields of the order, or what TWS sends in their place."""
        values = self._values  # Most fields are in no order.
        self.fields += [
            self.get(name) if name in values else DEFAULTS.get(name, "") for name in field_names
        ]

    def put_list(self, name: str, parts: tuple[str, ...]) -> None:
        """Write a count and so many things of the same parts."""
        count = self.count(name)
        self.raw(str(count))
        for index in range(count):
            self.echo(*(f"{names.numbered(name, index)}.{part}" for part in parts))

    def echo(self, *field_names: str) -> None:
        """Write these fields exactly as the client sent them."""
        self.fields += [self._values.get(name, "") for name in field_names]

    def get(self, name: str) -> str:
        """Return a field of the order, or what TWS sends for one that asks for nothing."""
        text = self._values.get(name, "")
        default = DEFAULTS.get(name, "")
        if not text or text in (default, ASKS_NOTHING.get(name)):
            return default
        if names.is_text(name) or name in ZERO_SPEAKS or NUMBER.fullmatch(text) is None:
            return text
        return text if Decimal(text) else default

    def has(self, name: str) -> bool:
        """Say whether the client asked for this."""
        return name in self._values

    def count(self, name: str) -> int:
        """Return how many of these the client sent."""
        return int(self._values.get(name, "0"))


def encode_open_order(reply: OpenOrder, server_version: int) -> list[str]:
    """Return the fields of openOrder after its id."""
    terms = reply.terms
    own = {
        "clientId": str(reply.client_id),
        "permId": str(reply.perm_id),
        "sharesAllocation": f"{reply.perm_id}.0/{terms.account}/{formats.number(terms.quantity)}",
    }
    row = OrderRow(order_values(terms) | own)
    row.raw(str(reply.order_id), *contract_fields(reply.contract))
    row.put(*OPEN_HEAD, *OPEN_CLIENT)
    if server_version < versions.NO_FA_PROFILE:
        row.put("faProfile")
    row.put(*OPEN_ATTRIBUTES, *names.DELTA_NEUTRAL, *OPEN_TRAILING)
    put_combo(row)
    put_scale_and_hedge(row)
    row.put("optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld")
    put_algo(row)
    row.put("solicited", "whatIf")
    row.raw(reply.status.value, *state_fields(reply), reply.warning_text)
    row.put(*RANDOMIZE)
    put_peg_bench_and_conditions(row, terms)
    row.put("adjustedOrderType", "triggerPrice")
    row.raw(formats.double_or_unset(terms.trail_stop_price))
    row.put("lmtPriceOffset", "adjustedStopPrice", "adjustedStopLimitPrice")
    row.put("adjustedTrailingAmount", *OPEN_ADJUSTED)
    row.put(*(name for since, name in OPEN_NEWER if server_version >= since))
    if server_version >= versions.PEG_OFFSETS:
        row.put(*PEG_OFFSETS)
    return row.fields


def encode_completed_order(reply: CompletedOrder, server_version: int) -> list[str]:
    """Return the fields of completedOrder after its id.

    The quantity of a filled order is recorded as 0 (section 2.7), so it is taken to be what was
    not filled; for a cancelled order that is an assumption.
    """
    terms = reply.terms
    own = {
        "permId": str(reply.perm_id),
        "totalQuantity": formats.number(terms.quantity - reply.filled_quantity),
    }
    row = OrderRow(order_values(terms) | own)
    row.raw(*contract_fields(reply.contract))
    row.put(*OPEN_HEAD, *DONE_CLIENT)
    if server_version < versions.NO_FA_PROFILE:
        row.put("faProfile")
    row.put(*DONE_ATTRIBUTES, *DONE_DELTA_NEUTRAL, *DONE_TRAILING)
    put_combo(row)
    put_scale_and_hedge(row)
    row.put("clearingAccount", "clearingIntent", "notHeld")
    put_algo(row)
    row.put("solicited")
    row.raw(reply.status.value)
    row.put(*RANDOMIZE)
    put_peg_bench_and_conditions(row, terms)
    row.raw(formats.double_or_unset(terms.trail_stop_price))
    row.put("lmtPriceOffset", "cashQty", "dontUseAutoPriceForHedge", "isOmsContainer")
    put_outcome(row, reply)
    if server_version >= versions.PEG_OFFSETS:
        row.put(*PEG_OFFSETS)
    return row.fields


def order_values(terms: OrderTerms) -> dict[str, str]:
    """Return the fields of an order by their names, as text; unset ones are left out."""
    typed = {
        "action": terms.action.value,
        "totalQuantity": formats.number(terms.quantity),
        "orderType": canonical_type(terms.order_type),
        "lmtPrice": "" if terms.limit_price is None else formats.double(terms.limit_price),
        "auxPrice": "" if terms.aux_price is None else formats.double(terms.aux_price),
        "tif": terms.tif,
        "ocaGroup": terms.oca_group,
        "ocaType": str(terms.oca_type),
        "account": terms.account,
        "orderRef": terms.order_ref,
        "parentId": str(terms.parent_id),
        "outsideRth": formats.boolean(terms.outside_rth),
        "triggerMethod": str(terms.trigger_method),
        "goodAfterTime": terms.good_after_time,
        "goodTillDate": terms.good_till_date,
        "trailStopPrice": formats.number_or_empty(terms.trail_stop_price),
        "trailingPercent": formats.number_or_empty(terms.trailing_percent),
        "whatIf": formats.boolean(terms.what_if),
        "autoCancelParent": formats.boolean(terms.auto_cancel_parent),
    }
    values = dict(terms.echoed) | {name: text for name, text in typed.items() if text}
    if "comboLegs" in values:
        values["comboLegsDescrip"] = legs_description(values)
    return values


def legs_description(values: dict[str, str]) -> str:
    """Return the legs as TWS sums them up: conId and ratio, negative when sold."""
    legs = []
    for index in range(int(values["comboLegs"])):
        leg = names.numbered("comboLegs", index)
        sign = "-" if values.get(f"{leg}.action") == "SELL" else ""
        legs.append(f"{values.get(f'{leg}.conId', '0')}|{sign}{values.get(f'{leg}.ratio', '0')}")
    return ",".join(legs)


def canonical_type(order_type: str) -> str:
    """Return the order type as TWS writes it, whose name decides which fields follow."""
    spellings = (
        ("PEG BENCH", names.PEG_BENCH_TYPES),
        ("PEG BEST", names.PEG_BEST_TYPES),
        ("PEG MID", names.PEG_MID_TYPES),
    )
    for canonical, known in spellings:
        if order_type in known:
            return canonical
    return order_type


def contract_fields(contract: Contract) -> list[str]:
    """Return the eleven contract fields of an order; TWS writes `?` for no right (section 2.6)."""
    return [
        str(contract.con_id),
        contract.symbol,
        contract.sec_type,
        contract.last_trade_date,
        formats.number(contract.strike),
        contract.right or "?",
        contract.multiplier,
        contract.exchange,
        contract.currency,
        contract.local_symbol,
        contract.trading_class,
    ]


def state_fields(reply: OpenOrder) -> list[str]:
    """Return nine margins and four commission fields."""
    if reply.margins is None:
        commission = "" if reply.commission is None else formats.double(reply.commission)
        currency = reply.currency if commission else ""
        return [*[UNSET_DOUBLE] * 9, commission, "", "", currency]
    return margin_fields(reply.margins)


def margin_fields(margins: Margins) -> list[str]:
    """Return the answer to a what-if order."""
    amounts = (
        margins.init_before,
        margins.maint_before,
        margins.equity_before,
        margins.init_change,
        margins.maint_change,
        margins.equity_change,
        margins.init_after,
        margins.maint_after,
        margins.equity_after,
    )
    fees = (margins.commission, margins.min_commission, margins.max_commission)
    return [
        *[formats.double(amount) for amount in amounts],
        *["" if fee is None else formats.double(fee) for fee in fees],
        margins.currency,
    ]


def put_combo(row: OrderRow) -> None:
    """Write legs, their prices and the routing of a BAG, three counts of 0 for anything else."""
    row.put_list("comboLegs", names.COMBO_LEG)
    row.put_list("orderComboLegs", names.PRICE)
    row.put_list("smartComboRoutingParams", names.TAG_VALUE)


def put_scale_and_hedge(row: OrderRow) -> None:
    """Write the scale sizes with their block, and the hedge with its parameter."""
    row.put(*SCALE_SIZES)
    if Decimal(row.get("scalePriceIncrement") or "0") > 0:
        row.echo(*names.SCALE)
    row.put("hedgeType")
    if row.has("hedgeType"):
        row.echo("hedgeParam")


def put_algo(row: OrderRow) -> None:
    """Write the delta neutral contract and the algorithm with its parameters."""
    present = any(row.has(name) for name in names.DELTA_NEUTRAL_CONTRACT)
    row.raw(formats.boolean(present))
    if present:
        row.echo(*names.DELTA_NEUTRAL_CONTRACT)
    row.echo("algoStrategy")
    if row.has("algoStrategy"):
        row.put_list("algoParams", names.TAG_VALUE)


def put_peg_bench_and_conditions(row: OrderRow, terms: OrderTerms) -> None:
    """Write the benchmark block and the conditions, each with the body of its type."""
    if terms.order_type in names.PEG_BENCH_TYPES:
        row.echo(*names.PEG_BENCH)
    count = row.count("conditions")
    row.raw(str(count))
    for index in range(count):
        prefix = names.numbered("conditions", index)
        kind = row.get(f"{prefix}.conditionType")
        row.raw(kind)
        row.echo(*(f"{prefix}.{part}" for part in names.CONDITION_BODIES[kind]))
    if count:
        row.echo(*names.CONDITIONS_TAIL)


def put_outcome(row: OrderRow, reply: CompletedOrder) -> None:
    """Write how a completed order ended."""
    parent = UNSET_LONG if reply.parent_perm_id is None else str(reply.parent_perm_id)
    row.raw("", formats.number(reply.filled_quantity), UNSET_INTEGER)
    row.put("autoCancelParent")
    row.raw(SHAREHOLDER, "0", "0", parent)
    row.raw(formats.zoned_time(reply.completed_time), reply.completed_status)
