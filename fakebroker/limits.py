"""How much of the broker one client may take: bounds on what a session makes it remember.

The books grow with orders, as they must; everything else that a client can make grow has a bound.
Frames and unsent bytes are bounded where the bytes are; here it is subscriptions.
"""

from fakebroker.protocol import ErrorCode, requests, text
from fakebroker.protocol.replies import ErrorMessage
from fakebroker.protocol.requests import Request
from fakebroker.session import Session

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
