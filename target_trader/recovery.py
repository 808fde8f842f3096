"""From no connection to one that state and broker agree on, as often as it takes.

The two things that need waiting, recovering and asking, run here one at a time; handlers only say
that one of them is wanted. While one of them runs, bars wait. Which orders follow is not decided
here: `resume` is called when books and broker agree.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from target_trader import reconciliation
from target_trader.books import Books
from target_trader.clock import exchange_day, happens_within
from target_trader.day import SATURDAY, closing, open_day, opening
from target_trader.errors import EngineHaltedError, NotConnectedError
from target_trader.events import BrokerEvents
from target_trader.failpoints import failpoint
from target_trader.gateway import Gateway
from target_trader.log import tell
from target_trader.matching import Context, urgent_unknowns
from target_trader.missed import HeardBar, MissedBars
from target_trader.orders import OrderDesk
from target_trader.picture import Picture
from target_trader.questions import Questions, Wake
from target_trader.reconcile import Reconciled, reconcile
from target_trader.report import Report, StateOrigin, final_lines
from target_trader.settings import ClockKind, TraderOptions
from target_trader.startup import announce, begin
from target_trader.state.checkpoint import Intent
from target_trader.state.store import Loaded

CONNECT_TRIES = 3
BACKOFF_FIRST = 1.0
BACKOFF_MOST = 30.0
# Seconds of the machine without a bar, after which the broker is asked whether it is there.
SILENCE_SECONDS = 60.0
# How long bars may be missing in regular hours before they are asked for anew; doubled each time,
# because new subscriptions are rationed (error 420, section 3.8), up to half an hour.
BARS_LATE, BARS_LATE_MOST = timedelta(minutes=1), timedelta(minutes=30)
# IBKR always says that its line is up again; if bars come and it has not, a new connection tells.
LINK_PATIENCE = timedelta(minutes=5)


class Recovery:
    """Connects, asks and reconciles; knows when that has to be done again.

    `listening` is whether the broker's messages are taken, `online` whether there is a connection
    that was reconciled, `opened` whether the stored state is in force, `filling` whether live bars
    wait for those that were missed before them.

    Args:
        options: where the bot runs and by which rules.
        books: the checkpoint and its store.
        gateway: the connection.
        orders: forgets with each connection what was on its way.
        events: as orders; knows which orders were withdrawn.
        questions: what the handlers wish for.
        stopping: set when the bot is to stop.
        resume: called when books and broker agree.
        catch_up: called with the bars that were missed, so that they are taken before the others.
    """

    def __init__(
        self,
        options: TraderOptions,
        books: Books,
        *,
        gateway: Gateway,
        orders: OrderDesk,
        events: BrokerEvents,
        questions: Questions,
        stopping: asyncio.Event,
        resume: Callable[[], None],
        catch_up: Callable[[Sequence[HeardBar]], None],
    ) -> None:
        self.options, self.books, self.gateway = options, books, gateway
        self.orders, self.events, self.questions = orders, events, questions
        self.stopping, self.resume, self.catch_up = stopping, resume, catch_up
        self.missed = MissedBars(gateway, books, rules=options.rules)
        self.loaded: Loaded | None = None
        self.origin: StateOrigin | None = None
        self.resumed = self.opened = self.listening = self.online = self.filling = False
        self.last_bar_at: datetime | None = None
        self.bars_patience = BARS_LATE

    @property
    def trading(self) -> bool:
        """Orders may be sent: connected, reconciled, no question open, IBKR's line up."""
        return self.online and not self.questions.asking and self.questions.link_up

    async def live(self) -> None:
        """Recover, then answer the wakes of the handlers for ever.

        Raises:
            EngineHaltedError: nothing may be sent until a person has looked; all is saved.
            OSError: the state could not be saved.
        """
        self.loaded = self.books.store.load()
        failpoint("recovery.loaded")
        await self.recover()
        while not self.stopping.is_set():
            wake = await self.next_wake()
            try:
                await self.answer(wake)
            except (NotConnectedError, ConnectionError) as error:
                self.pass_on_if_ours(error)
                words = f"The connection to IBKR is given up: {error}"
                tell("connection_lost", words, level=logging.ERROR)
                await self.recover()

    def pass_on_if_ours(self, error: Exception) -> None:
        """Raise a ConnectionError that is not about the broker: a store may live in a network."""
        if isinstance(error, ConnectionError) and self.gateway.connected:
            raise error

    async def next_wake(self) -> Wake:
        """Wait for a handler's wish, or until nothing has been heard for too long."""
        before = self.last_bar_at
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    return await self.questions.wakes.get()
            except TimeoutError:
                if self.last_bar_at == before:
                    return Wake.PROBE
                before = self.last_bar_at

    async def answer(self, wake: Wake) -> None:
        """Do what the main loop was woken for."""
        match wake:
            case Wake.RECOVER:
                await self.recover()
            case Wake.ASK if self.online:
                await self.settle(first=False)
                await self.take_up(gap=self.questions.bars_missed)
            case Wake.PROBE if self.online:
                await self.probe()
            case Wake.ASK | Wake.PROBE:
                return
            case _:
                assert_never(wake)

    async def recover(self) -> None:
        """Connect and reconcile, for as long as it takes; then ask for bars."""
        failures = 0
        pause = BACKOFF_FIRST
        while not self.stopping.is_set():
            # What is told before the questions are asked is in their answers as well.
            self.online = self.listening = False
            self.gateway.disconnect()
            self.questions.forget_connection()
            try:
                await self.connect_and_settle()
            except (NotConnectedError, ConnectionError) as error:
                self.pass_on_if_ours(error)
                failures += 1
                words = f"No connection to IBKR (try {failures}): {error}"
                tell("connect_failed", words, level=logging.WARNING, tries=failures)
                self.gateway.disconnect()
                if failures == CONNECT_TRIES:
                    self.go_on_alone()
                await happens_within(self.stopping, pause)
                pause = min(2 * pause, BACKOFF_MOST)
            else:
                return

    async def connect_and_settle(self) -> None:
        """One try at the whole way from no connection to trading."""
        self.orders.forget_connection()
        self.events.forget_connection()
        await self.gateway.connect()
        self.take_time(await self.gateway.current_time())
        self.open_books()
        self.raise_order_ids()
        symbols = {setup.symbol for setup in self.options.watchlist.setups}
        symbols |= {position.symbol for position in self.books.checkpoint.open_positions()}
        self.orders.contracts = await self.gateway.contracts(sorted(symbols))
        for symbol in sorted(symbols - set(self.orders.contracts)):
            words = f"{symbol} is unknown to IBKR: not traded"
            tell("unknown_symbol", words, level=logging.ERROR, symbol=symbol)
        self.listening = True
        await self.settle(first=True)
        if not self.gateway.connected:
            raise NotConnectedError("the connection was lost while it was being reconciled")
        self.online = True
        self.last_bar_at = self.books.clock.now()
        # A first start has missed nothing: it warms up with what it hears.
        await self.take_up(gap=self.resumed)
        if self.resumed:
            tell("recovered", "✓ State recovery complete - resuming trading")
        self.resumed = True

    def take_time(self, told: datetime | None) -> None:
        """Set the clock; the state is not opened on the machine's time if the broker's counts.

        Of a day that is replayed the machine would say that it is another one, and the state with
        its attempts would be rejected. Later on the bars have told the time.

        Raises:
            NotConnectedError: the broker has never told its time; it is asked again.
        """
        if told is not None:
            self.books.clock.advance(told)
        elif not self.opened and self.options.clock is ClockKind.MARKET:
            raise NotConnectedError("it does not tell its time, so it is not known which day it is")

    def open_books(self) -> None:
        """Take the loaded state into force, the first time that the broker tells the day.

        A state of today from before the open is brought over it first: what the reconciliation
        finds of the time since then must not be cleared with it at the first bar.
        """
        announce(self.options, now=self.books.clock.now())
        if self.loaded is not None:
            self.origin = begin(self.books, self.loaded, options=self.options)
            open_day(self.books.checkpoint, now=self.books.clock.now(), rules=self.options.rules)
            self.resumed = self.loaded.checkpoint is not None or self.loaded.state_was_lost
            self.loaded, self.opened = None, True

    def raise_order_ids(self) -> None:
        """See to it that no id of a known order is given again, whatever the broker counts."""
        ids = [intent.order_id for intent in self.books.checkpoint.intents]
        self.gateway.raise_order_ids(max(ids, default=0) + 1)

    def go_on_alone(self) -> None:
        """Say what the bot believes while the broker is away; nothing can be entered.

        The stored state is only shown. Whether it is of today is decided when the broker tells
        the time, because the clock of a replayed day is the broker's.
        """
        report = Report()
        stored = self.loaded.checkpoint if self.loaded is not None else self.books.checkpoint
        if stored is not None:
            final_lines(stored, report)
        report.warn("IBKR is unavailable: the state file alone is used, positions may have drifted")
        report.warn("No new entries until it answers and everything has been reconciled")
        report.print()

    def context(self) -> Context:
        """Gather what a reconciliation needs to know."""
        return Context(
            client_id=self.options.client_id,
            watchlist=self.options.watchlist,
            rules=self.options.rules,
            now=self.books.clock.now(),
            withdrawn=frozenset(self.events.withdrawn),
            origin=self.origin,
        )

    async def settle(self, *, first: bool) -> None:
        """Ask the broker for everything and reconcile, until nothing urgent is unknown.

        Args:
            first: it is the first question of a connection; the final state is told.

        Raises:
            EngineHaltedError: the policy wants a person to look; told and saved, nothing sent.
            NotConnectedError: no answer in time.
        """
        self.questions.begin()
        try:
            while True:
                picture = await self.gateway.ask()
                outcome = self.compare(picture)
                self.take(outcome)
                undecided = self.undecided()
                if not undecided or self.books.checkpoint.engine_halted:
                    break
                for intent in undecided:
                    self.events.withdrawn.add(intent.order_id)
                    self.gateway.withdraw(intent.order_id)
            self.raise_order_ids()
            self.books.save_with_account(self.gateway.account())
            failpoint("recovery.reconciled")
            reconciliation.write(self.options.state_dir, outcome.record, at_start=first)
            if first and self.resumed:
                report = Report()
                final_lines(self.books.checkpoint, report, rules=self.options.rules)
                report.print()
        finally:
            self.questions.asking = False
        self.origin = None
        self.stop_if_halted()

    def compare(self, picture: Picture) -> Reconciled:
        """Bring the books and the broker's picture to one truth; nothing is changed yet."""
        return reconcile(self.books.checkpoint, picture, context=self.context())

    def take(self, outcome: Reconciled) -> None:
        """Put a reconciliation's outcome in force and tell it."""
        self.books.checkpoint = outcome.checkpoint
        outcome.report.print()
        if outcome.ask_again:
            self.questions.ask_later("a position lags its fills")

    def undecided(self) -> list[Intent]:
        """Return the unknown orders that have to be decided now and were not withdrawn yet."""
        unsure = urgent_unknowns(
            self.books.checkpoint, rules=self.options.rules, now=self.books.clock.now()
        )
        return [each for each in unsure if each.order_id not in self.events.withdrawn]

    def stop_if_halted(self) -> None:
        """End the bot before anything is sent, if the books say so."""
        if self.books.checkpoint.engine_halted:
            raise EngineHaltedError(
                f"HALTED, nothing is sent: {self.books.checkpoint.halted}; "
                "look at the account, then run the command resume"
            )

    def go_on(self) -> None:
        """Act on what was reconciled; after 1101 the bars are asked for again."""
        if self.questions.data_lost:
            self.questions.data_lost = False
            self.gateway.subscribe_anew()
        self.resume()

    async def take_up(self, *, gap: bool) -> None:
        """Act on what was reconciled, and see to it that every bar is heard from here on.

        The exits come first, they need no bar. Then the bars are asked for, those to come before
        those that were missed.

        Args:
            gap: bars may have been missed.

        Raises:
            NotConnectedError: the connection is gone.
        """
        self.filling, self.questions.bars_missed = gap, False
        self.go_on()
        contracts = self.orders.contracts
        self.gateway.subscribe(contracts[name] for name in sorted(contracts))
        if gap:
            await self.fill_gap()

    async def fill_gap(self) -> None:
        """Take the bars that were missed, then those that have come meanwhile.

        Raises:
            NotConnectedError: the connection is gone.
        """
        self.filling = True
        try:
            missed = await self.missed.ask(self.orders.contracts)
        finally:
            self.filling = False
        self.catch_up(missed)

    def look_at_doubts(self) -> None:
        """Ask about what has not settled by itself within the grace period."""
        if not self.trading:
            return
        now = self.books.clock.now()
        unsure = urgent_unknowns(self.books.checkpoint, rules=self.options.rules, now=now)
        if self.questions.ripe(now) or unsure:
            self.questions.ask("the grace period is over")

    def lose_connection(self) -> None:
        """Begin again after a lost connection, once."""
        if self.online:
            self.online = False
            tell("connection_lost", "The connection to IBKR is lost", level=logging.ERROR)
            self.questions.wakes.put_nowait(Wake.RECOVER)

    def hear_bar(self) -> None:
        """Note that bars come; begin again when they do although IBKR's line is said to be down."""
        now = self.books.clock.now()
        self.last_bar_at, self.bars_patience = now, BARS_LATE
        lost_at = self.questions.link_lost_at
        if self.online and lost_at is not None and now - lost_at > LINK_PATIENCE:
            words = "Bars come, but IBKR has not said that its line is up: connecting anew"
            tell("link_silent", words, level=logging.WARNING)
            self.online = False
            self.questions.wakes.put_nowait(Wake.RECOVER)

    async def probe(self) -> None:
        """Ask a broker that has been silent for its time, which also moves the market's clock.

        Without bars the market's clock stands still, so nothing can be late by it. The machine's
        clock decides only when to ask; how late the bars are is then known from the answer. No
        answer is the half-open connection of tws-protocol.md section 1.

        Raises:
            NotConnectedError: there is no answer: the connection is dead.
        """
        told = await self.gateway.current_time()
        if told is None:
            raise NotConnectedError("nothing is heard from it and it does not tell its time")
        self.books.clock.advance(told)
        if self.look_at_silence():
            await self.fill_gap()
        self.books.save_if_due(self.gateway.account())
        self.look_at_doubts()

    def look_at_silence(self) -> bool:
        """Say that bars are late in the regular session, ask for them anew; tell whether it did."""
        now = self.books.clock.now()
        day = exchange_day(now)
        if self.last_bar_at is None or day.weekday() >= SATURDAY or now >= closing(day):
            return False
        late = now - max(self.last_bar_at, opening(day))
        if late <= self.bars_patience:
            return False
        self.bars_patience = late + min(late, BARS_LATE_MOST)
        words = f"No bars since {self.last_bar_at:%H:%M:%S}: no entries"
        if self.questions.link_up:
            words += "; subscribing again"
            self.gateway.subscribe_anew()
        tell("bars_late", words, level=logging.WARNING, since=self.last_bar_at)
        return self.questions.link_up
