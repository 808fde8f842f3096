"""A whole trading day over TCP: the real bot, the real broker, each a process of its own."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fakebroker.control import ControlClient
from fakebroker.control_messages import Books
from fakebroker.market.tape import Bar, Tape, format_tape
from harness.broker_process import await_port
from harness.targets.process import Child, Launcher
from harness.targets.quiet import Gone, Quieted, Watch
from harness.targets.sockets import LoopbackQueues
from target_trader.clock import NEW_YORK
from tests.support.trader_days import chosen_library, interpreter, library_environment

OPENING = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
WATCHLIST = {
    "date": "2025-10-06",
    "setups": [
        {
            "symbol": "TSLA",
            "resistance": "444.77",
            "support": "432.50",
            "target1": "460.25",
            "target2": "470.50",
        }
    ],
}
WARMUP = ["444.50"] * 22
REFERENCE = ("-m", "target_trader")


def path_of_closes(
    closes: list[str], symbol: str = "TSLA", *, start: datetime = OPENING
) -> tuple[Bar, ...]:
    """Make five-second bars that move straight from close to close."""
    bars = []
    before = Decimal(closes[0])
    for number, text in enumerate(closes):
        close = Decimal(text)
        bars.append(
            Bar(
                symbol=symbol,
                time=start + timedelta(seconds=5 * number),
                open=before,
                high=max(before, close),
                low=min(before, close),
                close=close,
                volume=Decimal(1000),
            )
        )
        before = close
    return tuple(bars)


class TradingDay:
    """One broker with a tape, and a bot that is launched, killed and launched again."""

    def __init__(
        self,
        folder: Path,
        bars: tuple[Bar, ...],
        *,
        launcher: Launcher,
        store: str,
        settings: dict[str, object],
    ) -> None:
        self.folder = folder
        self.launcher = launcher
        self.store = store
        self.private = Path(tempfile.mkdtemp(prefix="tt-"))
        (folder / "tape.csv").write_text(format_tape(Tape(bars)))
        (folder / "broker.json").write_text(json.dumps(settings))
        (folder / "watchlist.json").write_text(json.dumps(WATCHLIST))
        self.port = 0
        self.queues = LoopbackQueues()
        self.options: tuple[str, ...] = ()
        self.bot: Child | None = None
        self.start_broker()

    def start_broker(self) -> None:
        """Start a broker, on the port of the one before it if there was one."""
        folder = self.folder
        ready, ready_write = os.pipe()
        (folder / "journal.jsonl").unlink(missing_ok=True)
        options = {
            "--tape": str(folder / "tape.csv"),
            "--settings": str(folder / "broker.json"),
            "--journal": str(folder / "journal.jsonl"),
            "--control": str(self.private / "c"),
            "--ready-fd": str(ready_write),
            "--clock": "lockstep",
            "--port": str(self.port),
        }
        words = [word for pair in options.items() for word in pair]
        command = [sys.executable, "-m", "fakebroker", *words]
        self.broker = self.launcher.launch(command, folder / "broker.log", pass_fds=[ready_write])
        os.close(ready_write)
        self.port = await_port(self.broker, ready)
        os.close(ready)
        self.control = ControlClient(self.private / "c")

    def end_broker(self) -> None:
        """Kill the broker."""
        self.control.close()
        self.broker.end()

    def launch(
        self, failpoints: str = "", *, client_id: int = 2001, program: tuple[str, ...] = REFERENCE
    ) -> None:
        """Start the bot and wait until it trades, or has died."""
        self.start_bot(failpoints, client_id=client_id, program=program)
        self.settle(ready=True)

    def start_bot(
        self, failpoints: str = "", *, client_id: int = 2001, program: tuple[str, ...] = REFERENCE
    ) -> None:
        """Start the bot and do not wait."""
        self.bot = self.launcher.launch(
            [
                *(interpreter(chosen_library()), *program, "trade"),
                *("--port", str(self.port), "--client-id", str(client_id)),
                *("--state-dir", str(self.folder / "state"), "--store", self.store),
                *("--watchlist", str(self.folder / "watchlist.json"), *self.options),
            ],
            self.folder / "bot.log",
            environment={"FAILPOINTS": failpoints, **library_environment(chosen_library())},
        )

    def wait_for_log(self, words: str) -> None:
        """Wait until the bot has logged these words."""
        assert self.bot is not None
        for _ in range(1200):
            if words in self.log():
                return
            assert not self.bot.exits_within(0.05), self.log()
        raise AssertionError(f"not logged: {words!r}\n{self.log()}")

    def settle(self, *, ready: bool = False) -> Quieted | Gone:
        """Wait until the bot is quiet (and, at its start, subscribed) or gone."""
        assert self.bot is not None
        watch = Watch(self.bot, self.control, queues=self.queues)
        while True:
            settled = watch.settle(seconds=60)
            assert not isinstance(settled, Quieted) or not settled.status.halted
            if isinstance(settled, Gone):
                return settled
            assert isinstance(settled, Quieted)
            if not ready or settled.status.subscriptions:
                return settled

    def play(self, bars: int = 10_000) -> int | None:
        """Play so many bars, each when the bot is quiet; return its exit code if it died."""
        while bars > 0:
            step = self.control.step()
            if step.kind == "end":
                break
            bars -= step.kind == "bar"
            if self.bot is not None:
                settled = self.settle()
                if isinstance(settled, Gone):
                    return settled.code
        return None

    def kill(self) -> None:
        """SIGKILL the bot."""
        assert self.bot is not None
        self.bot.end()
        self.bot = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Tell the bot to stop; return its exit code."""
        assert self.bot is not None
        os.kill(self.bot.pid, number)
        return self.ended()

    def command(self, *words: str) -> tuple[int, str, str]:
        """Run another command on the bot's state; return exit code, stdout and stderr."""
        where = ("--state-dir", str(self.folder / "state"), "--store", self.store)
        command = [sys.executable, "-m", "target_trader", *words, *where]
        return self.launcher.run_to_end(command, seconds=60)

    def ended(self) -> int | None:
        """Wait for the end of the bot; return its exit code."""
        assert self.bot is not None
        assert self.bot.exits_within(60), self.log()
        code = self.bot.exit_code()
        self.bot.end()
        self.bot = None
        return code

    def books(self) -> Books:
        """What the broker has in its books."""
        return self.control.books()

    def belief(self) -> dict[str, Any]:
        """What the bot believes."""
        code, out, err = self.command("state")
        assert code == 0, err
        belief: dict[str, Any] = json.loads(out)
        return belief

    def log(self) -> str:
        """Everything that the bot has logged in all its lives."""
        return (self.folder / "bot.log").read_text()

    def sent(self, message: str) -> list[dict[str, Any]]:
        """The messages of one kind that the broker has received."""
        lines = (self.folder / "journal.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [
            each for each in records if each["kind"] == "received" and each["message"] == message
        ]

    def fills(self) -> list[tuple[str, str, Decimal, Decimal]]:
        """Return attempt and leg, side, shares and price of every execution, in order."""
        return [
            ("|".join(each.order_ref.split("|")[-2:]), each.side, each.shares, each.price)
            for each in self.books().executions
        ]

    def check_agreement(self) -> None:
        """Check that bot and broker tell the same story and that nothing is left over."""
        books, belief = self.books(), self.belief()
        held = {each.symbol: each.quantity for each in books.positions if each.quantity}
        believed = {
            symbol: Decimal(each["quantity"]) for symbol, each in belief["positions"].items()
        }
        assert believed == held
        assert belief["executions"] == sorted(each.exec_id for each in books.executions)
        realized = sum((each.realized_pnl for each in books.positions), Decimal(0))
        assert Decimal(belief["realized_pnl"]) == realized
        for symbol, quantity in held.items():
            stops = [
                each
                for each in books.orders
                if each.working and each.order_type == "STP" and each.symbol == symbol
            ]
            assert sum(each.remaining for each in stops) == abs(quantity)
            trades = [each.order_ref.rpartition("|")[0] for each in stops]
            assert len(set(trades)) == len(trades), "a trade with two stops"
        if not held:
            assert [each.order_ref for each in books.orders if each.working] == []
        entered = [
            each.order_ref
            for each in books.orders
            if each.order_ref.endswith("|entry") and each.filled
        ]
        assert len(entered) == len(set(entered))
        # A level has two attempts a day and side; crossovers have the day's limit alone.
        breaks = [each for each in entered if each.startswith("PS60|")]
        levels = Counter(each.rsplit("|", 2)[0] for each in breaks)
        assert all(count <= 2 for count in levels.values())

    def close(self) -> None:
        """End everything."""
        if self.bot is not None:
            self.bot.end()
        self.queues.close()
        self.end_broker()
        shutil.rmtree(self.private)


class Days:
    """Makes trading days and ends them."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.launcher = launcher
        self.made: list[TradingDay] = []
        self.count = 0

    def __call__(self, closes: list[str], *, store: str = "json", **settings: object) -> TradingDay:
        return self.of_runs([(OPENING, [*WARMUP, *closes])], store=store, **settings)

    def of_runs(
        self, runs: list[tuple[datetime, list[str]]], *, store: str = "json", **settings: object
    ) -> TradingDay:
        """Make a day, or more, of runs of closes, each from its own moment on."""
        folder = self.folder / str(self.count)
        folder.mkdir()
        self.count += 1
        parts = [path_of_closes(closes, start=start) for start, closes in runs]
        bars = tuple(bar for part in parts for bar in part)
        day = TradingDay(folder, bars, launcher=self.launcher, store=store, settings=settings)
        self.made.append(day)
        return day

    def end(self, day: TradingDay) -> None:
        """End a day before the test ends."""
        self.made.remove(day)
        day.close()
