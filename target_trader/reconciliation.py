"""The reconciliation report for a machine: one JSON object a line, one file a day.

`build` is pure and compares the books before and after; `write` appends to
`reconciliation_YYYYMMDD.jsonl` in the state folder what says something new. The file is a
record for people and their tools; the bot never reads it to decide anything.
"""

import logging
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from target_trader.errors import TraderError
from target_trader.log import tell
from target_trader.matching import Context, find
from target_trader.names import IntentState, parse_ref
from target_trader.picture import Picture
from target_trader.report import (
    AttemptFinding,
    OrderFinding,
    OrderVerdict,
    Report,
    StateOrigin,
    SymbolFinding,
    Verdict,
)
from target_trader.settings import Policy
from target_trader.state.checkpoint import Checkpoint, Halt, Intent, Record

PATTERN = "reconciliation_????????.jsonl"


class Outcome(StrEnum):
    """The gravest thing that a reconciliation ended with.

    AGREED: nothing to do. CAUGHT_UP: fills and ends of orders were booked. ADJUSTED: the books
    took the broker's quantity without an execution for it. UNSETTLED: something is too young to
    tell, the broker is asked again. FROZEN and HALTED: a person has to look.
    """

    AGREED = "AGREED"
    CAUGHT_UP = "CAUGHT_UP"
    ADJUSTED = "ADJUSTED"
    UNSETTLED = "UNSETTLED"
    FROZEN = "FROZEN"
    HALTED = "HALTED"


class ReconciliationReport(Record):
    """One reconciliation. `origin` is set for the first one of a start only.

    Orders that were done before and after are left out. `frozen` says by symbol why no order is
    sent in it.
    """

    time: datetime
    day: date
    policy: Policy
    outcome: Outcome
    origin: StateOrigin | None = None
    symbols: list[SymbolFinding] = Field(default_factory=list)
    orders: list[OrderFinding] = Field(default_factory=list)
    attempts: list[AttemptFinding] = Field(default_factory=list)
    frozen: dict[str, str] = Field(default_factory=dict)
    halts: list[Halt] = Field(default_factory=list)

    def says_the_same(self, other: "ReconciliationReport") -> bool:
        """Tell whether only the moment differs."""
        left, right = (each.model_dump(exclude={"time", "origin"}) for each in (self, other))
        return left == right


def build(
    before: Checkpoint,
    after: Checkpoint,
    picture: Picture,
    *,
    context: Context,
    report: Report,
    ask_again: bool,
) -> ReconciliationReport:
    """Gather a reconciliation's findings into one record."""
    orders = [*own_orders(before, after), *foreign_orders(after, picture)]
    attempts = changed_attempts(before, after)
    return ReconciliationReport(
        time=context.now,
        day=after.day,
        policy=context.rules.policy,
        outcome=outcome_of(after, report, orders=orders, ask_again=ask_again),
        origin=context.origin,
        symbols=list(report.symbols),
        orders=orders,
        attempts=attempts,
        frozen=dict(after.frozen),
        halts=[each.model_copy() for each in after.halts],
    )


def own_orders(before: Checkpoint, after: Checkpoint) -> list[OrderFinding]:
    """Say of each order that was or is live what became of it."""
    known = {key_of(each): each for each in before.intents}
    findings = []
    for intent in after.intents:
        old = known.get(key_of(intent))
        verdict = order_verdict(old, intent)
        if verdict is not None:
            findings.append(
                OrderFinding(
                    order_ref=intent.order_ref,
                    symbol=intent.symbol,
                    order_id=intent.order_id,
                    verdict=verdict,
                    state=intent.state.value,
                )
            )
    return findings


def key_of(intent: Intent) -> tuple[str, int, datetime]:
    """Name one sending of an order; a lost one's ref and a rolled back id are used again."""
    return intent.order_ref, intent.order_id, intent.planned_at


