"""One life of the bot: launched, waited for, fed with bars, and killed where the plan says.

Everything that happens is written to the history at the moment that the run fixes: when the bot
is quiet, when the broker stands still, or when the bot is dead and the broker has noticed.
"""

import signal
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, assert_never

from fakebroker.control import ControlClient
from fakebroker.control_messages import Point
from harness.broker_process import BrokerProcess
from harness.case import Case, Crash
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.history.writer import HistoryWriter, read_belief
from harness.points import FailPoint, Quiet, WirePoint
from harness.redis_process import RedisProcess
from harness.targets import BotSpec, Child, Gone, Halted, Quieted, Session, Watch, launch
from harness.targets.process import run_to_end
from harness.targets.quiet import Settled
from harness.targets.sockets import LoopbackQueues

STATE_SECONDS = 30.0
DISCONNECT_SECONDS = 10.0
READY_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the harness waits, in seconds of the wall clock, before it gives up.

    Attributes:
        ready: for a launched bot to ask for bars.
        quiet: for the bot to go quiet after an event.
        patience: while a bot is quiet and has no bars. It may wait for the market's time to pass
            (a grace period) or for its own (a retry); after this long the market goes on.
    """

    ready: float = 60.0
    quiet: float = 60.0
    patience: float = 3.0


PLAIN_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every life of a run shares."""

    bot: BotSpec
    broker: BrokerProcess
    queues: LoopbackQueues
    session: Session
    history: HistoryWriter
    log: Path
    limits: Limits
    redis: RedisProcess | None = None

    @property
    def control(self) -> ControlClient:
        """The broker's control client."""
        return self.broker.control

    def scrub(self, words: str) -> str:
        """Words without what differs between two runs of a case: the folder and the port."""
        folder = str(self.log.parent)
        if self.redis is not None:
            words = words.replace(self.redis.url, "REDIS_URL")
        return words.replace(folder, "FOLDER").replace(str(self.session.port), "PORT")


@dataclass(frozen=True, slots=True)
class Died:
    """The bot is dead; `planned` when the crash point did it."""

    planned: bool


@dataclass(frozen=True, slots=True)
class EndOfTape:
    """Nothing is left to play, and the bot is quiet."""


@dataclass(frozen=True, slots=True)
class NeverReady:
    """The bot did not ask for bars before the deadline, or before the tape's end."""


Outcome = Died | EndOfTape | NeverReady


