"""The command line: `python -m target_trader trade`, and the commands of `commands.py`.

A bot that is broken on purpose is this bot with one part replaced, in a file of its own:

    from target_trader.__main__ import main
    from target_trader.orders import Bracket, OrderDesk

    class SendsFirst(OrderDesk):
        def submit_bracket(self, signal, setup):
            bracket = self.plan_bracket(signal, setup)
            self.transmit(bracket)
            self.remember(bracket)

    if __name__ == "__main__":
        main(orders_factory=SendsFirst)

`store_factory` replaces the store, `trader_class` the whole `Trader`, or one of the parts that it
names in its class. The command line stays.

Exit codes: 0 stopped as told, 1 a failure of the machine, 2 something that the user has to change,
3 halted until a person has looked (`resume`).
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup, TyperOption

from target_trader.clock import Clock, MarketClock, SystemClock
from target_trader.commands import ConfigFile, RedisUrl, StateDir, Store, StoreFactory, add_commands
from target_trader.commands import settled as settle_options
from target_trader.config import Config
from target_trader.errors import EngineHaltedError, TraderError
from target_trader.failpoints import arm
from target_trader.library import require_library
from target_trader.log import start_logging, tell
from target_trader.orders import OrderDesk
from target_trader.settings import ClockKind, Library, LogFormat, TraderOptions
from target_trader.state.choice import open_store
from target_trader.state.store import StateStore
from target_trader.trader import OrdersFactory, Trader

HALTED = 3

Host = Annotated[
    str | None, typer.Option(help="Where TWS or the gateway listens (default 127.0.0.1)")
]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (default 7497)")]
ClientId = Annotated[int | None, typer.Option(min=0, help="Always the same one (default 2001)")]
ClientLibrary = Annotated[
    Library | None, typer.Option(help="What speaks to IBKR (default ib_insync)")
]


def build_app(
    *, trader_class: type[Trader], orders_factory: OrdersFactory, store_factory: StoreFactory
) -> typer.Typer:
    """Make the command line around the parts of a bot."""
    app = typer.Typer(
        name="target_trader",
        help="The PS60 reference bot.",
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
    )

    @app.command()
    def trade(
        state_dir: StateDir = None,
        watchlist: Annotated[Path | None, typer.Option(help="JSON with the day's levels.")] = None,
        host: Host = None,
        port: Port = None,
        client_id: ClientId = None,
        store: Store = None,
        redis_url: RedisUrl = None,
        clock: Annotated[
            ClockKind | None, typer.Option(help="Whose time to believe (default market)")
        ] = None,
        library: ClientLibrary = None,
        log_format: Annotated[
            LogFormat | None, typer.Option(help="Text, or one JSON object a line (default text)")
        ] = None,
        config: ConfigFile = None,
    ) -> None:
        """Trade until SIGTERM or Ctrl-C; protective orders stay at the broker.

        Every default can be set in the file of --config or by an environment variable
        TARGET_TRADER_SECTION_KEY; an option wins over both.
        """
        given = {
            "--state-dir": ("state", "dir", state_dir),
            "--watchlist": ("trade", "watchlist", watchlist),
            "--host": ("broker", "host", host),
            "--port": ("broker", "port", port),
            "--client-id": ("broker", "client_id", client_id),
            "--store": ("state", "store", store),
            "--redis-url": ("state", "redis_url", redis_url),
            "--clock": ("trade", "clock", clock),
            "--library": ("broker", "library", library),
            "--log-format": ("log", "format", log_format),
        }
        settings = settle_options(config, given).config
        trade_as(
            settings,
            trader_class=trader_class,
            orders_factory=orders_factory,
            store_factory=store_factory,
        )

    add_commands(app, store_factory)
    return app


def command_of(
    trader_class: type[Trader], orders_factory: OrdersFactory, store_factory: StoreFactory
) -> Callable[..., object]:
    """The command line around the parts of a bot, ready to be called."""
    app = build_app(
        trader_class=trader_class, orders_factory=orders_factory, store_factory=store_factory
    )
    made = typer.main.get_command(app)
    for command in (made.commands if isinstance(made, TyperGroup) else {}).values():
        for option in command.params:
            if isinstance(option, TyperOption):
                # What checks a value is made on first use otherwise, 1 ms each, in every process.
                option.get_runtime_param()
    return made


def trade_as(
    settings: Config,
    *,
    trader_class: type[Trader],
    orders_factory: OrdersFactory,
    store_factory: StoreFactory,
) -> None:
    """Run a bot with these settings until it is told to stop."""
    options = settings.options()
    require_library(options.library, os.environ)
    arm(os.environ.get("FAILPOINTS", ""))
    clock: Clock = MarketClock() if options.clock is ClockKind.MARKET else SystemClock()
    start_logging(clock, kind=settings.log.format, file=settings.log.file)
    kept = store_factory(options.store, options.state_dir, redis_url=options.redis_url)
    try:
        asyncio.run(
            run(
                options,
                kept,
                clock=clock,
                trader_class=trader_class,
                orders_factory=orders_factory,
            )
        )
    finally:
        kept.close()


async def run(
    options: TraderOptions,
    store: StateStore,
    *,
    clock: Clock,
    trader_class: type[Trader] = Trader,
    orders_factory: OrdersFactory = OrderDesk,
) -> None:
    """Run a bot until SIGTERM or SIGINT, with the given parts in the place of its own."""
    trader = trader_class(options, store, clock=clock, orders_factory=orders_factory)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, trader.stopping.set)
    await trader.run()


# Built once: a process that is forked from one that has imported this does not pay for it again.
REFERENCE = command_of(Trader, OrderDesk, open_store)


def main(
    *,
    trader_class: type[Trader] = Trader,
    orders_factory: OrdersFactory = OrderDesk,
    store_factory: StoreFactory = open_store,
) -> None:
    """Run the command line; the exit codes are those of the module's docstring."""
    chosen = (trader_class, orders_factory, store_factory)
    command = REFERENCE if chosen == (Trader, OrderDesk, open_store) else command_of(*chosen)
    try:
        command()
    except TraderError as error:
        for line in str(error).splitlines():
            typer.echo(f"target_trader: {line}", err=True)
        sys.exit(2)
    except EngineHaltedError as error:
        tell("engine_halted", str(error), level=logging.CRITICAL)
        sys.exit(HALTED)
    except OSError as error:
        words = f"Stopped by a failure; protective orders stay at IBKR: {error}"
        tell("failed", words, level=logging.CRITICAL)
        sys.exit(1)
