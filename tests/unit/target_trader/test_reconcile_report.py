"""The reconciliation report: for a machine, one JSON object a line, and nothing twice."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.errors import TraderError
from target_trader.ledger import book
from target_trader.picture import Picture
from target_trader.reconcile import reconcile
from target_trader.reconciliation import (
    Outcome,
    ReconciliationReport,
    path_of,
    read_last,
    write,
)
from target_trader.report import OrderVerdict, Report, StateOrigin, final_lines
from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint, HaltKind, new_checkpoint
from tests.support.pictures import (
    CONTEXT,
    DAY,
    ENTRY_FILL,
    KEY,
    NOW,
    PARTIAL,
    STOP,
    add_trade,
    fill,
    held,
    order,
    ref,
    state,
)

AGREED = Picture((held(100),), (STOP, PARTIAL), (), (ENTRY_FILL,))


def record(
    picture: Picture = AGREED, *, books: Checkpoint | None = None, later: int = 0
) -> ReconciliationReport:
    """Return the record of one reconciliation, `later` seconds after the first."""
    context = replace(CONTEXT, now=NOW + timedelta(seconds=later))
    return reconcile(books or state(), picture, context=context).record


def orders_of(made: ReconciliationReport) -> dict[str, OrderVerdict]:
    """Return the verdict on each order by its leg."""
    return {each.order_ref.rpartition("|")[2]: each.verdict for each in made.orders}


def test_a_record_says_when_by_which_policy_and_how_it_ended() -> None:
    made = record()
    assert (made.time, made.day, made.policy) == (NOW, DAY, "SYNC_TO_BROKER")
    assert made.outcome is Outcome.AGREED


def test_a_record_names_every_order_with_what_became_of_it() -> None:
    foreign = order("stop", 5, "400", order_ref="by hand", order_id=0, client_id=0, perm_id=9)
    extra = order("stop", 100, "443.37", order_ref=ref("stop4"), order_id=30, perm_id=77)
    picture = replace(AGREED, open_orders=(STOP, extra, foreign))
    assert orders_of(record(picture)) == {
        "stop": OrderVerdict.CONFIRMED,
        "partial": OrderVerdict.ENDED,
        "stop4": OrderVerdict.ADOPTED,
        "by hand": OrderVerdict.FOREIGN,
    }


def test_a_record_tells_unknown_from_lost_orders_and_the_attempt_that_comes_back() -> None:
    first = record(Picture(), books=state(entered=0))
    assert set(orders_of(first).values()) == {OrderVerdict.UNKNOWN}
    assert first.outcome is Outcome.UNSETTLED
    context = replace(CONTEXT, withdrawn=frozenset({10, 11, 12}))
    second = reconcile(state(entered=0), Picture(), context=context).record
    assert set(orders_of(second).values()) == {OrderVerdict.LOST}
    assert [(each.key, each.before, each.after) for each in second.attempts] == [(KEY, 1, 0)]


def test_a_record_tells_the_fills_that_were_booked() -> None:
    made = record(Picture((), (), (), (ENTRY_FILL, fill("stop", 100, "443.37"))))
    (finding,) = made.symbols
    assert (finding.state_quantity, finding.broker_quantity) == (Decimal(100), Decimal(0))
    assert [(each.side, each.shares) for each in finding.fills] == [("SLD", Decimal(100))]
    assert made.outcome is Outcome.CAUGHT_UP


def test_the_first_record_of_a_start_says_where_the_state_came_from() -> None:
    origin = StateOrigin(source="backup", saved_at=NOW - timedelta(minutes=11), age_seconds=660)
    made = reconcile(state(), AGREED, context=replace(CONTEXT, origin=origin)).record
    assert made.origin == origin


def test_what_is_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = record()
    assert write(tmp_path, made)
    assert read_last(tmp_path) == made
    (line,) = path_of(tmp_path, DAY).read_text().splitlines()
    assert json.loads(line)["symbols"][0]["state_quantity"] == "100"


def test_a_record_that_says_nothing_new_is_written_at_a_start_only(tmp_path: Path) -> None:
    assert write(tmp_path, record())
    assert not write(tmp_path, record(later=10))
    assert write(tmp_path, record(later=20), at_start=True)
    assert write(tmp_path, record(replace(AGREED, open_orders=(STOP,)), later=30))
    assert len(path_of(tmp_path, DAY).read_text().splitlines()) == 3


def test_the_last_record_of_the_newest_day_is_read(tmp_path: Path) -> None:
    tomorrow = DAY + timedelta(days=1)
    books = new_checkpoint(tomorrow, now=NOW + timedelta(days=1))
    newer = record(Picture(), books=books)
    write(tmp_path, newer)
    write(tmp_path, record())
    assert read_last(tmp_path) == newer


def test_there_is_no_last_record_in_an_empty_folder(tmp_path: Path) -> None:
    assert read_last(tmp_path) is None


def test_a_line_that_a_crash_cut_short_is_passed_over_and_the_next_one_is_whole(
    tmp_path: Path,
) -> None:
    write(tmp_path, record())
    path = path_of(tmp_path, DAY)
    with path.open("ab") as stream:
        stream.write(b'{"time": "2025-10')
    assert read_last(tmp_path) == record()
    newer = record(Picture(), later=60)
    assert write(tmp_path, newer)
    assert read_last(tmp_path) == newer


def test_a_file_with_a_line_that_is_no_record_is_an_error_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, record())
    path = path_of(tmp_path, DAY)
    path.write_text(path.read_text() + '{"time": 5}\n')
    with pytest.raises(TraderError, match=r"20251006\.jsonl, line 2: .*move the file away"):
        read_last(tmp_path)


def test_a_damaged_file_does_not_keep_the_next_record_from_being_written(tmp_path: Path) -> None:
    path_of(tmp_path, DAY).write_text("nonsense\n")
    assert write(tmp_path, record())
    assert read_last(tmp_path) == record()


def test_an_empty_file_holds_no_record(tmp_path: Path) -> None:
    path_of(tmp_path, DAY).write_text("")
    assert read_last(tmp_path) is None


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    path_of(tmp_path, DAY).mkdir()
    with pytest.raises(TraderError, match=r"20251006\.jsonl cannot be read"):
        read_last(tmp_path)


def test_the_final_state_is_told_in_the_desks_own_lines() -> None:
    books = state()
    book(books, fill("partial", 50, "447.13"))
    add_trade(books, "NVDA", entered=100)
    books.session.daily_pnl = Decimal("756.19")
    report = Report()
    final_lines(books, report)
    assert [line for _, line in report.lines] == [
        "FINAL RECOVERED STATE:",
        "  Positions: 2 (TSLA, NVDA)",
        "  Daily P&L: $756.19 (continuing from previous session)",
        "  TSLA: LONG 50 @ 445.25, stop 443.37",
        "  NVDA: LONG 100 @ 445.25, stop 443.37",
    ]


def test_a_stop_that_is_about_to_be_moved_is_told_with_where_it_goes() -> None:
    books = state()
    book(books, fill("partial", 50, "447.13"))
    moved, stays = Report(), Report()
    final_lines(books, moved, rules=Rules())
    assert moved.lines[-1][1].endswith("50 @ 445.25, stop 443.37, to be moved to 445.25")
    books.frozen["TSLA"] = "the books hold 50 shares, IBKR 60"
    final_lines(books, stays, rules=Rules())
    assert "to be moved" not in stays.text()


def test_a_stop_that_stands_where_it_should_is_told_as_it_is() -> None:
    report = Report()
    final_lines(state(), report, rules=Rules())
    assert report.lines[-1][1].endswith("100 @ 445.25, stop 443.37")


def test_the_final_state_tells_what_is_frozen_and_what_is_halted() -> None:
    books = new_checkpoint(DAY, now=NOW)
    books.frozen["TSLA"] = "the books hold 100 shares, IBKR 60"
    books.halt("rejects", now=NOW)
    report = Report()
    final_lines(books, report)
    assert "TSLA: FROZEN, no orders in it: the books hold 100" in report.text()
    assert "HALTED, no new entries: rejects" in report.text()
    books.halt("a difference", now=NOW, kind=HaltKind.ENGINE)
    report = Report()
    final_lines(books, report)
    assert "HALTED, no orders at all: rejects; a difference" in report.text()
