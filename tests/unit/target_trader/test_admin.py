"""Halts and the circuit breaker end by a person's command, and only so."""

from datetime import timedelta
from pathlib import Path

import pytest

from target_trader.admin import lift_halts, reset_breaker
from target_trader.errors import TraderError
from target_trader.state.checkpoint import Checkpoint, CircuitBreaker, HaltKind, new_checkpoint
from target_trader.state.json_store import JsonStore, backup_path, main_path
from target_trader.state.store import Source
from tests.support.pictures import DAY, NOW, state

LATER = NOW + timedelta(minutes=5)


def halted() -> Checkpoint:
    """Return books with two halts and a tripped breaker."""
    books = state()
    books.halt("TSLA: IBKR rejects every stop", now=NOW)
    books.halt("TSLA: the books hold 100 shares, IBKR 60", now=NOW, kind=HaltKind.ENGINE)
    books.circuit_breaker = CircuitBreaker(failures=5, tripped_at=NOW, last_failure="201")
    return books


def kept(folder: Path, books: Checkpoint) -> JsonStore:
    """Return a store that holds these books."""
    store = JsonStore(folder)
    store.save(books)
    return store


def loaded(store: JsonStore) -> Checkpoint:
    """Return what a store holds."""
    found = store.load().checkpoint
    assert found is not None
    return found


def test_every_halt_is_lifted_and_told(tmp_path: Path) -> None:
    store = kept(tmp_path, halted())
    lifted = lift_halts(store, now=LATER, note="looked into it")
    assert [each.kind for each in lifted] == [HaltKind.ENTRIES, HaltKind.ENGINE]
    assert loaded(store).halts == []
    store.close()


def test_lifting_changes_nothing_else_of_the_state(tmp_path: Path) -> None:
    store = kept(tmp_path, halted())
    lift_halts(store, now=LATER, note="")
    expected = halted()
    expected.halts = []
    assert loaded(store) == expected
    store.close()


def test_lifting_nothing_writes_nothing(tmp_path: Path) -> None:
    store = kept(tmp_path, state())
    before = main_path(tmp_path, DAY).stat().st_mtime_ns
    assert lift_halts(store, now=LATER, note="") == []
    assert main_path(tmp_path, DAY).stat().st_mtime_ns == before
    store.close()


def test_halts_of_another_day_are_lifted_as_well(tmp_path: Path) -> None:
    old = new_checkpoint(DAY - timedelta(days=3), now=NOW - timedelta(days=3), keeping=halted())
    store = kept(tmp_path, old)
    assert len(lift_halts(store, now=LATER, note="")) == 2
    assert loaded(store).halts == []
    store.close()


def test_the_breaker_is_set_back_and_what_it_was_is_told(tmp_path: Path) -> None:
    store = kept(tmp_path, halted())
    assert reset_breaker(store, now=LATER).failures == 5
    assert loaded(store).circuit_breaker == CircuitBreaker()
    assert len(loaded(store).halts) == 2
    store.close()


def test_a_breaker_that_has_counted_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    store = kept(tmp_path, state())
    before = main_path(tmp_path, DAY).stat().st_mtime_ns
    assert reset_breaker(store, now=LATER) == CircuitBreaker()
    assert main_path(tmp_path, DAY).stat().st_mtime_ns == before
    store.close()


def test_without_a_state_there_is_nothing_to_lift_and_the_words_say_so(tmp_path: Path) -> None:
    store = JsonStore(tmp_path)
    with pytest.raises(TraderError, match="there is no stored state"):
        lift_halts(store, now=LATER, note="")
    with pytest.raises(TraderError, match="there is no stored state"):
        reset_breaker(store, now=LATER)
    store.close()


def test_a_damaged_state_is_not_lifted_and_the_words_say_how_to_go_on(tmp_path: Path) -> None:
    store = kept(tmp_path, halted())
    main_path(tmp_path, DAY).write_text("{")
    with pytest.raises(TraderError, match=r"cannot be believed .*start the bot once"):
        lift_halts(store, now=LATER, note="")
    store.close()


def test_a_backup_that_becomes_the_state_is_still_known_to_be_older(tmp_path: Path) -> None:
    store = kept(tmp_path, halted())
    store.save(halted())
    assert backup_path(tmp_path, DAY).exists()
    main_path(tmp_path, DAY).write_text("{")
    assert len(lift_halts(store, now=LATER, note="")) == 2
    found = store.load()
    assert found.source is Source.MAIN
    assert loaded(store).session.doubted_since == LATER
    store.close()
