"""From a stored history to a verdict, without running anything.

Every check is run on its own: one that crashes makes the run INCONCLUSIVE with its error and
never hides what the others found. Reasons are collected even when there are findings, because a
FAIL that rests on half a run should say so.
"""

import itertools
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from harness.checks import Needs
from harness.errors import HarnessError, UserError
from harness.history import History
from harness.points.words import ordinal
from harness.result import Finding, Result, verdict_of
from harness.scenario import Scenario

AnswerT = TypeVar("AnswerT")


@dataclass(slots=True)
class Notes:
    """What is known so far."""

    findings: list[Finding] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


def judge(scenario: Scenario, history: History, *, clean: History | None = None) -> Result:
    """Judge a history by a scenario.

    Args:
        scenario: its invariants, expectations and conditions are asked.
        history: the run.
        clean: the same case without crashes, for expectations that compare.

    Returns:
        the result; its `history` is left empty for the caller, who knows the path.

    Raises:
        UserError: the first line of the history does not say which case it is.
    """
    told = headline_of(history)
    notes = Notes()
    notes.reasons += cut_short(history)
    notes.reasons += unreached(history, told)
    misfits = unfitting(history)
    notes.reasons += misfits
    for condition in scenario.requires:
        missing = guarded(condition.name, partial(condition.missing, history), notes)
        if missing is not None:
            notes.reasons.append(missing)
    ask_checks(scenario, history, clean=clean, notes=notes)
    findings, reasons = tuple(notes.findings), tuple(dict.fromkeys(notes.reasons))
    return Result(
        title=scenario.title,
        scenario=scenario.name,
        store=str(told["store"]),
        verdict=verdict_of(findings, reasons),
        findings=findings,
        reasons=reasons,
        misfits=tuple(dict.fromkeys(misfits)),
        unjudged=tuple(notes.unjudged),
        kill_points=tuple(kill.point for kill in history.kills),
        token=str(told["token"]),
    )


def ask_checks(
    scenario: Scenario, history: History, *, clean: History | None, notes: Notes
) -> None:
    """Ask the invariants and the expectations, and collect what they say."""
    tells = bool(history.states)
    for invariant in scenario.invariants:
        if invariant.needs is Needs.BELIEF and not tells:
            notes.unjudged.append(f"{invariant.name}: the bot does not say what it believes")
            continue
        found = guarded(invariant.name, partial(invariant.check, history), notes)
        notes.findings += found or []
    if not history.complete:
        return
    for expectation in scenario.expectations:
        if expectation.needs is Needs.BELIEF and not tells:
            notes.unjudged.append(f"{expectation.name}: the bot does not say what it believes")
            continue
        if expectation.compares and clean is None:
            notes.reasons.append(f"not judged: {expectation.name}: there is no run without crashes")
            continue
        found = guarded(expectation.name, partial(expectation.check, history, clean), notes)
        notes.findings += found or []


def guarded(name: str, ask: Callable[[], AnswerT], notes: Notes) -> AnswerT | None:
    """Ask a check; when it crashes, note the reason and answer None.

    Raises:
        UserError: the history is damaged, which is the user's to mend.
    """
    try:
        return ask()
    except UserError:
        raise
    except HarnessError as error:
        notes.reasons.append(f"not judged: {name}: {error}")
        return None
    except Exception as error:  # noqa: BLE001 - whatever a check raises is a reason, not a verdict
        frame = traceback.extract_tb(error.__traceback__)[-1]
        notes.reasons.append(
            f"the check {name!r} crashed: {type(error).__name__}: {error} "
            f"({frame.filename.rpartition('/')[2]} line {frame.lineno})"
        )
        return None


def headline_of(history: History) -> dict[str, object]:
    """What the first line of a history says about its case.

    Raises:
        UserError: it says nothing.
    """
    cases = history.of_kind("case")
    if not cases:
        raise UserError(
            f"{history.name} does not say which case it is: its 'case' line is missing, so it is "
            f"not a whole history of crashgate"
        )
    return dict(cases[0].data)


def cut_short(history: History) -> list[str]:
    """Why the run did not get to its end, if it did not."""
    reasons = [str(event.data["reason"]) for event in history.of_kind("cut_short")]
    if not reasons and not history.complete:
        reasons.append("the history stops before the run's end: the run was broken off")
    return reasons


def unfitting(history: History) -> list[str]:
    """The downtimes of which nothing could be played: such a run has not shown that word."""
    reasons: list[str] = []
    told = [*history.of_kind("downtime"), None]
    for downtime, following in itertools.pairwise(told):
        assert downtime is not None, "only the last one is None"
        until = history.events[-1].seq if following is None else following.seq
        skipped = [each for each in history.of_kind("skipped") if downtime.seq < each.seq <= until]
        if skipped and len(skipped) == downtime.data.get("wanted"):
            reasons += [f"it did not fit: {each.data['reason']}" for each in skipped]
    return reasons


def unreached(history: History, told: dict[str, object]) -> list[str]:
    """The planned crash points at which no kill happened, and the faults that never came."""
    planned = told.get("crashes")
    assert isinstance(planned, list), "the writer always names the planned crashes"
    reasons = [
        f"the {ordinal(number)} crash point was never reached: {point}"
        for number, point in enumerate(planned, start=1)
        if number > len(history.kills)
    ]
    failed = {str(event.data["words"]) for event in history.of_kind("call_fault")}
    meant = told.get("fails", [])
    assert isinstance(meant, list), "the writer lists the calls that were to fail"
    reasons += [f"the planned fault never came: {words}" for words in meant if words not in failed]
    happened = {str(event.data["words"]) for event in history.of_kind("outage")}
    away = told.get("outages", [])
    assert isinstance(away, list), "the writer lists the outages that were to happen"
    reasons += [f"the outage never came: {words}" for words in away if words not in happened]
    return reasons
