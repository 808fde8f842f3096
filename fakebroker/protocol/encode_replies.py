"""Replies out: from a typed reply to the fields of the wire (tws-protocol.md sections 2.3 to 2.7).

`encode` picks the group, the group the message; each arm writes the fields in their order, first
the message id and, where the message has one, its own version. Only the differences that
`versions` names depend on the server version. Orders and ticks have modules of their own.
"""

from decimal import Decimal
from typing import assert_never

from fakebroker.protocol import formats, replies, versions
from fakebroker.protocol.encode_market import encode_market
from fakebroker.protocol.encode_orders import encode_completed_order, encode_open_order
from fakebroker.protocol.fields import UNSET_DOUBLE
from fakebroker.protocol.replies import (
    AccountReply,
    OrderReply,
    Reply,
    SessionReply,
)
from fakebroker.values import Contract


def encode(reply: Reply, server_version: int) -> list[str]:
    """Return the fields of a reply as a client of this version reads them, its id first."""
    if isinstance(reply, OrderReply):
        return encode_order(reply, server_version)
    if isinstance(reply, SessionReply):
        return encode_session(reply, server_version)
    if isinstance(reply, AccountReply):
        return encode_account(reply, server_version)
    match reply:
        case replies.ContractDetails():
            return contract_details(reply, server_version)
        case replies.ContractDetailsEnd(req_id):
            return ["52", "1", str(req_id)]
        case _:
            return encode_market(reply, server_version)


def encode_session(reply: SessionReply, server_version: int) -> list[str]:
    """Return the fields of a message about the session."""
    match reply:
        case replies.ManagedAccounts(accounts):
            return ["15", "1", ",".join(accounts)]
        case replies.NextValidId(order_id):
            return ["9", "1", str(order_id)]
        case replies.CurrentTime(time):
            return ["49", "1", formats.epoch(time)]
        case replies.ErrorMessage():
            fields = ["4", "2", str(reply.req_id), str(reply.code), reply.text]
            # One field too many and the official client at 157 rejects the message (section 0).
            return fields + [reply.advanced_reject] * (server_version >= versions.ADVANCED_REJECT)
        case _:
            assert_never(reply)


def encode_order(reply: OrderReply, server_version: int) -> list[str]:
    """Return the fields of a message about an order or an execution."""
    match reply:
        case replies.OpenOrder():
            return ["5", *encode_open_order(reply, server_version)]
        case replies.CompletedOrder():
            return ["101", *encode_completed_order(reply, server_version)]
        case replies.OrderStatusReport():
            return order_status(reply)
        case replies.ExecDetails():
            return exec_details(reply, server_version)
        case replies.CommissionReport(exec_id, commission, currency, realized_pnl):
            pnl = formats.double_or_unset(realized_pnl)
            fee = formats.double(commission)
            return ["59", "1", exec_id, fee, currency, pnl, UNSET_DOUBLE, ""]
        case replies.OpenOrderEnd():
            return ["53", "1"]
        case replies.CompletedOrdersEnd():
            return ["102"]
        case replies.ExecDetailsEnd(req_id):
            return ["55", "1", str(req_id)]
        case replies.OrderBound(perm_id, client_id, order_id):
            return ["100", str(perm_id), str(client_id), str(order_id)]
        case _:
            assert_never(reply)


def order_status(reply: replies.OrderStatusReport) -> list[str]:
    """Return the fields of orderStatus (3)."""
    return [
        "3",
        str(reply.order_id),
        reply.status.value,
        formats.number(reply.filled),
        formats.number(reply.remaining),
        formats.number(reply.avg_fill_price),
        str(reply.perm_id),
        str(reply.parent_id),
        formats.number(reply.last_fill_price),
        str(reply.client_id),
        reply.why_held,
        formats.number(reply.mkt_cap_price),
    ]


def exec_details(reply: replies.ExecDetails, server_version: int) -> list[str]:
    """Return the fields of execDetails (11); its contract names the venue of the fill."""
    execution = reply.execution
    fields = [
        "11",
        str(reply.req_id),
        str(reply.order_id),
        *contract_head(reply.contract),
        reply.contract.multiplier,
        execution.exchange,
        *contract_tail(reply.contract),
        execution.exec_id,
        formats.exchange_time(execution.time, server_version),
        execution.account,
        execution.exchange,
        execution.side,
        formats.number(execution.shares),
        formats.number(execution.price),
        str(execution.perm_id),
        str(execution.client_id),
        str(execution.liquidation),
        formats.number(execution.cum_qty),
        formats.number(execution.avg_price),
        execution.order_ref,
        "",  # evRule
        "",  # evMultiplier
        "",  # modelCode
        str(execution.last_liquidity),
    ]
    return fields + ["0"] * (server_version >= versions.PRICE_REVISION)


