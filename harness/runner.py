"""One case from start to history: `run_case` is the page that explains the whole harness.

The broker, its books and the tape outlive the bot; the bot is a real process that is killed with
SIGKILL at exact points. Nothing here judges: what happened is written down, and `judge.py` reads
it. What the harness cannot do ends up in the history too, as the reason why the run is cut short.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakebroker.control import ControlError
from harness.bot_life import PLAIN_LIMITS, BotLife, Died, EndOfTape, Equipment, Limits
from harness.broker_process import running_broker
from harness.case import Case, Crash
from harness.downtime.play import play_downtime
from harness.errors import HarnessError, UserError
from harness.history.writer import HistoryWriter
from harness.redis_process import RedisProcess, running_redis
from harness.targets import BotSpec, Session
from harness.targets.sockets import LoopbackQueues
from harness.token import Token

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


def run_case(case: Case, bot: BotSpec, folder: Path, *, limits: Limits = PLAIN_LIMITS) -> Path:
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

    Raises:
        UserError: the folder cannot be used, or this is not a Linux machine.
    """
    files = RunFolder(folder)
    with prepared(case, bot, files, limits=limits) as kit:
        kit.history.note("case", kit.control.status().now, **headline(case, bot))
        try:
            play(case, kit)
        except (HarnessError, ControlError) as error:
            # The run proves nothing from here on; the judge reads the reason in the history.
            kit.history.note("cut_short", kit.history.time, reason=kit.scrub(str(error)))
    return files.history


def play(case: Case, kit: Equipment) -> None:
    """Steps 2 to 8: the lives of the bot, one after the other."""
    plans: tuple[Crash | None, ...] = (*case.crashes, None)
    for number, crash in enumerate(plans, start=1):
        with BotLife(kit, case, number=number, crash=crash) as life:
            outcome = life.live()
            if outcome == Died(planned=True):
                life.read_state("after kill")
            elif isinstance(outcome, EndOfTape):
                life.read_state("end")
            life.stop()
        if crash is None or outcome != Died(planned=True):
            break
        kit.history.note("downtime", kit.control.status().now, words=crash.downtime.describe())
        play_downtime(crash.downtime, kit.control, stepped=kit.history.drain)
    kit.history.note_books(kit.control.books())
    kit.history.note("ended", kit.control.status().now)


@contextlib.contextmanager
def prepared(case: Case, bot: BotSpec, files: RunFolder, *, limits: Limits) -> Iterator[Equipment]:
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
            redis = cleanup.enter_context(running_redis(root))
        broker = cleanup.enter_context(running_broker(case, root))
        queues = LoopbackQueues()
        cleanup.callback(queues.close)
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
            ),
            history=cleanup.enter_context(HistoryWriter(files.history, broker.journal)),
            log=root / "bot.log",
            limits=limits,
            redis=redis,
        )


def headline(case: Case, bot: BotSpec) -> dict[str, str | int | list[str]]:
    """What the first line of a history says about the case."""
    return {
        "scenario": case.scenario,
        "store": case.store,
        "seed": case.seed,
        "token": str(Token.of(case)),
        "crashes": [crash.describe() for crash in case.crashes],
        "bot": bot.name,
    }
