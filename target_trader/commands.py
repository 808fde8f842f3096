"""The commands that do not trade.

state, history, report, config and failpoints read and change nothing, so that they
work while the bot runs. resume and reset-breaker are a person's word to a bot that is stopped; the
folder's lock keeps them and the bot apart. All take the place of the state from the same
configuration as `trade`.
"""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Protocol

import typer

from target_trader.admin import lift_halts, reset_breaker
from target_trader.belief import belief
from target_trader.clock import SystemClock
from target_trader.config import Config
from target_trader.config_sources import CONFIG_VARIABLE, Given, Settled, settle, toml_of
from target_trader.failpoints import FAILPOINTS
from target_trader.history import tell_history
from target_trader.names import plain
from target_trader.reconciliation import ReconciliationReport, read_last
from target_trader.settings import ClockKind, StoreKind
from target_trader.state.choice import read_state
from target_trader.state.store import Loaded, StateStore

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar=CONFIG_VARIABLE, help="TOML file; see example.toml."),
]
StateDir = Annotated[Path | None, typer.Option(help="Folder of the state.")]
Store = Annotated[StoreKind | None, typer.Option(help="How the state is kept (default json)")]
RedisUrl = Annotated[
    str | None, typer.Option(help="Where Redis is, for --store redis; also REDIS_URL.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For a machine, as one JSON object.")]


class StoreFactory(Protocol):
    """Opens a store for writing; `state.choice.open_store`, or a broken bot's."""

    def __call__(
        self, kind: StoreKind, folder: Path, /, *, redis_url: str | None = None
    ) -> StateStore:
        """Open the state folder."""


def settled(config: Path | None, options: Mapping[str, tuple[str, str, object | None]]) -> Settled:
    """Put the configuration together.

    Args:
        config: the TOML file, if any.
        options: by the option's name: section, key and value; None is not given.
    """
    given = [
        Given(section, key, value, f"option {option}")
        for option, (section, key, value) in options.items()
        if value is not None
    ]
    return settle(config, os.environ, given)


def place(
    config: Path | None, state_dir: Path | None, store: StoreKind | None, redis_url: str | None
) -> Config:
    """Settle where the state is, for the commands that need nothing else."""
    options = {
        "--state-dir": ("state", "dir", state_dir),
        "--store": ("state", "store", store),
        "--redis-url": ("state", "redis_url", redis_url),
    }
    return settled(config, options).config


def load(config: Config) -> Loaded:
    """Read the stored state without lock; damage is said on stderr."""
    state = config.state
    loaded = read_state(state.store, config.state_dir(), redis_url=state.redis_url)
    for problem in loaded.problems:
        typer.echo(f"damaged state: {problem}", err=True)
    return loaded


def add_commands(app: typer.Typer, store_factory: StoreFactory) -> None:
    """Add every command but `trade`."""
    add_reading(app)
    add_explaining(app)
    add_repairing(app, store_factory)


def add_reading(app: typer.Typer) -> None:
    """Add what tells of the stored state."""

    @app.command()
    def state(
        state_dir: StateDir = None,
        store: Store = None,
        redis_url: RedisUrl = None,
        config: ConfigFile = None,
    ) -> None:
        """Print what the bot believes, as one JSON object; changes nothing."""
        settings = place(config, state_dir, store, redis_url)
        told = belief(load(settings).checkpoint, settings.rules())
        typer.echo(json.dumps(told, sort_keys=True))

    @app.command()
    def history(
        state_dir: StateDir = None,
        store: Store = None,
        redis_url: RedisUrl = None,
        after_event: Annotated[str | None, typer.Option(help="Last event_id you have.")] = None,
        after_trade: Annotated[str | None, typer.Option(help="Last trade_id you have.")] = None,
        config: ConfigFile = None,
    ) -> None:
        """Print events and trades of the day as JSON, all or what is new; changes nothing.

        Without a state the lists are empty and saved_at is null. An id that the state does not
        know gives everything again, with is_delta false.
        """
        checkpoint = load(place(config, state_dir, store, redis_url)).checkpoint
        told = tell_history(checkpoint, after_event=after_event, after_trade=after_trade)
        typer.echo(told.model_dump_json())

    @app.command()
    def report(
        state_dir: StateDir = None,
        as_json: AsJson = False,  # noqa: FBT002 - typer's way to write a flag
        config: ConfigFile = None,
    ) -> None:
        """Print the last reconciliation report: what state and broker disagreed about."""
        folder = place(config, state_dir, None, None).state_dir()
        last = read_last(folder)
        if last is None:
            typer.echo("null" if as_json else f"no reconciliation has been reported in {folder}")
        else:
            typer.echo(last.model_dump_json() if as_json else "\n".join(report_lines(last)))


