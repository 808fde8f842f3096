"""`python -m fakebroker`: a paper account without a network. Arguments become a server.

Whatever a user can get wrong (a broken tape, a port in use, an unknown option) ends with one
line on stderr that says what and what to do, and with exit code 2.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer
from pydantic import ValidationError

from fakebroker.broker import Broker
from fakebroker.clock import Clock, LockstepClock, RealClock, wall_now
from fakebroker.journal import EXCHANGE_ZONE, Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import Tape, TapeError, parse_tape
from fakebroker.server import Gateway
from fakebroker.settings import BrokerSettings

PRICE_WITHOUT_TAPE = "100"
"""US dollars of every stock when there is no tape, so that a script can be tried at once."""


class ClockKind(StrEnum):
    """How time passes."""

    REAL = "real"
    LOCKSTEP = "lockstep"


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
    tape: Annotated[Path | None, typer.Option(help="CSV of bars that make the market.")] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol of a tape that has no symbol column.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account code.")] = None,
    cash: Annotated[str | None, typer.Option(help="Cash at the start, in USD.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the ids the broker gives out.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="JSON file with settings (see fakebroker/settings.py).")
    ] = None,
    clock: Annotated[
        ClockKind, typer.Option(help="real: the tape runs; lockstep: the control socket steps it.")
    ] = ClockKind.REAL,
    speed: Annotated[float, typer.Option(min=0.001, help="Times faster than the wall.")] = 1.0,
    journal: Annotated[
        Path | None, typer.Option(help="Write the journal to this new file.")
    ] = None,
    control: Annotated[Path | None, typer.Option(help="Open a control socket here.")] = None,
    ready_fd: Annotated[
        int | None, typer.Option(help="Write one JSON line here when listening, and close it.")
    ] = None,
) -> None:
    """Run an IB Gateway that is not there."""
    given = {"account": account, "cash": cash, "seed": seed}
    if tape is None:
        given["price_without_tape"] = PRICE_WITHOUT_TAPE
    broker_settings = read_settings(settings, given)
    market = read_tape(tape, symbol) if tape is not None else None
    if clock is ClockKind.LOCKSTEP and (market is None or control is None):
        fail("--clock lockstep needs --tape and --control: without them nothing can step the day")
    with contextlib.ExitStack() as cleanup:
        sink = cleanup.enter_context(open_journal(journal)) if journal is not None else None
        start = market.bars[0].time if market is not None else wall_now()
        broker = Broker(
            broker_settings, Market(market), start=start, journal=Journal(line_writer(sink))
        )

        def announce(bound_port: int) -> None:
            listening = f"listening on {host}:{bound_port}, account {broker_settings.account}"
            print(f"fakebroker: {listening}, {describe_market(market)}", flush=True)  # noqa: T201
            if ready_fd is not None:
                os.write(ready_fd, json.dumps({"port": bound_port}).encode() + b"\n")
                os.close(ready_fd)

        try:
            asyncio.run(run(broker, clock, speed, host, port, control, announce))
        except ListenError as error:
            fail(str(error))


class ListenError(Exception):
    """An address cannot be listened on; the message names it and what to do."""


async def run(
    broker: Broker,
    kind: ClockKind,
    speed: float,
    host: str,
    port: int,
    control: Path | None,
    announce: Callable[[int], None],
) -> None:
    """Serve until SIGTERM, SIGINT or a `shutdown` on the control socket.

    Raises:
        ListenError: The port or the control socket cannot be opened.
    """
    loop = asyncio.get_running_loop()
    clock: Clock
    match kind:
        case ClockKind.REAL:
            clock = RealClock(broker.now, speed=speed, monotonic=loop.time)
        case ClockKind.LOCKSTEP:
            clock = LockstepClock(lambda: broker.now)
    gateway = Gateway(broker, clock, lockstep=kind is ClockKind.LOCKSTEP)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, gateway.stopped.set)
    try:
        await _listen(gateway, host, port, control)
        announce(gateway.port)
        await gateway.stopped.wait()
    finally:
        await gateway.close()


async def _listen(gateway: Gateway, host: str, port: int, control: Path | None) -> None:
    try:
        await gateway.listen(host, port)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            f"end the program that holds it, or choose another --port (0 takes any free one)"
        ) from error
    if control is None:
        return
    try:
        await gateway.listen_control(control)
    except OSError as error:
        raise ListenError(
            f"cannot open the control socket {control}: {error.strerror or error}; "
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


def read_tape(path: Path, symbol: str | None) -> Tape:
    """Return the bars of a tape file."""
    try:
        return parse_tape(path.read_text(encoding="utf-8"), name=path.name, symbol=symbol)
    except OSError as error:
        fail(f"cannot read --tape {path}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        fail(f"--tape {path} is not text: {error}")
    except TapeError as error:
        fail(str(error))


def open_journal(path: Path) -> TextIO:
    """Open a new journal file; one that exists is never overwritten."""
    try:
        return path.open("x", encoding="utf-8")
    except FileExistsError:
        fail(f"--journal {path} exists and is not overwritten: move it or name another")
    except OSError as error:
        fail(f"cannot write --journal {path}: {error.strerror or error}")


def line_writer(file: TextIO | None) -> Callable[[str], None]:
    """Return what writes one journal line; each line is complete on disk before the next input."""
    if file is None:
        return lambda _line: None

    def write(line: str) -> None:
        file.write(line + "\n")
        file.flush()

    return write


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


if __name__ == "__main__":
    app(prog_name="python -m fakebroker")
