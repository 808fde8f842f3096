"""The command `crashgate`: arguments in, text and an exit code out; no logic of its own.

Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, and 2 for what the user can mend, which is said in one
message on stderr and never in a traceback.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.catalog import DEFAULT_FOLDER, find_scenario, load_catalog
from harness.errors import HarnessError, UserError
from harness.gate import forget, judge_stored, run_and_judge
from harness.history import History
from harness.judge import headline_of
from harness.report.terminal import report
from harness.result import Result, Verdict
from harness.scenario import STORES
from harness.targets import BotSpec
from harness.token import Token

USER_ERROR_EXIT = 2

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Proves that a trading bot survives a crash.",
)

Scenarios = Annotated[Path, typer.Option(help="Folder of the scenarios.")]
Bot = Annotated[
    str | None, typer.Option(help="A bot's Python file or module; default: the reference bot.")
]
BotCommand = Annotated[
    str | None,
    typer.Option(
        help="Command line of any bot, with {port} {state_dir} {store} {client_id} {watchlist} "
        "{redis_url}."
    ),
]
BotStateCommand = Annotated[
    str | None, typer.Option(help="Beside --bot-command: prints what the bot believes, as JSON.")
]
Keep = Annotated[Path | None, typer.Option(help="New folder for the files of the run.")]
Seed = Annotated[int, typer.Option(min=0, help="Draws the choices; 0 takes the plain ones.")]


@app.command()
def replay(
    token: Annotated[str, typer.Argument(help="What a failure printed: SCENARIO/STORE@HASH.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Run a failure again, exactly as it was."""
    wanted = Token.parse(token)
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command)
    scenario = find_scenario(scenarios, wanted.scenario)
    case = scenario.case(wanted.store, seed=wanted.seed)
    wanted.check(case)
    with run_folder(keep) as folder:
        finish(run_and_judge(scenario, case, bot=spec, folder=folder), spec, kept=keep)


@app.command()
def run(
    what: Annotated[str, typer.Argument(help="SCENARIO/STORE, or SCENARIO for the first store.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    crash_seed: Seed = 0,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Run one scenario."""
    name, _, store = what.partition("/")
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command)
    scenario = find_scenario(scenarios, name)
    case = scenario.case(store or STORES[0], seed=crash_seed)
    with run_folder(keep) as folder:
        finish(run_and_judge(scenario, case, bot=spec, folder=folder), spec, kept=keep)


@app.command("list")
def list_scenarios(*, scenarios: Scenarios = DEFAULT_FOLDER) -> None:
    """List the scenarios and the stores they run with."""
    for name, scenario in load_catalog(scenarios).items():
        say(f"{name}  [{' '.join(STORES)}]\n    {scenario.title}")


@app.command("judge")
def judge_history(
    history: Annotated[Path, typer.Argument(help="A history.jsonl that a run has kept.")],
    *,
    scenarios: Scenarios = DEFAULT_FOLDER,
) -> None:
    """Judge a stored history again, without running anything."""
    name = str(headline_of(History.read(history))["scenario"])
    result = judge_stored(find_scenario(scenarios, name), history)
    finish(result, BotSpec.reference(), kept=history.parent)


def finish(result: Result, spec: BotSpec, *, kept: Path | None) -> NoReturn:
    """Print a result and end with its exit code."""
    history = History.read(Path(result.history))
    shown = result if kept is not None else result.model_copy(update={"history": ""})
    say(report(shown, history, bot_options=spec.options))
    if kept is None and result.verdict is not Verdict.PASS:
        say("  the files of the run were not kept; --keep DIR keeps them")
    raise typer.Exit(result.verdict.exit_code)


@contextlib.contextmanager
def run_folder(keep: Path | None) -> Iterator[Path]:
    """The folder of a run: the user's, or one that is removed afterwards."""
    if keep is not None:
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="crashgate-"))
    try:
        yield folder
    finally:
        forget(folder)


def say(text: str) -> None:
    """Print to stdout."""
    typer.echo(text)


def main() -> None:
    """Run the command line; a user's mistake becomes one message and exit code 2."""
    try:
        app(prog_name="crashgate")
    except UserError as error:
        typer.echo(f"crashgate: {error}", err=True)
        sys.exit(USER_ERROR_EXIT)
    except HarnessError as error:
        typer.echo(f"crashgate: INCONCLUSIVE: {error}", err=True)
        sys.exit(Verdict.INCONCLUSIVE.exit_code)


if __name__ == "__main__":
    main()
