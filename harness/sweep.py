"""A sweep: a clean run learns every point of a day, then each is taken in turn until none is left.

A trial that passes leaves nothing behind; the files of one that does not are kept. What a sweep
shows is its coverage: points hit over points learned.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from fakebroker.control import ControlError
from harness.beliefs import Beliefs
from harness.bot_life import PLAIN_LIMITS, Limits
from harness.case import Case
from harness.clock import Stopwatch
from harness.dart import Dart
from harness.errors import HarnessError, UserError
from harness.explore.learned import call_kills, calls_of, passage_kills
from harness.explore.plan import Learned, deep_trials, sample
from harness.explore.shrink import shrink
from harness.explore.trial import Kill, Trial
from harness.history import History
from harness.history.lines import lines_of
from harness.itinerary import Depth, Itinerary
from harness.judge import judge
from harness.points import WirePoint
from harness.result import Result, Verdict
from harness.runner import Branch, run_case
from harness.sameness import doubted, first_difference, nameless
from harness.scenario import Scenario
from harness.sequels import FORETOLD, Sequels
from harness.targets import BotSpec
from harness.targets.process import EXEC, Launcher
from harness.token import Token
from harness.trunk import Trunk, branches_off, branching_life

DEPTH_TWO = 2
THIRDS = 4
"""So many third crashes follow one of the second ones in the recovery from each first one."""


class Sweep:
    """One scenario with one store.

    Args:
        scenario: what is swept.
        store: what the bot keeps its state in.
        bot: the bot.
        folder: where the runs are; made if it is missing.
        depth: how far it goes.
        launcher: how programs are started.
        limits: how long to wait before giving up on a run.
        watch: is told how long each part of the runs took.
        branches: let runs branch off one that goes before them, and tell them to their end by what
            followed another crash, where that shows the same.
        sequels: where that and what the bot has told is kept, for several sweeps to share; None:
            in `folder`.
    """

    def __init__(
        self,
        scenario: Scenario,
        store: str,
        *,
        bot: BotSpec,
        folder: Path,
        depth: Depth,
        launcher: Launcher = EXEC,
        limits: Limits = PLAIN_LIMITS,
        watch: Stopwatch | None = None,
        branches: bool = False,
        sequels: Path | None = None,
    ) -> None:
        self.scenario = scenario
        self.store = store
        self.depth = depth
        self._bot = bot
        self._folder = folder
        self._launcher = launcher
        self._limits = limits
        self._watch = watch or Stopwatch()
        self._branches = branches
        self._foretells = branches and not depth.exhaustive
        self._trunks: dict[int, Trunk] = {}
        self._passed: dict[str, Result] = {}
        self._is_new = False
        self._played: dict[str, tuple[str, str]] = {}
        common = [scenario.name, store, str(depth.seed), bot.model_dump_json()]
        known = sequels or folder / "sequels"
        self._sequels = Sequels(known, sweep=json.dumps(common))
        self._beliefs = Beliefs(known, sweep=json.dumps(common))
        self._runs = 0
        self._clean: History | None = None
        self._clean_path = folder

    @property
    def clean(self) -> History:
        """The run without crashes; made on first use."""
        if self._clean is None:
            self._clean_path = self._play(self._case(None).clean(), learns=True)
            self._clean = History.read(self._clean_path)
        return self._clean

    @cached_property
    def itinerary(self) -> Itinerary:
        """What the clean run has taught, and what is done with it."""
        return Itinerary(self.scenario, self.store, self.depth, self.clean)

    @cached_property
    def _day(self) -> list[str]:
        """The lines of the run without crashes."""
        assert self.clean.complete, "a run that others branch off is compared with it"
        return lines_of(self._clean_path.read_text(encoding="utf-8"))

    def judge_clean(self) -> Result:
        """Judge the run without crashes: a bot that fails it has other troubles than crashes."""
        result = judge(self.scenario, self.clean, clean=self.clean)
        return result.model_copy(update={"history": str(self._clean_path)})

    def shrunk(self, trial: Trial) -> Result:
        """Find the least trial that fails for the same reason, and its result.

        Raises:
            UserError: the trial does not fail.
        """
        first = self.run(trial)
        if first.verdict is not Verdict.FAIL:
            raise UserError(f"{first.token} does not fail, its verdict is {first.verdict}")
        wanted = first.findings[0].invariant

        def fails(smaller: Trial) -> bool:
            found = self.run(smaller)
            return any(finding.invariant == wanted for finding in found.findings)

        bars = [event.time for event in self.clean.of_kind("bar")]
        least = shrink(trial, fails, points=self.learned().kills, bars=bars)
        return self.run(least)

    def learned(self) -> Learned:
        """Every point of the clean run."""
        return self.itinerary.learned

    def plan(self) -> tuple[Trial, ...]:
        """The trials of this sweep, see `Itinerary`.

        Raises:
            HarnessError: a run to learn from was cut short.
        """
        return self.itinerary.trials

    def course(self, trials: Sequence[Trial]) -> Iterator[Trial]:
        """Trials in turn, each to be run before the next is asked for, and the crashes inside.

        At a depth of two there is another crash at every point of the recovery from each of them,
        if that has left something new: what has left the same as one before is recovered from in
        the same way. At three there are some in the recovery from one of these. With a budget each
        crash is followed by one more in its recovery.
        """
        for trial in trials:
            yield trial
            if self.depth.depth > 1 and trial.is_point and (self._is_new or self.depth.budget):
                yield from self._inside(trial)

    def _inside(self, trial: Trial) -> Iterator[Trial]:
        """The trials with one more crash inside the recovery from a trial's last one."""
        met: list[Trial] = []
        seed = f"{self.depth.seed}/{trial}"
        few = None if self.depth.budget is None else 1
        for deeper in sample(deep_trials(trial, self.recovery_of(trial)), few, seed=seed):
            yield deeper
            if self._is_new or few:
                met.append(deeper)
        if self.depth.depth > DEPTH_TWO and met:
            [last] = sample(met, 1, seed=seed)
            yield from sample(deep_trials(last, self.recovery_of(last)), few or THIRDS, seed=seed)

    def recovery_of(self, trial: Trial) -> tuple[Kill, ...]:
        """The points of the recovery from a trial's last crash.

        These are the system calls at the instant of the restart, and the failpoints that the bot
        passes until it is ready. What it does later belongs to the day: an entry that was lost
        twice, with a time of waiting each, meets another price.
        """
        life = len(trial.kills) + 1
        history = History.read(self._play(self._case(trial), learns=True))
        calls = calls_of(history, life)
        restart = calls[0].time if calls else None
        inside = [call for call in calls if call.time == restart]
        return (*call_kills(inside), *passage_kills(history, life, recovery=True))

    def run(self, trial: Trial) -> Result:
        """Run one trial and judge it; the files of a PASS, and of what did not fit, are removed.

        What is known already is not played: the run to its end where another crash has left the
        same, nothing of it where the crash is another one in all but its name. What then does not
        pass is played after all; and from the beginning where the run has branched off.

        Raises:
            HarnessError: the run could not be made at all.
        """
        self._is_new = False
        result = self._run_or_tell(self._case(trial))
        self._is_new = result.verdict is Verdict.PASS and not result.foretold
        return result

    def _run_or_tell(self, case: Case) -> Result:
        if not self._foretells:
            return self._run(case, sequels=None)
        crash = self._crash_of(case)
        if crash in self._passed:
            return renamed(self._passed[crash], case)
        result = self._run(case, sequels=self._sequels)
        if result.foretold and not (result.verdict is Verdict.PASS or result.unfit):
            shutil.rmtree(Path(result.history).parent)
            result = self._run(case, sequels=None)
        if crash is not None and result.verdict is Verdict.PASS:
            self._passed[crash] = result
        return result

    def _crash_of(self, case: Case) -> str | None:
        """The crash where a case branches off, as a digest; None where nobody stands and lives."""
        if not branches_off(case):
            return None
        if isinstance(case.crashes[self._life_of(case) - 1].point, WirePoint):
            return None  # What lies in the wire at a message is only decided by the kill.
        try:
            with self._watch.part("trunk"):
                trunk = self._trunk_at(case)
                return None if trunk is None else trunk.crash_of(case)
        except (HarnessError, ControlError):
            self.close()
            return None

    def _run(self, case: Case, *, sequels: Sequels | None) -> Result:
        """Run a case, as far as it is not known what follows."""
        branched = self._branch(case, beliefs=self._beliefs, sequels=sequels)
        path = branched or self._play(case, beliefs=self._beliefs, sequels=sequels)
        history = History.read(path)
        told = bool(history.of_kind(FORETOLD))
        with self._watch.part("judge"):
            result = self._judge(history).model_copy(update={"foretold": told})
        if result.verdict is Verdict.PASS or result.unfit or told or branched is None:
            return self._settled(result, path)
        return self._compared(self._play(case), branched)

    def throw(self, dart: Dart) -> tuple[Trial | None, Path]:
        """Kill the bot at a random moment, and say at which point it was.

        Returns:
            the trial that hits this point again, None when the bot did not die of the dart; and
            the history of this run.
        """
        path = self._play(self._case(None).clean(), dart=dart)
        landed = [event.data["slug"] for event in History.read(path).of_kind("landed")]
        return (Trial.parse(f"kill={landed[0]}") if landed else None), path

    def play(self, trial: Trial) -> Path:
        """Run one trial without judging it; the path of its history."""
        return self._play(self._case(trial))

    def run_twice(self, trial: Trial) -> Result:
        """Run one trial twice; histories that differ are INCONCLUSIVE, whatever they show.

        One of the two begins at the beginning and is played to its end. The other branches off
        where it can; where it can be told by what followed another crash, that is compared, too.
        """
        self._is_new = False
        case = self._case(trial)
        others = [self._branch(case) or self._play(case)]
        if self._foretells:
            told = self._branch(case, sequels=self._sequels)
            others.append(told or self._play(case, sequels=self._sequels))
        first = self._play(case)
        doubt = self._doubt_of_name(case, first)
        foretold = any(map(is_told, others))
        result = self._compared(first, *others)
        result = result if doubt is None else doubted(result, doubt)
        self._is_new = result.verdict is Verdict.PASS and not foretold
        return result

    def _doubt_of_name(self, case: Case, path: Path) -> str | None:
        """Say so if a run is not that of another case whose crash differs in its name only."""
        crash = self._crash_of(case) if self._foretells else None
        if crash is None:
            return None
        token, text = str(Token.of(case)), nameless(path)
        namesake = self._played.setdefault(crash, (token, text))
        return None if namesake[1] == text else f"the same crash as that of {namesake[0]} differs"

    def _compared(self, first: Path, *others: Path) -> Result:
        """Judge the first of some runs of a case, which must be the same."""
        result = self._judge(History.read(first))
        for other in others:
            difference = first_difference(first, other)
            if difference is not None:
                result = doubted(result, f"two runs of the case differ: {difference}")
            shutil.rmtree(other.parent)
        return self._settled(result, first)

    def _settled(self, result: Result, path: Path) -> Result:
        """The result with the place of its files, which a PASS and what did not fit do not need."""
        if result.verdict is Verdict.PASS or result.unfit:
            shutil.rmtree(path.parent)
        return result.model_copy(update={"history": str(path)})

    def _judge(self, history: History) -> Result:
        return judge(self.scenario, history, clean=self.clean)

    def close(self) -> None:
        """End the runs that others branch off."""
        while self._trunks:
            self._trunks.popitem()[1].close()

    def _branch(
        self, case: Case, *, beliefs: Beliefs | None = None, sequels: Sequels | None = None
    ) -> Path | None:
        """Run a case from its first crash on; None when it has to be run from the beginning.

        Args:
            case: what to run.
            beliefs: what the bot has told in other runs; None: it is asked whatever is known.
            sequels: what followed other crashes; None: all of the run is played.
        """
        if not (self._branches and branches_off(case)):
            return None
        try:
            with self._watch.part("trunk"):
                trunk = self._trunk_at(case)
            if trunk is None:
                return None
            return self._play(
                case,
                beliefs=beliefs,
                sequels=sequels,
                branch=Branch(
                    life=trunk.life, equipment=lambda files: trunk.branch(case, self._bot, files)
                ),
            )
        except (HarnessError, ControlError):
            # The run could not be made; whatever it is, one from the beginning will say it.
            self.close()
            return None

    def _trunk_at(self, case: Case) -> Trunk | None:
        """A run that stands where a case branches off; None when none comes there.

        Raises:
            HarnessError: one cannot be had.
            ControlError: the broker does not do what it is told.
        """
        life = self._life_of(case)
        begins, crash = case.before(life=life), case.crashes[life - 1]
        known = self._trunks.get(life)
        if known is not None and known.case == begins:
            with contextlib.suppress(HarnessError, ControlError):
                if known.reach(crash):
                    return known
        if known is not None:
            self._trunks.pop(life).close()
        self._runs += 1
        trunk = self._trunks[life] = Trunk(
            begins,
            self._bot,
            self._folder / f"{self.store}-{self._runs}-trunk",
            limits=self._limits,
            launcher=self._launcher,
            day=self._day,
        )
        return trunk if trunk.reach(crash) else None

    def _life_of(self, case: Case) -> int:
        """The life of a case from whose crash on it is run, from 1."""
        return branching_life(case, deep=self.depth.depth > 1 and self.depth.budget is None)

    def _case(self, trial: Trial | None) -> Case:
        words = "" if trial is None else str(trial)
        return self.scenario.case(self.store, seed=self.depth.seed, trial=words)

    def _play(
        self,
        case: Case,
        *,
        learns: bool = False,
        dart: Dart | None = None,
        beliefs: Beliefs | None = None,
        sequels: Sequels | None = None,
        branch: Branch | None = None,
    ) -> Path:
        self._runs += 1
        return run_case(
            case,
            self._bot,
            self._folder / f"{self.store}-{self._runs}",
            limits=self._limits,
            launcher=self._launcher,
            learns=learns,
            dart=dart,
            watch=self._watch,
            beliefs=beliefs,
            sequels=sequels,
            branch=branch,
        )


def is_told(path: Path) -> bool:
    """Whether a run was told to its end by what followed another crash."""
    return bool(History.read(path).of_kind(FORETOLD))


def renamed(passed: Result, case: Case) -> Result:
    """The result of a case whose first crash differs from another one's in its name only."""
    points = (case.crashes[0].describe(), *passed.kill_points[1:])
    token = str(Token.of(case))
    return passed.model_copy(update={"token": token, "kill_points": points, "foretold": True})
