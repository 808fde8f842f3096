"""A case: everything that one run depends on, as a value.

A run is a function of its case (and of the bot). The seed is kept only for the record: what it
chose is in the fields. The id is a hash over the canonical JSON, so two runs of the same case can
be recognised, and a token that no longer means the same case can be refused.
"""

import hashlib
import json
from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from harness.downtime import Downtime
from harness.faults.calls import CallFault
from harness.faults.servers import ServerFault
from harness.faults.storage import StorageFault
from harness.points import CrashPoint
from harness.values import Value

ID_DIGITS = 10
LATER_FIELDS = ("call_faults", "outages", "trial", "environment")
"""Fields that are left out of the hash while they are empty: older tokens stay valid."""
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class Crash(Value):
    """One kill and what follows it.

    Attributes:
        point: where the bot dies.
        arrives: whether bytes that the bot had sent and the broker had not yet taken still arrive.
        downtime: what happens before the restart.
        storage: what happens to the bot's files before the restart, after the downtime.
    """

    point: CrashPoint
    arrives: bool = True
    downtime: Downtime = Downtime()
    storage: StorageFault | None = None

    def describe(self) -> str:
        """Say where the bot dies, in plain words."""
        lost = "" if self.arrives else "; the bytes in flight were lost"
        return f"{self.point.describe()}{lost}"


class Case(Value):
    """One run of one scenario.

    Attributes:
        scenario: the slug of the scenario that made the case.
        store: what the bot keeps its state in ("json", "sqlite", "redis").
        seed: the number that the choices were drawn with; 0 means the plain choices.
        tape: the bars that the market plays, in order.
        watchlist: what the bot is told to watch, as in its watchlist file.
        broker: how the broker behaves.
        crashes: the kills, one per life of the bot; the life after the last one is not killed.
        ends_at: exchange time after which nothing more is played; None plays the whole tape.
        call_faults: system calls of the bot that fail.
        outages: servers of the bot that are away for a while.
        environment: variables that the bot finds in its environment.
        trial: the words of a token that say what a sweep did to the scenario; empty for its story.
    """

    scenario: str = Field(pattern=SLUG)
    store: str = Field(pattern=r"^[a-z0-9_-]+$")
    seed: int = Field(default=0, ge=0)
    tape: tuple[Bar, ...] = Field(min_length=1)
    watchlist: dict[str, JsonValue]
    broker: BrokerSettings = BrokerSettings()
    crashes: tuple[Crash, ...] = ()
    ends_at: AwareDatetime | None = None
    call_faults: tuple[CallFault, ...] = ()
    outages: tuple[ServerFault, ...] = ()
    trial: str = ""
    environment: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tape_goes_forward(self) -> Self:
        times = [bar.time for bar in self.tape]
        if times != sorted(times):
            raise ValueError("the bars of a case must be in the order of their times")
        return self

    def bars_through(self, moment: datetime) -> int:
        """How many bars of the tape start at or before `moment`."""
        return sum(1 for bar in self.tape if bar.time <= moment)

    def clean(self) -> Self:
        """The same case without its crashes."""
        return self.before(life=1)

    def before(self, *, life: int) -> Self:
        """The same case with only the crashes before a life, from 1."""
        kept = {"crashes": self.crashes[: life - 1]}
        return self.model_copy(update={**kept, "call_faults": (), "outages": (), "trial": ""})


def canonical(case: Case) -> str:
    """The JSON text that a case's id is made of: sorted keys, no spaces.

    Settings of the broker that stand at their defaults are left out, so that a new knob whose
    default changes nothing leaves all tokens valid.
    """
    record = case.model_dump(mode="json")
    for name in LATER_FIELDS:
        if not record[name]:
            del record[name]
    for crash in record["crashes"]:
        if crash["storage"] is None:
            del crash["storage"]
        if not crash["point"].get("events", True):
            del crash["point"]["events"]
    record["broker"] = case.broker.model_dump(mode="json", exclude_defaults=True)
    if case.broker.faults:
        # Of a fault, its name is a default: without it two faults would be one.
        record["broker"]["faults"] = case.broker.model_dump(mode="json")["faults"]
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def case_id(case: Case) -> str:
    """The first ten hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(case).encode()).hexdigest()[:ID_DIGITS]
