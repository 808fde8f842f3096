"""One run, from which the runs with one crash more branch off.

A day is the same up to a crash whatever the crash is. So it is lived once: the bot is held at one
point after the other, and at each the run can go on in another way: with the files as a SIGKILL at
this point leaves them, in a folder of their own, and a fork of the broker with its books. What a
killed process leaves is what the kernel has of it (crash-model.md section 4), and that is what is
copied; the bot that is restarted is a new process as ever. A branch writes the bytes that the
history of a real kill has, and a sweep kills for real wherever a branch does not pass.

The second crash of a run lies in the recovery from its first. There are hundreds of points in it,
so where a sweep goes that deep, a run that has crashed once is held at each of them.

At a failpoint the bot is held in the words with which it tells that it passes there, so a run whose
first point is one has all of them told. It does nothing else differently; only its log is longer.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fakebroker.control_messages import Status
from harness.bot_life import BotLife, Equipment, Limits
from harness.branching import (
    before_halt,
    copy_tree,
    is_day,
    is_ours,
    log_of_a_kill,
    unnumbered,
    without_halts,
)
from harness.broker_process import BrokerProcess
from harness.case import Case, Crash
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.faults.keys import read_contents, read_values
from harness.forked_broker import forked_broker
from harness.history.lines import lines_of
from harness.history.writer import HistoryWriter
from harness.outages import Outages
from harness.points import CrashPoint, FailPoint, SystemCall, WirePoint
from harness.redis_process import RedisProcess, redis_at_need
from harness.runner import RunFolder, die_at, failpoints_of, headline, prepared
from harness.sequels import has_sequels, left_behind
from harness.targets import BotSpec, Session
from harness.targets.process import Launcher
from harness.targets.sockets import LoopbackQueues
from harness.targets.threads import Onlooker


def branches_off(case: Case) -> bool:
    """Whether a run of a case can begin at one of its crashes."""
    return bool(case.crashes) and has_sequels(case)


def branching_life(case: Case, *, deep: bool) -> int:
    """The life of a case from whose crash on it is run, from 1.

    Args:
        case: one that branches off.
        deep: many cases have its first crashes, so that it pays to live these once; a crash at a
            message, or one that damages files, has no place in what is lived for many.
    """
    *first, last = case.crashes
    held = isinstance(last.point, SystemCall | FailPoint)
    if deep and held and all(crash.storage is None for crash in first):
        return len(case.crashes)
    return 1


class Trunk:
    """A run that is held at points; to be closed after use.

    Args:
        case: the crashes that all branches have.
        bot: the bot to run it on.
        folder: where it is run; made, and removed at the end.
        limits: how long to wait before giving up.
        launcher: how programs are started.
        day: the lines of the case's history where nobody is held.
    """

    def __init__(
        self,
        case: Case,
        bot: BotSpec,
        folder: Path,
        *,
        limits: Limits,
        launcher: Launcher,
        day: Sequence[str],
    ) -> None:
        self.case = case
        self._day = [unnumbered(line) for line in day if not is_ours(line)]
        self._bot = bot
        self._folder = folder
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        shared = prepared(
            case, bot, RunFolder(folder), limits=limits, launcher=launcher, learns=False
        )
        try:
            kit = self._cleanup.enter_context(shared)
            self._began = kit.control.status().now
            kit.history.note("case", self._began)
            # Faults that the broker begins with are armed before anything is said of the case.
            self._preface = kit.history.written - 1
            for life, crash in enumerate(case.crashes, start=1):
                die_at(crash, case, kit, life=life)
            kit.history.drain()
            self._died = kit.history.written if case.crashes else 0
            self._log_begins = kit.log.stat().st_size if case.crashes else 0
            self._kit: Equipment = replace(kit, goes_on=True)
        except BaseException:
            self._cleanup.close()
            raise
        self._life: BotLife | None = None
        self._stops: Iterator[Status] = iter(())
        self._ended = False

    @property
    def life(self) -> int:
        """The life that is held, from 1."""
        return len(self.case.crashes) + 1

    def close(self) -> None:
        """Leave nothing of it behind."""
        self._cleanup.close()

    def reach(self, crash: Crash) -> bool:
        """Let the bot go on to where a crash is to be; False when it does not come there any more.

        Raises:
            HarnessError: the bot does not go quiet, or the run is not what it would be without the
                standstills before.
            ControlError: it is a message that the broker has seen already.
        """
        if self._ended:
            return False
        if self._stands_at(crash):
            return True
        if self._life is not None and self._life.is_past(crash):
            return False
        if self._life is not None:
            self._life.go_on(crash)
        elif not self._begin(crash):
            return False
        self._ended = next(self._stops, None) is None
        if self._ended:
            return False
        if not self._stands_at(crash):
            raise HarnessError(f"the run stands elsewhere than {crash.describe()}")
        if isinstance(crash.point, WirePoint):
            self._require_healed()
        return True

    def _require_healed(self) -> None:
        """Make sure that the standstills before this one have changed nothing.

        The bot goes on while the broker stands still, and what it does then it may do in another
        order than in a run that stands still for the first time.

        Raises:
            HarnessError: they have.
        """
        lines = self._lived()
        until = before_halt(lines)
        if not is_day([unnumbered(line) for line in lines[:until]], self._day[:until]):
            raise HarnessError("a standstill has changed the day that others branch off")

    def _lived(self) -> list[str]:
        """The lines of what has happened so far, without standstills that are over."""
        self._kit.history.drain()
        lines = lines_of(self._kit.history.path.read_text(encoding="utf-8"))
        lived = [*lines[: self._died], *without_halts(lines[self._died :])]
        return [line for line in lived if not is_ours(line)]

    def _told(self) -> list[str]:
        """The same in the order in which a run tells it that stands still for the first time."""
        lines = self._lived()
        until = 0 if self.case.crashes else before_halt(lines)
        return [*(f'{{"seq":0,{line}' for line in self._day[:until]), *lines[until:]]

    def _begin(self, crash: Crash) -> bool:
        """Make the bot's life ready to begin; False when it has no such failpoint."""
        if isinstance(crash.point, FailPoint):
            names = failpoints_of(self._bot, self._kit.launcher, store=self.case.store)
            if crash.point.name not in names:
                return False
            self._kit = replace(self._kit, failpoints=names)
        self._life = BotLife(self._kit, self.case, number=self.life, crash=crash)
        self._cleanup.enter_context(self._life)
        stops = self._life.stops()
        self._cleanup.callback(stops.close)
        self._stops = stops
        return True

    def _stands_at(self, crash: Crash) -> bool:
        return self._life is not None and self._life.stands_at(crash)

    def crash_of(self, case: Case) -> str:
        """A digest of the crash of a case at the point that was reached, and of what comes before.

        Where two cases have the same one, all that differs between them is what the kill is called.

        Raises:
            HarnessError: Redis does not do what it is told.
        """
        kit = self._kit
        values: Mapping[str, bytes] = {}
        if kit.redis is not None:
            self._await_redis(kit.redis)
            values = read_values(kit.redis.url)  # The bot lives: nothing is known from before.
        kit.history.drain()
        lived = hashlib.sha256(kit.history.path.read_bytes()).hexdigest()
        broker = f"{lived} {kit.control.fingerprint(counts=True)}"
        return left_behind(
            case, kit.session, life=self.life, broker=broker, values=values, names=kit.bot.names
        )

    @contextlib.contextmanager
    def branch(self, case: Case, bot: BotSpec, files: RunFolder) -> Iterator[Equipment]:
        """Everything that a run of a case shares, as it is at the point that was reached.

        Args:
            case: the crash of the life that is held is at this point.
            bot: the bot.
            files: where it is run; made, must not exist.

        Raises:
            HarnessError: Redis or the broker do not do what they are told.
        """
        kit, root = self._kit, files.root.resolve()
        root.mkdir(parents=True)
        copy_tree(Path(kit.session.state_dir), root / "state")
        watchlist = Path(kit.session.watchlist).name
        shutil.copy(self._folder / watchlist, root / watchlist)
        if kit.log.exists():
            self._copy_log(root / kit.log.name, case.crashes[self.life - 1].point)
        kit.history.drain()
        with contextlib.ExitStack() as cleanup:
            redis: RedisProcess | None = None
            if kit.redis is not None:
                self._await_redis(kit.redis)
                redis = cleanup.enter_context(
                    redis_at_need(root, read_contents(kit.redis.url), launcher=kit.launcher)
                )
            broker = cleanup.enter_context(forked_broker(kit.broker, root))
            history = cleanup.enter_context(HistoryWriter(files.history, broker.journal))
            told = self._told()
            history.go_on_with(told[: self._preface])
            history.note("case", self._began, **headline(case, bot))
            history.go_on_with(told[self._preface :])
            outages = Outages(case, root / "state", history=history, redis=redis)
            queues = LoopbackQueues()
            cleanup.callback(queues.close)
            yield replace(
                kit,
                bot=bot,
                broker=broker,
                queues=queues,
                session=moved(kit.session, root, broker=broker, redis=redis, case=case),
                history=history,
                log=root / kit.log.name,
                outages=cleanup.enter_context(outages),
                redis=redis,
                goes_on=False,
            )

    def _copy_log(self, target: Path, point: CrashPoint) -> None:
        """Write the log as a bot that was killed at this point has left it."""
        log = self._kit.log.read_bytes()
        before, lived = log[: self._log_begins], log[self._log_begins :]
        told = self._life is not None and self._life.tells
        target.write_bytes(before + (log_of_a_kill(lived, point) if told else lived))

    def _await_redis(self, redis: RedisProcess) -> None:
        """Wait until Redis has done everything that the bot has sent."""
        onlooker, deadline = Onlooker(redis.pid), Deadline(self._kit.limits.quiet)
        before = onlooker.look()
        while not deadline.passed:
            ports = redis.client_ports()
            unread = sum(self._kit.queues.unread_by_server(port, redis.port) for port in ports)
            now = onlooker.look()
            if unread == 0 and before.waiting and now.waiting and before.switches == now.switches:
                onlooker.close()
                return
            before = now
        raise HarnessError("Redis does not come to an end with what the bot has sent")


def moved(
    session: Session,
    root: Path,
    *,
    broker: BrokerProcess,
    redis: RedisProcess | None,
    case: Case,
) -> Session:
    """What the bot is told in the folder of a branch."""
    return session.model_copy(
        update={
            "port": broker.port,
            "state_dir": str(root / "state"),
            "watchlist": str(root / Path(session.watchlist).name),
            "redis_url": "" if redis is None else redis.url,
            "settings": case.environment,
        }
    )