def encode_account(reply: AccountReply, server_version: int) -> list[str]:
    """Return the fields of a message about accounts and positions."""
    match reply:
        case replies.AccountValue(key, value, currency, account):
            return ["6", "2", key, value, currency, account]
        case replies.PortfolioValue():
            return portfolio_value(reply)
        case replies.AccountUpdateTime(time):
            return ["8", "1", formats.clock(time)]
        case replies.AccountDownloadEnd(account):
            return ["54", "1", account]
        case replies.AccountUpdateMulti(req_id, account, model_code, key, value, currency):
            return ["73", "1", str(req_id), account, model_code, key, value, currency]
        case replies.AccountUpdateMultiEnd(req_id):
            return ["74", "1", str(req_id)]
        case replies.AccountSummary(req_id, account, tag, value, currency):
            return ["63", "1", str(req_id), account, tag, value, currency]
        case replies.AccountSummaryEnd(req_id):
            return ["64", "1", str(req_id)]
        case _:
            return encode_position(reply, server_version)


PositionReply = (
    replies.Position
    | replies.PositionEnd
    | replies.PositionMulti
    | replies.PositionMultiEnd
    | replies.PnL
    | replies.PnLSingle
)


def encode_position(reply: PositionReply, server_version: int) -> list[str]:
    """Return the fields of a message about positions, or profit and loss."""
    match reply:
        case replies.Position(account, contract, quantity, avg_cost):
            return ["61", "3", account, *position_fields(contract, quantity, avg_cost)]
        case replies.PositionEnd():
            return ["62", "1"]
        case replies.PositionMulti(req_id, account, contract, quantity, avg_cost, model_code):
            row = position_fields(contract, quantity, avg_cost)
            return ["71", "3", str(req_id), account, *row, model_code]
        case replies.PositionMultiEnd(req_id):
            return ["72", "1", str(req_id)]
        case replies.PnL(req_id, daily, unrealized, realized):
            amounts = (daily, unrealized, realized)
            return ["94", str(req_id), *map(formats.double_or_unset, amounts)]
        case replies.PnLSingle(req_id, quantity, daily, unrealized, realized, value):
            held = formats.size(quantity, server_version)
            worth = (daily, unrealized, realized, value)
            return ["95", str(req_id), held, *map(formats.double_or_unset, worth)]
        case _:
            assert_never(reply)


def portfolio_value(reply: replies.PortfolioValue) -> list[str]:
    """Return the fields of portfolioValue (7), of which ib_insync insists on twenty."""
    amounts = (
        reply.position,
        reply.market_price,
        reply.market_value,
        reply.average_cost,
        reply.unrealized_pnl,
        reply.realized_pnl,
    )
    return [
        "7",
        "8",
        *contract_head(reply.contract),
        reply.contract.multiplier,
        reply.contract.primary_exchange,
        *contract_tail(reply.contract),
        *map(formats.number, amounts),
        reply.account,
    ]


def position_fields(contract: Contract, quantity: Decimal, avg_cost: Decimal) -> list[str]:
    """Return a contract held and how much; recorded with its listing exchange (section 2.3)."""
    return [
        *contract_head(contract),
        contract.multiplier,
        contract.primary_exchange or contract.exchange,
        *contract_tail(contract),
        formats.number(quantity),
        formats.number(avg_cost),
    ]


def contract_head(contract: Contract) -> list[str]:
    """Return the contract fields from conId to right; the strike of a stock is `0.0`."""
    return [
        str(contract.con_id),
        contract.symbol,
        contract.sec_type,
        contract.last_trade_date,
        formats.double(contract.strike),
        contract.right,
    ]


def contract_tail(contract: Contract) -> list[str]:
    """Return the contract fields after the exchange."""
    return [contract.currency, contract.local_symbol, contract.trading_class]


def contract_details(reply: replies.ContractDetails, server_version: int) -> list[str]:
    """Return the fields of contractDetails (10), whose layout changes at 164 (section 2.4)."""
    contract = reply.contract
    has_rules = server_version >= versions.SIZE_RULES
    sizes = (reply.min_size, reply.size_increment, reply.suggested_size_increment)
    ids = [text for pair in reply.sec_ids for text in pair]
    return [
        "10",
        *([] if has_rules else ["8"]),
        str(reply.req_id),
        contract.symbol,
        contract.sec_type,
        contract.last_trade_date,
        formats.double(contract.strike),
        contract.right,
        contract.exchange,
        *contract_tail(contract)[:2],
        reply.market_name,
        contract.trading_class,
        str(contract.con_id),
        formats.number(reply.min_tick),
        *([] if has_rules else ["100"]),
        contract.multiplier,
        reply.order_types,
        reply.valid_exchanges,
        str(reply.price_magnifier),
        str(reply.under_con_id),
        reply.long_name,
        contract.primary_exchange,
        *classification(reply),
        str(len(reply.sec_ids)),
        *ids,
        str(reply.agg_group),
        reply.under_symbol,
        reply.under_sec_type,
        reply.market_rule_ids,
        reply.real_expiration_date,
        reply.stock_type,
        *([formats.number(size) for size in sizes] if has_rules else []),
    ]


def classification(reply: replies.ContractDetails) -> list[str]:
    """Return the fields of contractDetails from the contract month to the EV multiplier."""
    return [
        reply.contract_month,
        reply.industry,
        reply.category,
        reply.subcategory,
        reply.time_zone_id,
        reply.trading_hours,
        reply.liquid_hours,
        reply.ev_rule,
        reply.ev_multiplier,
    ]