def report_lines(report: ReconciliationReport) -> list[str]:
    """Write a reconciliation report for a person."""
    origin = report.origin
    lines = [f"{report.time.isoformat()}  {report.outcome}  (policy {report.policy})"]
    if origin is not None:
        age = "" if origin.age_seconds is None else f", {origin.age_seconds:.0f} s old"
        lines.append(f"state: {origin.source}{age}")
        lines += [f"  rejected: {origin.rejected}"] if origin.rejected else []
        lines += [f"  damaged: {problem}" for problem in origin.problems]
    for each in report.symbols:
        quantities = f"state {plain(each.state_quantity)}, broker {plain(each.broker_quantity)}"
        lines.append(f"{each.symbol}: {quantities}: {each.verdict}")
        for fill in each.fills:
            words = f"{fill.side} {plain(fill.shares)} @ {plain(fill.price)}"
            lines.append(f"  {fill.kind}: {words} ({fill.exec_id})")
        lines += [f"  {action}" for action in each.actions]
    for order in report.orders:
        lines.append(f"order {order.order_id} {order.order_ref}: {order.verdict}, {order.state}")
    lines += [f"attempts {each.key}: {each.before} -> {each.after}" for each in report.attempts]
    lines += [f"frozen {symbol}: {reason}" for symbol, reason in report.frozen.items()]
    for halt in report.halts:
        lines.append(f"halted ({halt.kind}) since {halt.since.isoformat()}: {halt.reason}")
    return lines


def add_explaining(app: typer.Typer) -> None:
    """Add what tells of the bot itself."""

    @app.command("config")
    def show_config(config: ConfigFile = None) -> None:
        """Print the configuration in force as TOML, and where each value was given."""
        typer.echo(toml_of(settle(config, os.environ)))

    @app.command()
    def failpoints() -> None:
        """List the failpoints that the environment variable FAILPOINTS can arm."""
        for name, words in FAILPOINTS.items():
            typer.echo(f"{name:22} {words}")


def add_repairing(app: typer.Typer, store_factory: StoreFactory) -> None:
    """Add what a person does to a stopped bot."""

    def open_place(config: Config) -> StateStore:
        state = config.state
        return store_factory(state.store, config.state_dir(), redis_url=state.redis_url)

    @app.command()
    def resume(
        note: Annotated[str, typer.Option(help="Why it may trade again; kept in the log.")] = "",
        state_dir: StateDir = None,
        store: Store = None,
        redis_url: RedisUrl = None,
        config: ConfigFile = None,
    ) -> None:
        """Lift every halt, after a person has looked. The bot must be stopped."""
        settings = place(config, state_dir, store, redis_url)
        kept = open_place(settings)
        try:
            lifted = lift_halts(kept, now=moment(settings), note=note)
        finally:
            kept.close()
        for halt in lifted:
            typer.echo(f"lifted: {halt.kind} since {halt.since.isoformat()}: {halt.reason}")
        if not lifted:
            typer.echo("nothing to lift: the bot is not halted")

    @app.command("reset-breaker")
    def reset(
        state_dir: StateDir = None,
        store: Store = None,
        redis_url: RedisUrl = None,
        config: ConfigFile = None,
    ) -> None:
        """Set the circuit breaker back, after a person has looked. The bot must be stopped."""
        settings = place(config, state_dir, store, redis_url)
        kept = open_place(settings)
        try:
            was = reset_breaker(kept, now=moment(settings))
        finally:
            kept.close()
        tripped = f"tripped {was.tripped_at.isoformat()}" if was.tripped_at else "not tripped"
        typer.echo(f"circuit breaker reset: it was at {was.failures} failures, {tripped}")


def moment(config: Config) -> datetime:
    """Return the present moment as the bot's clock would have it.

    The market clock knows only what the broker has told, and without one that is the time of the
    last save: the machine's time would make the state of a replayed day one from the future.
    """
    if config.trade.clock is ClockKind.MARKET:
        state = config.state
        # Read aside: the first to load a damaged state moves it away, and must be the command.
        stored = read_state(state.store, config.state_dir(), redis_url=state.redis_url).checkpoint
        if stored is not None:
            return stored.saved_at
    return SystemClock().now()
