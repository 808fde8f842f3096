"""What many runs share: a way to start programs, a folder, and the days that were learned."""

import contextlib
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.clock import Stopwatch
from harness.itinerary import Depth
from harness.janitor import private_folder
from harness.scenario import Scenario
from harness.sweep import Sweep
from harness.targets import BotSpec
from harness.targets.launcher import ForkLauncher
from harness.targets.process import EXEC, Launcher


@dataclass(slots=True)
class Workshop:
    """The tools of one process.

    Attributes:
        launcher: how programs are started.
        folder: where the runs lie.
        watch: is told how long each part of the runs took.
        branches: whether runs of a sweep branch off a common one.
        sequels: where what followed crashes is kept for all sweeps; None: each has its own.
        made: how many sweeps there were.
    """

    launcher: Launcher
    folder: Path
    watch: Stopwatch = field(default_factory=Stopwatch)
    branches: bool = False
    sequels: Path | None = None
    made: int = 0
    known: dict[tuple[str, ...], Sweep] = field(default_factory=dict)

    def sweep(self, scenario: Scenario, store: str, *, bot: BotSpec, depth: Depth) -> Sweep:
        """A sweep; one that was asked for before has learned its day already."""
        key = (scenario.name, store, bot.model_dump_json(), repr(depth))
        found = self.known.get(key)
        if found is None:
            self.made += 1
            found = self.known[key] = Sweep(
                scenario,
                store,
                bot=bot,
                folder=self.folder / f"sweep-{self.made}",
                depth=depth,
                launcher=self.launcher,
                watch=self.watch,
                branches=self.branches,
                sequels=self.sequels,
            )
        return found

    def close(self) -> None:
        """End what the sweeps still run."""
        for sweep in self.known.values():
            sweep.close()


@contextlib.contextmanager
def workshop(
    keep: Path | None = None,
    *,
    executes: bool = False,
    watch: Stopwatch | None = None,
    sequels: Path | None = None,
) -> Iterator[Workshop]:
    """The tools, until the context is left.

    Args:
        keep: where the runs lie; None: in a folder that is removed however this process ends.
        executes: start every process anew; otherwise Python programs are forked.
        watch: is told how long each part of the runs took.
        sequels: a private folder in which processes share what followed crashes.
    """
    with contextlib.ExitStack() as cleanup:
        # What is there already stays; to look through it again and again takes longer than judging.
        gc.collect()
        gc.freeze()
        cleanup.callback(gc.unfreeze)
        folder = cleanup.enter_context(private_folder()) if keep is None else keep
        launcher: Launcher = EXEC
        if not executes:
            launcher = cleanup.enter_context(ForkLauncher())
        shop = Workshop(
            launcher=launcher,
            folder=folder,
            watch=watch or Stopwatch(),
            branches=not executes and sys.platform == "linux",
            sequels=sequels,
        )
        cleanup.callback(shop.close)
        yield shop
