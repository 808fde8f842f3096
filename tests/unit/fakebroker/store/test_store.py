"""The file of the books: what goes in comes out, and what is not ours is left alone."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from fakebroker.durable import Durable
from fakebroker.exchange.account import Account
from fakebroker.exchange.book import Book
from fakebroker.exchange.exchange import Exchange
from fakebroker.market.tape import Tape, parse_tape
from fakebroker.settings import BrokerSettings
from fakebroker.store import Store, StoreError
from fakebroker.values import Action, Contract, OrderTerms
from tests.support.brokers import tape_text

NOW = datetime(2025, 10, 6, 14, 0, tzinfo=UTC)
SETTINGS = BrokerSettings(price_without_tape=Decimal("100.50"))
TSLA = Contract("TSLA")
FILE = "books.sqlite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def exchange() -> Exchange:
    """Books with a fill, a live stop, a cancelled order and a leg that waits for transmit=1."""
    found = Exchange(SETTINGS)
    place(found, 1, "MKT", quantity=3, order_ref="entry")
    place(found, 2, "STP", quantity=3, action=Action.SELL, price="90.10", tif="GTC")
    place(found, 3, "LMT", quantity=1, price="80")
    found.cancel(1, 3, now=NOW)
    place(found, 4, "LMT", quantity=1, price="70", transmit=False)
    return found


def place(
    exchange: Exchange,
    order_id: int,
    kind: str,
    *,
    quantity: int,
    action: Action = Action.BUY,
    price: str | None = None,
    tif: str = "DAY",
    order_ref: str = "",
    transmit: bool = True,
) -> None:
    amount = None if price is None else Decimal(price)
    terms = OrderTerms(
        action,
        Decimal(quantity),
        kind,
        limit_price=amount if kind == "LMT" else None,
        aux_price=amount if kind == "STP" else None,
        tif=tif,
        order_ref=order_ref,
        transmit=transmit,
        account=SETTINGS.account,
    )
    exchange.place(1, order_id, TSLA, terms, now=NOW)


def keep(folder: Path, book: Book, tape: Tape | None = None) -> None:
    with Store(folder, SETTINGS, tape) as store:
        store.keep(Durable(NOW, 7, book))


def kept(folder: Path) -> Durable:
    with Store(folder, SETTINGS, None) as store:
        assert store.kept is not None
        return store.kept


def test_a_new_folder_is_private_and_has_no_books(folder: Path) -> None:
    with Store(folder, SETTINGS, None) as store:
        assert store.kept is None
    assert folder.stat().st_mode & 0o777 == 0o700


def test_books_come_back_as_they_were_without_legs_that_wait(
    folder: Path, exchange: Exchange
) -> None:
    keep(folder, exchange.book)
    found = kept(folder)

    assert (found.now, found.market_cursor) == (NOW, 7)
    book, old = found.book, exchange.book
    [held] = [key for key, order in old.orders.items() if not order.transmitted]
    assert list(book.orders) == [key for key in old.orders if key != held]
    assert all(order == old.orders[key] for key, order in book.orders.items())
    assert book.find(1, 4) is None
    assert book.highest_order_ids == {1: 4}
    assert list(book.executions.items()) == list(old.executions.items())
    assert vars(book.account) == vars(old.account)
    plain = {field.name for field in fields(Book)} - {
        "account",
        "extra_accounts",
        "orders",
        "perm_ids",
        "open_perm_ids",
        "received",
    }
    assert [order.perm_id for order in book.live()] == [
        order.perm_id for order in old.live() if order.transmitted
    ]
    for name in sorted(plain):
        assert getattr(book, name) == getattr(old, name), name


def test_each_account_gets_its_own_money_and_holdings_back(folder: Path) -> None:
    other = {"account": "DU7654321", "cash": "5000"}
    both = BrokerSettings.model_validate({**SETTINGS.model_dump(), "accounts": [other]})
    exchange = Exchange(both)
    for order_id, account in enumerate([SETTINGS.account, "DU7654321", "DU7654321"], start=1):
        terms = OrderTerms(Action.BUY, Decimal(order_id), "MKT", account=account)
        exchange.place(1, order_id, TSLA, terms, now=NOW)
    with Store(folder, both, None) as store:
        store.keep(Durable(NOW, 0, exchange.book))
    with Store(folder, both, None) as store:
        assert store.kept is not None
        found = store.kept.book.accounts()
    assert [vars(row) for row in found] == [vars(row) for row in exchange.book.accounts()]
    assert [row.quantity("TSLA") for row in found] == [1, 5]


def test_an_account_has_nothing_that_the_store_does_not_know() -> None:
    assert set(vars(Account("DU1234567", Decimal(1)))) == {
        "account",
        "cash",
        "realized_pnl",
        "_holdings",
    }


def test_every_later_change_is_written_and_only_what_changed(
    folder: Path, exchange: Exchange
) -> None:
    with Store(folder, SETTINGS, None) as store:
        store.keep(Durable(NOW, 7, exchange.book))
        exchange.cancel(1, 2, now=NOW + timedelta(seconds=1))
        with closing(sqlite3.connect(folder / FILE)) as file:
            file.execute("update orders set entry = replace(entry, '\"entry\"', '\"touched\"')")
            file.commit()
        store.keep(Durable(NOW, 7, exchange.book))
    found = kept(folder).book
    assert [order.terms.order_ref for order in found.orders.values()] == ["touched", "", ""]
    cancelled = exchange.order(1, 2)
    assert cancelled is not None
    assert found.orders[cancelled.perm_id] == exchange.book.orders[cancelled.perm_id]


def test_a_second_broker_on_the_folder_is_refused(folder: Path) -> None:
    with (
        Store(folder, SETTINGS, None),
        pytest.raises(StoreError, match="belongs to a broker that is running"),
    ):
        Store(folder, SETTINGS, None)
    with Store(folder, SETTINGS, None):
        pass


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(StoreError, match="mode 755"):
        Store(tmp_path, SETTINGS, None)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"my shopping list" * 100])
def test_a_foreign_file_is_refused_and_left_alone(folder: Path, content: bytes) -> None:
    folder.mkdir(mode=0o700)
    (folder / FILE).write_bytes(content)
    with pytest.raises(StoreError, match="not the books of a fakebroker"):
        Store(folder, SETTINGS, None)
    assert (folder / FILE).read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / FILE)) as other:
        other.execute("create table orders (id)")
        other.commit()
    before = (folder / FILE).read_bytes()
    with pytest.raises(StoreError, match="not the books of a fakebroker"):
        Store(folder, SETTINGS, None)
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize("place_in_file", [0.3, 0.5, 0.9])
def test_a_damaged_file_is_refused_and_left_alone(
    folder: Path, exchange: Exchange, place_in_file: float
) -> None:
    keep(folder, exchange.book)
    data = bytearray((folder / FILE).read_bytes())
    start = int(len(data) * place_in_file) // 4096 * 4096
    data[start : start + 4096] = b"\xa5" * 4096
    (folder / FILE).write_bytes(data)
    with pytest.raises(StoreError, match=r"books in .* (damaged|cannot be used)"):
        Store(folder, SETTINGS, None)
    assert (folder / FILE).read_bytes() == data


def test_a_row_that_makes_no_sense_is_refused_with_its_value(
    folder: Path, exchange: Exchange
) -> None:
    keep(folder, exchange.book)
    with closing(sqlite3.connect(folder / FILE)) as file:
        file.execute("""update orders set entry = json_set(entry, '$.stage', 'asleep')""")
        file.commit()
    with pytest.raises(StoreError, match="asleep"):
        Store(folder, SETTINGS, None)


def test_books_of_another_version_are_refused(folder: Path, exchange: Exchange) -> None:
    keep(folder, exchange.book)
    with closing(sqlite3.connect(folder / FILE)) as file:
        file.execute("pragma user_version = 99")
        file.execute("pragma wal_checkpoint(truncate)")
    with pytest.raises(StoreError, match="version 99"):
        Store(folder, SETTINGS, None)


@pytest.mark.parametrize(
    ("name", "value"), [("cash", "5"), ("account", "DU7654321"), ("first_perm_id", "5")]
)
def test_settings_that_the_books_rest_on_must_stay(folder: Path, name: str, value: str) -> None:
    with Store(folder, SETTINGS, None):
        pass
    other = BrokerSettings.model_validate({**SETTINGS.model_dump(), name: value})
    with pytest.raises(StoreError, match=rf"begun with {name} .*\(now {value}\)"):
        Store(folder, other, None)


def test_what_a_killed_process_left_is_not_touched_by_a_refusal(
    folder: Path, exchange: Exchange
) -> None:
    copy = folder.with_name("copy")
    with Store(folder, SETTINGS, None) as store:
        store.keep(Durable(NOW, 7, exchange.book))
        shutil.copytree(folder, copy)
    before = {name: (copy / name).read_bytes() for name in (FILE, f"{FILE}-wal")}
    with pytest.raises(StoreError, match="begun with cash"):
        Store(copy, SETTINGS.model_copy(update={"cash": Decimal(5)}), None)
    assert {name: (copy / name).read_bytes() for name in before} == before


def test_another_tape_is_refused_and_the_same_tape_is_not(folder: Path) -> None:
    tape = parse_tape(tape_text(), name="tape")
    keep(folder, Exchange(SETTINGS).book, tape)
    with pytest.raises(StoreError, match="begun with tape"):
        Store(folder, SETTINGS, parse_tape(tape_text(("1", "2")), name="tape"))
    with Store(folder, SETTINGS, tape):
        pass


def test_other_settings_may_change(folder: Path) -> None:
    with Store(folder, SETTINGS, None):
        pass
    with Store(folder, SETTINGS.model_copy(update={"dup_status": True}), None):
        pass


def test_a_lost_file_whose_journal_is_left_is_refused(folder: Path, exchange: Exchange) -> None:
    copy = folder.with_name("copy")
    with Store(folder, SETTINGS, None) as store:
        store.keep(Durable(NOW, 7, exchange.book))
        shutil.copytree(folder, copy)
    (copy / FILE).unlink()
    with pytest.raises(StoreError, match=r"books\.sqlite-wal is still there"):
        Store(copy, SETTINGS, None)


def test_what_a_killed_process_has_written_is_there(folder: Path, exchange: Exchange) -> None:
    """A copy of the folder, taken while the store is open, is what a SIGKILL leaves."""
    copy = folder.with_name("copy")
    with Store(folder, SETTINGS, None) as store:
        store.keep(Durable(NOW, 7, exchange.book))
        shutil.copytree(folder, copy)
    assert kept(copy).book.executions == exchange.book.executions


def die_at(statement: int) -> None:
    """Kill this process just before its n-th write to the database."""
    left = statement

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)


def written_by_a_child(work: Callable[[], None]) -> int:
    """Run some work in a process of its own and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_killed_between_any_two_writes_the_books_are_whole(
    tmp_path: Path, exchange: Exchange
) -> None:
    """The first books are there, then a fill is to be written; the writer dies at every place."""
    before = exchange.book.copy()
    place(exchange, 5, "MKT", quantity=1)
    seen = []
    for statement in range(1, 30):
        folder = tmp_path / f"state{statement}"
        keep(folder, before)

        def work(folder: Path = folder, statement: int = statement) -> None:
            with Store(folder, SETTINGS, None) as store:
                die_at(statement)
                store.keep(Durable(NOW, 8, exchange.book))

        ended = written_by_a_child(work)
        found = kept(folder)
        seen.append(found.market_cursor)
        expected = before if found.market_cursor == 7 else exchange.book
        assert found.book.executions == expected.executions
        assert found.book.account.cash == expected.account.cash
        assert found.book.perm_ids == {
            ids: key for ids, key in expected.perm_ids.items() if expected.orders[key].transmitted
        }
        if ended == 0:
            break
    assert seen[-1] == 8
    assert seen[:-1] == [7] * (len(seen) - 1)
    assert len(seen) > 5


def test_a_write_that_fails_is_told_in_words_and_writes_nothing(
    folder: Path, exchange: Exchange
) -> None:
    with Store(folder, SETTINGS, None) as store:
        with closing(sqlite3.connect(folder / FILE)) as file:
            file.execute("drop table orders")
            file.commit()
        with pytest.raises(StoreError, match="no such table: orders"):
            store.keep(Durable(NOW, 7, exchange.book))
    with closing(sqlite3.connect(folder / FILE)) as file:
        assert file.execute("select count(*) from facts").fetchone() == (0,)
