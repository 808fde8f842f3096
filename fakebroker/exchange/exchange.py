"""The exchange: orders, prices and time go in, events come out, and the books are always right.

A deterministic function of its inputs: every id is counted from the settings, time is an
argument, nothing is random. Each input is one `Turn`, and its events come back in the order in
which they happened. It knows no bytes and no sessions: whom an event concerns is another's
business. Order types, times in force and refusals are in `admission.py`, what clients may do in
`intake.py`, matching in `matching.py`, brackets and OCA groups in `groups.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from fakebroker.exchange.account import AccountValue, PositionRecord, WhatIf
from fakebroker.exchange.admission import Refusal, admit
from fakebroker.exchange.book import Book, BookedExecution, day_of
from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.corrections import bust, correct
from fakebroker.exchange.errors import ExchangeError
from fakebroker.exchange.events import ExchangeEvent, Refused
from fakebroker.exchange.groups import children_of, fillable
from fakebroker.exchange.instruments import commission_of, market_key
from fakebroker.exchange.intake import Intake
from fakebroker.exchange.matching import limit_threshold
from fakebroker.exchange.orders import STATUS, ZERO, Order, OrderEvent, OrderView, Stage
from fakebroker.exchange.recall import NOTES_KEPT, Recording, take_back
from fakebroker.exchange.timing import ends_with_day
from fakebroker.exchange.turn import Turn, reference_price
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, Contract, OrderTerms

# Who places an order by hand in TWS (tws-protocol.md section 3.3).
TWS_CLIENT_ID = 0
INSTANT = timedelta(microseconds=1)

Events = tuple[ExchangeEvent, ...]


@dataclass(frozen=True, slots=True)
class ExchangeSnapshot:
    """The books at one instant, for `Exchange.restore`; nobody changes what is in it."""

    book: Book


class Exchange:
    """The books of one account and the market that its orders meet."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.catalog = Catalog()
        self._book = Book.empty(settings)

    # Inputs. Each first notices a new day, and then returns what happened.

    def place(
        self,
        client_id: int,
        order_id: int,
        contract: Contract,
        terms: OrderTerms,
        *,
        now: datetime,
    ) -> Events:
        """Take an order, or a modify where the client has a live order of this id.

        Args:
            client_id: The connection's client id.
            order_id: The client's number for it. Ids only count up (section 3.1).
            contract: What to trade, by conId or symbol.
            terms: How.
            now: Exchange time, aware.

        Returns:
            `Refused` alone when nothing entered the book: 103 used id, 104 modify after the fill,
            105, 329 and 10326 a modify into another order, 110 price off the tick, 135 no such
            parent, 200 unknown contract, 320 id out of range, 321, 387, 434 and 10243 bad terms.
            Else `OrderChanged` of the order and of all that followed: an order without margin is
            `rejected` with 201, a marketable one fills at once.

        Raises:
            ExchangeError: The terms are a what-if; those are asked of `what_if`.
        """
        if terms.what_if:
            raise ExchangeError(f"order {order_id} is a what-if; ask what_if() instead of placing")
        turn = self._turn(now)
        named = (order_id, terms.parent_id) if terms.parent_id else (order_id,)
        recording = Recording(self._book, (self._book.find(client_id, each) for each in named))
        refusal = self._intake(turn).place(client_id, order_id, contract, terms)
        events = self._answer(turn, refusal, client_id, order_id)
        recording.end(now)
        return events

    def what_if(self, contract: Contract, terms: OrderTerms) -> WhatIf | Refusal:
        """Return what an order would do to margin and what it would cost, or its error.

        Nothing is changed and no id is used. Without any price the order counts as worth nothing.
        """
        admitted = admit(contract, terms, accounts=self.managed_accounts(), catalog=self.catalog)
        if isinstance(admitted, Refusal):
            return admitted
        terms, contract = admitted.terms, admitted.contract
        price = reference_price(terms, self._book.price(market_key(contract))) or ZERO
        value = terms.quantity * price
        return self._book.account_of(terms.account).what_if(
            contract,
            terms.quantity if terms.action is Action.BUY else -terms.quantity,
            price=price,
            commission=commission_of(
                self.settings.commission, contract, shares=terms.quantity, price_sum=value
            ),
            prices=self._book.prices_known(),
        )

    def cancel(self, client_id: int, order_id: int, *, now: datetime) -> Events:
        """Cancel an order of this client.

        Returns:
            The cancelled order and what went with it; nothing yet when the settings let a cancel
            take its time. `Refused` with 10147 for an order that is unknown or another client's,
            10148 for one that is done or being cancelled; asked again about one that is done,
            10148 decays to 10147 (section 3.3).
        """
        turn = self._turn(now)
        recording = Recording(self._book, (self._book.find(client_id, order_id),))
        refusal = self._intake(turn).cancel(client_id, order_id)
        events = self._answer(turn, refusal, client_id, order_id)
        recording.end(now)
        return events

    def cancel_by_perm(self, perm_id: int, *, now: datetime, reason: str) -> Events:
        """Cancel an order from the broker's side, at once; `reason` follows IB's words.

        Raises:
            ExchangeError: There is no such order, or it is done.
        """
        order = self._live_order(perm_id, "cancelled")
        turn = self._turn(now)
        turn.cancel(order, reason)
        turn.settle()
        return tuple(turn.events)

    def global_cancel(self, *, now: datetime) -> Events:
        """Cancel every live order, of all clients and by hand (reqGlobalCancel, section 3.3)."""
        turn = self._turn(now)
        intake = self._intake(turn)
        recording = Recording(self._book, self._book.live())
        for order in self._book.live():
            if order.live and order.stage is not Stage.CANCELLING:
                intake.request_cancel(order)
        turn.settle()
        recording.end(now)
        return tuple(turn.events)

    def manual_order(
        self,
        contract: Contract,
        action: Action,
        quantity: Decimal,
        *,
        now: datetime,
        order_id: int = 0,
    ) -> Events:
        """Place a market order as a person in TWS does: client 0, order id 0 or a bound one.

        Raises:
            ExchangeError: The order cannot be placed; the message has IB's reason.
        """
        accounts = self.managed_accounts()
        terms = OrderTerms(action=action, quantity=quantity, order_type="MKT", account=accounts[0])
        admitted = admit(contract, terms, accounts=accounts, catalog=self.catalog)
        if isinstance(admitted, Refusal):
            what = f"{action} {quantity} {contract.symbol or contract.con_id}"
            raise ExchangeError(f"manual order {what}: {admitted.text} (error {admitted.code})")
        turn = self._turn(now)
        turn.transmit(self._intake(turn).enter(TWS_CLIENT_ID, order_id, admitted))
        turn.settle()
        return tuple(turn.events)

    def next_bound_id(self) -> int:
        """Return the id that the next manual order gets when client 0 binds it: -1, -2, ..."""
        taken = (number for client, number in self._book.perm_ids if client == TWS_CLIENT_ID)
        return min(0, *taken, 0) - 1

    def bind_manual_orders(self) -> tuple[OrderView, ...]:
        """Give each live manual order that has no id one of client 0's (section 3.3)."""
        bound = []
        for order in self._book.live():
            if order.client_id == TWS_CLIENT_ID and order.order_id == 0:
                order.order_id = self.next_bound_id()
                self._book.perm_ids[TWS_CLIENT_ID, order.order_id] = order.perm_id
                bound.append(order.view())
        return tuple(bound)

    def fill(self, perm_id: int, shares: Decimal, price: Decimal, *, now: datetime) -> Events:
        """Fill a working order by hand, whatever the tape says; the last price stays.

        A stop that is filled in part stays a stop that waits for its trigger.

        Raises:
            ExchangeError: The order cannot get this fill; the message says why.
        """
        order = self._live_order(perm_id, "filled")
        if not order.at_exchange:
            why = "waits for its parent" if order.transmitted else "is not transmitted"
            if order.stage is Stage.LOCATING:
                why = "waits for shares to borrow"
            raise ExchangeError(f"order {perm_id} cannot be filled: it {why}")
        if not shares.is_finite() or shares <= 0 or shares != shares.to_integral_value():
            raise ExchangeError(f"cannot fill {shares} shares: use a whole number above zero")
        if shares > (most := fillable(self._book, order)):
            raise ExchangeError(
                f"order {perm_id} cannot be filled {shares} shares: at most {most} are left to fill"
            )
        if not price.is_finite() or price <= 0:
            raise ExchangeError(f"cannot fill at {price}: use a price above zero")
        limit = limit_threshold(order)
        if limit is not None and not limit.holds(price):
            raise ExchangeError(
                f"order {perm_id} cannot be filled at {price}: its limit is {limit.price}"
            )
        turn = self._turn(now)
        # A new day may just have ended the order.
        if order.live:
            turn.fill(order, shares, price)
        turn.settle()
        return tuple(turn.events)

    def on_bar(self, bar: Bar, *, now: datetime) -> Events:
        """Take the market of one stock through a bar; `now` is when the bar is over."""
        turn = self._turn(now, market_time=bar.time)
        turn.walk(bar)
        return tuple(turn.events)

    def trade(self, symbol: str, price: Decimal, *, jumps: bool, now: datetime) -> Events:
        """Put the price of a stock somewhere else, as trades of others do.

        Args:
            symbol: The stock.
            price: In US dollars.
            jumps: At once, as a gap; else through every price on the way.
            now: Exchange time, aware.

        Raises:
            ExchangeError: Nothing has priced the stock yet, or the price is none.
        """
        if self._book.price(symbol) is None:
            raise ExchangeError(f"{symbol} has no market yet; play its first bar before it trades")
        if not price.is_finite() or price <= 0:
            raise ExchangeError(f"{symbol} cannot trade at {price}: use a price above zero")
        turn = self._turn(now)
        turn.trade(symbol, price, jumps=jumps)
        return tuple(turn.events)

    def set_halted(self, symbol: str, *, halted: bool) -> None:
        """Stop trading in a market, or let it go on; orders then act at its next price."""
        others = self._book.halted - {symbol}
        self._book.halted = others | {symbol} if halted else others

    def end_of_day(self, *, now: datetime) -> Events:
        """Close the session: DAY orders end as cancelled with 202, GTC orders live on (3.7)."""
        turn = self._turn(now)
        self._expire(turn)
        for order in self._book.live():
            # What is for today's session by its own time; a good till date stands by itself.
            ends = order.expires is not None and order.terms.tif != "GTD"
            if ends and order.expires is not None and day_of(order.expires) <= day_of(now):
                turn.cancel(order, "the trading day is over")
        turn.settle()
        self._book.received.clear()
        return tuple(turn.events)

    def advance(self, *, now: datetime) -> Events:
        """Notice the time. At midnight in New York the day's lists start anew (section 3.6).

        Executions and completed orders of yesterday are gone, the day's profit and loss is zero,
        and DAY orders that no close has ended expire. Every other input does this too; call it
        before a query that may come on a new day.
        """
        return tuple(self._turn(now).events)

    # What goes wrong at the exchange, by hand.

    def reject(self, perm_id: int, code: int, reason: str, *, now: datetime) -> Events:
        """Reject a live order: it is Inactive for good, `reason` is the error's text (0b.24).

        Raises:
            ExchangeError: There is no such order, it is done, or IB does not have it yet.
        """
        order = self._live_order(perm_id, "rejected")
        if not order.transmitted:
            raise ExchangeError(f"order {perm_id} cannot be rejected: it is not transmitted")
        turn = self._turn(now)
        if order.live:
            turn.reject(order, code, reason)
        turn.settle()
        return tuple(turn.events)

    def expire(self, perm_id: int, *, now: datetime) -> Events:
        """End a live order as if its time in force were over: Cancelled with 202 (0b.18).

        Raises:
            ExchangeError: There is no such order, or it is done.
        """
        return self.cancel_by_perm(perm_id, now=now, reason="its time in force is over")

    def correct(self, exec_id: str, shares: Decimal, price: Decimal, *, now: datetime) -> Events:
        """Correct an execution: the same id with its last part raised replaces it (0b.26).

        Position, average cost, profit, cash and the order's filled shares follow. The events are
        those of a fill; its `Filled` names in `corrects` what it replaces.

        Raises:
            ExchangeError: There is no such execution, or its order cannot have so many shares.
        """
        turn = self._turn(now)
        turn.events += correct(self._book, self.settings, exec_id, shares=shares, price=price)
        turn.settle()
        return tuple(turn.events)

    def bust(self, exec_id: str, *, now: datetime) -> Events:
        """Take an execution back. Its order keeps its status; the books are as if it never was.

        Raises:
            ExchangeError: There is no such execution.
        """
        turn = self._turn(now)
        turn.events += bust(self._book, self.settings, exec_id)
        turn.settle()
        return tuple(turn.events)

    def forget_received_ids(self, client_id: int, count: int) -> int:
        """Forget that the last `count` order ids of a client were received (0b.6).

        nextValidId goes back and hands them out again. A live order keeps its permId and its
        orderId, and can be cancelled until another order takes the id.

        Returns:
            What nextValidId tells the client now.

        Raises:
            ExchangeError: `count` is negative.
        """
        if count < 0:
            raise ExchangeError(f"cannot forget {count} order ids: use zero or more")
        highest = self._book.highest_order_ids.get(client_id, 0)
        self._book.highest_order_ids[client_id] = max(highest - count, 0)
        return self.next_order_id(client_id)

    def take_back(self, since: datetime, *, now: datetime) -> Events:
        """Forget what clients sent at `since` or later, as a gateway that dies does (3.10).

        An order that came is gone, one that was changed or cancelled is as it was before. What
        has filled stays, and so does what a fill has rested on since. Order ids stay used, and no
        permId is given twice. Restored orders act at the prices of now [A].

        Raises:
            ExchangeError: That is longer ago than the exchange remembers.
        """
        if since < now - NOTES_KEPT:
            most = NOTES_KEPT.total_seconds()
            raise ExchangeError(f"cannot take back what came at {since}: at most {most:g} s")
        turn = self._turn(now)
        taken = take_back(self._book, since)
        for order in taken.lost:
            turn.lost(order)
        for order in taken.restored:
            turn.changed(order, OrderEvent.RESTORED, reason="a modify or cancel was lost")
        turn.settle()
        self._book.received.clear()
        return tuple(turn.events)

    def split_on_modify(self, perm_id: int) -> None:
        """Let the next modify of an order leave it alive beside the new one (0b.25).

        Raises:
            ExchangeError: There is no such order, or it is done.
        """
        self._live_order(perm_id, "split").split_next = True

    def lose_untransmitted(self) -> tuple[int, ...]:
        """Forget the orders that wait in TWS for transmit=1, as its restart does (0b.16).

        Returns:
            Their permIds. Their order ids stay used.
        """
        book = self._book
        lost = [order for order in book.live() if order.stage is Stage.HELD]
        for order in lost:
            book.forget(order)
            for child in children_of(book, order):
                child.parent_perm_id = None
        return tuple(order.perm_id for order in lost)

    # Questions. None of them changes anything.

    def orders(self) -> tuple[OrderView, ...]:
        """Return the orders that are live or ended today, by permId."""
        return tuple(row.view() for row in self._book.orders.values() if self._book.of_today(row))

    def live_orders(self) -> tuple[OrderView, ...]:
        """Return the live orders of all clients, untransmitted ones too, by permId."""
        return tuple(order.view() for order in self._book.live())

    def completed_orders(self) -> tuple[OrderView, ...]:
        """Return the orders that ended today, in the order in which they ended."""
        done = [view for view in self.orders() if view.done_time is not None]
        return tuple(sorted(done, key=lambda view: (view.done_time, view.perm_id)))

    def order(self, client_id: int, order_id: int) -> OrderView | None:
        """Return the order that this client placed under this id, on any day."""
        order = self._book.find(client_id, order_id)
        return order.view() if order else None

    def order_by_perm(self, perm_id: int) -> OrderView | None:
        """Return the order of this permId, on any day."""
        order = self._book.orders.get(perm_id)
        return order.view() if order else None

    def executions(self) -> tuple[BookedExecution, ...]:
        """Return the day's executions with what they cost, in the order of the fills."""
        return tuple(
            row
            for row in self._book.executions.values()
            if day_of(row.execution.time) == self._book.day
        )

    def execution(self, exec_id: str) -> BookedExecution | None:
        """Return the execution of this id, of any day."""
        return self._book.executions.get(exec_id)

    def positions(self) -> tuple[PositionRecord, ...]:
        """Return what is held, and with quantity 0 what was held or traded today.

        By account and market key.
        """
        prices = self._book.prices_known()
        return tuple(row for each in self._book.accounts() for row in each.positions(prices))

    def managed_accounts(self) -> tuple[str, ...]:
        """Return the accounts of the login, the first one first (managedAccounts)."""
        return self._book.account_codes()

    def cash_of(self, account: str) -> Decimal:
        """Return the US dollars in an account."""
        return self._book.account_of(account).cash

    @property
    def cash(self) -> Decimal:
        """US dollars in the first account."""
        return self._book.account.cash

    def account_values(self, account: str = "") -> tuple[AccountValue, ...]:
        """Return the rows of reqAccountUpdates of an account, of the first one if unnamed."""
        return self._book.account_of(account).values(self._book.prices_known())

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the last price in US dollars, None before the first bar."""
        return self._book.price(symbol)

    def last_prices(self) -> Mapping[str, Decimal]:
        """Return the last price of everything that was priced, by symbol."""
        return self._book.prices_known()

    def next_order_id(self, client_id: int) -> int:
        """Return what nextValidId tells this client: past every id received from it (0b.6)."""
        highest = self._book.highest_order_ids.get(client_id, 0)
        return max(self.settings.first_order_id, highest + 1)

    @property
    def book(self) -> Book:
        """The living books, for whoever keeps them; not to be changed."""
        return self._book

    def snapshot(self) -> ExchangeSnapshot:
        """Return the books as they are now."""
        return ExchangeSnapshot(self._book.copy())

    def restore(self, snapshot: ExchangeSnapshot) -> None:
        """Go on from a snapshot, of this exchange or of one with the same settings."""
        self._book = snapshot.book.copy()

    # How it is done.

    def _turn(self, now: datetime, *, market_time: datetime | None = None) -> Turn:
        """Begin an input; on a new day, end the old one first.

        What lapses at an instant is still there for a bar that ends then.
        """
        book = self._book
        turn = Turn(book, self.settings, now)
        today = day_of(now)
        if book.day is not None and today > book.day:
            self._expire(turn)
            for account in book.accounts():
                account.new_day()
            book.received.clear()
        if book.day is None or today > book.day:
            book.day = today
        turn.lapse((market_time or now) - INSTANT)
        return turn

    def _expire(self, turn: Turn) -> None:
        for order in self._book.live():
            if ends_with_day(order):
                turn.cancel(order, "the trading day is over")

    def _intake(self, turn: Turn) -> Intake:
        return Intake(self._book, self.settings, catalog=self.catalog, turn=turn)

    def _answer(self, turn: Turn, refusal: Refusal | None, client_id: int, order_id: int) -> Events:
        """End an input of a client."""
        if refusal is not None:
            turn.events.append(Refused(client_id, order_id, refusal.code, refusal.text))
        turn.settle()
        return tuple(turn.events)

    def _live_order(self, perm_id: int, what: str) -> Order:
        order = self._book.orders.get(perm_id)
        if order is None:
            raise ExchangeError(f"no order has permId {perm_id}; books list those that exist")
        if not order.live:
            state = STATUS[order.stage].value
            raise ExchangeError(f"order {perm_id} cannot be {what}: it is {state} already")
        return order
