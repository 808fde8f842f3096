"""Requests in: from a message id and its fields to a typed request (tws-protocol.md section 2.1).

One table of message ids, one small function for each. Functions read fields in the order of the
wire and leave nothing over. What a request means, and whether it is served, is not decided here.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from fakebroker.protocol import requests, versions
from fakebroker.protocol.decode_order import decode_place_order
from fakebroker.protocol.fields import FieldReader
from fakebroker.protocol.order_fields import BAG
from fakebroker.protocol.requests import ComboLeg, DeltaNeutral, ExecutionFilter, Request
from fakebroker.values import Contract

Decoder = Callable[[FieldReader, int], Request]


def decode(message_id: int, fields: list[str], server_version: int) -> Request | None:
    """Return the request with these fields after its id, or None when the id is unknown.

    Raises:
        ProtocolError: A field is missing, left over, or not what it must be; the text names the
            message, the field and the value.
    """
    entry = DECODERS.get(message_id)
    if entry is None:
        return None
    message, decoder = entry
    reader = FieldReader(message, fields)
    request = decoder(reader, server_version)
    reader.finish()
    return request


def bare(request: Request) -> Decoder:
    """Return a decoder for a message that has nothing but a version."""

    def decoder(reader: FieldReader, _: int) -> Request:
        reader.skip_version()
        return request

    return decoder


def with_id(make: Callable[[int], Request]) -> Decoder:
    """Return a decoder for a message with a version and a request id."""

    def decoder(reader: FieldReader, _: int) -> Request:
        reader.skip_version()
        return make(reader.integer("reqId"))

    return decoder


def with_id_only(make: Callable[[int], Request]) -> Decoder:
    """Return a decoder for a message with a request id and no version."""
    return lambda reader, _: make(reader.integer("reqId"))


def start_api(reader: FieldReader, _: int) -> Request:
    """Decode startApi (71)."""
    reader.skip_version()
    return requests.StartApi(reader.integer("clientId"), reader.text("optCapab"))


def cancel_order(reader: FieldReader, server_version: int) -> Request:
    """Decode cancelOrder (4)."""
    reader.skip_version()
    order_id = reader.integer("orderId")
    if server_version < versions.MANUAL_ORDER_TIME:
        return requests.CancelOrder(order_id)
    return requests.CancelOrder(order_id, reader.text("manualCancelOrderTime"))


def req_auto_open_orders(reader: FieldReader, _: int) -> Request:
    """Decode reqAutoOpenOrders (15)."""
    reader.skip_version()
    return requests.ReqAutoOpenOrders(auto_bind=reader.boolean("autoBind"))


def req_completed_orders(reader: FieldReader, _: int) -> Request:
    """Decode reqCompletedOrders (99), which has no version."""
    return requests.ReqCompletedOrders(api_only=reader.boolean("apiOnly"))


def req_executions(reader: FieldReader, _: int) -> Request:
    """Decode reqExecutions (7)."""
    reader.skip_version()
    req_id = reader.integer("reqId")
    wanted = ExecutionFilter(
        client_id=reader.integer_or("clientId", 0),
        account=reader.text("acctCode"),
        time=reader.text("time"),
        symbol=reader.text("symbol"),
        sec_type=reader.text("secType"),
        exchange=reader.text("exchange"),
        side=reader.text("side"),
    )
    return requests.ReqExecutions(req_id, wanted)


def req_ids(reader: FieldReader, _: int) -> Request:
    """Decode reqIds (8)."""
    reader.skip_version()
    return requests.ReqIds(reader.integer_or("numIds", 1))


def req_account_updates(reader: FieldReader, _: int) -> Request:
    """Decode reqAccountUpdates (6)."""
    reader.skip_version()
    return requests.ReqAccountUpdates(
        subscribe=reader.boolean("subscribe"), account=reader.text("account")
    )


def req_account_updates_multi(reader: FieldReader, _: int) -> Request:
    """Decode reqAccountUpdatesMulti (76)."""
    reader.skip_version()
    return requests.ReqAccountUpdatesMulti(
        req_id=reader.integer("reqId"),
        account=reader.text("account"),
        model_code=reader.text("modelCode"),
        ledger_and_nlv=reader.boolean("ledgerAndNLV"),
    )


def req_account_summary(reader: FieldReader, _: int) -> Request:
    """Decode reqAccountSummary (62)."""
    reader.skip_version()
    return requests.ReqAccountSummary(
        reader.integer("reqId"), group=reader.text("group"), tags=reader.text("tags")
    )


def req_positions_multi(reader: FieldReader, _: int) -> Request:
    """Decode reqPositionsMulti (74)."""
    reader.skip_version()
    return requests.ReqPositionsMulti(
        reader.integer("reqId"), account=reader.text("account"), model_code=reader.text("modelCode")
    )


def req_pnl(reader: FieldReader, _: int) -> Request:
    """Decode reqPnL (92)."""
    return requests.ReqPnL(
        reader.integer("reqId"), account=reader.text("account"), model_code=reader.text("modelCode")
    )


def req_pnl_single(reader: FieldReader, _: int) -> Request:
    """Decode reqPnLSingle (94)."""
    return requests.ReqPnLSingle(
        req_id=reader.integer("reqId"),
        account=reader.text("account"),
        model_code=reader.text("modelCode"),
        con_id=reader.integer("conId"),
    )


def req_contract_details(reader: FieldReader, server_version: int) -> Request:
    """Decode reqContractDetails (9)."""
    reader.skip_version()
    return requests.ReqContractDetails(
        req_id=reader.integer("reqId"),
        contract=reader.contract(),
        include_expired=reader.boolean("includeExpired"),
        sec_id_type=reader.text("secIdType"),
        sec_id=reader.text("secId"),
        issuer_id=reader.text("issuerId") if server_version >= versions.ISSUER_ID else "",
    )


def req_sec_def_opt_params(reader: FieldReader, _: int) -> Request:
    """Decode reqSecDefOptParams (78)."""
    return requests.ReqSecDefOptParams(
        req_id=reader.integer("reqId"),
        underlying_symbol=reader.text("underlyingSymbol"),
        fut_fop_exchange=reader.text("futFopExchange"),
        underlying_sec_type=reader.text("underlyingSecType"),
        underlying_con_id=reader.integer_or("underlyingConId", 0),
    )


def req_matching_symbols(reader: FieldReader, _: int) -> Request:
    """Decode reqMatchingSymbols (81)."""
    return requests.ReqMatchingSymbols(reader.integer("reqId"), reader.text("pattern"))


def req_market_rule(reader: FieldReader, _: int) -> Request:
    """Decode reqMarketRule (91)."""
    return requests.ReqMarketRule(reader.integer("marketRuleId"))


def req_mkt_data(reader: FieldReader, _: int) -> Request:
    """Decode reqMktData (1)."""
    reader.skip_version()
    req_id = reader.integer("reqId")
    contract = reader.contract()
    legs = combo_legs(reader, contract)
    delta_neutral = None
    if reader.boolean("deltaNeutralContractPresent"):
        delta_neutral = DeltaNeutral(
            con_id=reader.integer_or("deltaNeutralContract.conId", 0),
            delta=reader.number_or("deltaNeutralContract.delta", Decimal(0)),
            price=reader.number_or("deltaNeutralContract.price", Decimal(0)),
        )
    return requests.ReqMktData(
        req_id,
        contract,
        legs=legs,
        delta_neutral=delta_neutral,
        generic_tick_list=reader.text("genericTickList"),
        snapshot=reader.boolean("snapshot"),
        regulatory_snapshot=reader.boolean("regulatorySnapshot"),
        options=reader.text("options"),
    )


def combo_legs(reader: FieldReader, contract: Contract) -> tuple[ComboLeg, ...]:
    """Read the short legs of a market data request; only a BAG has them."""
    if contract.sec_type != BAG:
        return ()
    return tuple(
        ComboLeg(
            con_id=reader.integer_or("leg.conId", 0),
            ratio=reader.integer_or("leg.ratio", 0),
            action=reader.text("leg.action"),
            exchange=reader.text("leg.exchange"),
        )
        for _ in range(reader.count("nLegs"))
    )


def req_market_data_type(reader: FieldReader, _: int) -> Request:
    """Decode reqMarketDataType (59)."""
    reader.skip_version()
    return requests.ReqMarketDataType(reader.integer("marketDataType"))


def req_real_time_bars(reader: FieldReader, _: int) -> Request:
    """Decode reqRealTimeBars (50)."""
    reader.skip_version()
    return requests.ReqRealTimeBars(
        req_id=reader.integer("reqId"),
        contract=reader.contract(),
        bar_size=reader.integer_or("barSize", 5),
        what_to_show=reader.text("whatToShow"),
        use_rth=reader.boolean("useRTH"),
        options=reader.text("options"),
    )


def req_historical_data(reader: FieldReader, _: int) -> Request:
    """Decode reqHistoricalData (20), which has no version."""
    req_id = reader.integer("reqId")
    contract = reader.contract()
    return requests.ReqHistoricalData(
        req_id,
        contract,
        include_expired=reader.boolean("includeExpired"),
        end_time=reader.text("endDateTime"),
        bar_size=reader.text("barSize"),
        duration=reader.text("duration"),
        use_rth=reader.boolean("useRTH"),
        what_to_show=reader.text("whatToShow"),
        format_date=reader.integer_or("formatDate", 1),
        legs=combo_legs(reader, contract),
        keep_up_to_date=reader.boolean("keepUpToDate"),
        options=reader.text("chartOptions"),
    )


def req_head_time_stamp(reader: FieldReader, _: int) -> Request:
    """Decode reqHeadTimeStamp (87)."""
    return requests.ReqHeadTimeStamp(
        req_id=reader.integer("reqId"),
        contract=reader.contract(),
        include_expired=reader.boolean("includeExpired"),
        use_rth=reader.boolean("useRTH"),
        what_to_show=reader.text("whatToShow"),
        format_date=reader.integer_or("formatDate", 1),
    )


def req_historical_ticks(reader: FieldReader, _: int) -> Request:
    """Decode reqHistoricalTicks (96)."""
    return requests.ReqHistoricalTicks(
        req_id=reader.integer("reqId"),
        contract=reader.contract(),
        include_expired=reader.boolean("includeExpired"),
        start=reader.text("start"),
        end=reader.text("end"),
        count=reader.integer_or("numberOfTicks", 0),
        what_to_show=reader.text("whatToShow"),
        use_rth=reader.boolean("useRth"),
        ignore_size=reader.boolean("ignoreSize"),
        options=reader.text("options"),
    )


def req_tick_by_tick_data(reader: FieldReader, _: int) -> Request:
    """Decode reqTickByTickData (97)."""
    return requests.ReqTickByTickData(
        req_id=reader.integer("reqId"),
        contract=reader.contract(),
        tick_type=reader.text("tickType"),
        count=reader.integer_or("numberOfTicks", 0),
        ignore_size=reader.boolean("ignoreSize"),
    )


def set_server_log_level(reader: FieldReader, _: int) -> Request:
    """Decode setServerLogLevel (14)."""
    reader.skip_version()
    return requests.SetServerLogLevel(reader.integer("level"))


DECODERS: Final[dict[int, tuple[str, Decoder]]] = {
    1: ("reqMktData", req_mkt_data),
    2: ("cancelMktData", with_id(requests.CancelMktData)),
    3: ("placeOrder", decode_place_order),
    4: ("cancelOrder", cancel_order),
    5: ("reqOpenOrders", bare(requests.ReqOpenOrders())),
    6: ("reqAccountUpdates", req_account_updates),
    7: ("reqExecutions", req_executions),
    8: ("reqIds", req_ids),
    9: ("reqContractDetails", req_contract_details),
    14: ("setServerLogLevel", set_server_log_level),
    15: ("reqAutoOpenOrders", req_auto_open_orders),
    16: ("reqAllOpenOrders", bare(requests.ReqAllOpenOrders())),
    17: ("reqManagedAccts", bare(requests.ReqManagedAccts())),
    20: ("reqHistoricalData", req_historical_data),
    25: ("cancelHistoricalData", with_id(requests.CancelHistoricalData)),
    49: ("reqCurrentTime", bare(requests.ReqCurrentTime())),
    50: ("reqRealTimeBars", req_real_time_bars),
    51: ("cancelRealTimeBars", with_id(requests.CancelRealTimeBars)),
    58: ("reqGlobalCancel", bare(requests.ReqGlobalCancel())),
    59: ("reqMarketDataType", req_market_data_type),
    61: ("reqPositions", bare(requests.ReqPositions())),
    62: ("reqAccountSummary", req_account_summary),
    63: ("cancelAccountSummary", with_id(requests.CancelAccountSummary)),
    64: ("cancelPositions", bare(requests.CancelPositions())),
    71: ("startApi", start_api),
    74: ("reqPositionsMulti", req_positions_multi),
    75: ("cancelPositionsMulti", with_id(requests.CancelPositionsMulti)),
    76: ("reqAccountUpdatesMulti", req_account_updates_multi),
    77: ("cancelAccountUpdatesMulti", with_id(requests.CancelAccountUpdatesMulti)),
    78: ("reqSecDefOptParams", req_sec_def_opt_params),
    81: ("reqMatchingSymbols", req_matching_symbols),
    87: ("reqHeadTimeStamp", req_head_time_stamp),
    90: ("cancelHeadTimeStamp", with_id_only(requests.CancelHeadTimeStamp)),
    91: ("reqMarketRule", req_market_rule),
    92: ("reqPnL", req_pnl),
    93: ("cancelPnL", with_id_only(requests.CancelPnL)),
    94: ("reqPnLSingle", req_pnl_single),
    95: ("cancelPnLSingle", with_id_only(requests.CancelPnLSingle)),
    96: ("reqHistoricalTicks", req_historical_ticks),
    97: ("reqTickByTickData", req_tick_by_tick_data),
    98: ("cancelTickByTickData", with_id_only(requests.CancelTickByTickData)),
    99: ("reqCompletedOrders", req_completed_orders),
}
