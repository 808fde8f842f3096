"""I18: quantities and prices are exact: no remains of binary fractions, no price off the tick.

A share is counted in four decimals at most and a price in eight; more of them are what is left of a
calculation with floats. An order for nothing is what such a calculation leaves of a position.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from harness.checks import Invariant, Needs
from harness.history import History, StateRead, WireMessage
from harness.result import Finding

NAME = "ExactQuantities"
OFF_TICK = "110"
SHARE_PLACES = 4
PRICE_PLACES = 8
ABOUT = ("req_id", "order_id")


def check(history: History) -> list[Finding]:
    """Find what was refused as off the tick, sent with remains, or believed with remains."""
    findings = [
        Finding(
            invariant=NAME,
            sentence=f"The broker refused order {error.text(*ABOUT)}: its price is off the tick "
            f"(error 110).",
            seqs=(error.seq,),
        )
        for error in history.sent("error")
        if error.text("code") == OFF_TICK
    ]
    for order in history.messages_of("placeOrder"):
        if order.direction == "in":
            findings += [
                Finding(invariant=NAME, sentence=words, seqs=(order.seq,))
                for words in wrong_in_order(order)
            ]
    for state in history.states:
        words = next(wrong_in_belief(state), None)
        if words is not None:
            return [*findings, Finding(invariant=NAME, sentence=words, seqs=(state.seq,))]
    return findings


def wrong_in_order(order: WireMessage) -> Iterator[str]:
    """What is wrong with the numbers of an order, in words."""
    name = order.order_ref or f"order {order.order_id}"
    quantity = number(order.text("quantity"))
    if quantity is not None and (quantity <= 0 or places(quantity) > SHARE_PLACES):
        yield f"The bot sent {name} for {quantity} shares."
    for field in ("limit_price", "aux_price"):
        price = number(order.text(field))
        if price is not None and places(price) > PRICE_PLACES:
            yield f"The bot sent {name} at {price}."


def wrong_in_belief(state: StateRead) -> Iterator[str]:
    """What is wrong with the quantities that a bot tells, in words."""
    belief = state.belief
    told: list[tuple[str, Decimal | None]] = [
        *((f"the position in {name}", each.quantity) for name, each in belief.positions.items()),
        *((f"the order {each.order_ref}", each.quantity) for each in belief.intents or ()),
    ]
    for name, trade in (belief.trades or {}).items():
        told += [(f"the trade {name}", each) for each in (trade.quantity, trade.qty_closed)]
    for words, quantity in told:
        if quantity is not None and places(quantity) > SHARE_PLACES:
            yield f"The bot says that {words} has {quantity} shares."


def number(text: str) -> Decimal | None:
    """A number of a message; None when there is none."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def places(value: Decimal) -> int:
    """How many decimals a number has."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


INVARIANT = Invariant(
    name=NAME,
    law="quantities and prices are exact and on the tick",
    needs=Needs.BOOKS,
    check=check,
)
