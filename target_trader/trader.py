"""The bot from start to stop, on one thread.

`Trader.run` tells the story: load, connect, reconcile (`recovery.py`), then live on what the
broker says. The broker's messages are handled synchronously as they come in: bars here, the rest
in `events.py`. What they have in common: nothing is sent while a question is open.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from target_trader.books import Books
from target_trader.clock import Clock, exchange_day
from target_trader.day import open_day
from target_trader.events import BrokerEvents
from target_trader.gateway import Gateway
from target_trader.library import IB, IbPosition, RealTimeBarList
from target_trader.log import tell
from target_trader.matching import Context
from target_trader.missed import HeardBar
from target_trader.names import decimal_of
from target_trader.orders import OrderDesk
from target_trader.questions import Questions
from target_trader.reconcile import next_day
from target_trader.recovery import Recovery
from target_trader.settings import TraderOptions
from target_trader.signals import SignalDesk
from target_trader.state.checkpoint import BarRecord, new_checkpoint
from target_trader.state.store import StateStore
from target_trader.strategy.exits import Cancel, desired_exits, plan_exit_actions
from target_trader.strategy.signal import BAR
from target_trader.translate import bar_of

OrdersFactory = Callable[..., OrderDesk]


class Trader:
    """The reference bot.

    Args:
        options: where it runs and by which rules.
        store: where the checkpoint is kept.
        clock: its one clock.
        orders_factory: makes the desk that sends orders; `OrderDesk`, or a broken one.

    The other parts are named in the class, so that a bot with one of them replaced is a class of
    a few lines.
    """

    books_type: type[Books] = Books
    gateway_type: type[Gateway] = Gateway
    signals_type: type[SignalDesk] = SignalDesk
    events_type: type[BrokerEvents] = BrokerEvents
    recovery_type: type[Recovery] = Recovery

    def __init__(
        self,
        options: TraderOptions,
        store: StateStore,
        *,
        clock: Clock,
        orders_factory: OrdersFactory = OrderDesk,
    ) -> None:
        self.options, self.clock = options, clock
        now, rules = clock.now(), options.rules
        fresh = new_checkpoint(exchange_day(now), now=now)
        self.books = self.books_type(fresh, store, clock=clock, rules=rules)
        self.ib = IB()
        self.gateway = self.gateway_type(
            self.ib, options.host, port=options.port, client_id=options.client_id
        )
        self.orders = orders_factory(self.ib, self.books, rules=rules, client_id=options.client_id)
        self.signals = self.signals_type(
            self.books, self.orders, watchlist=options.watchlist, rules=rules
        )
        self.questions = Questions(clock, grace=rules.grace)
        self.events = self.events_type(
            self.books,
            self.orders,
            context=self.context,
            manage=self.follow,
            tidy=self.manage,
            questions=self.questions,
        )
        self.stopping = asyncio.Event()
        self.recovery = self.recovery_type(
            options,
            self.books,
            gateway=self.gateway,
            orders=self.orders,
            events=self.events,
            questions=self.questions,
            stopping=self.stopping,
            resume=self.resume,
            catch_up=self.take_waiting,
        )
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.backlog: list[HeardBar] = []
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
        self.ib.disconnectedEvent += self.recovery.lose_connection

    def guarded(self, handler: Callable[..., None]) -> Callable[..., None]:
        """Wrap a handler: nothing before the books are open, and no error goes unheard.

        eventkit logs an exception of a handler and goes on; a bot that could not book a fill
        must not go on. Only a broker that went away under the handler's hands is no error: its
        `disconnectedEvent` follows.
        """

        def handle(*arguments: object) -> None:
            if not self.recovery.listening or self.broken.done():
                return
            try:
                handler(*arguments)
            except Exception as error:  # noqa: BLE001 - handed to run(), which ends with it
                if not isinstance(error, ConnectionError) or self.gateway.connected:
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
            EngineHaltedError: nothing may be sent until a person has looked; the state is saved.
            OSError: the state could not be saved.
        """
        body = asyncio.ensure_future(self.recovery.live())
        stop = asyncio.ensure_future(self.stopping.wait())
        waiting: set[asyncio.Future[Any]] = {body, stop, self.broken}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in (body, self.broken):
                if task.done():
                    task.result()
            if self.recovery.opened:
                self.books.save_with_account(self.gateway.account())
            tell("stopped", "Stopped; state saved, protective orders stay at IBKR")
        finally:
            self.recovery.listening = self.recovery.online = False
            body.cancel()
            stop.cancel()
            await asyncio.gather(body, stop, return_exceptions=True)
            if not self.broken.done():
                self.broken.cancel()
            self.gateway.disconnect()

    def context(self) -> Context:
        """Gather what a reconciliation, or one order's confirmation, needs to know."""
        return self.recovery.context()

    def on_position(self, position: IbPosition) -> None:
        """Take a position that the broker has pushed."""
        if self.recovery.online:
            self.events.on_position(position.contract.symbol, decimal_of(position.position))

    def on_bars(self, bars: RealTimeBarList, has_new: bool) -> None:  # noqa: FBT001 - eventkit's call
        """Take new bars, or keep them until a running question is answered, also one for bars."""
        if not has_new:
            return
        fresh = [bar_of(bar) for bar in bars]
        bars.clear()
        if not self.gateway.is_current(bars):
            return
        for bar in fresh:
            if self.questions.asking or self.recovery.filling:
                self.backlog.append((bars.contract.symbol, bar))
            else:
                self.take_bar(bars.contract.symbol, bar)

    def take_bar(self, symbol: str, bar: BarRecord, *, live: bool = True) -> None:
        """One step of the strategy: time, memory, signals, exits, doubts, save.

        Args:
            symbol: whose bar it is.
            bar: a five-second bar that has ended.
            live: it was heard and not asked for; only then does it tell that bars come.
        """
        self.clock.advance(bar.time + BAR)
        if live:
            self.recovery.hear_bar()
        self.turn_day()
        for position in self.books.checkpoint.open_positions():
            if position.symbol == symbol:
                position.last_price = bar.close
        # A bar that had to wait for an answer is remembered; its price is not traded any more.
        fresh = self.clock.now() - bar.time - BAR <= self.options.rules.grace
        for signal in self.signals.take(symbol, bar):
            self.signals.consider(signal, link_up=self.recovery.trading, fresh=fresh)
        self.manage(symbol)
        self.recovery.look_at_doubts()
        self.books.save_if_due(self.gateway.account())

    def turn_day(self) -> None:
        """Begin a new exchange day at midnight in New York, and the session at the open."""
        now = self.clock.now()
        day = exchange_day(now)
        if day > self.books.checkpoint.day:
            tell("new_day", f"A new exchange day begins: {day}", day=day)
            self.books.checkpoint = next_day(self.books.checkpoint, day, now=now)
            self.books.save()
        if open_day(self.books.checkpoint, now=now, rules=self.options.rules):
            self.books.save()

    def resume(self) -> None:
        """Act on books that agree with the broker, then take the bars that have waited.

        They wait on where bars before them are still missing.
        """
        self.manage_all()
        if not self.recovery.filling:
            self.take_waiting(())

    def take_waiting(self, missed: Sequence[HeardBar]) -> None:
        """Take the bars that have waited, and those that were missed, in the order of time.

        A bar that is told both ways is taken as it was heard.
        """
        asked = {(bar.time, symbol): bar for symbol, bar in missed}
        heard = {(bar.time, symbol): bar for symbol, bar in self.backlog}
        self.backlog = []
        for (time, symbol), bar in sorted({**asked, **heard}.items(), key=lambda each: each[0][0]):
            self.take_bar(symbol, bar, live=(time, symbol) in heard)

    def follow(self, symbol: str) -> None:
        """Let the exits follow a fill; what became too much is left to the OCA group."""
        self.manage(symbol, tidy=False)

    def manage(self, symbol: str, *, tidy: bool = True) -> None:
        """Bring the exits of every trade of a symbol to what they should be.

        Nothing is sent while IBKR's own line is down (tws-protocol.md section 3.9: it may be lost,
        queued or doubled; the stop is at the exchange already), nor in a symbol that is frozen
        until books and broker agree.
        """
        checkpoint = self.books.checkpoint
        if not self.recovery.trading or symbol in checkpoint.frozen or checkpoint.engine_halted:
            return
        trades = {intent.trade_id for intent in checkpoint.live_intents(symbol)}
        trades |= {each.trade_id for each in checkpoint.open_positions() if each.symbol == symbol}
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
