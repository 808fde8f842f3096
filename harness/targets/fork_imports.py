"""What a fork server makes of the imports of a program, so that two runs can begin from them.

Loaded by its path, standard library only. What two forks of one process would share, and two
processes would not, is put away or is a `Refusal`: a thread, an open file, an event loop, a look at
the arguments or at a variable.
"""

import contextlib
import gc
import importlib
import itertools
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

LESSON_BYTES = 1 << 16
LENGTH_BYTES = 4


class Refusal(Exception):  # noqa: N818 - it is an answer
    """The program cannot be run as a fork; the message says why."""


class Lessons:
    """What a fork had to import while it ran, told to its server at its end.

    Libraries import parts of themselves when they are first used. The server imports these parts
    before the next fork; a fork that is killed tells nothing. Only parts of libraries are learned:
    what a program of its own imports late may be meant to be late.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, LESSON_BYTES)  # Shared with the forks, and needs no descriptor.
        self._known = frozenset(sys.modules)

    def tell(self) -> None:
        """Say what this process has imported since it was forked."""
        # From the end: to look at all the old names would copy the pages that they lie in.
        names = reversed(sys.modules)
        new = sorted(itertools.takewhile(lambda name: name not in self._known, names))
        text = "\n".join(name for name in new if of_library(sys.modules[name])).encode()
        if 0 < len(text) <= LESSON_BYTES - LENGTH_BYTES:
            self._page[LENGTH_BYTES : LENGTH_BYTES + len(text)] = text
            self._page[:LENGTH_BYTES] = len(text).to_bytes(LENGTH_BYTES, "big")

    def take(self) -> list[str]:
        """What a fork has told since the last time."""
        length = int.from_bytes(self._page[:LENGTH_BYTES], "big")
        told = self._page[LENGTH_BYTES : LENGTH_BYTES + length].decode().split("\n")
        self._page[:LENGTH_BYTES] = bytes(LENGTH_BYTES)
        return told if length else []

    def learn(self, names: Sequence[str]) -> None:
        """Import some modules, as far as they can be imported."""
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self._known = frozenset((*sys.modules, *names))

    def refuse(self, names: Sequence[str]) -> None:
        """Never take these as a lesson again."""
        self._known |= frozenset(names)


def of_library(module: object) -> bool:
    """Whether a module lies where the interpreter and what is installed beside it lie."""
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and path.startswith((sys.prefix, sys.base_prefix))


class Variables:
    """Which environment variables were read or set while a program was imported."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.everything = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch os.environ while the context lasts."""
        outer = self

        class Watched(dict[Any, Any]):
            def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - bytes on most systems
                outer.names.add(os.fsdecode(key))
                return super().__getitem__(key)

            def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - the same
                outer.names.add(os.fsdecode(key))
                super().__setitem__(key, value)

            def __iter__(self) -> Iterator[Any]:
                outer.everything = True
                return super().__iter__()

        environ: Any = os.environ
        plain = environ._data  # noqa: SLF001 - the one place that every reader comes to
        watched = environ._data = Watched(plain)  # noqa: SLF001
        try:
            yield
        finally:
            environ._data = plain  # noqa: SLF001
            entries = dict(dict.items(watched))
            plain.clear()
            plain.update(entries)


@contextlib.contextmanager
def arguments_watched() -> Iterator[None]:
    """Watch sys.argv while the context lasts.

    Raises:
        Refusal: an import looked at more than its first word; they differ from run to run.
    """
    looked = []

    class Watched(list[str]):
        def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - a number or a slice
            if place != 0:
                looked.append(True)
            return super().__getitem__(place)

        def __iter__(self) -> Iterator[str]:
            looked.append(True)
            return super().__iter__()

        def __len__(self) -> int:
            looked.append(True)
            return super().__len__()

    sys.argv = Watched(sys.argv[:1])
    yield
    sys.argv = list(list.__iter__(sys.argv))
    if looked:
        raise Refusal("it reads its arguments while it is imported")


