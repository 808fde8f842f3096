"""A failure that teaches.

The headline, what happened, the few events that matter, what stands at the end, what is at risk,
and how to see it again. Plain text, so that it reads the same in a terminal, in a JUnit file and
in a log.
"""

import json
from decimal import Decimal
from typing import Any

from harness.history import History
from harness.invariants.ledger import orders_at_end
from harness.invariants.names import holding
from harness.report.timeline import timeline
from harness.result import Finding, Result, Verdict


def report(result: Result, history: History, *, bot_options: str = "") -> str:
    """The text for one result; one line for a PASS."""
    where = " / ".join((result.title, result.store, killed_words(result)))
    headline = f"{headline_word(result.verdict)}  {where}"
    parts = [headline]
    match result.verdict:
        case Verdict.PASS:
            return headline
        case Verdict.FAIL:
            parts += failure(result, history)
        case Verdict.INCONCLUSIVE:
            parts.append("  The run proves nothing, which is not a pass:")
            parts += [f"    {reason}" for reason in result.reasons]
    parts += [f"  not judged: {words}" for words in result.unjudged]
    parts.append(f"  replay: crashgate replay {result.token}{bot_options}")
    if result.history:
        parts.append(f"  history: {result.history}")
    return "\n".join(parts)


def failure(result: Result, history: History) -> list[str]:
    """The middle of a failure's text."""
    first, *others = result.findings
    lines = [f"  {first.sentence}"]
    lines += [f"    {line.render()}" for line in timeline(history, result.findings)]
    lines += [f"  also: {finding.invariant}: {finding.sentence}" for finding in others]
    risk = at_risk(result.findings)
    money = f"      at risk: ${risk:,.0f}" if risk else ""
    then, end = both_sides(until(history, first)), both_sides(history)
    if then == end:
        lines.append(f"  {end}{money}")
    else:
        lines += [f"  then        {then}{money}", f"  at the end  {end}"]
    lines += [f"  besides: {reason}" for reason in result.reasons]
    return lines


def until(history: History, finding: Finding) -> History:
    """The history up to the event that shows a finding; all of it when it points at none."""
    if not finding.seqs:
        return history
    last = finding.seqs[-1]
    return History(tuple(event for event in history.events if event.seq <= last))


def both_sides(history: History) -> str:
    """What the broker holds and what the bot believes, in one line."""
    return f"broker: {broker_words(history)}      bot: {belief_words(history)}"


def headline_word(verdict: Verdict) -> str:
    """How a verdict is said at the beginning of a line."""
    return {
        Verdict.PASS: "PASSED",
        Verdict.FAIL: "FAILED",
        Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    }[verdict]


def killed_words(result: Result) -> str:
    """Where the bot was killed, all kills in order."""
    points = " and ".join(result.kill_points)
    return f"killed {points}" if points else "never killed"


def broker_words(history: History) -> str:
    """What the broker holds at the end: positions and working stops."""
    held: dict[str, Decimal] = {}
    for fill in history.fills:
        held[fill.symbol] = fill.position_after
    stops = [order for order in orders_at_end(history) if order.is_stop]
    words = []
    for symbol, quantity in held.items():
        if quantity == 0:
            continue
        side = "SELL" if quantity > 0 else "BUY"
        found = [
            f"stop {order.remaining} @ {order.aux_price}"
            for order in stops
            if (order.symbol, order.action) == (symbol, side)
        ]
        words.append(f"{holding(symbol, quantity)}, {' and '.join(found) or 'no stop'}")
    working = len(orders_at_end(history))
    return "; ".join(words) or (f"flat, {working} orders working" if working else "flat")


def belief_words(history: History) -> str:
    """What the bot believes to hold, at the last time that it was asked."""
    if not history.states:
        return "does not say"
    positions = history.states[-1].belief.positions
    words = [holding(symbol, position.quantity) for symbol, position in positions.items()]
    return "; ".join(words) or "flat"


def at_risk(findings: tuple[Finding, ...]) -> Decimal:
    """The largest sum that one of the findings puts at risk; they often mean the same shares."""
    return max((f.at_risk for f in findings if f.at_risk is not None), default=Decimal(0))


def coverage(swept: list[str]) -> str:
    """How much of each sweep was covered: points hit over points learned, and the trials.

    A run that dies where another one has left the same is told to its end by that one
    (`harness/sequels.py`); such trials are counted in and told. A trial whose word did not fit has
    shown nothing of it and is told apart, and so is a word that fitted in no sweep of its store, or
    needs what no point of the day has.

    Args:
        swept: a JSON object for each part of a sweep (see `user_properties.py`).
    """
    sweeps: dict[tuple[str, str], list[dict[str, Any]]] = {}
    shown: dict[str, set[str]] = {}
    for told in map(json.loads, swept):
        sweeps.setdefault((told["scenario"], told["store"]), []).append(told)
        shown.setdefault(told["store"], set()).update(told["shown"])
    return "\n".join(
        f"{scenario}  {store}  {covered(parts, shown[store])}"
        for (scenario, store), parts in sorted(sweeps.items())
    )


def covered(parts: list[dict[str, Any]], shown: set[str]) -> str:
    """What the parts of one sweep have covered; `shown` are the words that fitted somewhere."""
    names = ("hit", "trials", "passed", "foretold", "unfit")
    count = {name: sum(each[name] for each in parts) for name in names}
    words = f"{count['hit']} of {parts[0]['points']} points hit, "
    words += f"{count['passed']} of {count['trials']} trials passed"
    if count["foretold"]:
        words += f" ({count['foretold']} by what followed a crash that left the same)"
    if count["unfit"]:
        words += f", {count['unfit']} did not fit and show nothing"
    missing = {word for each in parts for word in each["misfits"]} - shown
    return words + (f"; fitted nowhere: {', '.join(sorted(missing))}" if missing else "")


def summary(rows: list[tuple[str, str, str, str]]) -> str:
    """The table of a gate run.

    Args:
        rows: scenario, store, where the bot was killed, verdict; one row a run.
    """
    table = [("scenario", "store", "killed", "verdict"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        for row in table
    )
