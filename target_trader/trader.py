"""The bot from start to stop, on one thread.

`Trader.run` tells the story: load, connect, reconcile, then live on what the broker says. The
broker's messages are handled synchronously as they come in; the two things that need waiting,
recovering and asking, run one at a time from a queue, and while one of them runs, bars wait.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from target_trader.books import Books
from target_trader.clock import Clock, exchange_day, happens_within
from target_trader.errors import NotConnectedError
from target_trader.events import BrokerEvents
from target_trader.failpoints import failpoint
from target_trader.gateway import BAR_SECONDS, Gateway
from target_trader.library import IB, IbPosition, RealTimeBarList
from target_trader.log import LOG
from target_trader.matching import Context, urgent_unknowns
from target_trader.names import decimal_of
from target_trader.orders import OrderDesk
from target_trader.reconcile import next_day, reconcile
from target_trader.report import Report, final_lines
from target_trader.settings import TraderOptions
from target_trader.signals import SignalDesk
from target_trader.startup import announce, begin
from target_trader.state.checkpoint import BarRecord, new_checkpoint
from target_trader.state.store import Loaded, StateStore
from target_trader.strategy.exits import Cancel, desired_exits, plan_exit_actions
from target_trader.translate import bar_of

CONNECT_TRIES = 3
BACKOFF_FIRST = 1.0
BACKOFF_MOST = 30.0

OrdersFactory = Callable[..., OrderDesk]


class Wake(StrEnum):
    """What the main loop is woken for."""

    ASK = "ask"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that may settle by itself: when to look again, and whether it is still there."""

    at: datetime
    still: Callable[[], bool]


