"""One life of the bot: launched, waited for, fed with bars, and killed where the plan says.

Everything that happens is written to the history at the moment that the run fixes: when the bot
is quiet, when the broker stands still, or when the bot is dead and the broker has noticed.
"""

import contextlib
import re
import signal
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from fakebroker.control import ControlClient
from fakebroker.control_messages import Status
from harness.beliefs import Beliefs, Told, memory_of
from harness.broker_process import BrokerProcess
from harness.case import Case, Crash
from harness.clock import Deadline, Stopwatch
from harness.clock_hand import Hand, Turn, hand_of, preparation
from harness.dart import Dart
from harness.errors import HarnessError
from harness.faults.copies import Copies
from harness.history.writer import HistoryWriter, read_belief
from harness.outages import Outages
from harness.points import FailPoint, Quiet, SystemCall, WirePoint
from harness.points.failpoint import names_in, telling
from harness.points.slugs import slug_of
from harness.points.syscall import Call
from harness.redis_process import RedisProcess
from harness.sequels import Sequels
from harness.supervisor.launching import launch_watched
from harness.supervisor.roles import BROKER_SOCKET, REDIS_SOCKET
from harness.supervisor.supervisor import Supervisor
from harness.targets import BotSpec, Child, Gone, Halted, Held, Quieted, Session, Watch
from harness.targets.process import EXEC, Launcher
from harness.targets.quiet import Settled
from harness.targets.sockets import LoopbackQueues