def order_verdict(old: Intent | None, intent: Intent) -> OrderVerdict | None:
    """Judge one order; None when it was done before and nothing has changed."""
    if old is None:
        return OrderVerdict.ADOPTED
    if intent.state is IntentState.WORKING:
        return OrderVerdict.CONFIRMED
    if intent.live:
        return OrderVerdict.UNKNOWN
    if not old.live and old.state is intent.state:
        return None
    return OrderVerdict.LOST if intent.state is IntentState.LOST else OrderVerdict.ENDED


def foreign_orders(after: Checkpoint, picture: Picture) -> list[OrderFinding]:
    """List the broker's working orders that are not ours."""
    return [
        OrderFinding(
            order_ref=each.order_ref,
            symbol=each.symbol,
            order_id=each.order_id,
            verdict=OrderVerdict.FOREIGN,
            state=each.status,
        )
        for each in picture.open_orders
        if parse_ref(each.order_ref) is None and find(after.intents, each) is None
    ]


def changed_attempts(before: Checkpoint, after: Checkpoint) -> list[AttemptFinding]:
    """List the attempt counts that are not what they were."""
    keys = sorted({*before.attempts, *after.attempts})
    pairs = [(key, before.attempts.get(key, 0), after.attempts.get(key, 0)) for key in keys]
    return [AttemptFinding(key=key, before=old, after=new) for key, old, new in pairs if old != new]


def outcome_of(
    after: Checkpoint, report: Report, *, orders: list[OrderFinding], ask_again: bool
) -> Outcome:
    """Return the gravest of the findings."""
    verdicts = {each.verdict for each in report.symbols}
    fates = {each.verdict for each in orders}
    if after.engine_halted:
        return Outcome.HALTED
    if after.frozen:
        return Outcome.FROZEN
    if ask_again or OrderVerdict.UNKNOWN in fates:
        return Outcome.UNSETTLED
    if verdicts & {Verdict.SYNCED, Verdict.ADOPTED}:
        return Outcome.ADJUSTED
    if Verdict.CAUGHT_UP in verdicts or fates - {OrderVerdict.CONFIRMED, OrderVerdict.FOREIGN}:
        return Outcome.CAUGHT_UP
    return Outcome.AGREED


def path_of(folder: Path, day: date) -> Path:
    """The file of a day."""
    return folder / f"reconciliation_{day:%Y%m%d}.jsonl"


def write(folder: Path, report: ReconciliationReport, *, at_start: bool = False) -> bool:
    """Append a report unless it repeats the last one; tell whether it was written.

    Args:
        folder: the state folder.
        report: what to append to its day's file.
        at_start: write it in any case, a start is worth a line.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = path_of(folder, report.day)
    try:
        last = read_file(path)
    except TraderError as error:
        # A record for people must not stop a bot that has a position to guard.
        tell("reconciliation_damaged", f"{error}; appending to it", level=logging.WARNING)
        last = None
    if last is not None and not at_start and last.says_the_same(report):
        return False
    old = path.read_bytes() if path.exists() else b""
    # A line that a crash has cut short is ended first, so that this one is whole.
    gap = b"\n" if old and not old.endswith(b"\n") else b""
    with path.open("ab") as stream:
        stream.write(gap + report.model_dump_json().encode() + b"\n")
    return True


def read_last(folder: Path) -> ReconciliationReport | None:
    """Return the last report of the newest day, None when there is none.

    Raises:
        TraderError: the file cannot be read or its last whole line is no report.
    """
    paths = sorted(folder.glob(PATTERN))
    return read_file(paths[-1]) if paths else None


def read_file(path: Path) -> ReconciliationReport | None:
    """Return the last whole report of one file; a line that a crash cut short is passed over.

    Raises:
        TraderError: the file cannot be read or its last whole line is no report.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TraderError(f"{path} cannot be read: {error}") from error
    lines = text.split(b"\n")[:-1]
    if not lines:
        return None
    try:
        return ReconciliationReport.model_validate_json(lines[-1])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
        raise TraderError(
            f"{path}, line {len(lines)}: {place}: {first['msg']}; move the file away to go on"
        ) from error
