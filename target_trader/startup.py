"""The first lines of a session, and which stored state is allowed into it."""

from datetime import datetime

from target_trader.books import Books
from target_trader.clock import exchange_day
from target_trader.log import LOG
from target_trader.names import clock_words
from target_trader.report import Report, age_words, recovered_lines
from target_trader.settings import Rules, TraderOptions
from target_trader.state.checkpoint import new_checkpoint
from target_trader.state.store import Loaded, Source

PAPER_PORTS = frozenset({7497, 4002})


def announce(options: TraderOptions, *, now: datetime) -> None:
    """Print who is trading, when and where."""
    kind = "Live" if options.port in {7496, 4001} else "Paper"
    LOG.info("PS60 LIVE TRADER - %s TRADING SESSION", kind.upper())
    LOG.info("Date: %s", now.strftime("%Y-%m-%d %A"))
    LOG.info("Time: %s ET", clock_words(now))
    LOG.info("=" * 80)
    where = f"{kind}: Port {options.port}, Client ID: {options.client_id}"
    LOG.info("✓ Connected to IBKR (%s)", where)
    watchlist = options.watchlist
    LOG.info("✓ Loaded %s setups from %s", len(watchlist.setups), options.watchlist_name)
    if watchlist.date != exchange_day(now):
        LOG.warning("The watchlist is for %s, today is %s", watchlist.date, exchange_day(now))


def begin(books: Books, loaded: Loaded, *, rules: Rules) -> None:
    """Put the loaded state in force, or a fresh one with the reason why.

    Yesterday's state is refused: its attempts and counters are yesterday's, and what is still
    open the broker shows. A state that was there and cannot be believed halts new entries for
    the day, because the attempts that were made are unknown.
    """
    now = books.clock.now()
    today = exchange_day(now)
    for problem in loaded.problems:
        LOG.error("DAMAGED STATE: %s", problem)
    stored = loaded.checkpoint
    if stored is None:
        books.checkpoint = new_checkpoint(today, now=now)
        if not loaded.state_was_lost:
            LOG.info("No previous state found (clean start)")
            return
        books.checkpoint.halted = "the stored state is damaged, the attempts of today are unknown"
        LOG.critical("No stored state can be believed: going on with what IBKR says alone")
        LOG.critical("HALTED, no new entries: %s", books.checkpoint.halted)
        return
    if stored.day != today:
        LOG.warning("State file is from %s, today is %s - ignoring", stored.day, today)
        books.checkpoint = new_checkpoint(today, now=now)
        return
    if loaded.source is Source.BACKUP:
        LOG.error("The main state file is lost: using the backup, one save older")
    if now - stored.saved_at > rules.stale_after:
        LOG.warning("State is old: saved %s", age_words(stored.saved_at, now))
    books.checkpoint = stored
    LOG.info("🔄 RECOVERING STATE from previous session...")
    report = Report()
    recovered_lines(stored, report, now=now)
    report.info("🔄 VALIDATING WITH IBKR PORTFOLIO...")
    report.print()
