"""The log lines that the documents write down, in their words and with their figures."""

import logging
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from target_trader.books import Books
from target_trader.clock import NEW_YORK, MarketClock
from target_trader.ledger import book
from target_trader.matching import Context
from target_trader.picture import Picture
from target_trader.reconcile import reconcile
from target_trader.report import Report, age_words, final_lines
from target_trader.settings import StoreKind, TraderOptions, Watchlist
from target_trader.startup import announce, begin
from target_trader.state.checkpoint import new_checkpoint
from target_trader.state.choice import open_store
from tests.support.pictures import add_trade, fill, held, setup, state

DESK_DAY = date(2025, 10, 6)


def at(text: str) -> datetime:
    """Return a New York time of the day."""
    return datetime.fromisoformat(f"{DESK_DAY}T{text}").replace(tzinfo=NEW_YORK)


def desk_options(*symbols: str) -> TraderOptions:
    """Return a bot that watches these symbols on the sixth of October."""
    return TraderOptions(
        host="127.0.0.1",
        port=7497,
        client_id=2001,
        state_dir=Path(),
        store=StoreKind.JSON,
        watchlist=Watchlist(date=DESK_DAY, setups=tuple(map(setup, symbols))),
        watchlist_name="scanner_results_20251006.json",
    )


def start(options: TraderOptions, folder: Path, *, now: datetime) -> Books:
    """Begin a life at a moment with whatever lies in the folder; log it as the bot does."""
    clock = MarketClock()
    clock.advance(now)
    store = open_store(StoreKind.JSON, folder)
    books = Books(new_checkpoint(DESK_DAY, now=now), store, clock=clock, rules=options.rules)
    announce(options, now=now)
    begin(books, store.load(), options=options)
    store.close()
    return books


def test_the_normal_recovery_of_the_document_is_logged_in_its_words_and_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Symbols come in the order of the alphabet, and lines of our own stand between some."""
    caplog.set_level(logging.INFO, logger="target_trader")
    books = state("TSLA")
    sold = replace(
        fill("partial", 50, "447.13"), commission=Decimal(1), realized_pnl=Decimal("756.19")
    )
    book(books, sold)
    add_trade(books, "NVDA", entered=100)
    add_trade(books, "AMD", entered=200)
    books.saved_at = at("10:05:47")
    store = open_store(StoreKind.JSON, tmp_path)
    store.save(books)
    store.close()
    options = desk_options("AMD", "NVDA", "TSLA")
    now = at("10:16:32")

    life = start(options, tmp_path, now=now)
    picture = Picture(
        positions=(held(50), held(100, "NVDA")),
        open_orders=(),
        executions=(fill("entry", 100, "445.25"), sold),
    )
    context = Context(client_id=2001, watchlist=options.watchlist, rules=options.rules, now=now)
    outcome = reconcile(life.checkpoint, picture, context=context)
    outcome.report.print()
    final = Report()
    final_lines(outcome.checkpoint, final)
    final.print()

    told = iter(record.getMessage() for record in caplog.records)
    for line in (
        "PS60 LIVE TRADER - PAPER TRADING SESSION",
        "Date: 2025-10-06 Monday",
        "Time: 10:16:32 AM ET",
        "=" * 80,
        "✓ Connected to IBKR (Paper: Port 7497, Client ID: 2001)",
        "🔄 RECOVERING STATE from previous session...",
        "🔄 STATE RECOVERED from 10:05:47 AM ET (",
        "   Positions: 3",
        "   Daily P&L: $756.19",
        "🔄 VALIDATING WITH IBKR PORTFOLIO...",
        "   AMD: State file shows 200 shares, IBKR shows 0 shares ⚠️",
        "       → Position was closed by broker during downtime",
        "   NVDA: State file shows 100 shares, IBKR confirms 100 shares ✓",
        "   TSLA: State file shows 50 shares, IBKR confirms 50 shares ✓",
        "FINAL RECOVERED STATE:",
        "  Positions: 2 (NVDA, TSLA)",
        "  Daily P&L: $756.19 (continuing from previous session)",
    ):
        assert any(each.startswith(line) for each in told), line


def test_a_state_of_10_05_47_is_eleven_minutes_old_at_10_16_32() -> None:
    assert age_words(at("10:05:47"), at("10:16:32")) == "11 minutes ago"


def test_the_first_start_of_the_document_is_logged_in_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="target_trader")
    symbols = ("AAPL", "AMD", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "TSLA")
    start(desk_options(*symbols), tmp_path, now=at("09:30:15"))
    assert [record.getMessage() for record in caplog.records] == [
        "PS60 LIVE TRADER - PAPER TRADING SESSION",
        "Date: 2025-10-06 Monday",
        "Time: 09:30:15 AM ET",
        "=" * 80,
        "✓ Connected to IBKR (Paper: Port 7497, Client ID: 2001)",
        "ℹ️  No previous state found (clean start)",  # noqa: RUF001 - as the document writes it
        "✓ Loaded 8 setups from scanner_results_20251006.json",
    ]
