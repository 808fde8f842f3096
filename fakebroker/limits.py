"""How much of the broker one client may take: bounds on what a session makes it remember.

The books grow with orders, as they must; everything else that a client can make grow has a bound.
Frames and unsent bytes are bounded where the bytes are; here it is subscriptions, and the account
that clients can keep each other from.
"""

from collections.abc import Sequence

from fakebroker.protocol import ErrorCode, requests, text
from fakebroker.protocol.replies import SYSTEM_ID, ErrorMessage
from fakebroker.protocol.requests import Request
from fakebroker.session import Session
from fakebroker.settings import BrokerSettings

Subscribing = (
    requests.ReqAccountSummary
    | requests.ReqAccountUpdatesMulti
    | requests.ReqHistoricalData
    | requests.ReqMktData
    | requests.ReqPnL
    | requests.ReqPnLSingle
    | requests.ReqPositionsMulti
    | requests.ReqRealTimeBars
    | requests.ReqTickByTickData
)


def over_limit(request: Request, session: Session, *, most: int) -> ErrorMessage | None:
    """Return TWS's refusal when the session has `most` subscriptions and asks for another."""
    if not isinstance(request, Subscribing) or session.subscriptions < most:
        return None
    return ErrorMessage(request.req_id, ErrorCode.MAX_TICKERS, text(ErrorCode.MAX_TICKERS))


def other_account(
    request: Request, session: Session, sessions: Sequence[Session], settings: BrokerSettings
) -> ErrorMessage | None:
    """Return TWS's refusal where other clients hear of another account than this one asks for."""
    if not isinstance(request, requests.ReqAccountUpdates) or not request.subscribe:
        return None
    if settings.account_updates == "each_client":
        return None
    wanted = request.account or settings.account
    others = [
        str(each.client_id)
        for each in sessions
        if each is not session and each.account_updates not in (None, wanted)
    ]
    if not others:
        return None
    code = ErrorCode.ACCOUNT_SUBSCRIPTION_REFUSED
    return ErrorMessage(SYSTEM_ID, code.value, text(code, clients=", ".join(others)))