STATE_SECONDS = 30.0
DISCONNECT_SECONDS = 10.0
CLOCK = re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b")
"""A time in a bot's last words may be the machine's, which differs from run to run."""
READY_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the harness waits, in seconds of the wall clock, before it gives up.

    Attributes:
        ready: for a launched bot to ask for bars.
        quiet: for the bot to go quiet after an event.
        patience: while a bot is quiet and has no bars, and its clock does not say what it waits
            for. It may wait for the market's time to pass (a grace period) or for its own (a
            retry); after this long the market goes on.
        retry: while a bot is quiet whose server is away or was; it may sleep before its next try.
        retries: for a bot that goes on trying to reach its server, in all.
    """

    ready: float = 60.0
    quiet: float = 60.0
    patience: float = 3.0
    retry: float = 0.5
    retries: float = 15.0


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
    outages: Outages
    redis: RedisProcess | None = None
    launcher: Launcher = EXEC
    learns: bool = False
    failpoints: tuple[str, ...] = ()
    copies: Copies | None = None
    dart: Dart | None = None
    goes_on: bool = False
    beliefs: Beliefs | None = None
    sequels: Sequels | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)

    def servers(self) -> dict[int, str]:
        """What the ports that the bot connects to are to it."""
        known = {self.session.port: BROKER_SOCKET}
        return known if self.redis is None else {**known, self.redis.port: REDIS_SOCKET}

    @property
    def control(self) -> ControlClient:
        """The broker's control client."""
        return self.broker.control

    def redis_values(self) -> Mapping[str, bytes]:
        """What the bot's Redis holds, by key; nothing where it has none.

        Raises:
            HarnessError: Redis does not answer.
        """
        return {} if self.redis is None else self.redis.values()

    def scrub(self, words: str) -> str:
        """Words without what differs between two runs of a case: the folder and the port."""
        folder = str(self.log.parent)
        if self.redis is not None:
            words = words.replace(self.redis.url, "REDIS_URL")
            words = words.replace(str(self.redis.port), "REDIS_PORT")
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
        self._hand = Hand()
        self._calls: Supervisor | None = None
        self._time = kit.control.status().now
        self._log_begins = 0
        self._log_ready: int | None = None
        self._dart = kit.dart if number == 1 else None
        self._steps = 0
        self._faults_told = 0
        self._since_bar = 0
        self.tells = kit.goes_on and crash is not None and isinstance(crash.point, FailPoint)
        """Whether the bot goes by its failpoints and tells of each."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.end()
        if self._calls is not None:
            self._calls.close()
        self._hand.close()

    @property
    def crash(self) -> Crash | None:
        """The kill that was planned for this life, or where the dart has landed."""
        return self._crash

    def live(self) -> Outcome:
        """Launch the bot and stay with it until it is dead or the tape ends.

        Raises:
            HarnessError: the crash point cannot be armed, or the bot does not go quiet.
            ControlError: the broker is gone or refuses.
        """
        with contextlib.closing(self.stops()) as stops:
            try:
                standing = next(stops)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            self.kill(standing.now)
            return Died(planned=True)

    def stops(self) -> Generator[Status, None, Outcome]:
        """Launch the bot and stay with it; yields whenever it stands at its crash point.

        Raises:
            HarnessError: the crash point cannot be armed, or the bot does not go quiet.
            ControlError: the broker is gone or refuses.
        """
        self._arm()
        kit = self._kit
        with kit.watch.part("fork"):
            child = self._launch()
        self._throw_dart()
        watch = Watch(
            child,
            kit.control,
            queues=kit.queues,
            neighbour=kit.redis,
            calls=self._calls,
            broker=kit.broker.child.pid if kit.bot.clock.kind == "faked" else None,
            wakes=self._wakes if kit.bot.clock.kind == "faked" else None,
        )
        with kit.watch.part("connect" if self._number == 1 else "recover"):
            outcome = yield from self._await_ready(watch)
        if outcome is not None:
            return outcome
        with kit.watch.part("run"):
            return (yield from self._follow_tape(watch))

    def go_on(self, crash: Crash) -> None:
        """Go on from where the bot stands to a later point.

        Raises:
            ControlError: it is a message that the broker has seen already.
        """
        self._crash = crash
        if self._kit.control.status().halted is None:
            self._arm()
        else:
            point = crash.point.for_broker if isinstance(crash.point, WirePoint) else None
            self._kit.control.release(deliver=True, then=point)
        if self._calls is not None:
            self._calls.go_on(target_of(crash))

    def stands_at(self, crash: Crash) -> bool:
        """Whether the bot stands at a point, or the broker for it."""
        match crash.point:
            case SystemCall() | FailPoint() as point:
                return self._calls is not None and self._calls.stands_at(point)
            case Quiet() as point:
                played = self._kit.control.status().bars_played
                here = played == self._case.bars_through(point.after_bar)
                held = self._calls is not None and self._calls.held
                return here and self._since_bar == point.events and not held
            case WirePoint() as point:
                return self._kit.control.status().halted == point.for_broker

    def is_past(self, crash: Crash) -> bool:
        """Whether the bot has gone by a point, or cannot be held there."""
        match crash.point:
            case SystemCall() | FailPoint() as point:
                return self._calls is None or self._calls.is_past(point)
            case Quiet() as point:
                played = self._kit.control.status().bars_played
                return played > self._case.bars_through(point.after_bar)
            case WirePoint():
                return False  # The broker knows; it refuses what it has seen.

    @property
    def was_failed(self) -> bool:
        """Whether a system call or a server of this life was made to fail."""
        failed = self._calls is not None and bool(self._calls.failed)
        return failed or self._kit.outages.hit(self._number)

    def _note_failed_calls(self) -> None:
        """Write down the calls that were made to fail since the last time."""
        if self._calls is None:
            return
        for fault in self._calls.failed[self._faults_told :]:
            self._kit.history.note(
                "call_fault", self._time, life=self._number, words=fault.describe()
            )
        self._faults_told = len(self._calls.failed)

    def note_points(self) -> None:
        """Write down the system calls and the failpoints that were passed, when learning."""
        if not self._kit.learns or self._calls is None:
            return
        told = [each.line() for each in self._calls.passages]
        self._kit.history.note("calls", self._now(), life=self._number, calls=told)
        log = self._kit.log.read_bytes()
        names = names_in(log[self._log_begins :])
        recovered = len(names_in(log[self._log_begins : self._log_ready]))
        self._kit.history.note(
            "passages", self._now(), life=self._number, names=names, recovered=recovered
        )

    def stop(self) -> None:
        """End what is left of the bot, and wait until the broker has noticed.

        Its disconnect then stands at one place in the history and not wherever the race ends.

        Raises:
            HarnessError: the broker still has the connection at the deadline.
        """
        self._await_disconnect()
        self._kit.history.drain()

    def read_state(self, when: Literal["after kill", "end"]) -> None:
        """Ask the bot's `state` command what is on disk, if it has one, and write it down."""
        command = self._kit.bot.state_command(self._kit.session)
        if command is None:
            return
        with self._kit.watch.part("ask the bot"):
            code, out, err = self._ask(command)
        belief = None
        try:
            belief = read_belief(out) if code == 0 else None
        except HarnessError as error:
            err = " ".join(str(error).split())
        if belief is None:
            # A finding, not a failure of ours: at every instant the state must be readable.
            last = (err.strip().splitlines() or ["no words"])[-1]
            words = CLOCK.sub("TIME", self._kit.scrub(last))
            self._kit.history.drain()
            self._kit.history.note(
                "unreadable", self._now(), life=self._number, when=when, code=code, words=words
            )
            return
        self._kit.history.note_belief(self._now(), belief, life=self._number, when=when)

    def _ask(self, command: Sequence[str]) -> Told:
        """Run the `state` command, unless it is known what it says of what is there."""
        kit, session = self._kit, self._kit.session
        environment = session.environment | preparation(kit.bot.clock)
        words = [kit.scrub(word) for word in (*command, *map(str, environment.items()))]
        folder, beliefs, memory = Path(session.state_dir), kit.beliefs, ""
        if beliefs is not None:
            memory = memory_of(words, folder, values=kit.redis_values(), names=kit.bot.names)
            known = beliefs.known(memory)
            if known is not None:
                return known
        if kit.redis is not None:
            kit.redis.begin()
        told = Told(
            *kit.launcher.run_to_end(
                command,
                seconds=STATE_SECONDS,
                environment=environment,
                imports=kit.bot.imports_for(session.store),
            )
        )
        if beliefs is not None:
            after = memory_of(words, folder, values=kit.redis_values(), names=kit.bot.names)
            beliefs.learn(memory, told, after=after)
        return told

    def _now(self) -> datetime:
        return self._kit.control.status().now

    def _arm(self) -> None:
        if self._crash is not None and isinstance(self._crash.point, WirePoint):
            self._kit.control.break_at(self._crash.point.for_broker)

    def _launch(self) -> Child:
        kit = self._kit
        if kit.redis is not None:
            kit.redis.begin()
        environment = kit.session.environment
        point = None if self._crash is None else self._crash.point
        if isinstance(point, FailPoint) and not kit.goes_on:
            environment["FAILPOINTS"] = point.terms()
        elif kit.learns or self.tells:
            environment["FAILPOINTS"] = telling(kit.failpoints)
        self._log_begins = kit.log.stat().st_size if kit.log.exists() else 0
        now = self._now()
        kit.history.note("launched", now, life=self._number)
        command = kit.bot.trade_command(kit.session)
        idle = timedelta(seconds=kit.limits.ready)
        hand = self._hand = hand_of(kit.bot.clock, kit.control, now, idle=idle)
        environment |= hand.variables
        if not self._watches_calls():
            self._child = kit.launcher.launch(
                command,
                kit.log,
                environment=environment,
                pass_fds=hand.descriptors,
                imports=kit.bot.imports_for(kit.session.store),
            )
            return self._child
        self._child, listener = launch_watched(
            kit.launcher,
            command,
            kit.log,
            environment=environment,
            pass_fds=hand.descriptors,
            kinds=self._kinds(),
            imports=kit.bot.imports_for(kit.session.store),
        )
        self._calls = Supervisor(
            listener,
            folder=kit.session.state_dir,
            servers=kit.servers(),
            now=lambda: self._time,
            target=target_of(self._crash),
            goes_on=kit.goes_on,
            faults=[each for each in self._case.call_faults if each.life == self._number],
            tells=self.tells,
        )
        return self._child

    def _watches_calls(self) -> bool:
        """Whether this life is run under the supervisor."""
        return (
            self._kit.learns
            or self.tells
            or self._dart is not None
            or (self._crash is not None and isinstance(self._crash.point, SystemCall))
            or any(fault.life == self._number for fault in self._case.call_faults)
        )

    def _kinds(self) -> set[Call] | None:
        """Which system calls of this life have to wait for us; None: every one."""
        if self._kit.learns or self._kit.goes_on or self.tells or self._dart is not None:
            return None
        kinds = {fault.call for fault in self._case.call_faults if fault.life == self._number}
        if self._crash is not None and isinstance(self._crash.point, SystemCall):
            kinds.add(self._crash.point.call)
        return kinds

    def _step(self) -> None:
        kit = self._kit
        if kit.copies is not None and not kit.outages.redis_away:
            folder = Path(kit.session.state_dir)
            kit.copies.take(self._now(), folder, redis_url=kit.session.redis_url)
        latest = kit.control.latest
        self._hand.before_step(None if latest is None else latest.next_due)
        kit.outages.before_step()
        step = self._kit.control.step()
        self._time = step.time
        self._since_bar = 0 if step.kind == "bar" else self._since_bar + 1
        self._steps += 1
        self._throw_dart()

    def _throw_dart(self) -> None:
        """Let the bot run for the dart's time, then have it held at its next call."""
        if self._dart is None or self._dart.step != self._steps or self._calls is None:
            return
        deadline = Deadline(self._dart.seconds)
        while not deadline.passed:
            if self._calls.wait(deadline.left):
                self._calls.serve()
        self._calls.hold_next()

    def _look_for_dart(self, settled: Settled) -> None:
        """Make the point at which the dart has landed that of this life."""
        if self._dart is None or self._calls is None or not self._calls.holds_next:
            return
        match settled:
            case Held():
                self._crash = Crash(point=self._calls.passages[-1].points()[0])
            case Quieted(status=status) if status.bars_played:
                after = self._case.tape[status.bars_played - 1].time
                self._crash = Crash(point=Quiet(after_bar=after, events=self._since_bar))
            case _:
                return

    def _await_ready(self, watch: Watch) -> Generator[Status, None, Outcome | None]:
        """Wait until the bot has bars and is quiet; None then."""
        limits = self._kit.limits
        deadline, patience = Deadline(limits.ready), Deadline(limits.patience)
        while not deadline.passed:
            settled = watch.settle(seconds=self._kit.limits.quiet)
            self._look_for_dart(settled)
            self._note_failed_calls()
            if isinstance(settled, Gone):
                return self._found_dead(settled.code)
            if self._stands(settled):
                yield settled.status
                # However long it stood there, it was not the bot that took the time.
                deadline, patience = Deadline(limits.ready), Deadline(limits.patience)
                continue
            assert isinstance(settled, Quieted), "whatever else it does has been dealt with"
            if settled.status.subscriptions > 0:
                self._hand.require_taken()
                self._kit.history.note("ready", settled.status.now, life=self._number)
                self._log_ready = self._kit.log.stat().st_size
                return None
            turn = self._hand.turn(settled.status)
            if turn is Turn.MARKET or (turn is Turn.UNKNOWN and patience.passed):
                patience = Deadline(limits.patience)
                if not self._may_play(settled):
                    break
                self._kit.history.note("waited_for", settled.status.now, life=self._number)
                self._step()
            watch.rest(READY_PAUSE_SECONDS if turn is Turn.UNKNOWN else self._hand.pause())
        self._kit.history.note("not_ready", self._now(), life=self._number)
        return NeverReady()

    def _follow_tape(self, watch: Watch) -> Generator[Status, None, Outcome]:
        """Play step by step, each step when the bot is quiet."""
        while True:
            settled = self._settle(watch)
            self._look_for_dart(settled)
            self._note_failed_calls()
            if isinstance(settled, Gone):
                return self._found_dead(settled.code)
            self._kit.history.drain()
            if self._stands(settled):
                yield settled.status
                continue
            assert isinstance(settled, Quieted), "whatever else it does has been dealt with"
            if self._kit.outages.play(settled.status, life=self._number):
                continue
            if self._is_quiet_point(settled):
                yield settled.status
                continue
            if not self._may_play(settled):
                return EndOfTape()
            if self._hand.turn(settled.status) is Turn.BOT:
                watch.rest(self._hand.pause())
            else:
                self._step()

    def _wakes(self, status: Status) -> bool:
        """Let the next timer of a bot that sleeps fire; False when the market comes first."""
        return self._hand.turn(status) is Turn.BOT

    def _settle(self, watch: Watch) -> Settled:
        """Wait until the bot is quiet; where it may sleep before its next try, for that, too."""
        limits, outages = self._kit.limits, self._kit.outages
        deadline = Deadline(limits.retries)
        settled = watch.settle(seconds=limits.quiet)
        while isinstance(settled, Quieted) and outages.may_sleep and not deadline.passed:
            if self._kit.bot.clock.kind == "faked" and self._hand.turn(settled.status) is Turn.BOT:
                watch.rest(self._hand.pause())  # What it sleeps for was a timer of its clock.
            elif not watch.stirs(seconds=limits.retry):
                break
            settled = watch.settle(seconds=limits.quiet)
        return settled

    def _may_play(self, settled: Quieted) -> bool:
        due, last = settled.status.next_due, self._case.ends_at
        return due is not None and (last is None or due - settled.status.postponed <= last)

    def _is_quiet_point(self, settled: Quieted | Halted | Held) -> bool:
        if self._crash is None or not isinstance(self._crash.point, Quiet):
            return False
        point, played = self._crash.point, settled.status.bars_played
        wanted = self._case.bars_through(point.after_bar)
        return played > wanted or (played == wanted and self._since_bar >= point.events)

    def _stands(self, settled: Quieted | Halted | Held) -> bool:
        """Whether the bot stands at a point at which it can be killed whatever it waits for."""
        if not isinstance(settled, Quieted):
            return True
        point = None if self._crash is None else self._crash.point
        return (
            isinstance(point, SystemCall)
            and self._calls is not None
            and self._calls.stands_after(point)
        )

    def kill(self, now: datetime) -> None:
        """Kill the bot where it stands; in a run that has branched off it is dead by itself."""
        assert self._crash is not None, "a kill without a planned crash"
        kit = self._kit
        with kit.watch.part("kill"):
            # Only in a run that has branched off; elsewhere the bot kills itself there.
            how = "failpoint" if isinstance(self._crash.point, FailPoint) else "SIGKILL"
            kit.history.note(
                "killed", now, life=self._number, point=self._crash.describe(), how=how
            )
            if self._dart is not None:
                kit.history.note("landed", now, slug=slug_of(self._crash.point))
            if self._child is None:
                kit.control.lose_clients()
            else:
                self._child.kill()
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
            line = self._crash.point.words("kill")
            if code == -signal.SIGKILL and line in words:
                kit.history.note_death(
                    "killed",
                    self._now(),
                    life=self._number,
                    point=self._crash.describe(),
                    how="failpoint",
                )
                return Died(planned=True)
        last = CLOCK.sub("TIME", kit.scrub(words[-1])) if words else ""
        kit.history.note_death("exited", self._now(), life=self._number, code=code, last_words=last)
        return Died(planned=False)

    def _await_disconnect(self) -> None:
        """Wait until the broker has noticed that the bot's connections are gone."""
        if self._child is not None:
            self._child.kill()  # What the bot had started may still hold its connection.
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


def target_of(crash: Crash | None) -> SystemCall | FailPoint | None:
    """The point of a crash that whoever watches the bot's calls can hold it at."""
    point = None if crash is None else crash.point
    return point if isinstance(point, SystemCall | FailPoint) else None
