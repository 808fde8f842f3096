"""The two sides of one symbol's comparison: what differs, in words, and what the answer lacks.

Pure, and it changes no book: `quantities.py` does. Its findings go into the report.
"""

from dataclasses import dataclass
from decimal import Decimal

from target_trader.matching import Context, find
from target_trader.names import IntentState, Leg, exec_stem, plain
from target_trader.picture import BrokerExecution, Picture
from target_trader.report import FillFinding, FillKind, Report, SymbolFinding
from target_trader.state.checkpoint import BookedExecution, Checkpoint, Intent


@dataclass(frozen=True, slots=True)
class Missed:
    """An execution that the books had not, or (`was`) had with other figures."""

    fill: BrokerExecution
    was: BookedExecution | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two sides of one comparison and where its findings go."""

    before: Checkpoint
    checkpoint: Checkpoint
    picture: Picture
    context: Context
    report: Report
    missed: tuple[Missed, ...]


def tell_difference(sides: Comparison, finding: SymbolFinding, *, flat: bool) -> None:
    """Say what either side holds and which executions the state had missed."""
    stored, held = finding.state_quantity, finding.broker_quantity
    opposite = stored * held < 0
    mine, theirs = (plain(each if opposite else abs(each)) for each in (stored, held))
    words = f"   {finding.symbol}: State file shows {mine} shares"
    if flat:
        pass
    elif stored == held:
        sides.report.info(f"{words}, IBKR confirms {theirs} shares ✓")
    else:
        sides.report.warn(f"{words}, IBKR shows {theirs} shares ⚠️")
    for each in sides.missed:
        if each.fill.symbol == finding.symbol:
            tell_missed(sides, finding, each, flat=flat)
    if stored != 0 and held == 0:
        sides.report.warn("       → Position was closed by broker during downtime")


def tell_missed(sides: Comparison, finding: SymbolFinding, missed: Missed, *, flat: bool) -> None:
    """Note one execution that the state had not, or had otherwise."""
    margin = f"   {finding.symbol}:" if flat else "       →"
    fill = missed.fill
    if missed.was is None:
        note_fill(finding, fill, FillKind.BOOKED)
        line = f"{margin} missed fill booked: {fill_words(fill)}"
        if flat:
            sides.report.warn(line)
        else:
            sides.report.info(line)
    else:
        note_fill(finding, fill, FillKind.CORRECTED)
        words = f"{fill_words(fill)} (was {fill_words(missed.was)})"
        sides.report.warn(f"{margin} correction booked: {words}")


def note_fill(
    finding: SymbolFinding, fill: BrokerExecution | BookedExecution, kind: FillKind
) -> None:
    """Add an execution to a finding."""
    finding.fills.append(
        FillFinding(
            kind=kind, exec_id=fill.exec_id, side=fill.side, shares=fill.shares, price=fill.price
        )
    )


def fill_words(fill: BrokerExecution | BookedExecution) -> str:
    """Describe a fill: `SLD 50 @ 447.13`."""
    return f"{fill.side} {plain(fill.shares)} @ {plain(fill.price)}"


def difference_words(sides: Comparison, finding: SymbolFinding) -> str:
    """Describe a difference that no execution explains; the same words for the same difference."""
    books = plain(sides.checkpoint.held(finding.symbol))
    words = f"the books hold {books} shares, IBKR {plain(finding.broker_quantity)}"
    cost = sides.picture.average_cost(finding.symbol)
    at_cost = f" at {plain(cost)}" if finding.broker_quantity else ""
    known = any(each.symbol == finding.symbol for each in sides.checkpoint.open_positions())
    why = "no fill explains the difference" if known else "the position is unknown to the state"
    return f"{words}{at_cost}; {why}"


def missing_fills(sides: Comparison, symbol: str) -> dict[str, BookedExecution]:
    """Return the booked executions of today that the broker does not tell, by their stems."""
    told = {exec_stem(each.exec_id) for each in sides.picture.executions}
    return {
        stem: each
        for stem, each in sides.checkpoint.executions.items()
        if each.symbol == symbol
        and stem not in told
        and not each.estimated
        and is_served(sides, each)
    }


def is_silent(sides: Comparison, symbol: str) -> bool:
    """Tell whether the broker tells nothing of a symbol although fills of today are booked."""
    told = any(each.symbol == symbol for each in sides.picture.executions)
    return not told and bool(missing_fills(sides, symbol))


def forgets(sides: Comparison, symbol: str) -> bool:
    """Tell whether the broker has forgotten its executions: it tells none of several orders.

    All that is booked comes to the position that was held, so an empty answer and a flat account
    always agree with a bust of everything. What the broker does not tell is not thereby undone.
    """
    gone = missing_fills(sides, symbol).values()
    return is_silent(sides, symbol) and len({each.perm_id or each.order_ref for each in gone}) > 1


def vanished_exits(sides: Comparison, symbol: str) -> list[Intent]:
    """Return the exits that worked in the books and of which the broker says not one word."""
    pairs = zip(sides.before.intents, sides.checkpoint.intents, strict=False)
    return [
        now
        for was, now in pairs
        if now.symbol == symbol
        and now.leg is not Leg.ENTRY
        and was.live
        and now.state is IntentState.CANCELLED
        and all(find((now,), each) is None for each in sides.picture.completed_orders)
    ]


def is_served(sides: Comparison, execution: BookedExecution) -> bool:
    """Tell whether the broker still serves an execution: since midnight only (section 3.6)."""
    midnight = sides.context.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return execution.time >= midnight


def signed_shares(execution: BookedExecution) -> Decimal:
    """Return what an execution moved a position by."""
    return execution.shares if execution.side == "BOT" else -execution.shares
