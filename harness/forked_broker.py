"""A fork of the broker as a process of ours: nobody's child, and gone with its context."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from harness.broker_process import BrokerProcess
from harness.errors import HarnessError
from harness.targets.process import END_SECONDS, Child


@contextlib.contextmanager
def forked_broker(broker: BrokerProcess, root: Path) -> Iterator[BrokerProcess]:
    """A fork of a broker, with the bot's connections still open to it; ends with the context.

    Raises:
        ControlError: it cannot be forked.
    """
    journal = root / broker.journal.name
    forked, control = broker.control.fork(journal)
    with control:
        child = ForkedBroker(forked.pid, broker.child.log)
        try:
            yield BrokerProcess(child=child, control=control, port=forked.port, journal=journal)
        finally:
            child.end()


class ForkedBroker(Child):
    """A process that the broker has forked: no child of ours, and let go of by the broker."""

    def __init__(self, pid: int, log: Path) -> None:
        super().__init__(Unrelated(pid), log)

    def kill(self) -> int:
        """SIGKILL; its number may be another process's after its end, its descriptor cannot."""
        assert self._pidfd is not None, "branches are made on Linux"
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if not self.exits_within(END_SECONDS):
            raise HarnessError(f"process {self.pid} outlived SIGKILL by {END_SECONDS:g} s")
        return -signal.SIGKILL


class Unrelated:
    """A process that is not ours to wait for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def code(self) -> int:
        """Its exit code is told to its parent alone."""
        return -signal.SIGKILL

    def reap(self) -> int:
        """Nothing is to be let go of."""
        return -signal.SIGKILL
