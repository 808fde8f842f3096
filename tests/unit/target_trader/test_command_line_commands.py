"""The commands beside `trade`, as a person types them, and the exit codes of all."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.targets.process import launch, run_to_end
from target_trader.__main__ import main
from target_trader.belief import belief
from target_trader.clock import NEW_YORK
from target_trader.commands import moment
from target_trader.config_sources import SECTIONS, settle
from target_trader.history import note_bookings
from target_trader.ledger import book
from target_trader.picture import BrokerExecution
from target_trader.reconciliation import Outcome, ReconciliationReport, write
from target_trader.report import (
    AttemptFinding,
    OrderFinding,
    OrderVerdict,
    StateOrigin,
    SymbolFinding,
    Verdict,
)
from target_trader.settings import Policy, Rules, StoreKind
from target_trader.state.checkpoint import (
    Checkpoint,
    CircuitBreaker,
    Halt,
    HaltKind,
    LastSignal,
    new_checkpoint,
)
from target_trader.state.choice import open_store, read_state
from tests.support.pictures import planned
from tests.support.stores import redis_url

if TYPE_CHECKING:
    from tests.unit.target_trader.conftest import Days

NOW = datetime(2025, 10, 6, 10, 5, tzinfo=NEW_YORK)
TRADE = "PS60|TSLA|L|20251006|1"
LOCAL_STORES = (StoreKind.JSON, StoreKind.SQLITE)
HALTS_AT_ONCE = """
from target_trader.__main__ import main
from target_trader.errors import EngineHaltedError
from target_trader.trader import Trader

class Halted(Trader):
    async def run(self) -> None:
        raise EngineHaltedError("TSLA: IBKR holds 50, the state 100; 'resume' lifts it")

main(trader_class=Halted)
"""
LOSES_ITS_DISK = """
from target_trader.__main__ import main
from target_trader.trader import Trader

class DiskFull(Trader):
    async def run(self) -> None:
        raise OSError(28, "No space left on device")

