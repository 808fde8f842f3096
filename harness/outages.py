"""Plays what fails beside a bot that runs: its database is locked, or its Redis is down.

An outage begins when the bot is quiet after one bar and is over when it is quiet after a later one,
or has ended. So it is never on while a bot starts, and where it begins and ends is a matter of the
market's time alone. `harness/faults/servers.py` has the values and the events.

A bot that sleeps before its next try looks quiet. What follows from that is fixed for each server:

- A locked database: the sleep counts as quiet. A bot that waits for the lock when the last bar of
  the outage has been played gets it; one that has a bar to read by then reads it only when its
  patience (its busy timeout) is over, and the market waits for it.
- A Redis that is away: a quiet bot is looked at for `Limits.retry` before the market goes on, so
  that it has used up its tries or got through; as long as it has not come back to its Redis, too.
"""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Self, assert_never

from fakebroker.control_messages import Status
from harness.broker_process import await_line
from harness.case import Case
from harness.faults.keys import dump_keys, restore_keys
from harness.faults.memory import Memory
from harness.faults.servers import LockedDatabase, RedisOutage
from harness.history.writer import HistoryWriter
from harness.redis_process import RedisProcess
from harness.targets.process import EXEC, Child, Launcher


class Outages:
    """The outages of one run, one after the other; a context manager that ends the last one.

    Args:
        case: says when they are.
        state: the bot's state folder; the lock's log is written beside it.
        history: is told what happens.
        redis: the bot's Redis, where it has one.
        launcher: how processes are started.
    """

    def __init__(
        self,
        case: Case,
        state: Path,
        *,
        history: HistoryWriter,
        redis: RedisProcess | None = None,
        launcher: Launcher = EXEC,
    ) -> None:
        self._case = case
        self._left = list(case.outages)
        self._state = state
        self._history = history
        self._redis = redis
        self._launcher = launcher
        self._on: LockedDatabase | RedisOutage | None = None
        self._life = 0  # in which the last outage began
        self._away = False  # the server, just now
        self._shaken = False  # the bot, until it has come back to its server
        self._holder: Child | None = None
        self._held: Mapping[str, bytes] = {}  # by Redis when it was stopped
        self._earlier: Mapping[str, bytes] = {}  # before the market's last step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.end()

    def hit(self, life: int) -> bool:
        """Whether an outage began in a life."""
        return life == self._life

    @property
    def redis_away(self) -> bool:
        """Whether the bot's Redis cannot be asked."""
        return self._away and self._redis is not None

    @property
    def may_sleep(self) -> bool:
        """Whether a bot that looks quiet may be asleep before its next try."""
        if self._redis is None:
            return self._shaken
        return self._away or (self._shaken and not self._redis.client_ports())

    def before_step(self) -> None:
        """Keep what a Redis that loses its last second will have."""
        following = self._left[0] if self._left else None
        loses = isinstance(following, RedisOutage) and following.loses == "last-second"
        if loses and not self.redis_away:
            self._earlier = dump_keys(self._require_redis().url)

    def play(self, status: Status, *, life: int) -> bool:
        """Begin or end what is due; the bot must be quiet.

        Returns:
            whether anything was done, and the bot may not be quiet any more.

        Raises:
            HarnessError: the lock cannot be had, or Redis does not start.
        """
        if self._shaken and (self._redis is None or self._redis.client_ports()):
            self._shaken = False
        done = False
        if self._on is None and self._left and self._played(self._left[0].after_bar, status):
            self._begin(self._left.pop(0), status, life=life)
            done = True
        if self._on is not None and self._played(self._on.until, status):
            self.end(status)
            self._shaken = done = True
        return done

    def lend(self) -> None:
        """Give a bot that has ended its server back with all that it held, to read it."""
        if self._away:
            self._bring_back(self._held)

    def end(self, status: Status) -> None:
        """Write down that the outage is over, and give the server back without what it has lost.

        In this order: a bot that waits goes on at once, and what it does must come after.
        """
        fault = self._on
        if fault is None:
            return
        kept = self._kept(fault)
        told = {"life": self._life, "fault": fault.slug, "words": fault.describe()}
        if kept != self._held:
            differ = sum(1 for name in self._held if self._held[name] != kept.get(name))
            done = f"{differ} of {len(self._held)} values are lost or older"
            self._note("storage", status, **told, role="redis", name="", done=done, blocks=False)
        self._note("outage_over", status, **told)
        if self._away:
            self._bring_back(kept)
        elif kept != self._held:
            self._require_redis().begin()
            restore_keys(self._require_redis().url, kept)
        self._on, self._shaken = None, False

    def _begin(self, fault: LockedDatabase | RedisOutage, status: Status, *, life: int) -> None:
        told = {"life": life, "fault": fault.slug, "words": fault.describe()}
        match fault:
            case LockedDatabase():
                database = Memory(self._state, status.now).find("database")
                if database is None:
                    reason = "there is no database yet"
                    self._note("skipped", status, **told, reason=reason)
                    return
                self._holder = self._hold(database.path)
                self._held = {}
            case RedisOutage():
                self._held = dump_keys(self._require_redis().url)
            case _:
                assert_never(fault)
        self._on, self._life, self._away = fault, life, True
        self._note("outage", status, **told, blocks=True)
        if isinstance(fault, RedisOutage):
            self._require_redis().stop()

    def _hold(self, database: Path) -> Child:
        """Start somebody who holds the lock of a database."""
        ready, says = os.pipe()
        command = [sys.executable, "-m", "harness.lock_holder", str(database)]
        try:
            holder = self._launcher.launch(
                [*command, "--ready-fd", str(says)],
                self._state.with_name("lock.log"),
                pass_fds=[says],
            )
        finally:
            os.close(says)
        self._holder = holder
        try:
            await_line(holder, ready, what="who is to hold the lock of the database")
        finally:
            os.close(ready)
        return holder

    def _bring_back(self, contents: Mapping[str, bytes]) -> None:
        """End the lock, or start Redis with these values."""
        self._away = False
        if self._holder is not None:
            self._holder.end()
            self._holder = None
        else:
            self._require_redis().start(contents)

    def _kept(self, fault: LockedDatabase | RedisOutage) -> Mapping[str, bytes]:
        """What the server has when the outage is over."""
        if isinstance(fault, LockedDatabase) or fault.loses == "nothing":
            return self._held
        return self._earlier if fault.loses == "last-second" else {}

    def _played(self, bar: datetime, status: Status) -> bool:
        """Whether the market has come to the end of the bar that starts at `bar`."""
        return status.bars_played >= self._case.bars_through(bar)

    def _note(self, kind: str, status: Status, **fields: object) -> None:
        self._history.note(kind, status.now, **fields)

    def _require_redis(self) -> RedisProcess:
        assert self._redis is not None, "a case with a Redis outage has a Redis"
        return self._redis
