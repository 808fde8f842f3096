"""A trial: what a sweep does to a scenario, as a few words that a person can read and paste.

    kill=before.rename.state-file.1.20251006T100145
    kill=processed.placeOrder.1+stop-fills+backup-restored
    kill=quiet.20251006T100145/kill=before.fsync.state-file.2.20251006T100145
    fail=ENOSPC.write.temporary-file.3x2/kill=...
    with=statuses-twice/kill=processed.placeOrder.1/end=20251006T100230
    outage=redis-outage.20251006T100030.20251006T100040.last-second

Each `kill=` is one crash: its point, then words of the scenario's vocabulary: what the broker does
meanwhile, what happens to the files. `with=` is a fault that the broker has all day, `fail=` a
system call that fails, `outage=` a server of the bot that is away for a while (`servers.py` of
`harness/faults`), `end=` the last moment of the market.
"""

import re
from datetime import datetime
from typing import Self, get_args

from pydantic import AwareDatetime, ValidationError

from harness.errors import UserError
from harness.faults.calls import CallFault
from harness.faults.servers import ServerFault, parse_server_fault
from harness.points import CrashPoint
from harness.points.slugs import parse_point, parse_time, slug_of, spell_time
from harness.values import Value

LOST = "lost"
WORD = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*", re.ASCII)
FAIL = re.compile(
    r"(?P<errno>[A-Z]+)\.(?P<call>[a-z]+)\.(?P<role>[A-Za-z-]+)\.(?P<occurrence>[1-9][0-9]*)"
    r"(?:x(?P<times>[1-9][0-9]*))?(?:\.life(?P<life>[1-9][0-9]*))?",
    re.ASCII,
)


class Kill(Value):
    """One crash of a trial.

    Attributes:
        point: where the bot dies.
        arrives: whether bytes that the broker had not yet taken still arrive.
        words: of the scenario's vocabulary, in the order in which they happen.
    """

    point: CrashPoint
    arrives: bool = True
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        lost = () if self.arrives else (LOST,)
        return "+".join((slug_of(self.point), *lost, *self.words))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what stands behind `kill=`.

        Raises:
            UserError: it is no crash.
        """
        slug, *words = text.split("+")
        for word in words:
            if WORD.fullmatch(word) is None:
                raise UserError(f"{word!r} in {text!r} is not a word of a trial")
        lost = bool(words) and words[0] == LOST
        rest = tuple(words[1:] if lost else words)
        return cls(point=parse_point(slug), arrives=not lost, words=rest)


class Trial(Value):
    """What is done to one run of a scenario.

    Attributes:
        kills: the crashes, one for each life of the bot but the last.
        fails: the system calls that fail.
        outages: the servers of the bot that are away, in the order of their times.
        troubles: faults of the broker for the whole run, by their slugs.
        ends: exchange time after which nothing more is played; None plays the whole tape.
    """

    kills: tuple[Kill, ...] = ()
    fails: tuple[CallFault, ...] = ()
    outages: tuple[ServerFault, ...] = ()
    troubles: tuple[str, ...] = ()
    ends: AwareDatetime | None = None

    def __str__(self) -> str:
        fails = [f"fail={spell(fault)}" for fault in self.fails]
        end = [] if self.ends is None else [f"end={spell_time(self.ends)}"]
        troubles = [f"with={trouble}" for trouble in self.troubles]
        outages = [f"outage={outage.slug}" for outage in self.outages]
        kills = [f"kill={kill}" for kill in self.kills]
        return "/".join([*troubles, *fails, *outages, *kills, *end])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a trial.

        Raises:
            UserError: a part of it says nothing that we know.
        """
        kills: list[Kill] = []
        fails: list[CallFault] = []
        outages: list[ServerFault] = []
        troubles: list[str] = []
        ends: datetime | None = None
        for part in text.split("/"):
            name, _, rest = part.partition("=")
            match name:
                case "kill":
                    kills.append(Kill.parse(rest))
                case "fail":
                    fails.append(read_fault(rest))
                case "outage":
                    outages.append(parse_server_fault(rest))
                case "with":
                    troubles.append(rest)
                case "end":
                    ends = read_time(rest)
                case _:
                    raise UserError(
                        f"{part!r} is no part of a trial; parts begin with kill=, fail=, outage=, "
                        "with= or end="
                    )
        return cls(
            kills=tuple(kills),
            fails=tuple(fails),
            outages=tuple(outages),
            troubles=tuple(troubles),
            ends=ends,
        )

    @property
    def plain(self) -> bool:
        """Whether nothing is done but crashes."""
        words = any(kill.words for kill in self.kills)
        return not (self.fails or self.outages or self.troubles or words)

    @property
    def is_point(self) -> bool:
        """Whether it is one crash with nothing else."""
        return self.plain and len(self.kills) == 1

    def replaced(self, number: int, kill: Kill | None) -> Self:
        """The same trial with another crash, or none, in the place of one; numbers from 0."""
        kills = [*self.kills]
        kills[number : number + 1] = [] if kill is None else [kill]
        return self.model_copy(update={"kills": tuple(kills)})


def spell(fault: CallFault) -> str:
    """A failing call as one word."""
    times = f"x{fault.times}" if fault.times > 1 else ""
    life = f".life{fault.life}" if fault.life > 1 else ""
    role = fault.role.replace(" ", "-")
    return f"{fault.errno}.{fault.call}.{role}.{fault.occurrence}{times}{life}"


def read_time(text: str) -> datetime:
    """Read a moment as tokens spell it, 20251006T100230 in New York.

    Raises:
        UserError: it is none.
    """
    try:
        return parse_time(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no moment; one looks like 20251006T100230") from error


def read_fault(text: str) -> CallFault:
    """Read the word of a failing call.

    Raises:
        UserError: it is none.
    """
    found = FAIL.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} names no failing call; one looks like ENOSPC.write.temporary-file.3"
        )
    told = {name: value for name, value in found.groupdict().items() if value is not None}
    try:
        return CallFault.model_validate({**told, "role": told["role"].replace("-", " ")})
    except ValidationError as error:
        known = ", ".join(get_args(CallFault.model_fields["errno"].annotation))
        raise UserError(f"{text!r} names no failing call (errors: {known})") from error
