"""Which executions a reqExecutions asks for (tws-protocol.md section 3.6)."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakebroker.exchange.events import ExecutionRecord
from fakebroker.journal import EXCHANGE_ZONE
from fakebroker.protocol.requests import ExecutionFilter

# `20251006 10:05:45`, one or two spaces, an optional zone; `20251006-14:05:45` is UTC.
TIME = re.compile(r"(\d{8})(-| {1,2})(\d{2}:\d{2}:\d{2})(?: (\S.*))?")
SIDES = {"BUY": "BOT", "SELL": "SLD"}


class FilterError(Exception):
    """The filter cannot be understood; the message is for the client."""


def passes(wanted: ExecutionFilter, execution: ExecutionRecord) -> bool:
    """Say whether an execution passes a filter, whose empty fields restrict nothing.

    The client id is not looked at: what it means is a setting.

    Raises:
        FilterError: The filter's time is not one.
    """
    since = filter_time(wanted.time)
    contract = execution.contract
    asked_and_given = (
        (wanted.account, execution.account),
        (wanted.symbol, contract.symbol),
        (wanted.sec_type, contract.sec_type),
        (SIDES.get(wanted.side, wanted.side), execution.side),
    )
    matches = all(asked in ("", given) for asked, given in asked_and_given)
    return matches and (since is None or execution.time >= since)


def filter_time(text: str) -> datetime | None:
    """Return the time of a filter, or `None` for an empty one; without a zone it is New York's.

    Raises:
        FilterError: The text is not a time as IB writes it, or the zone does not exist.
    """
    if not text:
        return None
    match = TIME.fullmatch(text)
    if match is None:
        raise FilterError(f"time {text!r} is not 'yyyymmdd hh:mm:ss zone' or 'yyyymmdd-hh:mm:ss'")
    day, separator, clock, zone = match.groups()
    try:
        moment = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - zone below
        where = UTC if separator == "-" else ZoneInfo(zone) if zone else EXCHANGE_ZONE
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise FilterError(f"time {text!r}: {error}") from error
    return moment.replace(tzinfo=where)
