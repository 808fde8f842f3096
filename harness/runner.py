"""One case from start to history: `run_case` is the page that explains the whole harness.

The broker, its books and the tape outlive the bot; the bot is a real process that is killed with
SIGKILL at exact points. Nothing here judges: what happened is written down, and `judge.py` reads
it. What the harness cannot do ends up in the history too, as the reason why the run is cut short.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fakebroker.control import ControlError
from harness.beliefs import Beliefs
from harness.bot_life import PLAIN_LIMITS, BotLife, Died, EndOfTape, Equipment, Limits
from harness.broker_process import running_broker
from harness.case import Case, Crash
from harness.clock import Stopwatch
from harness.clock_hand import preparation
from harness.dart import Dart
from harness.downtime.play import play_downtime
from harness.errors import HarnessError, UserError
from harness.faults.apply import needs_copies
from harness.faults.copies import Copies
from harness.faults.memory import Memory
from harness.faults.play import play_storage_fault
from harness.faults.read_only import humble_command, make_writable
from harness.faults.storage import StorageFault
from harness.history.lines import lines_of
from harness.history.writer import HistoryWriter
from harness.outages import Outages
from harness.redis_process import RedisProcess, running_redis
from harness.sequels import FORETOLD, Sequels, counts_matter, has_sequels, left_behind
from harness.targets import BotSpec, Session
from harness.targets.process import EXEC, Launcher
from harness.targets.sockets import LoopbackQueues
from harness.token import Token

LIST_SECONDS = 30.0
RESTARTS_MAX = 5
HISTORY_NAME = "history.jsonl"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run, all in one folder."""

    root: Path

    @property
    def history(self) -> Path:
        """What happened."""
        return self.root / HISTORY_NAME

    @property
    def clean(self) -> Path:
        """The folder of the same case without crashes, where one was run."""
        return self.root / "clean"


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a run goes on from another one (`trunk.py`).

    Attributes:
        life: the one that stands at its crash, from 1.
        equipment: makes what the lives share.
    """

    life: int
    equipment: Callable[[RunFolder], contextlib.AbstractContextManager[Equipment]]


def run_case(
    case: Case,
    bot: BotSpec,
    folder: Path,
    *,
    limits: Limits = PLAIN_LIMITS,
    launcher: Launcher = EXEC,
    learns: bool = False,
    dart: Dart | None = None,
    watch: Stopwatch | None = None,
    beliefs: Beliefs | None = None,
    sequels: Sequels | None = None,
    branch: Branch | None = None,
) -> Path:
    """Run a case and return the path of its history.

    1. Start the broker with the case's tape and settings, and a Redis if the store is one.
    2. Launch the bot, with the next crash point armed.
    3. Wait until it is ready: it has asked for bars and is quiet.
    4. Play the tape step by step, each step when the bot is quiet.
    5. At the crash point kill it with SIGKILL; read its state from the disk.
    6. Let the broker live through the downtime; go back to 2 for the next life.
    7. After the last crash play the tape to its end, and wait until the bot is quiet.
    8. Read the broker's books and the bot's state; write the end.
    9. Stop everything.

    Args:
        case: what to run.
        bot: the bot to run it on.
        folder: where everything is written; made if it is missing, must hold no history.
        limits: how long to wait before giving up.
        launcher: how programs are started.
        learns: write down every system call at which the bot could be killed.
        dart: kill the first life at a random moment instead of a planned point.
        watch: is told how long each part took.
        beliefs: what the bot has told in other runs, which it need not be asked again.
        sequels: what followed other crashes of this sweep, which need not be played again.
        branch: where the run goes on from another one; None begins at the beginning.

    Raises:
        UserError: the folder cannot be used, or this is not a Linux machine.
    """
    files = RunFolder(folder)
    watch = watch or Stopwatch()
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(watch.part("begin and end"))
        shared: contextlib.AbstractContextManager[Equipment] = (
            prepared(case, bot, files, limits=limits, launcher=launcher, learns=learns)
            if branch is None
            else branch.equipment(files)
        )
        given = cleanup.enter_context(shared)
        kit = replace(given, dart=dart, watch=watch, beliefs=beliefs, sequels=sequels)
        if branch is None:
            kit.history.note("case", kit.control.status().now, **headline(case, bot))
        try:
            play(case, kit, branched=0 if branch is None else branch.life)
        except (HarnessError, ControlError) as error:
            # The run proves nothing from here on; the judge reads the reason in the history.
            kit.history.note("cut_short", kit.history.time, reason=kit.scrub(str(error)))
    return files.history


def play(case: Case, kit: Equipment, *, branched: int = 0) -> None:
    """Steps 2 to 8: the lives of the bot, one after the other.

    A bot that gives up because a system call or a server failed is started again, as whoever runs
    it would: its planned crash then belongs to the next life.

    Args:
        case: what to run.
        kit: what the lives share.
        branched: the life of a run that has branched off, which stands where it is killed; 0 where
            nothing has happened yet.
    """
    tale = Tale(case, kit)
    plans: list[Crash | None] = [*case.crashes, None]
    if kit.dart is not None:
        plans = [None, None]
    blocked = False
    number, given_up = 0, 0
    if branched:
        number, stands = branched, case.crashes[branched - 1]
        del plans[:branched]
        with BotLife(kit, case, number=number, crash=stands) as life:
            life.kill(kit.control.status().now)
            life.read_state("after kill")
        if tale.is_foretold(life=number):
            return
        blocked = live_through(stands, kit, life=number)
    while plans:
        number += 1
        with BotLife(humbled(kit) if blocked else kit, case, number=number, crash=plans[0]) as life:
            outcome = life.live()
            kit.outages.lend()
            if outcome == Died(planned=True):
                life.read_state("after kill")
            elif isinstance(outcome, EndOfTape):
                life.read_state("end")
            life.note_points()
            life.stop()
        kit.outages.end(kit.control.status())
        if blocked:
            make_writable(Path(kit.session.state_dir))
            blocked = False
        if outcome == Died(planned=False) and life.was_failed and given_up < RESTARTS_MAX:
            given_up += 1
            continue
        plans.pop(0)
        crash = life.crash
        if crash is None or outcome != Died(planned=True):
            break
        if tale.is_foretold(life=number):
            return
        blocked = live_through(crash, kit, life=number)
    kit.history.note_books(kit.control.books())
    kit.history.note("ended", kit.control.status().now)
    tale.remember()


def die_at(crash: Crash, case: Case, kit: Equipment, *, life: int) -> None:
    """Steps 2 to 6 for a life that ends as it is planned, and leaves the files as they are.

    Raises:
        HarnessError: it ends in another way.
        ControlError: the broker is gone or refuses.
    """
    with BotLife(kit, case, number=life, crash=crash) as dies:
        if dies.live() != Died(planned=True):
            raise HarnessError(f"the bot did not die {crash.describe()}")
        dies.read_state("after kill")
        dies.stop()
    live_through(crash, kit, life=life)


class Tale:
    """Where a run has crashed, and what it need not play because another one has."""

    def __init__(self, case: Case, kit: Equipment) -> None:
        self._case, self._kit = case, kit
        self._sequels = kit.sequels if kit.dart is None and has_sequels(case) else None
        self._crashes: list[tuple[str, int]] = []

    def is_foretold(self, *, life: int) -> bool:
        """Tell the rest of a run whose crash has left what another one's had; False if it is new.

        Raises:
            HarnessError: Redis does not answer.
            ControlError: the broker does not.
        """
        if self._sequels is None:
            return False
        kit, case = self._kit, self._case
        broker = kit.control.fingerprint(counts=counts_matter(case, life))
        remains = left_behind(
            case,
            kit.session,
            life=life,
            broker=broker,
            values=kit.redis_values(),
            names=kit.bot.names,
        )
        lines = self._sequels.known(remains)
        if lines is None:
            kit.history.drain()
            self._crashes.append((remains, kit.history.written))
            return False
        kit.history.note(FORETOLD, kit.control.status().now, life=life)
        kit.history.go_on_with(lines)
        return True

    def remember(self) -> None:
        """Let other runs know what followed the crashes of this one."""
        if self._sequels is None or not self._crashes:
            return
        lines = lines_of(self._kit.history.path.read_text(encoding="utf-8"))
        for remains, place in self._crashes:
            self._sequels.learn(remains, lines[place:])


def live_through(crash: Crash, kit: Equipment, *, life: int) -> bool:
    """Step 6: what happens while the bot is dead; whether it cannot save in its next life."""
    kit.history.note(
        "downtime",
        kit.control.status().now,
        words=crash.downtime.describe(),
        wanted=wanted_of(crash),
    )
    play_downtime(
        crash.downtime,
        kit.control,
        stepped=kit.history.drain,
        skipped=lambda act, reason: kit.history.note(
            "skipped", kit.control.status().now, act=act, reason=reason
        ),
    )
    return crash.storage is not None and damage(crash.storage, kit, life=life)


def wanted_of(crash: Crash) -> int:
    """How much is to be done while the bot is dead; that the market goes on is not counted."""
    return len(crash.downtime.acts) + (crash.storage is not None)


def damage(fault: StorageFault, kit: Equipment, *, life: int) -> bool:
    """Carry out a storage fault; whether the bot cannot save anything in its next life."""
    if kit.redis is not None:
        kit.redis.begin()
    memory = Memory(
        Path(kit.session.state_dir),
        kit.control.status().now,
        copies=Copies() if kit.copies is None else kit.copies,
        redis_url=kit.session.redis_url,
    )
    return play_storage_fault(fault, memory, life=life, note=kit.history.note)


def humbled(kit: Equipment) -> Equipment:
    """The same with a bot that is no superuser over files."""
    bot = kit.bot.model_copy(update={"trade": humble_command(kit.bot.trade)})
    return replace(kit, bot=bot)


@contextlib.contextmanager
def prepared(
    case: Case,
    bot: BotSpec,
    files: RunFolder,
    *,
    limits: Limits,
    launcher: Launcher,
    learns: bool,
) -> Iterator[Equipment]:
    """Step 1, and step 9 when the context is left."""
    root = files.root.resolve()
    state = root / "state"
    watchlist = root / "watchlist.json"
    try:
        root.mkdir(parents=True, exist_ok=True)
        state.mkdir(mode=0o700)
        watchlist.write_text(json.dumps(case.watchlist), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot use the folder {root}: {error.strerror}; give one that is new or empty"
        ) from error
    with contextlib.ExitStack() as cleanup:
        redis: RedisProcess | None = None
        if case.store == "redis":
            redis = cleanup.enter_context(running_redis(root, launcher=launcher))
        broker = cleanup.enter_context(running_broker(case, root, launcher=launcher))
        queues = LoopbackQueues()
        cleanup.callback(queues.close)
        history = cleanup.enter_context(HistoryWriter(files.history, broker.journal))
        outages = Outages(case, state, history=history, redis=redis, launcher=launcher)
        yield Equipment(
            bot=bot,
            broker=broker,
            queues=queues,
            session=Session(
                port=broker.port,
                state_dir=str(state),
                store=case.store,
                watchlist=str(watchlist),
                redis_url="" if redis is None else redis.url,
                settings=case.environment,
            ),
            history=history,
            log=root / "bot.log",
            limits=limits,
            outages=cleanup.enter_context(outages),
            redis=redis,
            learns=learns,
            copies=Copies() if any(needs_copies(each.storage) for each in case.crashes) else None,
            launcher=launcher,
            failpoints=failpoints_of(bot, launcher, store=case.store) if learns else (),
        )


def failpoints_of(bot: BotSpec, launcher: Launcher, *, store: str) -> tuple[str, ...]:
    """The names of a bot's failpoints; none when it does not list any."""
    if bot.failpoints is None:
        return ()
    code, out, _ = launcher.run_to_end(
        bot.failpoints,
        seconds=LIST_SECONDS,
        environment=preparation(bot.clock),
        imports=bot.imports_for(store),
    )
    return tuple(line.split()[0] for line in out.splitlines() if line.strip()) if code == 0 else ()


def headline(case: Case, bot: BotSpec) -> dict[str, str | int | list[str]]:
    """What the first line of a history says about the case."""
    return {
        "scenario": case.scenario,
        "store": case.store,
        "seed": case.seed,
        "token": str(Token.of(case)),
        "crashes": [crash.describe() for crash in case.crashes],
        "trial": case.trial,
        "fails": [fault.describe() for fault in case.call_faults],
        "outages": [outage.describe() for outage in case.outages],
        "bot": bot.name,
    }
