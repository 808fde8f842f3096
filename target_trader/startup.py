"""The first lines of a session, and which stored state is allowed into it.

The state is judged in one order: damaged, from the future, of another day, not the last one saved,
old. Each step is told with its reason. Knows no broker; what the broker says comes after.
"""

import logging
from datetime import datetime

from target_trader.books import Books
from target_trader.clock import exchange_day
from target_trader.log import tell
from target_trader.names import clock_words
from target_trader.report import Report, StateOrigin, age_words, recovered_lines
from target_trader.settings import Rules, TraderOptions, Watchlist
from target_trader.state.checkpoint import Checkpoint, WatchedRecord, new_checkpoint
from target_trader.state.store import Loaded, Source

LIVE_PORTS = frozenset({7496, 4001})


def announce(options: TraderOptions, *, now: datetime) -> None:
    """Print who is trading, when and where."""
    kind = "Live" if options.port in LIVE_PORTS else "Paper"
    tell("session", f"PS60 LIVE TRADER - {kind.upper()} TRADING SESSION")
    tell("session", f"Date: {now:%Y-%m-%d %A}")
    tell("session", f"Time: {clock_words(now)} ET")
    tell("session", "=" * 80)
    where = f"{kind}: Port {options.port}, Client ID: {options.client_id}"
    tell("connected", f"✓ Connected to IBKR ({where})", port=options.port)


def begin(books: Books, loaded: Loaded, *, options: TraderOptions) -> StateOrigin:
    """Put the loaded state in force, or a fresh one with the reason why; say where it came from."""
    now = books.clock.now()
    for problem in loaded.problems:
        tell("state_damaged", f"DAMAGED STATE: {problem}", level=logging.ERROR)
    stored = loaded.checkpoint
    rejected = None
    if stored is None:
        books.checkpoint = start_without_state(loaded, now=now)
        tell_watchlist(options.watchlist, name=options.watchlist_name, now=now)
    else:
        tell_watchlist(options.watchlist, name=options.watchlist_name, now=now)
        rejected = why_rejected(stored, now=now, rules=options.rules)
        if rejected is None:
            take_up(books, stored, loaded=loaded, rules=options.rules)
        else:
            books.checkpoint = start_over(stored, loaded, rejected=rejected, now=now)
    tell_what_is_barred(books.checkpoint)
    note_watchlist(books.checkpoint, options.watchlist)
    return origin_of(loaded, rejected=rejected, now=now)


def start_without_state(loaded: Loaded, *, now: datetime) -> Checkpoint:
    """Begin with nothing: a clean start, or with what the broker says alone and no new entries."""
    fresh = new_checkpoint(exchange_day(now), now=now)
    if not loaded.state_was_lost:
        tell("clean_start", "ℹ️  No previous state found (clean start)")  # noqa: RUF001 - as the desk writes it
        return fresh
    fresh.halt("the stored state is damaged, the attempts of today are unknown", now=now)
    words = "No stored state can be believed: going on with what IBKR says alone"
    tell("state_lost", words, level=logging.CRITICAL)
    return fresh


def why_rejected(stored: Checkpoint, *, now: datetime, rules: Rules) -> str | None:
    """Return why a state is not used; None when it is."""
    if stored.saved_at > now + rules.future_tolerance:
        saved, present = stored.saved_at.astimezone(now.tzinfo), now.isoformat(" ", "seconds")
        return f"State is from the future: saved {saved.isoformat(' ', 'seconds')}, now {present}"
    if stored.day != exchange_day(now):
        return f"State file is from {stored.day}, today is {exchange_day(now)}"
    return None


def start_over(stored: Checkpoint, loaded: Loaded, *, rejected: str, now: datetime) -> Checkpoint:
    """Begin the day afresh beside a state that is not of it; only what outlives a day is kept.

    Its attempts and counters are another day's, and what is still open the broker shows. Where
    today's own state has been there and is not known (another clock wrote this one, or it is a
    backup), the attempts of today are unknown and nothing is entered.
    """
    tell("state_rejected", f"{rejected} - ignoring", level=logging.WARNING, day=stored.day)
    fresh = new_checkpoint(exchange_day(now), now=now, keeping=stored)
    if stored.day >= fresh.day:
        fresh.halt(
            "the stored state is from the future, the attempts of today are unknown", now=now
        )
    elif loaded.source is Source.BACKUP:
        fresh.halt("the newest state is lost, the attempts of today are unknown", now=now)
    return fresh