main(trader_class=DiskFull)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the bot's command line to its end, in this process: a new one takes half a second."""

    def command(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["target_trader", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return command


def answer_of(done: Done) -> dict[str, object]:
    """Return what a command has printed as JSON."""
    assert done.code == 0, done.err
    answer: dict[str, object] = json.loads(done.out)
    return answer


def day_with_a_trade() -> Checkpoint:
    """Return the books of a day with one open trade, halted, the breaker tripped."""
    checkpoint = new_checkpoint(date(2025, 10, 6), now=NOW)
    checkpoint.positions[TRADE] = planned(TRADE, at=NOW)
    fill = BrokerExecution(
        exec_id="0000e0d5.67fe6601.01.01",
        time=NOW,
        symbol="TSLA",
        side="BOT",
        shares=Decimal(100),
        price=Decimal("445.25"),
        order_id=10,
        client_id=2001,
        perm_id=77,
        order_ref=f"{TRADE}|entry",
    )
    assert book(checkpoint, fill)
    note_bookings(checkpoint)
    checkpoint.halt("stops are rejected", now=NOW)
    checkpoint.halt("TSLA differs", now=NOW, kind=HaltKind.ENGINE)
    checkpoint.circuit_breaker = CircuitBreaker(failures=5, tripped_at=NOW, last_failure="201")
    checkpoint.frozen["TSLA"] = "differs"
    checkpoint.cash = Decimal("100000.50")
    checkpoint.last_signals["AAPL:10:30"] = LastSignal(
        signal="BUY", bar_time=NOW, price=Decimal("230.10")
    )
    return checkpoint


def url_of(kind: StoreKind, place: Path) -> str:
    """Return where Redis keeps the state of a folder; nothing for the other stores."""
    return redis_url(place) if kind is StoreKind.REDIS else ""


def stored(folder: Path, kind: StoreKind) -> Path:
    """Store that day and return the folder."""
    place = folder / "state"
    store = open_store(kind, place, redis_url=url_of(kind, place))
    store.save(day_with_a_trade())
    store.close()
    return place


def test_the_configuration_in_force_is_printed_with_its_origins(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "trader.toml"
    file.write_text("[broker]\nport = 4002\n")
    done = run(
        "config", "--config", str(file), TARGET_TRADER_RISK_QUANTITY="7", REDIS_URL="redis://:x@h/0"
    )
    assert done.code == 0, done.err
    assert f"port = 4002  # {file}" in done.out
    assert "quantity = 7  # environment variable TARGET_TRADER_RISK_QUANTITY" in done.out
    assert 'redis_url = "redis://:***@h/0"' in done.out
    assert [line for line in done.out.splitlines() if line.startswith("[")] == [
        f"[{section}]" for section in SECTIONS
    ]


def test_the_file_can_be_named_by_the_environment(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "trader.toml"
    file.write_text("[broker]\nport = 4002\n")
    assert "port = 4002" in run("config", TARGET_TRADER_CONFIG=str(file)).out


def test_every_mistake_of_a_configuration_is_a_line_of_its_own_and_exit_code_2(
    run: Run,
    tmp_path: Path,
) -> None:
    file = tmp_path / "trader.toml"
    file.write_text("[broker]\nprot = 4002\n[sma]\nfast = 99\n")
    done = run("trade", "--config", str(file))
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert all(line.startswith(f"target_trader: {file}: [") for line in done.err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trade",), "no state folder: give --state-dir"),
        (("trade", "--state-dir", "nowhere"), "no watchlist: give --watchlist"),
        (("state",), "no state folder"),
        (("resume",), "no state folder"),
        (("trade", "--config", "missing.toml"), "missing.toml cannot be read"),
        (("trade", "--library", "ibapi"), "ibapi"),
        (("trade", "--log-format", "xml"), "xml"),
        (("trade", "--policy", "HOPE"), "--policy"),
        (("state", "--state-dir", "nowhere", "--store", "redis"), "REDIS_URL"),
        (("unwind",), "unwind"),
    ],
)
def test_what_the_user_has_to_change_is_exit_code_2_and_no_traceback(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    done = run(*arguments, REDIS_URL="")
    assert done.code == 2, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert not Path("nowhere").exists()


def test_the_belief_tells_everything_that_keeps_the_bot_from_trading() -> None:
    told = belief(day_with_a_trade(), Rules())
    assert told["halted"] == "stops are rejected; TSLA differs"
    assert [each["kind"] for each in told["halts"]] == ["ENTRIES", "ENGINE"]
    assert told["circuit_breaker"]["failures"] == 5
    assert told["frozen"] == {"TSLA": "differs"}
    assert told["cash"] == "100000.50"
    assert told["last_signals"]["AAPL:10:30"]["signal"] == "BUY"
    assert told["trades"][TRADE]["status"] == "OPEN"
    assert told["day"] == "2025-10-06"


def test_the_belief_tells_the_rules_that_are_in_force_and_what_was_learned() -> None:
    checkpoint = day_with_a_trade()
    checkpoint.memory("AAPL").bars_seen = 7
    told = belief(checkpoint, Rules(max_attempts=3, max_daily_loss=Decimal("750.50")))
    assert told["rules"]["max_attempts"] == 3
    assert told["rules"]["max_daily_loss"] == "750.50"
    assert told["rules"]["warmup_gap_seconds"] == "3600"
    assert told["warmup"]["AAPL"] == {"bars_seen": 7, "last_bar": None}
    signal_time = checkpoint.positions[TRADE].signal_time
    assert told["trades"][TRADE]["signal_time"] == signal_time.isoformat()


def test_state_tells_the_configured_rules(run: Run, tmp_path: Path) -> None:
    arguments = ("state", "--state-dir", str(tmp_path))
    answer = answer_of(run(*arguments, TARGET_TRADER_RISK_MAX_DAILY_TRADES="4"))
    assert answer["rules"] == belief(None, Rules(max_daily_trades=4))["rules"]


def test_an_empty_belief_has_the_same_keys_as_a_full_one() -> None:
    assert set(belief(None, Rules())) == set(belief(day_with_a_trade(), Rules()))


def test_two_trades_of_one_symbol_are_one_position_of_their_sum() -> None:
    checkpoint = day_with_a_trade()
    second = checkpoint.positions[TRADE].model_copy(deep=True)
    second.trade_id, second.shares = "PS60|TSLA|L|20251006|2", Decimal(30)
    checkpoint.positions[second.trade_id] = second
    told = belief(checkpoint, Rules())
    assert told["positions"]["TSLA"]["quantity"] == "130"
    assert {name: each["quantity"] for name, each in told["trades"].items()} == {
        TRADE: "100",
        second.trade_id: "30",
    }


@pytest.mark.parametrize("kind", list(StoreKind))
def test_history_is_read_beside_a_running_bot_and_changes_nothing(
    run: Run, kind: StoreKind, tmp_path: Path
) -> None:
    place = stored(tmp_path, kind)
    url = url_of(kind, place)
    running = open_store(kind, place, redis_url=url)
    before = {path: path.read_bytes() for path in place.iterdir()}
    where = ("--state-dir", str(place), "--store", kind.value)
    whole = answer_of(run("history", *where, REDIS_URL=url))
    assert whole["trade_count"] == whole["event_count"] == 1
    events = whole["events"]
    assert isinstance(events, list)
    after = ("--after-event", events[0]["event_id"])
    delta = answer_of(run("history", *where, *after, REDIS_URL=url))
    assert (delta["events"], delta["trades"], delta["is_delta"]) == ([], [], True)
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert read_state(kind, place, redis_url=url).checkpoint == day_with_a_trade()
    running.close()


def test_a_history_without_a_state_is_empty_and_no_error(run: Run, tmp_path: Path) -> None:
    history = answer_of(run("history", "--state-dir", str(tmp_path / "none")))
    assert (history["events"], history["trades"], history["saved_at"]) == ([], [], None)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", LOCAL_STORES)
def test_resume_lifts_every_halt_and_leaves_the_rest_and_its_time(
    run: Run, kind: StoreKind, tmp_path: Path
) -> None:
    place = stored(tmp_path, kind)
    where = ("--state-dir", str(place), "--store", kind.value)
    done = run("resume", *where, "--note", "looked at TWS")
    assert done.code == 0, done.err
    assert "lifted: ENGINE since 2025-10-06T10:05:00-04:00: TSLA differs" in done.out
    after = read_state(kind, place).checkpoint
    assert after is not None
    assert after.halts == []
    assert after.circuit_breaker.failures == 5
    # A bot of this replayed day must not find a state from the future.
    assert after.saved_at - NOW <= Rules().future_tolerance
    assert "nothing to lift" in run("resume", *where).out


def test_reset_breaker_sets_it_back_and_leaves_the_halts(run: Run, tmp_path: Path) -> None:
    place = stored(tmp_path, StoreKind.JSON)
    done = run("reset-breaker", "--state-dir", str(place))
    assert done.code == 0, done.err
    assert "it was at 5 failures, tripped 2025-10-06T10:05" in done.out
    after = read_state(StoreKind.JSON, place).checkpoint
    assert after is not None
    assert after.circuit_breaker == CircuitBreaker()
    assert len(after.halts) == 2
    assert abs(after.saved_at - NOW) < timedelta(minutes=1)


def test_a_person_s_command_comes_at_the_time_that_the_bot_s_clock_has(tmp_path: Path) -> None:
    place = stored(tmp_path, StoreKind.JSON)
    market = settle(None, {"TARGET_TRADER_STATE_DIR": str(place)}).config
    assert moment(market) == NOW
    system = settle(
        None,
        {"TARGET_TRADER_STATE_DIR": str(place), "TARGET_TRADER_TRADE_CLOCK": "system"},
    ).config
    assert moment(system) > NOW


@pytest.mark.parametrize("command", ["resume", "reset-breaker"])
def test_what_changes_the_state_is_refused_while_the_bot_runs(
    run: Run, command: str, tmp_path: Path
) -> None:
    place = stored(tmp_path, StoreKind.JSON)
    running = open_store(StoreKind.JSON, place)
    done = run(command, "--state-dir", str(place))
    running.close()
    assert done.code == 2
    assert "in use by another bot" in done.err


def test_without_a_report_the_command_says_so(run: Run, tmp_path: Path) -> None:
    assert "no reconciliation has been reported" in run("report", "--state-dir", str(tmp_path)).out
    assert run("report", "--state-dir", str(tmp_path), "--json").out == "null\n"


def test_a_report_is_told_with_both_sides_and_what_was_done(run: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        ReconciliationReport(
            time=NOW,
            day=NOW.date(),
            policy=Policy.WARN_ONLY,
            outcome=Outcome.FROZEN,
            origin=StateOrigin(source="backup", age_seconds=61.4, problems=["checksum"]),
            symbols=[
                SymbolFinding(
                    symbol="TSLA",
                    state_quantity=Decimal(100),
                    broker_quantity=Decimal(-50),
                    verdict=Verdict.FROZEN,
                    actions=["left as it is"],
                )
            ],
            orders=[
                OrderFinding(
                    order_ref=f"{TRADE}|stop",
                    symbol="TSLA",
                    order_id=12,
                    verdict=OrderVerdict.CONFIRMED,
                    state="working",
                )
            ],
            attempts=[AttemptFinding(key="TSLA|LONG|444.77", before=1, after=2)],
            frozen={"TSLA": "books and broker differ"},
            halts=[Halt(kind=HaltKind.ENTRIES, reason="stale", since=NOW)],
        ),
    )
    assert run("report", "--state-dir", str(tmp_path)).out.splitlines() == [
        "2025-10-06T10:05:00-04:00  FROZEN  (policy WARN_ONLY)",
        "state: backup, 61 s old",
        "  damaged: checksum",
        "TSLA: state 100, broker -50: FROZEN",
        "  left as it is",
        f"order 12 {TRADE}|stop: CONFIRMED, working",
        "attempts TSLA|LONG|444.77: 1 -> 2",
        "frozen TSLA: books and broker differ",
        "halted (ENTRIES) since 2025-10-06T10:05:00-04:00: stale",
    ]


@pytest.mark.parametrize(
    ("program", "code", "event"),
    [(HALTS_AT_ONCE, 3, "engine_halted"), (LOSES_ITS_DISK, 1, "failed")],
)
def test_a_halt_is_exit_code_3_and_a_failing_disk_is_1_both_critical(
    program: str, code: int, event: str, tmp_path: Path
) -> None:
    (tmp_path / "watchlist.json").write_text('{"date": "2025-10-06", "setups": []}')
    (tmp_path / "bot.py").write_text(program)
    ended, _, err = run_to_end(
        [
            *(sys.executable, str(tmp_path / "bot.py")),
            *("trade", "--state-dir", str(tmp_path / "state")),
            *("--watchlist", str(tmp_path / "watchlist.json"), "--log-format", "json"),
        ],
        seconds=60,
    )
    assert ended == code, err
    line = json.loads(err.splitlines()[-1])
    assert (line["level"], line["event"]) == ("CRITICAL", event)
    assert "Traceback" not in err


def test_a_run_in_json_tells_its_fills_with_their_facts(run: Run, trading_day: "Days") -> None:
    day = trading_day(["445.25", "445.00"])
    file = day.folder / "trader.toml"
    file.write_text(
        f"[broker]\nport = {day.port}\n[trade]\nwatchlist = '{day.folder / 'watchlist.json'}'\n"
        f"[state]\ndir = '{day.folder / 'state'}'\n"
        f"[log]\nformat = 'json'\nfile = '{day.folder / 'trader.log'}'\n"
    )
    day.bot = launch(
        [sys.executable, "-m", "target_trader", "trade", "--config", str(file)],
        day.folder / "bot.log",
    )
    day.settle(ready=True)
    day.play()
    assert day.stop() == 0, day.log()
    lines = [json.loads(line) for line in day.log().splitlines()]
    assert all({"time", "level", "event", "message"} <= set(line) for line in lines)
    assert (day.folder / "trader.log").read_text() == day.log()
    (fill,) = [line for line in lines if line["event"] == "fill_booked"]
    assert fill["time"].startswith("2025-10-06T10:01:55")
    assert (fill["symbol"], fill["side"]) == ("TSLA", "BOT")
    assert Decimal(fill["shares"]) == 100
    assert Decimal(fill["price"]) == Decimal("445.25")

    report = run("report", "--state-dir", str(day.folder / "state"))
    assert "(policy SYNC_TO_BROKER)" in report.out
    record = answer_of(run("report", "--state-dir", str(day.folder / "state"), "--json"))
    assert record["day"] == "2025-10-06"
    history = answer_of(run("history", "--state-dir", str(day.folder / "state")))
    assert history["trade_count"] == 1
