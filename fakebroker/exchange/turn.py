"""One input of the exchange, worked to its end: orders go out, fill, cancel, drag others along.

A `Turn` lives for one call of the exchange. It changes the book and collects the events in the
order in which they happen; when nothing more can happen at the present prices, the turn is over.
Orders that could act at the same price act in the order of their permIds.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Literal, assert_never

from fakebroker.exchange.account import Account, WhatIf
from fakebroker.exchange.admission import CANCELLED_TEXT, REJECTED_TEXT
from fakebroker.exchange.book import Book, BookedExecution
from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    ExecutionRecord,
    Filled,
    OrderChanged,
    PositionChanged,
)
from fakebroker.exchange.groups import (
    OCA_CANCEL_WITH_BLOCK,
    OCA_REDUCE_LATE,
    children_of,
    family_of,
    fillable,
    filled_by_siblings,
    oca_peers,
    parent_of,
)
from fakebroker.exchange.instruments import commission_of, tick_of
from fakebroker.exchange.matching import (
    TRAILING_TYPES,
    acts_at,
    bar_path,
    becomes_market,
    is_armed,
    limit_behind,
    next_level,
    trailed_stop,
)
from fakebroker.exchange.orders import ZERO, Order, OrderEvent, Stage, Trigger, tidy
from fakebroker.exchange.timing import (
    AT_ONCE_TIFS,
    OPENING_TIF,
    Auction,
    Moment,
    in_hours,
    may_act,
    needs_locate,
    opening_of,
    regular_session,
    waits_for_opening,
    warning_for,
)
from fakebroker.market.tape import Bar
from fakebroker.settings import BrokerSettings
from fakebroker.values import Action, OrderStatus, OrderTerms

CURRENCY = "USD"
LOCATE_TEXT = (
    "Shares for this order are not immediately available for short sale. The order will be held "
    "while we attempt to locate the shares."
)


@dataclass(frozen=True, slots=True)
class Fill:
    """So many shares of an order were filled, so many are left."""

    shares: Decimal
    remaining: Decimal


class Turn:
    """The work of one input, at one time."""

    def __init__(self, book: Book, settings: BrokerSettings, now: datetime) -> None:
        self.events: list[ExchangeEvent] = []
        self._book = book
        self._settings = settings
        self.now = now
        self._moment = Moment(now, now)
        self._owed_reductions: list[tuple[Order, Fill, str]] | None = None
        """What OCA type 3 takes off its members when the bar is over (`oca_overfill`)."""

    # Orders going out.

    def hold(self, order: Order) -> None:
        """Keep a new order in TWS until its family is transmitted."""
        order.move(Trigger.HOLD)
        self.changed(order, OrderEvent.ACCEPTED)

    def transmit(self, order: Order) -> None:
        """Send an order to IB, and with it the family members that were held, parents first."""
        for member in family_of(self._book, order):
            if member.stage is Stage.HELD:
                self._send(member, OrderEvent.ACTIVATED)
            elif member is order and member.stage is Stage.NEW:
                self._send(member, OrderEvent.ACCEPTED)

    def _send(self, order: Order, event: OrderEvent) -> None:
        if self._settings.pending_submit:
            view = replace(order.view(), status=OrderStatus.PENDING_SUBMIT, transmitted=True)
            self.events.append(OrderChanged(view, OrderEvent.PENDING))
        parent = parent_of(self._book, order)
        if parent is None:
            what_if = self.what_if(order)
            if what_if is not None and what_if.init_margin_after > what_if.equity_with_loan_after:
                self._reject(order, what_if)
                return
        if parent is not None and not parent.filled:
            order.move(Trigger.ATTACH)
            self.changed(order, event)
            if not parent.live:
                self.cancel(order, "the parent order was rejected")
            return
        self._enter_market(order, event)

    def _enter_market(self, order: Order, event: OrderEvent) -> None:
        held = self._account_of(order).quantity(order.symbol)
        if order.stage is not Stage.LOCATING and needs_locate(order, held, self._settings):
            order.move(Trigger.LOCATE)
            order.locate_bars_left = self._settings.locate_after_bars
            self.changed(order, event, code=404, reason=LOCATE_TEXT)
            return
        waits = waits_for_opening(order, self._moment.time, self._settings)
        works = order.goes_to is Trigger.WORK
        order.move(Trigger.ROUTE if works and waits else order.goes_to)
        order.bars_to_wait = self._settings.fill_latency_bars
        if self._settings.fill_latency:
            order.wait_until = self.now + self._settings.fill_latency
        self.reprice(order)
        code, reason = warning_for(order, self._moment.time, self._settings) or (None, "")
        self.changed(order, event, code=code, reason=reason)

    def _account_of(self, order: Order) -> Account:
        return self._book.account_of(order.terms.account)

    def what_if(self, order: Order) -> WhatIf | None:
        """Return what the order would do to margin.

        None if it opens nothing or nobody knows its price.
        """
        price = reference_price(order.terms, self._book.price(order.symbol))
        account = self._account_of(order)
        held = account.quantity(order.symbol)
        shares = order.signed * order.remaining
        if price is None or abs(held + shares) <= abs(held):
            return None
        value = order.remaining * price
        return account.what_if(
            order.contract,
            shares,
            price=price,
            commission=commission_of(
                self._settings.commission,
                order.contract,
                shares=order.remaining,
                price_sum=value,
            ),
            prices=self._book.prices_known(),
        )

    def _reject(self, order: Order, what_if: WhatIf) -> None:
        equity = what_if.equity_with_loan_after
        text = (
            f"{REJECTED_TEXT}YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION "
            f"YOUR EQUITY WITH LOAN VALUE [{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN "
            f"[{what_if.init_margin_after:.2f} USD]"
        )
        self.reject(order, 201, text)

    # What can befall an order.

    def changed(
        self, order: Order, event: OrderEvent, *, code: int | None = None, reason: str = ""
    ) -> None:
        """Report that an order changed."""
        self.events.append(OrderChanged(order.view(), event, code, reason))

    def lost(self, order: Order) -> None:
        """Report that an order has never come, as far as the book knows."""
        gone = replace(order.view(), status=OrderStatus.API_CANCELLED, live=False, working=False)
        self.events.append(OrderChanged(gone, OrderEvent.LOST, reason="it never arrived"))

    def cancel(self, order: Order, detail: str = "") -> None:
        """Cancel a live order; `detail` follows IB's words for it. Children go or shrink with it.

        A parent that never filled takes its children along (section 3.7). After a partial fill
        they stay for the filled part [A].
        """
        if not order.live:
            return
        order.move(Trigger.CANCEL)
        text = CANCELLED_TEXT + detail
        self._done(order, text)
        self.changed(order, OrderEvent.CANCELLED, code=202, reason=text)
        self._parent_ended(order)

    def reject(self, order: Order, code: int, text: str) -> None:
        """End an order as rejected: Inactive for good. Its children go as with a cancel."""
        order.move(Trigger.REJECT)
        self._done(order, text)
        self.changed(order, OrderEvent.REJECTED, code=code, reason=text)
        self._parent_ended(order)

    def lapse(self, moment: datetime) -> None:
        """End the orders whose time is over at this time."""
        for order in self._book.live():
            if order.expires is not None and order.expires <= moment:
                self.cancel(order, "its time in force is over")

    def _done(self, order: Order, reason: str = "") -> None:
        order.done_time = self.now
        order.done_reason = reason

    def _parent_ended(self, parent: Order) -> None:
        for child in children_of(self._book, parent):
            if not child.live or child.stage is Stage.NEW:
                continue
            if not parent.filled:
                self.cancel(child, f"the parent order {parent.order_id} ended unfilled")
            elif child.transmitted:
                allowed = parent.filled - filled_by_siblings(self._book, child)
                self._limit_to(child, allowed, f"the parent order filled {parent.filled}")

    def _limit_to(self, order: Order, quantity: Decimal, reason: str) -> None:
        """Make an order no larger than `quantity` shares; cancel it when that leaves nothing."""
        if quantity >= order.quantity:
            return
        if quantity <= order.filled:
            self.cancel(order, reason)
            return
        order.resize(quantity)
        order.move(Trigger.REDUCE)
        self.changed(order, OrderEvent.REDUCED, reason=reason)

    def _reduce(self, peer: Order, fill: Fill, reason: str) -> None:
        """Take off an OCA member what another one's fill costs it."""
        match self._settings.oca_reduction:
            case "shares":
                quantity = peer.quantity - fill.shares
            case "fraction":
                left = peer.remaining * fill.remaining / (fill.remaining + fill.shares)
                quantity = peer.filled + left.to_integral_value(ROUND_DOWN)
            case _:
                assert_never(self._settings.oca_reduction)
        self._limit_to(peer, quantity, reason)

    # Fills and what follows.

    def fill(self, order: Order, shares: Decimal, price: Decimal) -> None:
        """Book an execution of `shares` at `price` and everything that it brings about."""
        order.filled += shares
        order.value += shares * price
        order.last_fill_price = price
        order.move(Trigger.FILL_PART if order.remaining else Trigger.FILL_REST)
        if not order.live:
            self._done(order)
        charged = commission_of(
            self._settings.commission,
            order.contract,
            shares=order.filled,
            price_sum=order.value,
        )
        commission, order.commission = charged - order.commission, charged
        account = self._account_of(order)
        realized = account.book(
            order.contract, order.signed * shares, price=price, commission=commission
        )
        execution = self._execution(order, shares, price)
        cost = Commissioned(execution.exec_id, order.perm_id, commission, CURRENCY, realized)
        booked = BookedExecution(execution, commission, CURRENCY, realized)
        self._book.executions[execution.exec_id] = booked
        position = account.quantity(order.symbol)
        self.events.append(Filled(execution, order.view(), position))
        self.changed(order, OrderEvent.FILLED)
        self.events.append(cost)
        average_cost = account.average_cost(order.symbol)
        self.events.append(PositionChanged(account.account, order.contract, position, average_cost))
        self._drag_along(order, shares)

    def _execution(self, order: Order, shares: Decimal, price: Decimal) -> ExecutionRecord:
        side: Literal["BOT", "SLD"] = "BOT" if order.terms.action is Action.BUY else "SLD"
        return ExecutionRecord(
            exec_id=self._book.take_exec_id(),
            time=self.now,
            perm_id=order.perm_id,
            order_id=order.order_id,
            client_id=order.client_id,
            account=order.terms.account,
            contract=order.contract,
            side=side,
            shares=shares,
            price=price,
            cum_qty=order.filled,
            avg_price=tidy(order.value / order.filled),
            order_ref=order.terms.order_ref,
        )

    def _drag_along(self, order: Order, shares: Decimal) -> None:
        """Activate the children of an order that filled, and cancel or shrink its OCA group."""
        for child in children_of(self._book, order):
            if child.stage is Stage.CHILD:
                self._enter_market(child, OrderEvent.ACTIVATED)
        for peer in oca_peers(self._book, order):
            if not peer.live:
                continue
            reason = f"OCA: order {order.order_id} filled {shares}"
            if order.terms.oca_type == OCA_CANCEL_WITH_BLOCK:
                self.cancel(peer, f"OCA: order {order.order_id} filled")
            elif order.terms.oca_type == OCA_REDUCE_LATE and self._owed_reductions is not None:
                self._owed_reductions.append((peer, Fill(shares, order.remaining), reason))
            else:
                self._reduce(peer, Fill(shares, order.remaining), reason)
        if not order.live:
            self._parent_ended(order)

    # The market.

    def settle(self) -> None:
        """Let orders act at the present prices until none can."""
        self._open()
        while (order := self._first_to_act()) is not None:
            price = self._book.price(order.symbol)
            assert price is not None, "an order acts at a price"
            if is_armed(order):
                order.triggered = True
                order.move(Trigger.WORK)
                self.changed(order, OrderEvent.TRIGGERED)
            else:
                shares = self._next_shares(order)
                order.bar_shares += shares
                self.fill(order, shares, self._slipped(order, price))
        for order in self._book.at_exchange():
            if order.terms.tif in AT_ONCE_TIFS and not is_armed(order) and self._may_act(order):
                self.cancel(order)

    def _slipped(self, order: Order, price: Decimal) -> Decimal:
        """Return what a market order gets: worse by the settings' ticks, never below one tick."""
        ticks = self._settings.slippage
        if not ticks or not becomes_market(order) or self._moment.auction is not Auction.NONE:
            return price
        tick = tick_of(order.contract)
        return max(price + order.signed * ticks * tick, min(price, tick))

    def _may_act(self, order: Order) -> bool:
        halted = order.symbol in self._book.halted
        return not halted and may_act(order, self._moment, self._settings)

    def _open(self) -> None:
        """Send on the limit orders that were kept back until the market opens."""
        for order in self._book.at_exchange():
            kept = order.stage is Stage.ROUTED and order.goes_to is Trigger.WORK
            if kept and in_hours(order, self._moment.time, self._settings):
                order.move(Trigger.WORK)
                self.changed(order, OrderEvent.ACTIVATED)

    def walk(self, bar: Bar) -> None:
        """Take the market through a bar."""
        for order in self._book.live():
            if order.symbol == bar.symbol:
                order.bar_shares = ZERO
        # Sessions go by where the bar begins, or by the opening that is within it.
        self._moment = Moment(self._session_start(bar), bar.time)
        self.lapse(bar.time)
        self._owed_reductions = [] if self._settings.oca_overfill else None
        path = bar_path(bar)
        self._opening(bar.symbol, path[0])
        for target in path[1:]:
            self._move(bar.symbol, target)
        self._closing(bar)
        self._arrive(bar.symbol)
        self._reduce_late()
        self.lapse(self.now)
        for order in self._book.at_exchange():
            if order.stage is Stage.CANCELLING and order.symbol == bar.symbol:
                order.cancel_bars_left -= 1
                if order.cancel_bars_left == 0:
                    self.cancel(order)

    def trade(self, symbol: str, price: Decimal, *, jumps: bool) -> None:
        """Take the market to a price: at once, or stopping wherever an order acts on the way."""
        if jumps or symbol not in self._book.prices:
            self._price(symbol, price)
        else:
            self._move(symbol, price)

    def _session_start(self, bar: Bar) -> datetime:
        """Return the time that a bar counts for: its start, or an opening within it."""
        for order in self._book.live():
            if order.symbol == bar.symbol:
                start = regular_session(order.contract, bar.time).start
                return start if bar.time < start < self.now else bar.time
        return bar.time

    def _opening(self, symbol: str, price: Decimal) -> None:
        """Put the price at the open, with the auction where orders wait for it."""
        waiting = [
            order
            for order in self._book.at_exchange()
            if order.symbol == symbol
            and order.terms.tif == OPENING_TIF
            and opening_of(order) <= self._moment.time
        ]
        if not waiting:
            self._price(symbol, price)
            return
        self._moment.auction = Auction.OPEN
        self._price(symbol, price)
        self._moment.auction = Auction.NONE
        for order in waiting:
            self.cancel(order, "the opening is over")
        self.settle()

    def _closing(self, bar: Bar) -> None:
        """Hold the closing auction at the last price of the bar that ends the session.

        A market that is played trade by trade has no such bar: orders for the close lapse there.
        """
        for order in self._book.at_exchange():
            if order.symbol == bar.symbol:
                end = regular_session(order.contract, bar.time).end
                if bar.time < end <= self.now:
                    self._moment.auction = Auction.CLOSE
                    self.settle()
                    self._moment.auction = Auction.NONE
                return

    def _arrive(self, symbol: str) -> None:
        """Let orders that were on their way act at the end of the bar, and find shares."""
        self._moment.arrived = self.now
        for order in self._book.live():
            if order.symbol != symbol:
                continue
            order.bars_to_wait = max(order.bars_to_wait - 1, 0)
            if order.stage is Stage.LOCATING:
                order.locate_bars_left -= 1
                if order.locate_bars_left <= 0:
                    self._enter_market(order, OrderEvent.ACTIVATED)
            self._reprice_if_there(order)
        self.settle()

    def _reprice_if_there(self, order: Order) -> None:
        if order.at_exchange and self._may_act(order):
            self.reprice(order)

    def _reduce_late(self) -> None:
        """Take off OCA members of type 3 what the others filled in the bar."""
        owed, self._owed_reductions = self._owed_reductions or [], None
        for peer, fill, reason in owed:
            if peer.live:
                self._reduce(peer, fill, reason)

    def _price(self, symbol: str, price: Decimal) -> None:
        self._book.prices[symbol] = price
        for order in self._book.at_exchange():
            if order.symbol == symbol:
                self._reprice_if_there(order)
        self.settle()

    def _move(self, symbol: str, target: Decimal) -> None:
        """Move the price to `target`, stopping wherever an order acts on the way."""
        while (price := self._book.prices[symbol]) != target:
            levels = [
                level
                for order in self._book.at_exchange()
                if order.symbol == symbol and self._may_act(order)
                if is_armed(order) or self._available(order)
                if (level := next_level(order, price, target)) not in (None, price)
            ]
            nearest = min(levels, key=lambda level: abs(level - price), default=target)
            self._price(symbol, nearest)

    def reprice(self, order: Order) -> None:
        """Put a trailing stop where it belongs at the present price."""
        price = self._book.price(order.symbol)
        stop = None if price is None else trailed_stop(order, price)
        if stop is not None:
            limit = limit_behind(order, stop) or order.terms.limit_price
            order.terms = replace(order.terms, trail_stop_price=stop, limit_price=limit)

    def _first_to_act(self) -> Order | None:
        for order in self._book.at_exchange():
            price = self._book.price(order.symbol)
            if price is None or not acts_at(order, price) or not self._may_act(order):
                continue
            if is_armed(order) or self._available(order):
                return order
        return None

    def _available(self, order: Order) -> Decimal:
        """Return the shares that the order can get now: its bracket's and the bar's limits."""
        shares = fillable(self._book, order)
        if self._settings.liquidity_per_bar is not None:
            shares = min(shares, self._settings.liquidity_per_bar - order.bar_shares)
        if order.terms.tif == "FOK" and shares < order.remaining:
            return ZERO
        return max(shares, ZERO)

    def _next_shares(self, order: Order) -> Decimal:
        """Return the size of the order's next execution; only market orders are split."""
        shares = self._available(order)
        sizes = self._settings.fill_split
        if becomes_market(order) and order.split_index < len(sizes):
            shares = min(shares, sizes[order.split_index])
            order.split_index += 1
        return shares


def reference_price(terms: OrderTerms, last: Decimal | None) -> Decimal | None:
    """Return the price that margin is reckoned with: the order's own, else the last one."""
    if terms.order_type in TRAILING_TYPES:
        return last
    return terms.limit_price or terms.aux_price or last