class Imported:
    """A program with its imports done, in this process.

    Args:
        load: does the imports and returns the program.
        descriptors: those that may be open afterwards.

    Attributes:
        program: what is run.
        loops: the event loops that an import has made, without their descriptors.
        variables: what an import has read or set.
        lessons: what forks had to import.

    Raises:
        Refusal: two runs of it cannot begin as forks of one process.
        Exception: whatever `load` raises.
    """

    def __init__(self, load: Callable[[], Any], descriptors: Sequence[int]) -> None:
        if "coverage" in sys.modules:
            raise Refusal("what is measured of a fork is lost when it ends")
        self.variables = Variables()
        self.loops: list[Any] = []
        self._tried = 1
        self._descriptors = descriptors
        with self.variables.watched(), arguments_watched():
            self.program = load()
        self.lessons = Lessons()
        self._settle()

    def reads(self) -> dict[str, Any]:
        """The variables that an import has read or set, and whether one has read all of them."""
        return {"reads": sorted(self.variables.names), "reads_all": self.variables.everything}

    def learn(self) -> bool:
        """Import what the last forks had to import; whether there was anything that we can import.

        It is tried in a fork first: what it leaves behind could not be taken back.
        """
        names = self.lessons.take()
        if not names:
            return False
        pid = os.fork()
        if pid == 0:
            try:
                self._import(names)
            finally:
                os._exit(self._tried)
        tidy = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        if tidy:
            self._import(names)
        else:
            self.lessons.refuse(names)
        return tidy

    def revive(self) -> None:
        """In a fork: give the loops descriptors again, and numpy's generator a seed of its own.

        The generator of `random` notices a fork by itself.
        """
        for loop in self.loops:
            loop._selector = type(loop._selector)()  # noqa: SLF001 - see loops_put_away
            loop._make_self_pipe()  # noqa: SLF001
        drawing = sys.modules.get("numpy.random")
        if drawing is not None:
            drawing.seed()

    def _import(self, names: Sequence[str]) -> None:
        with self.variables.watched(), arguments_watched():
            self.lessons.learn(names)
        self._settle()
        self._tried = 0

    def _settle(self) -> None:
        threads_away()
        self.loops += loops_put_away(self.loops)
        check_tidy(self._descriptors)
        gc.collect()
        gc.freeze()


def threads_away() -> None:
    """Fork once in vain: libraries that compute in threads end them before a fork."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def loops_put_away(known: Sequence[Any]) -> list[Any]:
    """Take the descriptors from event loops that an import has made, but for those that are known.

    Two processes that wait on one epoll descriptor would wake for each other's events.

    Raises:
        Refusal: a loop is in use already.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return []
    loops = [each for each in gc.get_objects() if isinstance(each, asyncio.BaseEventLoop)]
    living: list[Any] = [each for each in loops if not each.is_closed() and each not in known]
    for loop in living:
        if len(loop._selector.get_map()) != 1:  # noqa: SLF001 - its own pipe is one
            raise Refusal("an event loop is in use after the imports")
        loop._close_self_pipe()  # noqa: SLF001 - there is no other way to give its descriptors up
        loop._selector.close()  # noqa: SLF001
    return living


def check_tidy(descriptors: Sequence[int]) -> None:
    """Check that nothing is left that two forks would share.

    Raises:
        Refusal: a thread runs or a file is open.
    """
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a fork's child calls it, too
    if threads > 1:
        raise Refusal(f"{threads - 1} threads run after the imports")
    for number in open_descriptors():
        with contextlib.suppress(FileNotFoundError):  # The listing's own descriptor.
            place = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 - the same
            if number not in descriptors:
                raise Refusal(f"{place} is open after the imports")


def open_descriptors() -> list[int]:
    """The numbers of this process's open descriptors, and of the listing that has just ended."""
    return sorted(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - the same
