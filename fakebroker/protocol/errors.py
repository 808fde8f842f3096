"""The error codes of TWS with its words (tws-protocol.md sections 3.1, 3.3 and 3.8).

Bots match on codes and some on texts, so both are TWS's own. A text with a value in it is a
template; `text` fills it in and refuses to leave a hole. When an error is sent is not decided here.
"""

from enum import IntEnum
from string import Formatter
from typing import Final


class ErrorCode(IntEnum):
    """What an error message is about."""

    MAX_RATE = 100
    MAX_TICKERS = 101
    DUPLICATE_ORDER_ID = 103
    CANNOT_MODIFY_FILLED = 104
    MODIFY_MISMATCH = 105
    PRICE_OFF_TICK = 110
    ORDER_NOT_FOUND = 135
    NOT_CANCELLABLE = 161
    HISTORICAL_DATA = 162
    NO_SECURITY = 200
    ORDER_REJECTED = 201
    ORDER_CANCELLED = 202
    NO_SUCH_REQUEST = 300
    REQUEST_UNREADABLE = 320
    REQUEST_INVALID = 321
    REQUEST_FAILED = 322
    CLIENT_ID_IN_USE = 326
    CANNOT_CHANGE_TYPE = 329
    NOT_SUBSCRIBED = 354
    NO_HISTORICAL_QUERY = 366
    UNSUPPORTED_ORDER_TYPE = 387
    ORDER_WARNING = 399
    LOCATING_SHARES = 404
    REALTIME_PACING = 420
    CONNECTIVITY_LOST = 1100
    RESTORED_DATA_LOST = 1101
    RESTORED_DATA_KEPT = 1102
    PORT_RESET = 1300
    ACCOUNT_SUBSCRIPTION_TAKEN = 2100
    ACCOUNT_SUBSCRIPTION_REFUSED = 2101
    CANNOT_MODIFY_YET = 2102
    MARKET_FARM_BROKEN = 2103
    MARKET_FARM_OK = 2104
    HISTORICAL_FARM_BROKEN = 2105
    HISTORICAL_FARM_OK = 2106
    HISTORICAL_FARM_INACTIVE = 2107
    MARKET_FARM_INACTIVE = 2108
    OUTSIDE_RTH_IGNORED = 2109
    SERVER_LINK_BROKEN = 2110
    SECDEF_FARM_BROKEN = 2157
    SECDEF_FARM_OK = 2158
    PARTLY_NOT_SUBSCRIBED = 10089
    CANCEL_NOT_FOUND = 10147
    CANCEL_TOO_LATE = 10148
    INVALID_ORDER_ID = 10149
    DELAYED_DATA = 10167
    NO_DELAYED_DATA = 10168
    LIVE_UPDATES_BROKEN = 10182
    COMPETING_SESSION = 10197
    BUST_EVENT = 10225
    TIF_PRESET = 10349


