"""The reconciliation report: lines with a loudness.

Collected by pure code, printed by the shell.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime

from target_trader.log import LOG
from target_trader.names import clock_words, plain
from target_trader.state.checkpoint import Checkpoint


@dataclass(slots=True)
class Report:
    """Lines in the order in which they were found out."""

    lines: list[tuple[int, str]] = field(default_factory=list)

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
            LOG.log(level, "%s", line)

    def text(self) -> str:
        """Return all lines as one text."""
        return "\n".join(line for _, line in self.lines)


def age_words(since: datetime, now: datetime) -> str:
    """Write how long ago something was: `11 minutes ago`."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 120:
        return f"{seconds} seconds ago"
    minutes = seconds // 60
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


def recovered_lines(checkpoint: Checkpoint, report: Report, *, now: datetime) -> None:
    """Say what the stored state holds and how old it is."""
    saved = checkpoint.saved_at.astimezone(now.tzinfo)
    report.info(f"🔄 STATE RECOVERED from {clock_words(saved)} ET ({age_words(saved, now)})")
    report.info(f"   Positions: {len(checkpoint.open_positions())}")
    report.info(f"   Daily P&L: {money(checkpoint)}")


def final_lines(checkpoint: Checkpoint, report: Report) -> None:
    """Say what the bot goes on with."""
    positions = checkpoint.open_positions()
    names = ", ".join(sorted(each.symbol for each in positions))
    report.info("FINAL RECOVERED STATE:")
    report.info(f"  Positions: {len(positions)}" + (f" ({names})" if names else ""))
    report.info(f"  Daily P&L: {money(checkpoint)} (continuing from previous session)")
    for each in positions:
        stop = f"stop {each.stop_price}"
        shares = plain(each.open_shares)
        report.info(f"  {each.symbol}: {each.side} {shares} @ {plain(each.entry_price)}, {stop}")
    if checkpoint.halted is not None:
        report.error(f"  HALTED, no new entries: {checkpoint.halted}")


def money(checkpoint: Checkpoint) -> str:
    """Write the day's realised P&L: `$756.19`, `-$150.00`."""
    pnl = checkpoint.session.daily_pnl
    return f"{'-' if pnl < 0 else ''}${abs(pnl):.2f}"
