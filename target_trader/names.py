"""The words of the bot: sides, legs, the states of an intent, and the orderRef.

The orderRef is the one key that the broker keeps for us through open orders, executions and
completed orders (tws-protocol.md section 3.2), so it is a pure function of the signal and
nothing else: no clock, no counter of the process, no random part.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

PS60 = "PS60"
SMA = "SMA"
CENT = Decimal("0.01")
REF_PATTERN = re.compile(
    r"(?P<trade>(?P<strategy>PS60|SMA)\|(?P<symbol>[^|]+)\|(?P<side>[LS])\|(?P<day>\d{8})"
    r"\|(?P<attempt>A?\d+))"
    r"\|(?P<leg>entry|stop|partial|target|exit)(?P<ordinal>\d*)"
)


class Side(StrEnum):
    """The direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def sign(self) -> int:
        """1 for long, -1 for short: a position's shares times this is its signed quantity."""
        return 1 if self is Side.LONG else -1

    @property
    def entry_action(self) -> str:
        """The action of an order that opens the position."""
        return "BUY" if self is Side.LONG else "SELL"

    @property
    def exit_action(self) -> str:
        """The action of an order that closes the position."""
        return "SELL" if self is Side.LONG else "BUY"

    @property
    def entry_execution(self) -> str:
        """The side that IB writes on an execution that opens the position."""
        return "BOT" if self is Side.LONG else "SLD"


class Leg(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    STOP = "stop"
    PARTIAL = "partial"
    TARGET = "target"
    EXIT = "exit"


class IntentState(StrEnum):
    """How far an intent has come.

    `UNKNOWN` is an intent that the bot may or may not have sent in an earlier life: the broker
    shows no trace of it yet.
    """

    PLANNED = "planned"
    SENT = "sent"
    UNKNOWN = "unknown"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    LOST = "lost"


LIVE = frozenset({IntentState.PLANNED, IntentState.SENT, IntentState.UNKNOWN, IntentState.WORKING})
UNSEEN = frozenset({IntentState.PLANNED, IntentState.SENT, IntentState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class RefParts:
    """An orderRef of ours, taken apart; `attempt` is None for an adopted position."""

    trade_id: str
    symbol: str
    side: Side
    day: str
    attempt: int | None
    leg: Leg
    ordinal: int
    strategy: str = PS60


def trade_id(symbol: str, side: Side, *, day: date, attempt: int, strategy: str = PS60) -> str:
    """Name a trade after the signal that asks for it: `SMA|AAPL|L|20251006|1`."""
    return f"{strategy}|{symbol}|{side.value[0]}|{day:%Y%m%d}|{attempt}"


def adopted_id(symbol: str, side: Side, *, day: date, number: int, strategy: str = PS60) -> str:
    """Name a position that the broker holds and no signal of ours explains."""
    return f"{strategy}|{symbol}|{side.value[0]}|{day:%Y%m%d}|A{number}"


def order_ref(trade: str, leg: Leg, *, ordinal: int = 1) -> str:
    """Name one order of a trade; the first of its leg carries no number."""
    return f"{trade}|{leg}" if ordinal == 1 else f"{trade}|{leg}{ordinal}"


def parse_ref(text: str) -> RefParts | None:
    """Take an orderRef apart, or None when it is not one of ours."""
    match = REF_PATTERN.fullmatch(text)
    if match is None:
        return None
    attempt = match["attempt"]
    return RefParts(
        trade_id=match["trade"],
        symbol=match["symbol"],
        side=Side.LONG if match["side"] == "L" else Side.SHORT,
        day=match["day"],
        attempt=None if attempt.startswith("A") else int(attempt),
        leg=Leg(match["leg"]),
        ordinal=int(match["ordinal"] or 1),
        strategy=match["strategy"],
    )


def attempt_key(symbol: str, side: Side, pivot: Decimal | None) -> str:
    """Name the budget that an attempt is taken from: `TSLA|LONG|444.77`.

    A trade of the SMA crossover has no pivot and counts under `SMA:TSLA|LONG`, which begins with
    no symbol, so that it is never taken for an attempt at a level.
    """
    return f"{SMA}:{symbol}|{side}" if pivot is None else f"{symbol}|{side}|{pivot}"


def exec_stem(exec_id: str) -> str:
    """The part of an execId that a correction keeps (tws-protocol.md section 3.5)."""
    return exec_id.rpartition(".")[0] or exec_id


def exec_revision(exec_id: str) -> int:
    """The last part of an execId: a correction carries a higher one. 0 when it is no number."""
    last = exec_id.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def to_tick(price: Decimal) -> Decimal:
    """Round a price to the tick of US stocks, one cent."""
    return price.quantize(CENT, rounding=ROUND_HALF_UP)


def decimal_of(number: float) -> Decimal:
    """Take a float of ib_insync as the decimal that it prints, without trailing zeros."""
    value = Decimal(str(number))
    whole = value.to_integral_value()
    return whole if value == whole else value.normalize()


def plain(value: Decimal) -> str:
    """Write a quantity for a person: `50`, never `5E+1` or `50.0`."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock_words(moment: datetime) -> str:
    """Write a time of day as the trading desk does: `10:05:47 AM`."""
    return moment.strftime("%I:%M:%S %p")