class BotLife:
    """One process of the bot; a context manager that leaves nothing of it behind."""

    def __init__(self, kit: Equipment, case: Case, *, number: int, crash: Crash | None) -> None:
        self._kit = kit
        self._case = case
        self._number = number
        self._crash = crash
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.end()

    def live(self) -> Outcome:
        """Launch the bot and stay with it until it is dead or the tape ends.

        Raises:
            HarnessError: the crash point cannot be armed, or the bot does not go quiet.
            ControlError: the broker is gone or refuses.
        """
        self._arm()
        child = self._launch()
        kit = self._kit
        watch = Watch(child, kit.control, queues=kit.queues, neighbour=kit.redis)
        outcome = self._await_ready(watch)
        return self._follow_tape(watch) if outcome is None else outcome

    def stop(self) -> None:
        """End what is left of the bot, and wait until the broker has noticed.

        Its disconnect then stands at one place in the history and not wherever the race ends.

        Raises:
            HarnessError: the broker still has the connection at the deadline.
        """
        self._await_disconnect()
        self._kit.history.drain()

    def read_state(self, when: Literal["after kill", "end"]) -> None:
        """Ask the bot's `state` command what is on disk, if it has one, and write it down.

        Raises:
            HarnessError: the command fails or prints no belief.
        """
        command = self._kit.bot.state_command(self._kit.session)
        if command is None:
            return
        code, out, err = run_to_end(
            command, seconds=STATE_SECONDS, environment=self._kit.session.environment
        )
        if code != 0:
            words = err.strip().splitlines()[-1:] or ["no words"]
            raise HarnessError(
                f"the bot's state command ended with exit code {code} {when}: {words[0]}"
            )
        belief = read_belief(out)
        self._kit.history.note_belief(self._now(), belief, life=self._number, when=when)

    def _now(self) -> datetime:
        return self._kit.control.status().now

    def _arm(self) -> None:
        if self._crash is not None and isinstance(self._crash.point, WirePoint):
            self._kit.control.break_at(
                Point.model_validate(self._crash.point.model_dump(exclude={"kind"}))
            )

    def _launch(self) -> Child:
        kit = self._kit
        environment = kit.session.environment
        if self._crash is not None and isinstance(self._crash.point, FailPoint):
            environment["FAILPOINTS"] = self._crash.point.terms()
        kit.history.note("launched", self._now(), life=self._number)
        command = kit.bot.trade_command(kit.session)
        self._child = launch(command, kit.log, environment=environment)
        return self._child

    def _await_ready(self, watch: Watch) -> Outcome | None:
        """Wait until the bot has bars and is quiet; None then."""
        limits = self._kit.limits
        deadline, patience = Deadline(limits.ready), Deadline(limits.patience)
        while not deadline.passed:
            settled = watch.settle(seconds=self._kit.limits.quiet)
            ended = self._ended(settled)
            if ended is not None:
                return ended
            assert isinstance(settled, Quieted), "halted and gone have been dealt with"
            if settled.status.subscriptions > 0:
                self._kit.history.note("ready", settled.status.now, life=self._number)
                return None
            if patience.passed:
                patience = Deadline(limits.patience)
                if not self._may_play(settled):
                    break
                self._kit.history.note("waited_for", settled.status.now, life=self._number)
                self._kit.control.step()
            self._require_child().exits_within(READY_PAUSE_SECONDS)
        self._kit.history.note("not_ready", self._now(), life=self._number)
        return NeverReady()

    def _follow_tape(self, watch: Watch) -> Outcome:
        """Play step by step, each step when the bot is quiet."""
        while True:
            settled = watch.settle(seconds=self._kit.limits.quiet)
            ended = self._ended(settled)
            if ended is not None:
                return ended
            self._kit.history.drain()
            assert isinstance(settled, Quieted), "halted and gone have been dealt with"
            if self._is_quiet_point(settled):
                self._kill(settled.status.now)
                return Died(planned=True)
            if not self._may_play(settled):
                return EndOfTape()
            self._kit.control.step()

    def _may_play(self, settled: Quieted) -> bool:
        due, last = settled.status.next_due, self._case.ends_at
        return due is not None and (last is None or due <= last)

    def _is_quiet_point(self, settled: Quieted) -> bool:
        if self._crash is None or not isinstance(self._crash.point, Quiet):
            return False
        return settled.status.bars_played >= self._case.bars_through(self._crash.point.after_bar)

    def _ended(self, settled: Settled) -> Outcome | None:
        """Write down a death, or kill at the broker's standstill; None when the bot lives on."""
        match settled:
            case Quieted():
                return None
            case Halted(status=status):
                self._kill(status.now)
                return Died(planned=True)
            case Gone(code=code):
                return self._found_dead(code)
            case _:
                assert_never(settled)

    def _kill(self, now: datetime) -> None:
        assert self._crash is not None, "a kill without a planned crash"
        kit = self._kit
        kit.history.note(
            "killed", now, life=self._number, point=self._crash.describe(), how="SIGKILL"
        )
        self._require_child().kill()
        if kit.control.status().halted is not None:
            kit.control.release(deliver=self._crash.arrives)
        self._await_disconnect()
        kit.history.drain()

    def _found_dead(self, code: int) -> Died:
        """The process has ended: at its failpoint, or by itself."""
        kit, child = self._kit, self._require_child()
        self._await_disconnect()
        words = child.last_lines()
        if self._crash is not None and isinstance(self._crash.point, FailPoint):
            line = f"failpoint {self._crash.point.name}: kill"
            if code == -signal.SIGKILL and line in words:
                kit.history.note_death(
                    "killed",
                    self._now(),
                    life=self._number,
                    point=self._crash.describe(),
                    how="failpoint",
                )
                return Died(planned=True)
        last = kit.scrub(words[-1]) if words else ""
        kit.history.note_death("exited", self._now(), life=self._number, code=code, last_words=last)
        return Died(planned=False)

    def _await_disconnect(self) -> None:
        """Wait until the broker has noticed that the bot's connections are gone."""
        self._require_child().kill()  # What the bot had started may still hold its connection.
        deadline = Deadline(DISCONNECT_SECONDS)
        while self._kit.control.status().sessions:
            if deadline.passed:
                raise HarnessError(
                    f"the bot is dead and the broker still has its connection after "
                    f"{DISCONNECT_SECONDS:g} s; did the bot hand it to another process group?"
                )
        if self._kit.redis is not None:
            self._kit.redis.await_goodbye()

    def _require_child(self) -> Child:
        assert self._child is not None, "the bot was not launched"
        return self._child