def take_up(books: Books, stored: Checkpoint, *, loaded: Loaded, rules: Rules) -> None:
    """Go on with a state of today."""
    now = books.clock.now()
    if loaded.source is Source.BACKUP:
        words = "The main state file is lost: using the backup, one save older"
        tell("backup_used", words, level=logging.ERROR, saved_at=stored.saved_at)
        stored.session.doubted_since = now
    if now - stored.saved_at > rules.stale_after:
        words = f"State is old: saved {age_words(stored.saved_at, now)}"
        tell("state_stale", words, level=logging.WARNING, saved_at=stored.saved_at)
    books.checkpoint = stored
    tell("recovering", "🔄 RECOVERING STATE from previous session...")
    report = Report()
    recovered_lines(stored, report, now=now)
    report.info("🔄 VALIDATING WITH IBKR PORTFOLIO...")
    report.print()


def tell_what_is_barred(checkpoint: Checkpoint) -> None:
    """Say what is still forbidden from earlier, and how a person ends it."""
    if checkpoint.halted is not None:
        what = "no orders at all" if checkpoint.engine_halted else "no new entries"
        words = f"HALTED, {what}, until the command resume: {checkpoint.halted}"
        tell("halted", words, level=logging.CRITICAL)
    breaker = checkpoint.circuit_breaker
    if breaker.tripped_at is not None:
        words = f"Circuit breaker tripped at {breaker.tripped_at:%Y-%m-%d %H:%M:%S} after "
        words += f"{breaker.failures} failures: no new entries until the command reset-breaker"
        tell("breaker_tripped", words, level=logging.CRITICAL, failures=breaker.failures)


def tell_watchlist(watchlist: Watchlist, *, name: str, now: datetime) -> None:
    """Say what is watched, and warn about a list that is not of today."""
    count = len(watchlist.setups)
    tell("watchlist", f"✓ Loaded {count} setups from {name}", setups=count)
    if watchlist.date != exchange_day(now):
        words = f"The watchlist is for {watchlist.date}, today is {exchange_day(now)}"
        tell("watchlist_of_another_day", words, level=logging.WARNING)


def note_watchlist(checkpoint: Checkpoint, watchlist: Watchlist) -> None:
    """Note the watchlist that the day begins with; warn about another one on the same day.

    Attempts are counted by level, so that a changed level begins with none.
    """
    records = [
        WatchedRecord(
            symbol=each.symbol,
            resistance=each.resistance,
            support=each.support,
            target1=each.target1,
            target2=each.target2,
        )
        for each in watchlist.setups
    ]
    if not checkpoint.session.watchlist:
        checkpoint.session.watchlist = records
    for change in watchlist_changes(checkpoint.session.watchlist, records):
        words = f"The watchlist is not the one that the day began with: {change}"
        tell("watchlist_changed", words, level=logging.WARNING)


def watchlist_changes(old: list[WatchedRecord], new: list[WatchedRecord]) -> list[str]:
    """Say what differs between two watchlists, symbol by symbol and field by field."""
    before, after = ({each.symbol: each for each in records} for records in (old, new))
    changes = []
    for symbol in sorted({*before, *after}):
        left, right = before.get(symbol), after.get(symbol)
        if left is None or right is None:
            changes.append(f"{symbol} is {'new' if left is None else 'gone'}")
            continue
        pairs = zip(left, right, strict=True)
        changes += [
            f"{symbol} {field} was {value}, is {other}"
            for (field, value), (_, other) in pairs
            if value != other
        ]
    return changes


def origin_of(loaded: Loaded, *, rejected: str | None, now: datetime) -> StateOrigin:
    """Describe where the state came from, for the reconciliation report."""
    origin = StateOrigin(
        source=loaded.source.value, rejected=rejected, problems=list(loaded.problems)
    )
    stored = loaded.checkpoint
    if stored is not None:
        origin.saved_at, origin.day = stored.saved_at, stored.day.isoformat()
        origin.age_seconds = (now - stored.saved_at).total_seconds()
    return origin
