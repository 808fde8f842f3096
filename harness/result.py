"""What a judgement says: findings, reasons, and a verdict of three values.

INCONCLUSIVE is its own answer: the run did not show what it was meant to show. It is never folded
into PASS; when several things are known at once the worst one wins, and FAIL is worse.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from harness.values import Value


class Verdict(StrEnum):
    """The three answers, with the exit code of the command line beside each."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """0, 1 and 3; 2 is kept for the user's own mistakes."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}[self]


WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


class Finding(Value):
    """The bot did something that it must not do.

    Attributes:
        invariant: the name of what was broken ("NoFlip").
        sentence: what happened, in plain words.
        seqs: the events of the history that show it, the decisive one last.
        at_risk: money at risk in the account's currency, where it can be computed.
    """

    invariant: str
    sentence: str
    seqs: tuple[int, ...] = ()
    at_risk: Decimal | None = None


class Result(Value):
    """The judgement of one run.

    Attributes:
        title: the scenario in words.
        scenario: its slug.
        store: the store that the bot used.
        verdict: the worst of what is known.
        findings: what the bot did wrong; FAIL if there are any.
        reasons: why the run proves nothing; INCONCLUSIVE if there are any and no finding.
        foretold: whether what followed the crash is what followed another one that left the same.
        misfits: those of the reasons that say that nothing of what was to happen at a crash fitted.
        unjudged: invariants that could not be looked at, because the bot does not tell enough.
        kill_points: where the bot was killed, in words, in order.
        token: what `crashgate replay` takes.
        history: path of the stored history.
    """

    title: str
    scenario: str
    store: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    foretold: bool = False
    unjudged: tuple[str, ...] = ()
    kill_points: tuple[str, ...] = ()
    token: str
    history: str = ""

    @property
    def unfit(self) -> bool:
        """Whether all that is wrong is that the crash left the broker without what was to happen.

        Nobody's fault, and nothing is shown: a sweep counts it apart.
        """
        return self.verdict is Verdict.INCONCLUSIVE and self.reasons == self.misfits


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; PASS of none."""
    found = list(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.PASS)


def verdict_of(findings: tuple[Finding, ...], reasons: tuple[str, ...]) -> Verdict:
    """FAIL with a finding, else INCONCLUSIVE with a reason, else PASS."""
    if findings:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if reasons else Verdict.PASS
