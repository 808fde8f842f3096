"""Every storage fault that is worth trying at a restart, for each store of the reference bot.

A bot of another make has other files; a fault whose file it does not have does not happen, so the
catalogue of its nearest store, or `every_fault()`, fits it as well.
"""

import itertools
from typing import get_args

from harness.faults.storage import (
    BitFlip,
    Empty,
    Future,
    FutureWhat,
    LeftoverTemp,
    Missing,
    PieceRole,
    ReadOnly,
    Shape,
    Stale,
    StorageFault,
    Torn,
    Unit,
    Yesterday,
)

FLIPS = 3
LONG_AGO = 20
"""Bars; most of a day that is swept."""


def harm(*roles: PieceRole) -> tuple[StorageFault, ...]:
    """What can happen to the bytes of each of these files or keys."""
    faults: list[StorageFault] = []
    for role in roles:
        for shape, unit in itertools.product(get_args(Shape), get_args(Unit)):
            faults.append(Torn(role=role, shape=shape, unit=unit))
        faults += [BitFlip(role=role, seed=seed) for seed in range(FLIPS)]
        faults += [Empty(role=role), Missing(role=role)]
    return tuple(faults)


WHATS: tuple[FutureWhat, ...] = get_args(FutureWhat)
FOLDER: tuple[StorageFault, ...] = (
    Missing(role="lock"),
    Missing(role="folder"),
    Stale(role="folder", back=1),
    Stale(role="folder", back=LONG_AGO),
    ReadOnly(),
)
JSON: tuple[StorageFault, ...] = (
    *harm("state", "backup"),
    Stale(role="state", back=0),
    Stale(role="state", back=1),
    Stale(role="state", back=LONG_AGO),
    Stale(role="backup", back=LONG_AGO),
    LeftoverTemp(role="state"),
    LeftoverTemp(role="backup"),
    Yesterday(role="state"),
    Yesterday(role="folder"),
    *(Future(role="state", what=what) for what in WHATS),
    *FOLDER,
)
SQLITE: tuple[StorageFault, ...] = (
    *harm("database", "wal", "backup"),
    Stale(role="database", back=0),
    Stale(role="database", back=1),
    Stale(role="database", back=LONG_AGO),
    Stale(role="wal", back=1),
    Stale(role="backup", back=LONG_AGO),
    LeftoverTemp(role="database"),
    LeftoverTemp(role="backup"),
    Yesterday(role="database"),
    Yesterday(role="folder"),
    *(Future(role="database", what=what) for what in WHATS),
    *FOLDER,
)
REDIS: tuple[StorageFault, ...] = (
    *harm("key", "backup-key", "witness"),
    Missing(role="lock-key"),
    Empty(role="lock-key"),
    Missing(role="redis"),
    Stale(role="redis", back=1),
    Stale(role="redis", back=LONG_AGO),
    Stale(role="key", back=0),
    Stale(role="key", back=1),
    Stale(role="key", back=LONG_AGO),
    Stale(role="witness", back=LONG_AGO),
    LeftoverTemp(role="witness"),
    Yesterday(role="key"),
    *(Future(role="key", what=what) for what in WHATS),
    *FOLDER,
)
BY_STORE: dict[str, tuple[StorageFault, ...]] = {"json": JSON, "sqlite": SQLITE, "redis": REDIS}


def every_fault() -> tuple[StorageFault, ...]:
    """The faults of all stores, each once."""
    return tuple(dict.fromkeys((*JSON, *SQLITE, *REDIS)))
