"""Which bot is tested and how it is spoken to: as command lines, never by import.

The reference bot, another Python file or module that takes the reference's arguments, or any
command line with placeholders. What a user can get wrong here is said before anything starts.
"""

import importlib.util
import itertools
import shlex
import shutil
import string
import sys
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator

from harness.bot_clock import BotClock
from harness.errors import UserError
from harness.values import Value

REFERENCE = "target_trader"
OWNER = r"\b[0-9a-f]{16} \S+ pid \d+ \S+"
"""How a process of the reference bot signs in Redis as the one that writes."""
REFERENCE_IMPORTS = {"redis": ("target_trader.state.redis_store",)}
"""What the reference bot imports when it is told to keep its state there, 12 ms each time."""
CLIENT_ID = 2001
PLACEHOLDERS = ("port", "state_dir", "store", "client_id", "watchlist", "redis_url")


class Session(Value):
    """What one run tells its bot: where the broker is and where the state lies.

    `redis_url` is empty unless the store is "redis"; the bot also finds it in REDIS_URL. `settings`
    are variables of the scenario's.
    """

    port: int
    state_dir: str
    store: str
    watchlist: str
    client_id: int = CLIENT_ID
    redis_url: str = ""
    settings: dict[str, str] = Field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the bot's commands."""
        redis = {"REDIS_URL": self.redis_url} if self.redis_url else {}
        return {**self.settings, **redis}


class BotSpec(Value):
    """A bot as two command lines with `{placeholders}`.

    Attributes:
        name: what the bot is called in reports.
        trade: starts it; runs until it is killed.
        state: prints its belief as JSON and ends; None when it cannot.
        options: what a replay command must repeat, " --bot my_bot.py"; empty for the reference.
        clock: which clock it is run by; what a replay command repeats of it is in `options`.
        failpoints: prints the names of its failpoints, one at the start of each line; None when
            it has none.
        names: regular expressions for what in its memory only names one process of it, and so
            differs from run to run and decides nothing.
        imports: by store, modules that its processes import late and that a fork server may import
            for all of them before. One that cannot be imported is left to the bot, which may be
            prepared for it. What has to be late, because it reads a setting of the run or is a
            part of what is tested, does not belong here. A bot that is executed imports for itself.
    """

    name: str
    trade: tuple[str, ...]
    state: tuple[str, ...] | None
    options: str = ""
    clock: BotClock = BotClock()
    failpoints: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()
    imports: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("imports")
    @classmethod
    def _are_modules(cls, imports: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name in itertools.chain(*imports.values()):
            if not all(part.isidentifier() for part in name.split(".")):
                raise UserError(f"imports: {name!r} is no module's dotted name, as in 'bot.store'")
        return imports

    @classmethod
    def reference(cls) -> Self:
        """The reference bot."""
        made = cls._python("reference bot", ("-m", REFERENCE), options="")
        return made.model_copy(update={"imports": REFERENCE_IMPORTS})

    @classmethod
    def choose(
        cls,
        bot: str | None = None,
        *,
        command: str | None = None,
        state_command: str | None = None,
        clock: str | None = None,
    ) -> Self:
        """The bot that the options name; without options the reference bot.

        Args:
            bot: path of a Python file, or a module's dotted name, with the reference's arguments.
            command: a whole command line with {port} {state_dir} {store} {client_id} {watchlist}
                {redis_url}.
            state_command: beside `command`, prints the belief; the same placeholders.
            clock: see `BotClock`; None: as this kind of bot is usually run.

        Raises:
            UserError: the file, module or program is not there, or the options do not fit.
        """
        if clock is not None:
            chosen = BotClock.parse(clock)
            return cls.choose(bot, command=command, state_command=state_command).by_clock(chosen)
        if command is None and state_command is not None:
            raise UserError("--bot-state-command belongs to --bot-command: give both")
        if command is not None:
            if bot is not None:
                raise UserError("give either --bot or --bot-command, not both")
            return cls._command(command, state_command)
        if bot is None:
            return cls.reference()
        if bot.endswith(".py") or "/" in bot:
            return cls._file(bot)
        return cls._module(bot)

    def by_clock(self, clock: BotClock) -> Self:
        """The same bot, run by a clock."""
        options = f"{self.options} --clock {clock}"
        return self.model_copy(update={"clock": clock, "options": options})

    @classmethod
    def _file(cls, bot: str) -> Self:
        path = Path(bot)
        if not path.is_file():
            raise UserError(
                f"--bot {bot}: there is no such file; give the path of a Python file or the "
                f"dotted name of a module"
            )
        return cls._python(path.name, (str(path.resolve()),), options=f" --bot {shlex.quote(bot)}")

    @classmethod
    def _module(cls, bot: str) -> Self:
        top = bot.partition(".")[0]
        here = Path(top).is_dir() or Path(f"{top}.py").is_file()
        if not all(part.isidentifier() for part in bot.split(".")) or not (
            here or importlib.util.find_spec(top) is not None
        ):
            raise UserError(
                f"--bot {bot}: neither a file nor a module that Python finds; a file's path ends "
                f"in .py"
            )
        return cls._python(bot, ("-m", bot), options=f" --bot {bot}")

    @classmethod
    def _command(cls, command: str, state_command: str | None) -> Self:
        options = f" --bot-command {shlex.quote(command)}"
        if state_command is not None:
            options += f" --bot-state-command {shlex.quote(state_command)}"
        trade = words_of("--bot-command", command)
        state = None if state_command is None else words_of("--bot-state-command", state_command)
        return cls(name=Path(trade[0]).name, trade=trade, state=state, options=options)

    @classmethod
    def _python(cls, name: str, program: tuple[str, ...], *, options: str) -> Self:
        start = (sys.executable, *program)
        state = ("--state-dir", "{state_dir}", "--store", "{store}")
        place = ("--host", "127.0.0.1", "--port", "{port}", "--client-id", "{client_id}")
        return cls(
            name=name,
            trade=(*start, "trade", *place, *state, "--watchlist", "{watchlist}"),
            state=(*start, "state", *state),
            options=options,
            clock=BotClock(kind="faked"),
            failpoints=(*start, "failpoints"),
            names=(OWNER,),
        )

    def imports_for(self, store: str) -> tuple[str, ...]:
        """The modules that a fork server may import before, when the state is kept there."""
        return self.imports.get(store, ())

    def trade_command(self, session: Session) -> tuple[str, ...]:
        """The command line that starts the bot."""
        return tuple(word.format(**session.model_dump()) for word in self.trade)

    def state_command(self, session: Session) -> tuple[str, ...] | None:
        """The command line that prints the bot's belief, if it has one."""
        if self.state is None:
            return None
        return tuple(word.format(**session.model_dump()) for word in self.state)


def words_of(option: str, command: str) -> tuple[str, ...]:
    """Split a command line and check its program and placeholders.

    Raises:
        UserError: it cannot be split, is empty, or names something that is not there.
    """
    try:
        words = tuple(shlex.split(command))
        names = [name for word in words for _, name, _, _ in string.Formatter().parse(word)]
    except ValueError as error:
        raise UserError(f"{option} {command!r} cannot be read: {error}") from error
    if not words:
        raise UserError(f"{option} is empty; give a command line")
    unknown = [name for name in names if name is not None and name not in PLACEHOLDERS]
    if unknown:
        known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise UserError(f"{option}: unknown placeholder {{{unknown[0]}}}; known are {known}")
    if shutil.which(words[0]) is None:
        raise UserError(f"{option}: there is no program {words[0]!r} to start")
    return words
