"""What the fixture `crashgate` gives to a test: runs, sweeps, canaries, stored histories.

Whatever is not a PASS fails the test, or the subtest, with the text that teaches.
"""

import contextlib
import faulthandler
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError, UserError
from harness.explore.order import share
from harness.explore.trial import Trial
from harness.gate import judge_stored, run_scenario
from harness.history import History
from harness.itinerary import Depth
from harness.report.terminal import report
from harness.result import Result, Verdict
from harness.scenario import Scenario
from harness.sweep import Sweep
from harness.targets import BotSpec
from harness.token import Token
from harness.user_properties import COLUMNS, PREFIX, SWEPT
from harness.workshop import Workshop


class Gate:
    """Runs scenarios for one test."""

    def __init__(
        self,
        request: pytest.FixtureRequest,
        folder: Path,
        *,
        bot: BotSpec,
        tools: Workshop,
        replay: Token | None = None,
    ) -> None:
        self._request = request
        self._node = request.node
        self._folder = folder
        self._bot = bot
        self._tools = tools
        self._seed: int = request.config.getoption("crash_seed")
        self._replay = replay
        self._runs = 0

    def run(self, scenario: Scenario, store: str) -> Result:
        """Run a scenario with a store and judge it; fail the test unless it passes."""
        self._skip_unless_wanted(scenario, store, swept=False)
        return self.settle(self._run(scenario, store, bot=self._bot))

    def sweep(self, scenario: Scenario, store: str, *, part: int = 0, parts: int = 1) -> None:
        """Kill the bot at every point of a scenario, each as a subtest.

        Args:
            scenario: what is swept.
            store: what the bot keeps its state in.
            part: which part of the points is taken, from 0.
            parts: in how many parts they are divided, so that they run side by side.
        """
        self._skip_unless_wanted(scenario, store, swept=True, first=part == 0)
        sweep = self._tools.sweep(scenario, store, bot=self._bot, depth=self._depth())
        try:
            with self._judged():
                self.settle(sweep.judge_clean(), quietly=True)
                trials = sweep.plan() if self._replay is None else (self._wanted_trial(sweep),)
                self._take(sweep, share(trials, part, parts), whole=trials)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)

    def _take(self, sweep: Sweep, trials: tuple[Trial, ...], *, whole: tuple[Trial, ...]) -> None:
        """Run trials, each as a subtest, and record how many points were hit."""
        # Each trial has deadlines of its own; that all of them take long is nothing to look into.
        faulthandler.cancel_dump_traceback_later()
        subtests = self._request.getfixturevalue("subtests")
        twice = self._request.config.getoption("check_determinism")
        patience = self._request.config.getvalue("maxfail") or math.inf
        ran = passed = hit = unfit = foretold = 0
        shown: set[str] = set()
        misfits: set[str] = set()
        try:
            for trial in sweep.course(trials):
                ran += 1
                with subtests.test(msg=str(trial)), self._judged():
                    result = sweep.run_twice(trial) if twice else sweep.run(trial)
                    passed += result.verdict is Verdict.PASS
                    foretold += result.foretold
                    hit += trial.is_point and len(result.kill_points) == 1
                    if result.unfit:
                        unfit += 1
                        misfits.update(words_of(trial))
                        pytest.skip("; ".join(result.misfits))
                    shown.update(words_of(trial))
                    self.settle(result, quietly=True)
                if ran - passed - unfit >= patience:
                    break
        finally:
            # With -x pytest itself leaves this test in the middle.
            told = {
                "scenario": sweep.scenario.name,
                "store": sweep.store,
                "points": sum(trial.is_point for trial in whole),
                "hit": hit,
                "trials": ran,
                "passed": passed,
                "foretold": foretold,
                "unfit": unfit,
                "shown": sorted(shown),
                "misfits": sorted({*misfits, *sweep.itinerary.nowhere}),
            }
            self._node.user_properties.append((SWEPT, json.dumps(told)))

    def _depth(self) -> Depth:
        option = self._request.config.getoption
        return Depth(
            seed=self._seed,
            budget=option("crash_budget"),
            # A token says all that is to be done.
            depth=option("crash_depth") if self._replay is None else 1,
            exhaustive=option("exhaustive"),
        )

    def _wanted_trial(self, sweep: Sweep) -> Trial:
        """The trial of --replay, if the case is still what it was."""
        token = self._replay
        assert token is not None, "only asked for with --replay"
        token.check(sweep.scenario.case(sweep.store, seed=token.seed, trial=token.trial))
        return Trial.parse(token.trial)

    def _skip_unless_wanted(
        self, scenario: Scenario, store: str, *, swept: bool, first: bool = True
    ) -> None:
        """With --replay everything but its case is skipped; its seed is the token's."""
        if self._replay is None:
            return
        mine = (scenario.name, store, swept) == (
            self._replay.scenario,
            self._replay.store,
            bool(self._replay.trial),
        )
        if not (mine and first):
            pytest.skip(f"--replay asks for another case: {self._replay}")
        self._seed = self._replay.seed

    @contextlib.contextmanager
    def _judged(self) -> Iterator[None]:
        """Turn the harness's own failure into an INCONCLUSIVE of the test."""
        try:
            yield
        except HarnessError as error:
            pytest.fail(f"INCONCLUSIVE  {error}", pytrace=False)

    def must_fail(self, scenario: Scenario, store: str, *, bot: str, because_of: str) -> Result:
        """Run a broken bot, the canary; fail the test unless the named invariant catches it.

        A gate that passes everything is worth nothing, so each of its runs shows that it can fail.
        """
        self._skip_unless_wanted(scenario, store, swept=True)
        try:
            broken = BotSpec.choose(bot)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        result = self._run(scenario, store, bot=broken)
        caught = result.verdict is Verdict.FAIL and any(
            finding.invariant == because_of for finding in result.findings
        )
        verdict = f"FAIL, as it must ({because_of})" if caught else f"{result.verdict}, NOT CAUGHT"
        self._record(
            f"canary: {scenario.name}", store, " and ".join(result.kill_points), verdict=verdict
        )
        if not caught:
            found = ", ".join(finding.invariant for finding in result.findings) or "nothing"
            reasons = "; ".join(result.reasons) or "none"
            pytest.fail(
                f"the canary {bot} lives: {scenario.title} / {store} should fail because of "
                f"{because_of}; verdict {result.verdict}, found {found}, reasons: {reasons}",
                pytrace=False,
            )
        return result

    def _run(self, scenario: Scenario, store: str, *, bot: BotSpec) -> Result:
        self._runs += 1
        folder = self._folder / (store if self._runs == 1 else f"{store}-{self._runs}")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return run_scenario(
                scenario,
                store,
                bot=bot,
                folder=folder,
                seed=self._seed,
                launcher=self._tools.launcher,
            )
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        except HarnessError as error:
            self._record(scenario.name, store, "", verdict="INCONCLUSIVE")
            pytest.fail(f"INCONCLUSIVE  {scenario.title} / {store}\n  {error}", pytrace=False)

    def judge(self, scenario: Scenario, history: Path) -> Result:
        """Judge a stored history; fail the test unless it passes."""
        try:
            result = judge_stored(scenario, history)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        return self.settle(result)

    def settle(self, result: Result, *, quietly: bool = False) -> Result:
        """Record a result, and fail the test with the text that teaches unless it is a PASS.

        Args:
            result: the judgement.
            quietly: leave it out of the table at the end.
        """
        if not quietly:
            killed = " and ".join(result.kill_points)
            self._record(result.scenario, result.store, killed, verdict=result.verdict.value)
            self._node.user_properties.append((PREFIX + "token", result.token))
        if result.verdict is not Verdict.PASS:
            kept = self._kept(Path(result.history))
            text = report(
                result.model_copy(update={"history": str(kept)}),
                History.read(kept),
                bot_options=self._bot.options,
            )
            pytest.fail(text, pytrace=False)
        return result

    def _kept(self, history: Path) -> Path:
        """Where the files of a failed run stay: not in the scratch folder, which vanishes."""
        if not history.is_relative_to(self._tools.folder):
            return history
        place = self._folder / history.parent.name
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(history.parent, place)
        return place / history.name

    def _record(self, scenario: str, store: str, killed: str, *, verdict: str) -> None:
        values = (scenario, store, killed, verdict)
        self._node.user_properties.extend(
            (PREFIX + name, value) for name, value in zip(COLUMNS, values, strict=True)
        )


def words_of(trial: Trial) -> list[str]:
    """What else is to happen at the crashes of a trial."""
    return [word for kill in trial.kills for word in kill.words]
