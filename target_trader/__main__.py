"""The command line: `python -m target_trader trade|state|failpoints`.

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

`trader_class` replaces the whole `Trader`, `store_factory` the store. The command line stays.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from target_trader.clock import Clock, MarketClock, SystemClock
from target_trader.errors import TraderError
from target_trader.failpoints import FAILPOINTS, arm
from target_trader.log import LOG, start_logging
from target_trader.orders import OrderDesk
from target_trader.settings import ClockKind, StoreKind, TraderOptions, load_watchlist
from target_trader.state.checkpoint import Checkpoint
from target_trader.state.choice import open_store, read_state
from target_trader.state.store import StateStore
from target_trader.trader import OrdersFactory, Trader

StoreFactory = Callable[[StoreKind, Path], StateStore]


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
        state_dir: Annotated[Path, typer.Option(help="Folder of the state; made when missing.")],
        watchlist: Annotated[Path, typer.Option(help="JSON file with the day's levels.")],
        host: Annotated[str, typer.Option(help="Where TWS or the gateway listens.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 7497,
        client_id: Annotated[int, typer.Option(min=0, help="Always the same one.")] = 2001,
        store: Annotated[StoreKind, typer.Option(help="How the state is kept.")] = StoreKind.JSON,
        clock: Annotated[ClockKind, typer.Option(help="Whose time to believe.")] = ClockKind.MARKET,
    ) -> None:
        """Trade until SIGTERM or Ctrl-C; protective orders stay at the broker."""
        arm(os.environ.get("FAILPOINTS", ""))
        options = TraderOptions(
            host=host,
            port=port,
            client_id=client_id,
            state_dir=state_dir,
            store=store,
            watchlist=load_watchlist(watchlist),
            watchlist_name=watchlist.name,
            clock=clock,
        )
        kept = store_factory(store, state_dir)
        try:
            asyncio.run(
                run(options, kept, trader_class=trader_class, orders_factory=orders_factory)
            )
        finally:
            kept.close()

    @app.command()
    def state(
        state_dir: Annotated[Path, typer.Option(help="Folder of the state.")],
        store: Annotated[StoreKind, typer.Option(help="How the state is kept.")] = StoreKind.JSON,
    ) -> None:
        """Print what the bot believes, as one JSON object; changes nothing."""
        loaded = read_state(store, state_dir)
        for problem in loaded.problems:
            typer.echo(f"damaged state: {problem}", err=True)
        typer.echo(json.dumps(belief(loaded.checkpoint), sort_keys=True))

    @app.command()
    def failpoints() -> None:
        """List the failpoints that the environment variable FAILPOINTS can arm."""
        for name, words in FAILPOINTS.items():
            typer.echo(f"{name:22} {words}")

    return app


def belief(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return what `state` prints; the empty belief when there is no state."""
    positions = checkpoint.open_positions() if checkpoint else []
    return {
        "positions": {
            each.symbol: {
                "quantity": str(each.signed_quantity),
                "entry_price": str(each.entry_price),
                "stop_price": str(each.stop_price),
                "partials": len(each.partials_taken),
                "status": each.status.value,
            }
            for each in positions
        },
        "attempts": dict(checkpoint.attempts) if checkpoint else {},
        "intents": [
            {
                "order_ref": each.order_ref,
                "leg": each.leg.value,
                "state": each.state.value,
                "quantity": str(each.quantity),
                "order_id": each.order_id,
                "perm_id": each.perm_id,
            }
            for each in (checkpoint.intents if checkpoint else [])
        ],
        "executions": sorted(each.exec_id for each in checkpoint.executions.values())
        if checkpoint
        else [],
        "realized_pnl": str(checkpoint.session.daily_pnl) if checkpoint else "0",
        "trades_today": checkpoint.session.trades_today if checkpoint else 0,
        "halted": checkpoint.halted if checkpoint else None,
        "saved_at": checkpoint.saved_at.isoformat() if checkpoint else None,
    }


async def run(
    options: TraderOptions,
    store: StateStore,
    *,
    trader_class: type[Trader] = Trader,
    orders_factory: OrdersFactory = OrderDesk,
) -> None:
    """Run a bot until SIGTERM or SIGINT, with the given parts in the place of its own."""
    clock: Clock = MarketClock() if options.clock is ClockKind.MARKET else SystemClock()
    start_logging(clock)
    trader = trader_class(options, store, clock=clock, orders_factory=orders_factory)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, trader.stopping.set)
    await trader.run()


def main(
    *,
    trader_class: type[Trader] = Trader,
    orders_factory: OrdersFactory = OrderDesk,
    store_factory: StoreFactory = open_store,
) -> None:
    """Run the command line; exit code 2 for what its user has to change, 1 for a failure."""
    app = build_app(
        trader_class=trader_class, orders_factory=orders_factory, store_factory=store_factory
    )
    try:
        app()
    except TraderError as error:
        typer.echo(f"target_trader: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        LOG.critical("Stopped by a failure; protective orders stay at IBKR: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
