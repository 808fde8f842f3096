"""A state machine as one value: taken between two inputs, brought back any number of times.

The state is pickled in memory, so a snapshot shares nothing that can change with what it was taken
of, and something that cannot be captured (an open file, a closure) is an error and never shared
by accident. Settings and tapes cannot change and are shared. A snapshot never leaves the process.
"""

import hashlib
import io
import pickle  # noqa: TID251 - it is made here and read here, and never comes from outside
from dataclasses import dataclass

from fakebroker.journal import Journal
from fakebroker.market.tape import Tape
from fakebroker.settings import BrokerSettings

JOURNAL = "journal"
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """A captured state; nobody changes what is in it."""

    state: bytes
    shared: tuple[object, ...]
    """What cannot change and is therefore not copied."""
    journal_seq: int
    """How many lines the journal had."""


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, *, without: tuple[object, ...] = ()) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.shared: list[object] = []
        self._without = without
        # Everything in a state is asked about, and nearly all of it is of another kind.
        self._kinds = frozenset({Journal, BrokerSettings, Tape, *map(type, without)})
        self._places: dict[int, int] = {}

    def persistent_id(self, obj: object) -> str | int | None:
        if type(obj) not in self._kinds:
            return None
        if isinstance(obj, Journal):
            return JOURNAL
        if any(obj is each for each in self._without):
            return LEFT_OUT
        if not isinstance(obj, BrokerSettings | Tape):
            return None
        place = self._places.setdefault(id(obj), len(self.shared))
        if place == len(self.shared):
            self.shared.append(obj)
        return place


class _Unpickler(pickle.Unpickler):
    def __init__(self, snapshot: BrokerSnapshot, journal: Journal) -> None:
        super().__init__(io.BytesIO(snapshot.state))
        self._shared = snapshot.shared
        self._journal = journal

    def persistent_load(self, pid: str | int) -> object:
        return self._journal if isinstance(pid, str) else self._shared[pid]


def capture(root: object, journal: Journal) -> BrokerSnapshot:
    """Return a snapshot of everything that `root` reaches, with `journal` left out.

    Raises:
        pickle.PicklingError: Something in it cannot be captured.
        TypeError: The same, for an object of the operating system.
        AttributeError: The same, for a function inside a function.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(root)
    return BrokerSnapshot(file.getvalue(), tuple(pickler.shared), journal.seq)


def fingerprint(root: object, *, without: tuple[object, ...] = ()) -> str:
    """Return the SHA-256 of a snapshot that leaves out some objects, in hexadecimal digits.

    Raises:
        pickle.PicklingError: Something in it cannot be captured; and TypeError and AttributeError
            as for `capture`.
    """
    file = io.BytesIO()
    _Pickler(file, without=without).dump(root)
    return hashlib.sha256(file.getvalue()).hexdigest()


def revive(snapshot: BrokerSnapshot, journal: Journal) -> object:
    """Return a new object in the captured state; it writes to `journal`, numbered on from there."""
    journal.go_on_after(snapshot.journal_seq)
    return _Unpickler(snapshot, journal).load()
