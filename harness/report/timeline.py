"""Picks the few events of a history that tell a finding's story, and says each in a line.

Shown are the kills and restarts, the fills, the bot's orders of the lives concerned, and whatever
the finding points at, which carries the mark. A long day is cut to the lines around the mark.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.history import Event, Fill, History, OrderRecord
from harness.history.records import leg_of
from harness.invariants.ledger import replay
from harness.invariants.names import holding
from harness.points.quiet import clock_of
from harness.result import Finding

LINES_MAX = 14


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story: exchange time, who, what, and a mark or nothing."""

    seq: int
    time: str
    who: str
    what: str
    mark: str = ""

    def render(self) -> str:
        """The line as it is printed."""
        arrow = f"   <- {self.mark}" if self.mark else ""
        return f"{self.time}  {self.who:<7} {self.what}{arrow}"


def timeline(history: History, findings: Iterable[Finding]) -> list[Line]:
    """The lines that tell the story of some findings, in order, at most `LINES_MAX`."""
    marks: dict[int, str] = {}
    pointed: dict[int, bool] = {}
    for finding in findings:
        pointed |= dict.fromkeys(finding.seqs, True)
        if finding.seqs:
            words = (
                f"{finding.invariant} broken"
                if finding.invariant != "Expected"
                else "not as expected"
            )
            marks.setdefault(finding.seqs[-1], words)
    fills = {fill.seq: fill for fill in history.fills}
    orders = {order.seq: order for order in history.orders}
    lines: list[Line] = []
    alive = False
    for event, ledger in replay(history, messages=True):
        alive = {"launched": True, "killed": False, "exited": False}.get(event.kind, alive)
        told: tuple[str, str] | None
        if event.seq in fills:
            told = "broker", tell_fill(fills[event.seq], alive=alive)
        elif event.seq in orders:
            told = tell_order(orders[event.seq], pointed=event.seq in pointed)
        elif event.kind == "killed":
            held = [holding(s, q) for s, q in ledger.positions.items() if q != 0]
            told = "harness", f"SIGKILL {event.data['point']}; the account: {both(held)}"
        else:
            told = tell(event, pointed=event.seq in pointed, marked=event.seq in marks)
        if told is not None:
            who, what = told
            mark = marks.get(event.seq, "")
            lines.append(Line(event.seq, clock_of(event.time), who, what, mark))
    return shorten(lines)


def both(held: list[str]) -> str:
    """Some positions in one phrase."""
    return ", ".join(held) or "flat"


def tell_fill(fill: Fill, *, alive: bool) -> str:
    """An execution in words."""
    what = f"{leg_words(fill.order_ref)} filled: {fill.side} {fill.shares} {fill.symbol}"
    dead = "" if alive else "      the bot was dead"
    return f"{what} @ {fill.price}  {fill.order_ref}".rstrip() + dead


def tell_order(order: OrderRecord, *, pointed: bool) -> tuple[str, str] | None:
    """What happened to an order, if it is part of a story."""
    ref = f"  {order.order_ref}".rstrip()
    match order.event:
        case "accepted" if order.by_bot:
            return "bot", f"sent {order.describe()}{ref}"
        case "modified":
            return "bot", f"changed to {order.describe()}{ref}"
        case "accepted" | "cancelled" | "rejected" | "reduced":
            return "broker", f"{order.event} {order.describe()}{ref}"
        case _ if pointed:
            return "broker", f"{order.event} {order.describe()}{ref}"
        case _:
            return None


def tell(event: Event, *, pointed: bool, marked: bool) -> tuple[str, str] | None:
    """Who did what in any other event; None when it is not part of a story."""
    data = event.data
    match event.kind:
        case "launched":
            return "bot", "started" if data["life"] == 1 else "restarted"
        case "exited":
            return "bot", f"ended by itself: {data['last_words']}"
        case "outage":
            return "harness", str(data["words"])
        case "outage_over":
            return "harness", f"over: {data.get('words', data['fault'])}"
        case "downtime" if data["words"] != "restarted at once":
            return "harness", str(data["words"])
        case "lost" if pointed:
            return "broker", f"never got {data['message']}, which was lost on the way"
        case "received" | "sent" if marked:
            # Orders have lines of their own; a bare message is shown only where it decides.
            return "broker", f"{event.kind} {data['message']}"
        case "state" if pointed:
            return "bot", f"its state says: {believed(event)}"
        case "bar" | "ready" | "books" | "ended" if pointed:
            return "bot", "quiet"
        case _:
            return None


def leg_words(order_ref: str) -> str:
    """What kind of order was filled, as far as its ref says so."""
    return leg_of(order_ref) if "|" in order_ref else "order"


def believed(event: Event) -> str:
    """The positions in a reading of the bot's state."""
    belief = event.data["belief"]
    assert isinstance(belief, dict), "a state event holds a belief"
    positions = belief.get("positions")
    if not isinstance(positions, dict) or not positions:
        return "flat"
    told = [
        f"{symbol} {position['quantity']}"
        for symbol, position in positions.items()
        if isinstance(position, dict)
    ]
    return ", ".join(told)


def shorten(lines: list[Line]) -> list[Line]:
    """At most `LINES_MAX` lines: the marked ones, the lives, and what is nearest to the marks."""
    if len(lines) <= LINES_MAX:
        return lines
    marks = [number for number, line in enumerate(lines) if line.mark] or [len(lines) - 1]

    def weight(number: int) -> tuple[bool, bool, int]:
        line = lines[number]
        lives = line.who == "harness" or line.what == "restarted"
        return (not line.mark, not lives, min(abs(number - mark) for mark in marks))

    kept = sorted(sorted(range(len(lines)), key=weight)[:LINES_MAX])
    return [lines[number] for number in kept]
