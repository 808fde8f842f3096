"""The live view: what it says, and when it is shown at all."""

import os
import pty
import re
import select
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pytest
from rich.console import Console

from fakebroker.control_messages import (
    BookExecution,
    BookOrder,
    BookPosition,
    Books,
    Point,
    SessionStatus,
    Status,
)
from fakebroker.view import render
from tests.support.brokers import DEADLINE_SECONDS

NOW = datetime.fromisoformat("2025-10-06T14:00:05+00:00")
STATUS = Status(
    now=NOW,
    port=7497,
    frames_received=12,
    frames_sent=34,
    bars_played=5,
    bars_left=6,
    next_due=None,
    sessions=(
        SessionStatus(session=1, client_id=11, ready=True, peer_port=50001),
        SessionStatus(session=2, client_id=None, ready=False, peer_port=50002),
    ),
    subscriptions=0,
    halted=None,
)


def order(number: int, *, status: str = "Submitted", ref: str = "") -> BookOrder:
    return BookOrder(
        perm_id=1_500_000_000 + number,
        order_id=number,
        client_id=11,
        order_ref=ref,
        symbol="TSLA",
        action="SELL",
        order_type="STP",
        quantity=Decimal("100.0"),
        filled=Decimal(0),
        remaining=Decimal(100),
        limit_price=None,
        aux_price=Decimal("98.50"),
        status=status,
        parent_perm_id=None,
        oca_group="",
        transmitted=True,
        working=status == "Submitted",
    )


FILL = BookExecution(
    exec_id="0000e0d5.67fe667b.01.01",
    perm_id=1_500_000_001,
    order_id=1,
    client_id=11,
    order_ref="entry",
    symbol="TSLA",
    side="BOT",
    shares=Decimal(100),
    price=Decimal("101.25"),
    time=NOW,
    commission=Decimal("1.00"),
    realized_pnl=None,
)


def books(orders: tuple[BookOrder, ...] = (), fills: tuple[BookExecution, ...] = ()) -> Books:
    held = BookPosition(
        account="DU1234567",
        symbol="TSLA",
        con_id=76792991,
        quantity=Decimal(100),
        average_cost=Decimal("101.26"),
        realized_pnl=Decimal(0),
    )
    return Books(
        now=NOW,
        cash=Decimal("89874.5"),
        positions=(held,),
        orders=orders,
        executions=fills,
        last_prices={},
    )


def picture(status: Status, shown: Books, *, rows: int = 10) -> str:
    console = Console(record=True, width=120, height=60, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - recorded, not written
    with console.file:
        console.print(render(status, shown, rows=rows))
        return console.export_text()


def test_a_picture_tells_sessions_positions_orders_and_fills() -> None:
    text = picture(STATUS, books((order(1, ref="exit"),), (FILL,)))
    assert "2025-10-06 10:00:05 New York | port 7497 | bars 5 played, 6 left" in text
    assert "cash 89,874.50" in text
    assert re.search(r"1 +│ 11 +│ ready +│ 50001", text)
    assert re.search(r"2 +│ +│ not started +│ 50002", text)
    assert re.search(r"DU1234567 │ TSLA +│ 100 +│ 101\.26", text)
    assert re.search(r"SELL 100 TSLA STP 98\.5 │ 0 +│ Submitted │ exit", text)
    assert re.search(r"10:00:05 │ 11 +│ BOT 100 TSLA at 101\.25 │ 1\.00 +│ +│ entry", text)


def test_a_picture_has_the_newest_rows_and_live_orders_before_done_ones() -> None:
    orders = (order(1), *(order(number, status="Filled") for number in range(2, 9)))
    text = picture(STATUS, books(orders), rows=3)
    assert "Orders (8)" in text
    assert [int(found) for found in re.findall(r"15000000(\d\d)", text)] == [1, 8, 7]


def test_a_picture_says_where_the_broker_stands_still() -> None:
    point = Point(direction="in", message="placeOrder", occurrence=2, moment="processed")
    halted = STATUS.model_copy(update={"halted": point})
    assert "stands still at in placeOrder 2 processed" in picture(halted, books())
    assert "stands still" not in picture(STATUS, books())


@pytest.mark.parametrize("ref", ["[bold red]x", "[/]", "\x1b[2Jgone", "line\nbreak", "x" * 5000])
def test_what_a_client_says_cannot_disturb_the_terminal(ref: str) -> None:
    text = picture(STATUS, books((order(1, ref=ref),)))
    assert "\x1b" not in text
    assert len(text.splitlines()) == len(picture(STATUS, books((order(1, ref="x"),))).splitlines())
    if ref.startswith("["):
        assert ref in text


@dataclass
class Terminal:
    """The program on a terminal of its own."""

    process: subprocess.Popen[bytes]
    master: int

    def read_until(self, *words: str) -> str:
        """Read the screen until all words have come; fail at the deadline."""
        text = ""
        while not all(word in text for word in words):
            readable, _, _ = select.select([self.master], [], [], DEADLINE_SECONDS)
            assert readable, text
            try:
                data = os.read(self.master, 65536)
            except OSError:  # how Linux says that nobody is at the other end any more
                data = b""
            assert data, text
            text += data.decode(errors="replace")
        return text


def on_terminal(*options: str) -> Terminal:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "fakebroker", "--port", "0", *options]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment)
    os.close(slave)
    return Terminal(process, master)


@pytest.mark.parametrize(("options", "live"), [((), True), (("--no-view",), False)])
def test_the_view_is_shown_on_a_terminal_unless_it_is_switched_off(
    options: tuple[str, ...], *, live: bool
) -> None:
    terminal = on_terminal(*options)
    try:
        text = terminal.read_until("listening on 127.0.0.1:", *(("Orders (0)",) if live else ()))
        terminal.process.terminate()
        assert terminal.process.wait(DEADLINE_SECONDS) == 0
        if not live:
            with pytest.raises(AssertionError):
                text += terminal.read_until("Orders")
            assert "Orders" not in text
    finally:
        terminal.process.kill()
        terminal.process.wait(DEADLINE_SECONDS)
        os.close(terminal.master)
