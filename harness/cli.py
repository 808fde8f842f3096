"""The command `crashgate`: arguments in, text and an exit code out; no logic of its own.

Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, and 2 for what the user can mend, which is said in one
message on stderr and never in a traceback.
"""

import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.catalog import DEFAULT_FOLDER, find_scenario, load_catalog
from harness.errors import HarnessError, UserError
from harness.explore.trial import Trial
from harness.gate import forget, judge_stored, run_and_judge
from harness.history import History
from harness.itinerary import Depth
from harness.judge import headline_of
from harness.report.terminal import report
from harness.result import Result, Verdict, worst
from harness.scenario import STORES, Scenario
from harness.swarm import run_swarm
from harness.sweep import Sweep
from harness.targets import BotSpec
from harness.token import Token
from harness.workshop import workshop

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
Clock = Annotated[
    str | None, typer.Option(help="The bot's clock: lockstep, faked, real or real:SPEED.")
]
Keep = Annotated[Path | None, typer.Option(help="New folder for the files of the run.")]
CrashDepth = Annotated[
    int, typer.Option(min=1, help="Crashes in a row; the second is inside the recovery.")
]
Seed = Annotated[int, typer.Option(min=0, help="Draws the choices; 0 takes the plain ones.")]


@app.command()
def replay(
    token: Annotated[str, typer.Argument(help="What a failure printed: SCENARIO/STORE@HASH.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    clock: Clock = None,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Run a failure again, exactly as it was."""
    wanted = Token.parse(token)
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command, clock=clock)
    scenario = find_scenario(scenarios, wanted.scenario)
    case = scenario.case(wanted.store, seed=wanted.seed, trial=wanted.trial)
    wanted.check(case)
    with run_folder(keep) as folder:
        finish(run_and_judge(scenario, case, bot=spec, folder=folder), spec, kept=keep)


@app.command()
def sweep(
    what: Annotated[str, typer.Argument(help="SCENARIO/STORE, or SCENARIO for the first store.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    clock: Clock = None,
    crash_seed: Seed = 0,
    crash_budget: Annotated[int | None, typer.Option(min=1, help="Trials at most.")] = None,
    crash_depth: CrashDepth = 1,
    exhaustive: Annotated[bool, typer.Option(help="Both sides of every point.")] = False,
    check_determinism: Annotated[bool, typer.Option(help="Run every case twice.")] = False,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Kill the bot at every point of a scenario, one after the other."""
    name, _, store = what.partition("/")
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command, clock=clock)
    scenario = find_scenario(scenarios, name)
    depth = Depth(seed=crash_seed, budget=crash_budget, depth=crash_depth, exhaustive=exhaustive)
    with workshop(keep) as shop:
        made = shop.sweep(scenario, store or STORES[0], bot=spec, depth=depth)
        require_clean(made, spec)
        trials = made.plan()
        say(f"{len(made.learned().kills)} points learned, {len(trials)} trials")
        play = made.run_twice if check_determinism else made.run
        conclude((play(trial) for trial in made.course(trials)), spec, keep=keep)


@app.command("random")
def random_trials(
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    clock: Clock = None,
    crash_seed: Annotated[int, typer.Option(min=0, help="Draws everything.")] = 1,
    crash_budget: Annotated[int, typer.Option(min=1, help="How many trials.")] = 100,
    crash_depth: CrashDepth = 3,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Draw scenario, market, crash, downtime and faults from a seed."""
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command, clock=clock)
    swept = [each for each in load_catalog(scenarios).values() if each.swept]
    if not swept:
        raise UserError(f"no scenario in {scenarios} is made to be swept (swept=True)")
    with workshop(keep) as shop:

        def make(scenario: Scenario, store: str, depth: Depth) -> Sweep:
            return shop.sweep(scenario, store, bot=spec, depth=depth)

        results = run_swarm(swept, make, seed=crash_seed, budget=crash_budget, deepest=crash_depth)
        conclude(results, spec, keep=keep)


@app.command()
def shrink(
    token: Annotated[str, typer.Argument(help="What a sweep printed for a failure.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    clock: Clock = None,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Find the least trial that fails for the same reason."""
    wanted = Token.parse(token)
    if not wanted.trial:
        raise UserError(f"{token} is the story of a scenario; only the trials of a sweep shrink")
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command, clock=clock)
    scenario = find_scenario(scenarios, wanted.scenario)
    wanted.check(scenario.case(wanted.store, seed=wanted.seed, trial=wanted.trial))
    with workshop(keep) as shop:
        made = shop.sweep(scenario, wanted.store, bot=spec, depth=Depth(seed=wanted.seed))
        conclude(iter([made.shrunk(Trial.parse(wanted.trial))]), spec, keep=keep)


@app.command()
def run(
    what: Annotated[str, typer.Argument(help="SCENARIO/STORE, or SCENARIO for the first store.")],
    *,
    bot: Bot = None,
    bot_command: BotCommand = None,
    bot_state_command: BotStateCommand = None,
    clock: Clock = None,
    crash_seed: Seed = 0,
    scenarios: Scenarios = DEFAULT_FOLDER,
    keep: Keep = None,
) -> None:
    """Run one scenario."""
    name, _, store = what.partition("/")
    spec = BotSpec.choose(bot, command=bot_command, state_command=bot_state_command, clock=clock)
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


def require_clean(made: Sweep, spec: BotSpec) -> None:
    """End here if the bot fails without any crash."""
    result = made.judge_clean()
    if result.verdict is not Verdict.PASS:
        say("the day without a crash does not pass, so that crashes would show nothing:")
        finish(result, spec, kept=None)


def conclude(results: Iterator[Result], spec: BotSpec, *, keep: Path | None) -> NoReturn:
    """Print what is not a PASS as it comes, then the count, and end with the worst exit code."""
    counts: Counter[Verdict] = Counter()
    unfit = foretold = 0
    for result in results:
        if result.unfit:
            unfit += 1
            say(f"{result.token}: {'; '.join(result.misfits)}")
            continue
        counts[result.verdict] += 1
        foretold += result.foretold
        if result.verdict is not Verdict.PASS:
            shown = result if keep is not None else result.model_copy(update={"history": ""})
            say(report(shown, History.read(Path(result.history)), bot_options=spec.options))
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    misfits = f", {unfit} did not fit and show nothing" if unfit else ""
    known = f" ({foretold} by what followed a crash that left the same)" if foretold else ""
    say(f"{sum(counts.values()) + unfit} trials: {told or '0 PASS'}{known}{misfits}")
    nothing_shown = unfit and not counts
    verdict = Verdict.INCONCLUSIVE if nothing_shown else worst(counts)
    raise typer.Exit(verdict.exit_code)


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
