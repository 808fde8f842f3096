"""What clients ask of their own orders: place, modify, cancel, and when each is refused.

Everything is keyed on (client id, order id), as at TWS (tws-protocol.md sections 3.1 and 3.3).
Margin is looked at once, when an order goes to IB, and not again at a modify [A].
"""

from dataclasses import replace

from fakebroker.exchange.admission import (
    REJECTED_TEXT,
    Admitted,
    Refusal,
    admit,
    check_change,
    check_order_id,
    limit_offset,
)
from fakebroker.exchange.book import Book
from fakebroker.exchange.catalog import Catalog
from fakebroker.exchange.events import OrderChanged
from fakebroker.exchange.orders import STATUS, Order, OrderEvent, Stage, Trigger
from fakebroker.exchange.timing import expiry_of
from fakebroker.exchange.turn import Turn
from fakebroker.settings import BrokerSettings
from fakebroker.values import Contract, OrderStatus, OrderTerms


class Intake:
    """Takes requests within one turn. A `Refusal` means that nothing was changed."""

    def __init__(
        self, book: Book, settings: BrokerSettings, *, catalog: Catalog, turn: Turn
    ) -> None:
        self._book = book
        self._settings = settings
        self._catalog = catalog
        self._turn = turn

    def place(
        self, client_id: int, order_id: int, contract: Contract, terms: OrderTerms
    ) -> Refusal | None:
        """Take a new order, or a modify where the client has a live order of this id."""
        known = self._book.find(client_id, order_id)
        # An id that was forgotten again is a new one, even if the order it named lives on (0b.6).
        received = order_id <= self._book.highest_order_ids.get(client_id, 0)
        if known is not None and known.live and received:
            return self._modify(known, contract, terms)
        return self._new(client_id, order_id, contract, terms)

    def cancel(self, client_id: int, order_id: int) -> Refusal | None:
        """Cancel an order of this client."""
        if order_id == 0:
            return Refusal(10149, "Invalid order id: 0")
        what = f"OrderId {order_id} that needs to be cancelled"
        order = self._book.find(client_id, order_id)
        if order is None or not self._book.of_today(order) or order.late_cancels:
            return Refusal(10147, f"{what} is not found.")
        if order.live and order.stage is not Stage.CANCELLING:
            self.request_cancel(order)
            return None
        if not order.live:
            order.late_cancels += 1
        return Refusal(10148, f"{what} cannot be cancelled, state: {STATUS[order.stage].value}.")

    def request_cancel(self, order: Order) -> None:
        """Cancel now, or let the cancel be in flight for as long as the settings say (0b.11)."""
        if self._settings.pending_cancel == "always":
            view = replace(order.view(), status=OrderStatus.PENDING_CANCEL)
            self._turn.events.append(OrderChanged(view, OrderEvent.CANCEL_REQUESTED))
        if self._settings.cancel_after_bars and order.at_exchange:
            if self._settings.pending_cancel == "never":
                order.shown_stage = order.stage
            order.move(Trigger.REQUEST_CANCEL)
            order.cancel_bars_left = self._settings.cancel_after_bars
            return
        self._turn.cancel(order)
        if order.terms.auto_cancel_parent and order.parent_perm_id is not None:
            parent = self._book.orders[order.parent_perm_id]
            self._turn.cancel(parent, "a child order was cancelled")

    def enter(
        self, client_id: int, order_id: int, admitted: Admitted, *, parent: Order | None = None
    ) -> Order:
        """Put an order into the book, not yet sent or held."""
        order = Order(
            perm_id=self._book.take_perm_id(),
            order_id=order_id,
            client_id=client_id,
            contract=admitted.contract,
            terms=admitted.terms,
            placed_time=self._turn.now,
            parent_perm_id=parent.perm_id if parent else None,
            limit_offset=limit_offset(admitted.terms),
        )
        self._date(order)
        self._book.add(order)
        return order

    def admit(self, contract: Contract, terms: OrderTerms) -> Admitted | Refusal:
        """Return the order as the book would keep it, or why it is refused."""
        return admit(contract, terms, accounts=self._book.account_codes(), catalog=self._catalog)

    def _date(self, order: Order) -> None:
        """Note when the order lapses, once it is new or changed."""
        terms, placed = order.terms, order.placed_time
        order.expires = expiry_of(order.contract, terms, placed, self._settings)

    def _new(
        self, client_id: int, order_id: int, contract: Contract, terms: OrderTerms
    ) -> Refusal | None:
        """Take a new order. A refused one has used its id as well (section 3.1)."""
        book = self._book
        admitted = self.admit(contract, terms)
        done = book.find(client_id, order_id)
        received = order_id <= book.highest_order_ids.get(client_id, 0)
        if (
            done is not None
            and received
            and done.stage is Stage.FILLED
            and is_same_order(done, admitted)
        ):
            return Refusal(104, "Cannot modify a filled order.")
        refusal = check_order_id(order_id, book.highest_order_ids.get(client_id, 0))
        if refusal is not None:
            return refusal
        book.highest_order_ids[client_id] = order_id
        if isinstance(admitted, Refusal):
            return admitted
        parent = book.find(client_id, terms.parent_id) if terms.parent_id else None
        if terms.parent_id and (parent is None or not parent.live):
            return no_such_order(terms.parent_id)
        order = self.enter(client_id, order_id, admitted, parent=parent)
        if terms.transmit:
            self._turn.transmit(order)
        else:
            self._turn.hold(order)
        return None

    def _modify(self, order: Order, contract: Contract, terms: OrderTerms) -> Refusal | None:
        """Change a live order. Its bracket stays what it was, whatever the new terms say."""
        admitted = self.admit(contract, terms)
        if isinstance(admitted, Refusal):
            return admitted
        refusal = check_change(order, admitted.contract, admitted.terms)
        if refusal is not None:
            return refusal
        if order.stage is Stage.CANCELLING:
            return Refusal(201, f"{REJECTED_TEXT}The order is being cancelled")
        if terms.parent_id:
            parent = self._book.find(order.client_id, terms.parent_id)
            if parent is None or not self._book.of_today(parent):
                return no_such_order(terms.parent_id)
        if order.transmitted and (order.split_next or self._settings.split_on_modify):
            self._split(order, admitted)
            return None
        order.terms = changed_terms(order.terms, admitted.terms)
        order.limit_offset = limit_offset(admitted.terms)
        self._date(order)
        order.move(Trigger.MODIFY)
        if order.stage is Stage.HELD and terms.transmit:
            self._turn.transmit(order)
        else:
            self._turn.reprice(order)
            self._turn.changed(order, OrderEvent.MODIFIED)
        return None

    def _split(self, order: Order, admitted: Admitted) -> None:
        """Leave the order as it is and send the changed one beside it, for what is not filled."""
        order.split_next = False
        terms = replace(admitted.terms, quantity=admitted.terms.quantity - order.filled)
        parent_id = order.parent_perm_id
        parent = None if parent_id is None else self._book.orders[parent_id]
        changed = Admitted(admitted.contract, changed_terms(order.terms, terms))
        self._turn.transmit(self.enter(order.client_id, order.order_id, changed, parent=parent))


def changed_terms(old: OrderTerms, new: OrderTerms) -> OrderTerms:
    """Return the terms after a modify."""
    stop = new.trail_stop_price
    if (new.aux_price, new.trailing_percent) == (old.aux_price, old.trailing_percent):
        # A trail that its owner does not move stays where the market has taken it.
        stop = stop or old.trail_stop_price
    return replace(new, parent_id=old.parent_id, trail_stop_price=stop)


def no_such_order(order_id: int) -> Refusal:
    """Refuse a child whose parent is gone."""
    return Refusal(135, f"Can't find order with id ={order_id}")


def is_same_order(order: Order, admitted: Admitted | Refusal) -> bool:
    """Say whether new terms look like a modify of a done order, and not like another order."""
    if isinstance(admitted, Refusal):
        return False
    old, new = order.terms, admitted.terms
    return (order.contract.con_id, old.action, old.order_type, old.order_ref) == (
        admitted.contract.con_id,
        new.action,
        new.order_type,
        new.order_ref,
    )