class Trader:
    """The reference bot.

    Args:
        options: where it runs and by which rules.
        store: where the checkpoint is kept.
        clock: its one clock.
        orders_factory: makes the desk that sends orders; `OrderDesk`, or a broken one.
    """

    def __init__(
        self,
        options: TraderOptions,
        store: StateStore,
        *,
        clock: Clock,
        orders_factory: OrdersFactory = OrderDesk,
    ) -> None:
        self.options, self.clock = options, clock
        now = clock.now()
        self.books = Books(new_checkpoint(exchange_day(now), now=now), store, clock=clock)
        self.ib = IB()
        self.gateway = Gateway(
            self.ib, options.host, port=options.port, client_id=options.client_id
        )
        self.orders = orders_factory(
            self.ib, self.books, rules=options.rules, client_id=options.client_id
        )
        self.signals = SignalDesk(
            self.books, self.orders, watchlist=options.watchlist, rules=options.rules
        )
        self.events = BrokerEvents(
            self.books,
            self.orders,
            context=self.context,
            manage=self.follow,
            ask=self.ask,
            ask_later=self.ask_later,
        )
        self.queue: asyncio.Queue[Wake] = asyncio.Queue()
        self.stopping = asyncio.Event()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.loaded: Loaded | None = None
        self.resumed = self.opened = self.listening = self.online = self.asking = False
        self.doubts: dict[str, Doubt] = {}
        self.backlog: list[tuple[str, BarRecord]] = []
        self.listen()

    def listen(self) -> None:
        """Connect the broker's messages to their handlers."""
        events = self.events
        self.ib.execDetailsEvent += self.guarded(events.on_execution)
        self.ib.commissionReportEvent += self.guarded(events.on_commission)
        self.ib.openOrderEvent += self.guarded(events.on_open_order)
        self.ib.orderStatusEvent += self.guarded(events.on_status)
        self.ib.errorEvent += self.guarded(events.on_error)
        self.ib.positionEvent += self.guarded(self.on_position)
        self.ib.barUpdateEvent += self.guarded(self.on_bars)
        self.ib.disconnectedEvent += self.lose_connection

    def guarded(self, handler: Callable[..., None]) -> Callable[..., None]:
        """Wrap a handler: nothing before the books are open, and no error goes unheard.

        eventkit logs an exception of a handler and goes on; a bot that could not book a fill
        must not go on.
        """

        def handle(*arguments: object) -> None:
            if not self.listening or self.broken.done():
                return
            try:
                handler(*arguments)
            except Exception as error:  # noqa: BLE001 - handed to run(), which ends with it
                self.broken.set_exception(error)

        return handle

    async def run(self) -> None:
        """Trade until told to stop.

        1. the stored state is loaded;
        2. the broker is connected and asked, state and broker are reconciled;
        3. exits are put right, then bars are asked for: from here on the bot trades;
        4. doubts are settled by asking again, lost connections by recovering again;
        5. at the end the state is saved; protective orders stay at the broker.

        Raises:
            OSError: the state could not be saved.
        """
        body = asyncio.ensure_future(self.live())
        stop = asyncio.ensure_future(self.stopping.wait())
        waiting: set[asyncio.Future[Any]] = {body, stop, self.broken}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in (body, self.broken):
                if task.done():
                    task.result()
            if self.opened:
                self.books.save()
            LOG.info("Stopped; state saved, protective orders stay at IBKR")
        finally:
            self.listening = self.online = False
            body.cancel()
            stop.cancel()
            await asyncio.gather(body, stop, return_exceptions=True)
            if not self.broken.done():
                self.broken.cancel()
            self.gateway.disconnect()

    async def live(self) -> None:
        """Recover, then answer the wakes of the handlers for ever."""
        self.loaded = self.books.store.load()
        failpoint("recovery.loaded")
        await self.recover()
        while not self.stopping.is_set():
            wake = await self.queue.get()
            try:
                if wake is Wake.RECOVER:
                    await self.recover()
                elif self.online:
                    await self.settle(full_report=False)
            except NotConnectedError as error:
                LOG.error("%s", error)
                self.gateway.disconnect()
                await self.recover()

    async def recover(self) -> None:
        """Connect and reconcile, for as long as it takes; then ask for bars."""
        # What is told before the questions are asked is in their answers as well.
        self.online = self.listening = False
        failures = 0
        pause = BACKOFF_FIRST
        while not self.stopping.is_set():
            try:
                await self.connect_and_settle()
            except NotConnectedError as error:
                failures += 1
                LOG.warning("No connection to IBKR (try %s): %s", failures, error)
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
        told = await self.gateway.current_time()
        if told is not None:
            self.clock.advance(told)
        self.open_books()
        symbols = {setup.symbol for setup in self.options.watchlist.setups}
        symbols |= {position.symbol for position in self.books.checkpoint.open_positions()}
        self.orders.contracts = await self.gateway.contracts(sorted(symbols))
        for symbol in sorted(symbols - set(self.orders.contracts)):
            LOG.error("%s is unknown to IBKR: not traded", symbol)
        self.listening = True
        await self.settle(full_report=True)
        self.online = True
        self.manage_all()
        self.gateway.subscribe(
            self.orders.contracts[name] for name in sorted(self.orders.contracts)
        )
        if self.resumed:
            LOG.info("✓ State recovery complete - resuming trading")
        self.resumed = True

    def open_books(self) -> None:
        """Take the loaded state into force, the first time that the broker tells the day."""
        announce(self.options, now=self.clock.now())
        if self.loaded is not None:
            begin(self.books, self.loaded, rules=self.options.rules)
            self.resumed = self.loaded.checkpoint is not None or self.loaded.state_was_lost
            self.loaded, self.opened = None, True

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
            now=self.clock.now(),
            withdrawn=frozenset(self.events.withdrawn),
        )

    async def settle(self, *, full_report: bool) -> None:
        """Ask the broker for everything and reconcile, until nothing urgent is unknown."""
        self.asking = True
        self.doubts.clear()
        try:
            while True:
                picture = await self.gateway.ask()
                outcome = reconcile(self.books.checkpoint, picture, context=self.context())
                self.books.checkpoint = outcome.checkpoint
                outcome.report.print()
                if outcome.ask_again:
                    self.ask_later("a position lags its fills")
                unsure = urgent_unknowns(
                    outcome.checkpoint, rules=self.options.rules, now=self.clock.now()
                )
                fresh = [each for each in unsure if each.order_id not in self.events.withdrawn]
                if not fresh:
                    break
                for intent in fresh:
                    self.events.withdrawn.add(intent.order_id)
                    self.gateway.withdraw(intent.order_id)
            ids = [intent.order_id for intent in self.books.checkpoint.intents]
            self.gateway.raise_order_ids(max(ids, default=0) + 1)
            self.books.save()
            failpoint("recovery.reconciled")
            if full_report and self.resumed:
                report = Report()
                final_lines(self.books.checkpoint, report)
                report.print()
        finally:
            self.asking = False
        if self.online:
            self.manage_all()
        waiting, self.backlog = self.backlog, []
        for symbol, bar in waiting:
            self.take_bar(symbol, bar)

    def ask(self, reason: str) -> None:
        """Have the broker asked for everything; several reasons make one question."""
        LOG.info("Asking IBKR: %s", reason)
        if not self.asking and self.queue.empty():
            self.queue.put_nowait(Wake.ASK)
        elif self.asking:
            self.ask_later(reason)

    def ask_later(self, reason: str, still: Callable[[], bool] = lambda: True) -> None:
        """Have the broker asked after the grace period, if the doubt is `still` there then."""
        if reason not in self.doubts:
            self.doubts[reason] = Doubt(self.clock.now() + self.options.rules.grace, still)

    def on_position(self, position: IbPosition) -> None:
        """Take a position that the broker has pushed."""
        if self.online:
            self.events.on_position(position.contract.symbol, decimal_of(position.position))

    def lose_connection(self) -> None:
        """Begin again after a lost connection, once."""
        if self.online:
            self.online = False
            LOG.error("The connection to IBKR is lost")
            self.queue.put_nowait(Wake.RECOVER)

    def on_bars(self, bars: RealTimeBarList, has_new: bool) -> None:  # noqa: FBT001 - eventkit's call
        """Take new bars, or keep them until a running question is answered."""
        if not has_new:
            return
        fresh = [bar_of(bar) for bar in bars]
        bars.clear()
        for bar in fresh:
            if self.asking:
                self.backlog.append((bars.contract.symbol, bar))
            else:
                self.take_bar(bars.contract.symbol, bar)

    def take_bar(self, symbol: str, bar: BarRecord) -> None:
        """One step of the strategy: time, memory, signal, exits, doubts, save."""
        self.clock.advance(bar.time + timedelta(seconds=BAR_SECONDS))
        self.turn_day()
        signal = self.signals.take(symbol, bar)
        if signal is not None:
            self.signals.consider(signal, link_up=self.online and self.events.link_up)
        self.manage(symbol)
        now, rules = self.clock.now(), self.options.rules
        unsure = urgent_unknowns(self.books.checkpoint, rules=rules, now=now)
        ripe = [each for each in self.doubts.values() if now >= each.at]
        self.doubts = {name: each for name, each in self.doubts.items() if now < each.at}
        if self.online and (unsure or any(each.still() for each in ripe)):
            self.ask("the grace period is over")
        saved = self.books.saved_at
        if saved is None or now - saved >= rules.save_every:
            self.books.save()

    def follow(self, symbol: str) -> None:
        """Let the exits follow a fill; what became too much is left to the OCA group."""
        self.manage(symbol, tidy=False)

    def manage(self, symbol: str, *, tidy: bool = True) -> None:
        """Bring the exits of every trade of a symbol to what they should be."""
        if self.asking or not self.online:
            return
        checkpoint = self.books.checkpoint
        trades = {intent.trade_id for intent in checkpoint.live_intents(symbol)}
        open_position = checkpoint.position_of(symbol)
        if open_position is not None:
            trades.add(open_position.trade_id)
        for trade in sorted(trades):
            position = checkpoint.positions.get(trade)
            actions = plan_exit_actions(
                desired_exits(position, self.options.rules),
                [each for each in checkpoint.intents if each.trade_id == trade],
                client_id=self.options.client_id,
            )
            if not tidy:
                actions = tuple(each for each in actions if not isinstance(each, Cancel))
            self.orders.perform(position, actions)

    def manage_all(self) -> None:
        """Manage every symbol that has a position or a live order."""
        checkpoint = self.books.checkpoint
        symbols = {position.symbol for position in checkpoint.open_positions()}
        symbols |= {intent.symbol for intent in checkpoint.intents if intent.live}
        for symbol in sorted(symbols):
            self.manage(symbol)

    def turn_day(self) -> None:
        """Begin a new exchange day when the clock has passed midnight in New York."""
        now = self.clock.now()
        day = exchange_day(now)
        if day > self.books.checkpoint.day:
            LOG.info("A new exchange day begins: %s", day)
            self.books.checkpoint = next_day(self.books.checkpoint, day, now=now)
            self.books.save()
