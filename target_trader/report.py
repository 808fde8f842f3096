"""What a reconciliation has found out: lines for a person, findings for a machine.

Collected by pure code and printed by the shell. The records are what `reconciliation.py` writes
down; who wins what is not decided here but in `reconcile.py`.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from target_trader.log import tell
from target_trader.names import Leg, clock_words, plain
from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint, Position, Record
from target_trader.strategy.exits import desired_exits


class Verdict(StrEnum):
    """What became of the quantity of one symbol.

    CONFIRMED: both sides said the same. CAUGHT_UP: executions explain the difference and are
    booked. LAGGING: a fill is too young to tell, the broker is asked again. SYNCED, ADOPTED: the
    books took the broker's quantity. FROZEN, HALTED: the books stay, by policy. FOREIGN: not ours.
    """

    CONFIRMED = "CONFIRMED"
    CAUGHT_UP = "CAUGHT_UP"
    LAGGING = "LAGGING"
    SYNCED = "SYNCED"
    ADOPTED = "ADOPTED"
    FROZEN = "FROZEN"
    HALTED = "HALTED"
    FOREIGN = "FOREIGN"


class OrderVerdict(StrEnum):
    """What became of one order; ENDED is filled, cancelled, expired or rejected by now."""

    CONFIRMED = "CONFIRMED"
    ADOPTED = "ADOPTED"
    UNKNOWN = "UNKNOWN"
    LOST = "LOST"
    ENDED = "ENDED"
    FOREIGN = "FOREIGN"


class FillKind(StrEnum):
    """How an execution came into the books, or out of them."""

    BOOKED = "BOOKED"
    CORRECTED = "CORRECTED"
    BUSTED = "BUSTED"
    BY_HAND = "BY_HAND"
    ESTIMATED = "ESTIMATED"


class FillFinding(Record):
    """One execution that the state had not, or had otherwise. Price in dollars."""

    kind: FillKind
    exec_id: str
    side: str
    shares: Decimal
    price: Decimal


class SymbolFinding(Record):
    """Both sides' signed shares of one symbol before anything was mended, and what was done."""

    symbol: str
    state_quantity: Decimal
    broker_quantity: Decimal
    verdict: Verdict = Verdict.CONFIRMED
    actions: list[str] = Field(default_factory=list)
    fills: list[FillFinding] = Field(default_factory=list)


class OrderFinding(Record):
    """One order: its ref, its id at the broker (0: none), and its state in the books."""

    order_ref: str
    symbol: str
    order_id: int
    verdict: OrderVerdict
    state: str


class AttemptFinding(Record):
    """An attempt count that was raised to what the broker shows, or given back."""

    key: str
    before: int
    after: int


class StateOrigin(Record):
    """Where the state came from that a start began with.

    `source` is the store's copy, main, backup or none; `age_seconds` how long before the start it
    was saved; `rejected` why it was not used, None when it was or when there was none.
    """

    source: str
    saved_at: datetime | None = None
    age_seconds: float | None = None
    day: str | None = None
    rejected: str | None = None
    problems: list[str] = Field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Lines in the order in which they were found out, and the findings behind them."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    symbols: list[SymbolFinding] = field(default_factory=list)

    def info(self, line: str) -> None:
        """Add a line that only informs."""
        self.lines.append((logging.INFO, line))

    def warn(self, line: str) -> None:
        """Add a line about something that did not agree and was put right."""
        self.lines.append((logging.WARNING, line))

    def error(self, line: str) -> None:
        """Add a line about something that a person should look at."""
        self.lines.append((logging.ERROR, line))

    def print(self) -> None:
        """Write the report to the log."""
        for level, line in self.lines:
            tell("reconciliation", line, level=level)

    def text(self) -> str:
        """Return all lines as one text."""
        return "\n".join(line for _, line in self.lines)


def age_words(since: datetime, now: datetime) -> str:
    """Write how long ago something was, to the nearest minute: `11 minutes ago`."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 120:
        return f"{seconds} seconds ago"
    minutes = (seconds + 30) // 60
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


def recovered_lines(checkpoint: Checkpoint, report: Report, *, now: datetime) -> None:
    """Say what the stored state holds and how old it is."""
    saved = checkpoint.saved_at.astimezone(now.tzinfo)
    report.info(f"🔄 STATE RECOVERED from {clock_words(saved)} ET ({age_words(saved, now)})")
    report.info(f"   Positions: {len(checkpoint.open_positions())}")
    report.info(f"   Daily P&L: {money(checkpoint)}")


def final_lines(checkpoint: Checkpoint, report: Report, *, rules: Rules | None = None) -> None:
    """Say what the bot goes on with, the oldest trade first.

    Args:
        checkpoint: the books.
        report: where the lines go.
        rules: with them a stop that is about to be moved is told with its new price; None when
            nothing is going to be sent.
    """
    positions = sorted(
        checkpoint.open_positions(), key=lambda each: each.entry_time or each.signal_time
    )
    names = ", ".join(dict.fromkeys(each.symbol for each in positions))
    report.info("FINAL RECOVERED STATE:")
    report.info(f"  Positions: {len(positions)}" + (f" ({names})" if names else ""))
    report.info(f"  Daily P&L: {money(checkpoint)} (continuing from previous session)")
    for each in positions:
        stays = checkpoint.engine_halted or each.symbol in checkpoint.frozen
        stop = stop_words(each, None if stays else rules)
        shares = plain(each.open_shares)
        report.info(f"  {each.symbol}: {each.side} {shares} @ {plain(each.entry_price)}, {stop}")
    for symbol, why in sorted(checkpoint.frozen.items()):
        report.error(f"  {symbol}: FROZEN, no orders in it: {why}")
    if checkpoint.halted is not None:
        what = "no orders at all" if checkpoint.engine_halted else "no new entries"
        report.error(f"  HALTED, {what}: {checkpoint.halted}")


def stop_words(position: Position, rules: Rules | None) -> str:
    """Write where the stop of a trade is, and where it goes if it is not where it should be."""
    exits = desired_exits(position, rules) if rules is not None else ()
    wanted = [each.price for each in exits if each.leg is Leg.STOP]
    words = f"stop {position.stop_price}"
    if wanted and wanted[0] != position.stop_price:
        words += f", to be moved to {wanted[0]}"
    return words


def money(checkpoint: Checkpoint) -> str:
    """Write the day's realised P&L: `$756.19`, `-$150.00`."""
    pnl = checkpoint.session.daily_pnl
    return f"{'-' if pnl < 0 else ''}${abs(pnl):.2f}"