TEXTS: Final[dict[ErrorCode, str]] = {
    ErrorCode.MAX_RATE: "Max rate of messages per second has been exceeded:max=50 rec={received}",
    ErrorCode.MAX_TICKERS: "Max number of tickers has been reached",
    ErrorCode.DUPLICATE_ORDER_ID: "Duplicate order id",
    ErrorCode.CANNOT_MODIFY_FILLED: "Cannot modify a filled order.",
    ErrorCode.MODIFY_MISMATCH: "Order being modified does not match original order",
    ErrorCode.PRICE_OFF_TICK: (
        "The price does not conform to the minimum price variation for this contract."
    ),
    ErrorCode.ORDER_NOT_FOUND: "Can't find order with id ={order_id}",
    ErrorCode.NOT_CANCELLABLE: (
        "Cancel attempted when order is not in a cancellable state.  Order permId ={perm_id}"
    ),
    ErrorCode.HISTORICAL_DATA: "Historical Market Data Service error message:{reason}",
    ErrorCode.NO_SECURITY: "No security definition has been found for the request",
    ErrorCode.ORDER_REJECTED: "Order rejected - reason:{reason}",
    ErrorCode.ORDER_CANCELLED: "Order Canceled - reason:{reason}",
    ErrorCode.NO_SUCH_REQUEST: "Can't find EId with tickerId:{req_id}",
    ErrorCode.REQUEST_UNREADABLE: "Error reading request. {reason}",
    ErrorCode.REQUEST_INVALID: "Error validating request.{reason}",
    ErrorCode.REQUEST_FAILED: "Error processing request.{reason}",
    ErrorCode.CLIENT_ID_IN_USE: (
        "Unable to connect as the client id is already in use. Retry with a unique client id."
    ),
    ErrorCode.CANNOT_CHANGE_TYPE: "Order modify failed. Cannot change to the new order type.",
    ErrorCode.NOT_SUBSCRIBED: "Requested market data is not subscribed.",
    ErrorCode.NO_HISTORICAL_QUERY: "No historical data query found for ticker id:{req_id}",
    ErrorCode.UNSUPPORTED_ORDER_TYPE: (
        "Unsupported order type for this exchange and security type."
    ),
    ErrorCode.ORDER_WARNING: "Order Message:\n{reason}",
    ErrorCode.LOCATING_SHARES: ("Order held while securities are located.Reason:{reason}"),
    ErrorCode.REALTIME_PACING: "Invalid Real-time Query:{reason}",
    ErrorCode.CONNECTIVITY_LOST: (
        "Connectivity between IBKR and Trader Workstation has been lost."
    ),
    ErrorCode.RESTORED_DATA_LOST: (
        "Connectivity between IBKR and Trader Workstation has been restored - data lost."
    ),
    ErrorCode.RESTORED_DATA_KEPT: (
        "Connectivity between IBKR and Trader Workstation has been restored - data maintained."
    ),
    ErrorCode.PORT_RESET: "Socket port has been reset and this connection is being dropped.",
    ErrorCode.ACCOUNT_SUBSCRIPTION_TAKEN: "API client has been unsubscribed from account data.",
    ErrorCode.ACCOUNT_SUBSCRIPTION_REFUSED: (
        "Unable to subscribe to account as the following clients are subscribed to a different"
        " account: {clients}"
    ),
    ErrorCode.CANNOT_MODIFY_YET: ("Unable to modify this order as it is still being processed."),
    ErrorCode.MARKET_FARM_BROKEN: "Market data farm connection is broken:{farm}",
    ErrorCode.MARKET_FARM_OK: "Market data farm connection is OK:{farm}",
    ErrorCode.HISTORICAL_FARM_BROKEN: "HMDS data farm connection is broken:{farm}",
    ErrorCode.HISTORICAL_FARM_OK: "HMDS data farm connection is OK:{farm}",
    ErrorCode.HISTORICAL_FARM_INACTIVE: (
        "HMDS data farm connection is inactive but should be available upon demand.{farm}"
    ),
    ErrorCode.MARKET_FARM_INACTIVE: (
        "Market data farm connection is inactive but should be available upon demand.{farm}"
    ),
    ErrorCode.OUTSIDE_RTH_IGNORED: (
        'Order Event Warning:Attribute "Outside Regular Trading Hours" is ignored based on the'
        " order type and destination. PlaceOrder is now being processed."
    ),
    ErrorCode.SERVER_LINK_BROKEN: (
        "Connectivity between Trader Workstation and server is broken. It will be restored"
        " automatically."
    ),
    ErrorCode.SECDEF_FARM_BROKEN: "Sec-def data farm connection is broken:{farm}",
    ErrorCode.SECDEF_FARM_OK: "Sec-def data farm connection is OK:{farm}",
    ErrorCode.PARTLY_NOT_SUBSCRIBED: (
        "Requested market data requires additional subscription for API."
        " See link in 'Market Data Connections' dialog for more details."
    ),
    ErrorCode.CANCEL_NOT_FOUND: "OrderId {order_id} that needs to be cancelled is not found.",
    ErrorCode.CANCEL_TOO_LATE: (
        "OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {state}."
    ),
    ErrorCode.INVALID_ORDER_ID: "Invalid order id: {order_id}",
    ErrorCode.DELAYED_DATA: (
        "Requested market data is not subscribed. Displaying delayed market data."
    ),
    ErrorCode.NO_DELAYED_DATA: (
        "Requested market data is not subscribed. Delayed market data is not enabled."
    ),
    ErrorCode.LIVE_UPDATES_BROKEN: ("Failed to request live updates (disconnected)."),
    ErrorCode.COMPETING_SESSION: "No market data during competing live session",
    ErrorCode.BUST_EVENT: (
        "Bust event occurred, current subscription is deactivated."
        " Please resubscribe real-time bars immediately."
    ),
    ErrorCode.TIF_PRESET: "Order TIF was set to {tif} based on order preset.",
}


def text(code: ErrorCode, **values: object) -> str:
    """Return TWS's words for a code with the values that they need.

    Raises:
        ValueError: A value is missing, or one is not used; the message names it.
    """
    template = TEXTS[code]
    needed = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if needed != values.keys():
        wanted = ", ".join(sorted(needed)) or "no values"
        given = ", ".join(sorted(values)) or "none"
        raise ValueError(f"the text of error {code.value} needs {wanted}; given: {given}")
    return template.format(**values)
