"""`python -m fakebroker`: a paper account without a network. Arguments become a server.

Whatever a user can get wrong (a broken tape, a port in use, an unknown option) ends with one
line on stderr that says what and what to do, and with exit code 2.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperOption

from fakebroker.broker import Broker
from fakebroker.clock import Clock, LockstepClock, RealClock, wall_now
from fakebroker.faults import FaultFileError, parse_faults
from fakebroker.journal import EXCHANGE_ZONE, Journal, line_writer
from fakebroker.market.source import Market
from fakebroker.market.synthetic import PREFIX, parse_spec, synthetic_tape
from fakebroker.market.tape import Tape, TapeError
from fakebroker.market.tick_tape import read_tape
from fakebroker.screen import Screen
from fakebroker.server import Gateway
from fakebroker.settings import BrokerSettings
from fakebroker.store import Store, StoreError

PRICE_WITHOUT_TAPE = "100"
"""US dollars of every stock when there is no tape, so that a script can be tried at once."""

PATH = "<path>"
"""How --help names a path that is taken as text: for a `Path` typer makes a schema in each run."""


class ClockKind(StrEnum):
    """How time passes."""

    REAL = "real"
    LOCKSTEP = "lockstep"


@dataclass(frozen=True, slots=True)
class SideDoor:
    """Where control requests come from: a path to listen at, an open socket, both or neither."""

    path: Path | None = None
    descriptor: int | None = None


NO_SIDE_DOOR = SideDoor()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def fail(message: str) -> NoReturn:
    """End with a message on stderr and exit code 2: the user can mend this."""
    print(f"fakebroker: {message}", file=sys.stderr)  # noqa: T201 - this is the command line
    raise typer.Exit(2)


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any.")] = 7497,
    tape: Annotated[
        str | None,
        typer.Option(
            help="CSV of bars or of trades, or a day made from --seed, such as "
            "synthetic:breakout:TSLA:60min; its shapes: breakout, fakeout, gap-through-stop, "
            "chop, halt."
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol of a tape that has no symbol column.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account code.")] = None,
    cash: Annotated[str | None, typer.Option(help="Cash at the start, in USD.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of execution ids and synthetic days.")
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(metavar=PATH, help="JSON file with settings (see fakebroker/settings.py)."),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(help="TOML file of what goes wrong (see docs/faults.md).")
    ] = None,
    clock: Annotated[
        ClockKind, typer.Option(help="real: the tape runs; lockstep: the control socket steps it.")
    ] = ClockKind.REAL,
    speed: Annotated[float, typer.Option(min=0.001, help="Times faster than the wall.")] = 1.0,
    journal: Annotated[
        str | None, typer.Option(metavar=PATH, help="Write the journal to this new file.")
    ] = None,
    control: Annotated[Path | None, typer.Option(help="Open a control socket here.")] = None,
    control_fd: Annotated[
        int | None,
        typer.Option(
            help="Be controlled over this open unix socket; when that ends, the broker does."
        ),
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the books in this private folder, and go on from those in it."),
    ] = None,
    view: Annotated[
        bool, typer.Option(help="Show sessions, orders and fills live, on a terminal.")
    ] = True,
    ready_fd: Annotated[
        int | None, typer.Option(help="Write one JSON line here when listening, and close it.")
    ] = None,
) -> None:
    """Run an IB Gateway that is not there."""
    given = {"account": account, "cash": cash, "seed": seed}
    if tape is None:
        given["price_without_tape"] = PRICE_WITHOUT_TAPE
    broker_settings = read_settings(None if settings is None else Path(settings), given)
    if faults is not None:
        broker_settings = with_faults(broker_settings, faults)
    market = read_market(tape, symbol, broker_settings.seed) if tape is not None else None
    side_door = SideDoor(path=control, descriptor=control_fd)
    if clock is ClockKind.LOCKSTEP and (market is None or side_door == NO_SIDE_DOOR):
        fail("--clock lockstep needs --tape and --control: without them nothing can step the day")
    with contextlib.ExitStack() as cleanup:
        sink = cleanup.enter_context(open_journal(Path(journal))) if journal is not None else None
        start = market.start if market is not None else wall_now()
        broker = Broker(
            broker_settings, Market(market), start=start, journal=Journal(line_writer(sink))
        )

        store = cleanup.enter_context(open_store(state_dir, broker_settings, market))
        keep = keep_books(broker, store)

        def announce(bound_port: int) -> None:
            listening = f"listening on {host}:{bound_port}, account {broker_settings.account}"
            print(f"fakebroker: {listening}, {describe_market(market)}", flush=True)  # noqa: T201
            if ready_fd is not None:
                os.write(ready_fd, json.dumps({"port": bound_port}).encode() + b"\n")
                os.close(ready_fd)

        show = live_view if view and clock is ClockKind.REAL else no_view
        try:
            asyncio.run(
                run(broker, clock, speed, host, port, side_door, announce, keep=keep, show=show)
            )
        except (ListenError, StoreError) as error:
            fail(str(error))


class ListenError(Exception):
    """An address cannot be listened on; the message names it and what to do."""


async def run(
    broker: Broker,
    kind: ClockKind,
    speed: float,
    host: str,
    port: int,
    control: SideDoor,
    announce: Callable[[int], None],
    *,
    keep: Callable[[], None] | None,
    show: Callable[[Gateway], contextlib.AbstractContextManager[object]],
) -> None:
    """Serve until SIGTERM, SIGINT or a `shutdown` on the control socket.

    Raises:
        ListenError: The port or the control socket cannot be opened.
        StoreError: The books could not be put on the disk any more.
    """
    loop = asyncio.get_running_loop()
    clock: Clock
    match kind:
        case ClockKind.REAL:
            clock = RealClock(broker.now, speed=speed, monotonic=loop.time)
        case ClockKind.LOCKSTEP:
            clock = LockstepClock(lambda: broker.now)
    gateway = Gateway(broker, clock, lockstep=kind is ClockKind.LOCKSTEP, keep=keep)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, gateway.stopped.set)
    try:
        await _listen(gateway, host, port, control)
        announce(gateway.port)
        with show(gateway):
            await gateway.stopped.wait()
    finally:
        await gateway.close()
    if gateway.failure is not None:
        raise gateway.failure


async def _listen(gateway: Gateway, host: str, port: int, control: SideDoor) -> None:
    try:
        await gateway.listen(host, port)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            f"end the program that holds it, or choose another --port (0 takes any free one)"
        ) from error
    if control.descriptor is not None:
        try:
            await gateway.serve_control(socket.socket(fileno=control.descriptor))
        except (OSError, ValueError) as error:
            raise ListenError(
                f"--control-fd {control.descriptor} is no connected unix socket: {error}; "
                f"whoever starts the broker has to pass it one"
            ) from error
    if control.path is None:
        return
    try:
        await gateway.listen_control(control.path)
    except OSError as error:
        raise ListenError(
            f"cannot open the control socket {control.path}: {error.strerror or error}; "
            f"choose a short path (under 108 bytes) in a folder of yours"
        ) from error


def read_settings(path: Path | None, given: Mapping[str, object]) -> BrokerSettings:
    """Return the settings of a file, overruled by the options that were given."""
    record: object = {}
    if path is not None:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            fail(f"cannot read --settings {path}: {error.strerror or error}")
        except ValueError as error:
            fail(f"--settings {path} is not JSON: {error}")
    if not isinstance(record, dict):
        fail(f"--settings {path} must hold one JSON object, not {type(record).__name__}")
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return BrokerSettings.model_validate({**record, **chosen})
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        name = ".".join(str(step) for step in item["loc"])
        fail(f"setting {name} = {item['input']!r}: {item['msg']}")


def with_faults(settings: BrokerSettings, path: Path) -> BrokerSettings:
    """Return the settings with the faults of a TOML file after those that they have."""
    try:
        found = parse_faults(path.read_text(encoding="utf-8"), name=f"--faults {path}")
    except OSError as error:
        fail(f"cannot read --faults {path}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        fail(f"--faults {path} is not text: {error}")
    except FaultFileError as error:
        fail(str(error))
    return settings.model_copy(update={"faults": (*settings.faults, *found)})


def read_market(source: str, symbol: str | None, seed: int) -> Tape:
    """Return the market of a tape file, or a synthetic day made from the seed."""
    path = Path(source)
    try:
        if source.startswith(PREFIX):
            return synthetic_tape(parse_spec(source), seed)
        return read_tape(path.read_text(encoding="utf-8"), name=path.name, symbol=symbol)
    except OSError as error:
        fail(f"cannot read --tape {path}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        fail(f"--tape {path} is not text: {error}")
    except TapeError as error:
        fail(str(error))


def open_journal(path: Path) -> FileIO:
    """Open a new journal file; one that exists is never overwritten."""
    try:
        return path.open("xb", buffering=0)
    except FileExistsError:
        fail(f"--journal {path} exists and is not overwritten: move it or name another")
    except OSError as error:
        fail(f"cannot write --journal {path}: {error.strerror or error}")


def open_store(
    folder: Path | None, settings: BrokerSettings, tape: Tape | None
) -> contextlib.AbstractContextManager[Store | None]:
    """Open the books of a state folder; without one nothing is kept."""
    if folder is None:
        return contextlib.nullcontext()
    try:
        return Store(folder, settings, tape)
    except StoreError as error:
        fail(str(error))


def keep_books(broker: Broker, store: Store | None) -> Callable[[], None] | None:
    """Let the broker go on from the books of a store; return what puts them there."""
    if store is None:
        return None
    if store.kept is not None:
        broker.reopen(store.kept)
    return lambda: store.keep(broker.durable())


def live_view(gateway: Gateway) -> contextlib.AbstractContextManager[object]:
    """Show the gateway live where there is a terminal to show it on."""
    return Screen(gateway, Console()) if sys.stdout.isatty() else contextlib.nullcontext()


def no_view(_: Gateway) -> contextlib.AbstractContextManager[object]:
    """Show nothing."""
    return contextlib.nullcontext()


def describe_market(tape: Tape | None) -> str:
    """Return one phrase about the market for the line that says we listen."""
    if tape is None:
        return f"no tape: every stock trades at {PRICE_WITHOUT_TAPE}"
    symbols = sorted({bar.symbol for bar in tape.bars})
    first = tape.bars[0].time.astimezone(EXCHANGE_ZONE)
    last = tape.bars[-1].time.astimezone(EXCHANGE_ZONE) + tape.period
    return (
        f"tape of {len(tape.bars)} bars of {', '.join(symbols)}, "
        f"{first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} New York"
    )


# Built once: a process that is forked from one that has imported this does not pay for it again.
COMMAND = typer.main.get_command(app)
for _option in COMMAND.get_params(COMMAND.context_class(COMMAND)):  # With --help, made here, too.
    if isinstance(_option, TyperOption):
        # What checks a value is made on first use otherwise, 1 ms each, in every process.
        _option.get_runtime_param()


def main() -> None:
    """Run the command line."""
    COMMAND(prog_name="python -m fakebroker")
